r"""Every bench in one call: one file of their rows, one table.

    python scripts/bench_all.py --out=runs/bench         # under 9 minutes on a GPU
    JAX_PLATFORMS=cpu python scripts/bench_all.py        # a reduced set, under 10 minutes

Each bench is a process of its own that is given a part of the time; one that fails or does not
end in time leaves the rows it had printed. Writes `OUT/bench.json` (what ran, with which command,
how long it took, and all rows), `OUT/table.md`, and the benches' standard errors in `OUT/logs/`.
Both files are rewritten after each bench, so that a killed call leaves what it had.

On a GPU: the step at 1,024, 4,096 and 16,384 rays, unfrozen and frozen, in float32, TF32 and
bfloat16; a trace of it; an image of 1352x1014 in each precision; a whole frame of 10,000 steps at
the original's settings, with the gaps to the frames that follow; the 2D networks; a NeRV
decoder's step, and the pictures a second of three; memory over frames; several frames from scratch
at once; scaling, if there are several GPUs. The capture for them is rendered by the host's cores
meanwhile; where these are what is measured, before.
"""

import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import app, flags
from benching import ROOT, hosts, rows, table

from inv_jax.cost import machine

_OUT = flags.DEFINE_string("out", "runs/bench", "Folder for bench.json and table.md.")
_SECONDS = flags.DEFINE_float("seconds", 0.0, "For everything; 0: 525 on a GPU, 590 on a CPU.")
_CAPTURE = flags.DEFINE_string("capture", "", "A capture that is there; default: OUT/theatre.")
_ONLY = flags.DEFINE_list("only", [], "Names of benches to run; default: all.")

_SCRIPTS = pathlib.Path(__file__).parent
_END_SECONDS = 5.0  # kept for the last files
_WHOLE, _BEHIND = 10_000, 2_500  # steps of the whole frame, and of the two behind it
_AROUND = 45.0  # seconds that the whole frame's bench takes besides steps
_DECODE = ("--names=360p,S,L", "--batches=1,16", "--precision=float32,tf32,bfloat16")
_MARGIN = 0.75  # part of its time after which a bench begins no new case


@dataclasses.dataclass(frozen=True)
class Task:
    """A bench to run, and what it may take."""

    name: str
    script: str
    arguments: Sequence[str]
    seconds: float  # at most; less if less is left
    has_budget: bool = False  # whether it takes --budget
    needs_capture: bool = False


def gpu_tasks(capture: pathlib.Path, out: pathlib.Path, devices: int) -> list[Task]:
    """The most important first: what does not fit into the time is left out."""
    step = ("--rounds=3", "--seconds=0.5")
    theatre = f"--capture={capture}"
    whole = ("--frames=3", f"--first_steps={_WHOLE}", f"--steps={_BEHIND}")
    tasks = [
        Task(
            "step", "bench_step.py", ("--rays=1024", f"--trace={out / 'trace'}", *step), 190, True
        ),
        Task("frame", "bench_pipeline.py", (theatre, *whole), 190, needs_capture=True),
        Task("render", "bench_render.py", ("--rounds=2",), 60, True),
        Task("step_large", "bench_step.py", ("--rays=4096,16384", *step), 150, True),
        Task("image", "bench_image.py", ("--rounds=3", "--seconds=0.3", "--rays=all"), 60, True),
        Task("fast", "bench_fast.py", ("--gpu", "--volumes=60,120,240"), 90),
        Task("nerv", "bench_nerv.py", ("--rounds=3", "--steps=20"), 45),
        Task("decode", "bench_decode.py", _DECODE, 60),
        Task("memory", "bench_memory.py", (theatre, "--frames=8"), 60, needs_capture=True),
        Task("frames", "bench_frames.py", (f"--at_once={4 * devices}",), 60),
    ]
    if devices > 1:
        tasks.append(Task("scaling", "bench_scaling.py", (), 120))
    return tasks


def with_precision(task: Task, seconds: float, reports: Sequence[dict[str, Any]]) -> Task:
    """The whole frame in float32, as the original's, or in TF32 if that took too long."""
    step = {
        row["phase"]: row["seconds"]
        for report in reports
        for row in report["rows"]
        if row["bench"] == "step" and row["precision"] == "float32"
    }
    if task.name != "frame" or not {"warmup", "transfer"} <= step.keys():
        return task
    expected = _AROUND + _WHOLE * step["warmup"] + 2 * _BEHIND * step["transfer"]
    precision = "float32" if expected < seconds else "tf32"
    return dataclasses.replace(task, arguments=(*task.arguments, f"--precision={precision}"))


def cpu_tasks(capture: pathlib.Path, out: pathlib.Path) -> list[Task]:
    """Reduced: one number of rays and one precision, smaller images, fewer frames."""
    theatre, short = f"--capture={capture}", ("--rounds=3", "--seconds=3")
    image = ("--rounds=3", "--seconds=0.3", "--rays=8192", "--sizes=640x360", "--phases=warmup")
    return [
        Task("step", "bench_step.py", (*short, f"--trace={out / 'trace'}"), 170, True),
        Task("render", "bench_render.py", ("--rounds=2", "--size=84x63"), 60, True),
        Task("image", "bench_image.py", image, 60, True),
        Task("fast", "bench_fast.py", ("--gpu", "--volumes=60,120", "--rounds=2"), 60),
        Task("nerv", "bench_nerv.py", ("--rounds=2", "--steps=2"), 60),
        Task("decode", "bench_decode.py", ("--rounds=2",), 30),
        Task("pipeline", "bench_pipeline.py", (theatre, "--frames=3"), 170, needs_capture=True),
        Task("scaling", "bench_scaling.py", ("--width=64", "--rounds=2"), 110),
        Task("memory", "bench_memory.py", (theatre, "--frames=8"), 90, needs_capture=True),
        Task("frames", "bench_frames.py", ("--at_once=4", "--kinds=image", "--rounds=2"), 60),
    ]


def start_capture(capture: pathlib.Path, log: pathlib.Path) -> subprocess.Popen | None:
    """Renders the capture on the host's cores, with the lowest priority."""
    if (capture / "poses_bounds.npy").exists():
        return None
    code = (
        "import sys; from absl import flags; from benching import theatre; "
        "flags.FLAGS(['capture', *sys.argv[1:]]); theatre.write(1)"
    )
    return subprocess.Popen(
        ["nice", "-n", "19", sys.executable, "-c", code, f"--capture={capture}"],
        cwd=_SCRIPTS,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.DEVNULL,
        stderr=log.open("w"),
    )


def run(task: Task, seconds: float, out: pathlib.Path) -> dict[str, Any]:
    """Runs a bench for so long at most; its rows and what became of it."""
    command = [sys.executable, str(_SCRIPTS / task.script), *task.arguments]
    if task.has_budget:
        command.append(f"--budget={_MARGIN * seconds:.0f}")
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(out / "compiled"),  # several benches run the same step
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }
    start, status = time.monotonic(), "done"
    log = out / "logs" / f"{task.name}.txt"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # with the processes that it starts itself
        )
        try:
            output, _ = process.communicate(timeout=seconds)
            if process.returncode:
                last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
                status = f"failed: {''.join(last)[:300]}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, _ = process.communicate()
            status = f"stopped after {seconds:.0f} s"
    took = time.monotonic() - start
    found = [row for row in map(_parse, output.splitlines()) if row is not None]
    shown = [os.path.relpath(command[1], ROOT), *command[2:]]
    return {
        "name": task.name,
        "command": " ".join(["python", *shown]),
        "status": status,
        "seconds": round(took, 1),
        "rows": found,
    }


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def write(out: pathlib.Path, report: dict[str, Any]) -> None:
    """Writes both files anew."""
    for name, text in (
        ("bench.json", json.dumps(report, indent=1) + "\n"),
        ("table.md", table.markdown(report)),
    ):
        temporary = out / f".{name}"
        temporary.write_text(text)
        temporary.replace(out / name)


def main(_: list[str]) -> int:
    start = time.monotonic()
    out = pathlib.Path(_OUT.value).absolute()
    (out / "logs").mkdir(parents=True, exist_ok=True)
    capture = pathlib.Path(_CAPTURE.value).absolute() if _CAPTURE.value else out / "theatre"
    name, count, kind = hosts.platform()
    is_cpu = name == "cpu"
    end = start + (_SECONDS.value or (590.0 if is_cpu else 525.0)) - _END_SECONDS
    tasks = cpu_tasks(capture, out) if is_cpu else gpu_tasks(capture, out, count)
    tasks = [task for task in tasks if not _ONLY.value or task.name in _ONLY.value]
    report: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python", "scripts/bench_all.py", *sys.argv[1:]]),
        "device": f"{count} x {kind}",
        "platform": name,
        "cores": machine.cores(),
        "host_memory_bytes": (machine.host_memory() or (None,))[0],
        "versions": machine.versions(),
        "benches": [],
    }
    needs_capture = any(task.needs_capture for task in tasks)
    rendering = start_capture(capture, out / "logs" / "capture.txt") if needs_capture else None
    try:
        if is_cpu and rendering is not None:  # it would take the cores of what is measured
            _waited(rendering, end)
        for task in tasks:
            if task.needs_capture and rendering is not None and not _waited(rendering, end):
                rows.say(f"no capture in time for {task.name}")
                continue
            seconds = min(task.seconds, end - time.monotonic())
            if seconds < 15:
                rows.say(f"no time left for {task.name}")
                continue
            rows.say(f"{task.name}, at most {seconds:.0f} s")
            fitted = with_precision(task, seconds, report["benches"])
            report["benches"].append(run(fitted, seconds, out))
            write(out, report)
    finally:
        if rendering is not None and rendering.poll() is None:
            rendering.kill()
    sys.stdout.write((out / "table.md").read_text() if report["benches"] else "")
    return 0 if all(b["status"] == "done" for b in report["benches"]) else 1


def _waited(process: subprocess.Popen, end: float) -> bool:
    """Whether a process has ended well, after waiting for it."""
    try:
        return process.wait(max(0.0, end - time.monotonic())) == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    app.run(main)
