r"""Rays a second on 1, 2, 4, ... devices: one batch shared, and one batch each.

    python scripts/bench_scaling.py                     # devices 1, 2, 4, ... as there are
    python scripts/bench_scaling.py --devices=1,2,4     # on a CPU they are simulated
    python scripts/bench_scaling.py --processes=1,2     # processes on this machine, joined

One JSON line per case: `strong` splits the same `--rays` over the devices, `weak` gives each as
many. `speedup` is over the first case of the same kind; devices of their own would make it
`ideal_speedup`. Simulated devices share the machine's cores, which one device has all of already:
their ideal is 1, and what is measured is what splitting costs.

Each case is a process that this script starts, or several.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import jax
from absl import app, flags, logging
from benching import hosts as host
from benching import rows, setups

from inv_jax.assembly import build
from inv_jax.cost import trial
from inv_jax.train import hosts
from inv_jax.train.parallel import Devices

_DEVICES = flags.DEFINE_list("devices", None, "Default: powers of two; on a CPU 1, 2, 4.")
_PROCESSES = flags.DEFINE_list("processes", [], "Processes to share the devices; default: one.")
_RAYS = flags.DEFINE_integer("rays", 1024, "Rays a step: of all devices (strong), of each (weak).")
_PIXELS = flags.DEFINE_list("pixels", ["4", "254", "338"], "Cameras, height, width of a frame.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_STEPS = flags.DEFINE_integer("steps", 0, "Steps in a timed dispatch; 0: 2, or 50 on a GPU.")
_TIMEOUT = flags.DEFINE_float("timeout", 280.0, "Seconds that a case's process may take.")
# For the processes that this script starts.
_CHILD = flags.DEFINE_string("child", "", "Measures in this process: `strong` or `weak`.")
_PLACE = flags.DEFINE_integer("place", 0, "This process among those of the case.")
_PORT = flags.DEFINE_integer("port", 0, "Where they meet.")
_ON_CPU = flags.DEFINE_bool("on_cpu", False, "Whether their devices are simulated.")

_SIMULATED = "--xla_force_host_platform_device_count"


def measure(kind: str, devices: Devices) -> dict[str, object]:
    """Times the step on these devices."""
    rays = _RAYS.value * (devices.count if kind == "weak" else 1)
    config = setups.config(train__rows_per_step=rays)
    nerf = build.model(config)
    stepper = build.stepper(config, nerf, devices)
    placed = devices.replicate(trial.random_views(*map(int, _PIXELS.value)))
    step = trial.Trial(stepper, devices, nerf.roles.all, *placed)
    steps = _STEPS.value or (2 if devices.platform == "cpu" else 50)
    step.seconds(1)
    times = rows.in_turn(_ROUNDS.value, step=lambda: step.seconds(steps))["step"]
    return {
        "case": f"{kind}, {devices.describe()}",
        "kind": kind,
        "devices": devices.count,
        "processes": jax.process_count(),
        "rays": rays,
        "rows_per_pass": stepper.rows_per_pass,
        "width": nerf.mlp.width,
        **times.row(),
        "rows_per_second": rays / times.median,
    }


def run_case(kind: str, devices: int, processes: int) -> dict[str, object] | None:
    """Starts the processes of a case; the row that the first one printed."""
    kept = [item for item in sys.argv[1:] if not item.startswith(("--devices", "--processes"))]
    command = [sys.executable, __file__, *kept, f"--child={kind}", f"--devices={devices}"]
    command += [f"--processes={processes}", f"--port={_free_port()}"]
    command += [f"--on_cpu={_on_cpu()}"]
    environment = dict(os.environ)
    if _on_cpu():
        others = [f for f in environment.get("XLA_FLAGS", "").split() if _SIMULATED not in f]
        environment["XLA_FLAGS"] = " ".join([*others, f"{_SIMULATED}={devices // processes}"])
    started = [
        subprocess.Popen(
            [*command, f"--place={place}"], env=environment, stdout=subprocess.PIPE, text=True
        )
        for place in range(processes)
    ]
    try:
        outputs = [process.communicate(timeout=_TIMEOUT.value)[0] for process in started]
    except subprocess.TimeoutExpired:
        rows.say(f"{kind} on {devices} devices took more than {_TIMEOUT.value:.0f} s")
        return None
    finally:
        for process in started:
            process.kill()
    if any(process.returncode for process in started):
        rows.say(f"{kind} on {devices} devices in {processes} processes failed")
        return None
    lines = [line for line in outputs[0].splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


def child() -> None:
    """Measures one case, in one process of it."""
    processes, wanted = int(_PROCESSES.value[0]), int(_DEVICES.value[0])
    if processes > 1:
        each = wanted // processes
        mine = (
            None if _ON_CPU.value else tuple(range(_PLACE.value * each, (_PLACE.value + 1) * each))
        )
        where = f"127.0.0.1:{_PORT.value}"
        hosts.join(hosts.Membership(where, processes, _PLACE.value, mine))
    devices = Devices(jax.devices()[:wanted])
    row = measure(_CHILD.value, devices)
    if devices.is_main:
        rows.emit("scaling", devices, row)
    hosts.leave(0)


def _on_cpu() -> bool:
    return host.platform()[0] == "cpu"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _cases() -> Iterator[tuple[int, int]]:
    """Devices and processes of each case."""
    if _PROCESSES.value:
        each = int(_DEVICES.value[0]) if _DEVICES.value else 1
        yield from ((each * int(n), int(n)) for n in _PROCESSES.value)
        return
    most = 4 if _on_cpu() else host.platform()[1]
    default = [2**i for i in range(10) if 2**i <= most]
    yield from ((int(n), 1) for n in _DEVICES.value or default)


def main(_: list[str]) -> None:
    if _CHILD.value:
        child()
        return
    for kind in ("strong", "weak"):
        first: dict | None = None
        for devices, processes in _cases():
            row = run_case(kind, devices, processes)
            if row is None:
                continue
            first = first or row
            row["speedup"] = row["rows_per_second"] / first["rows_per_second"]
            row["ideal_speedup"] = 1.0 if _on_cpu() else row["devices"] / first["devices"]
            if _on_cpu():
                row["note"] = f"simulated devices share {row['cores']} cores"
            rows.write(row)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
