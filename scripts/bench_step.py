r"""Seconds of a training step, beside what its matrix products take alone and what the machine can.

    python scripts/bench_step.py                       # full size, as the trainer would run it
    python scripts/bench_step.py --rays=1024,4096,16384 --precision=float32,tf32,bfloat16
    python scripts/bench_step.py --sweep               # what other passes of rays would cost
    python scripts/bench_step.py --trace=runs/trace    # where a step's time goes

One JSON line per precision, rays and phase: `warmup` trains everything, `transfer` the structure.

- `fraction` is `products_seconds`, every matrix product of the step on its own, at the shapes of
  the step's own passes and in the form that is fastest there, over `seconds`. Both are timed in
  turn in the same run (medians over rounds), so that a noisy machine slows both.
- `floor_seconds` is `flops` at `matrix_rate` or `bytes_fused` at `memory_rate`, whichever takes
  longer; both rates are measured, the first on large products. On a CPU the activations of a pass
  are taken to stay in caches, and only the rest goes through memory. `floor_fraction` is it over
  `seconds`.
- `flops` and `bytes_*` are counted (`inv_jax/cost/count.py`): each product reads its operands and
  writes its result; `bytes_unfused` has bias, ReLU and their gradients as passes over memory of
  their own. `flops_compiler` and `bytes_compiler` are XLA's cost analysis, of one pass times the
  passes (it counts the body of a loop once); on a GPU it leaves out what a library computes, and
  `flops_written`, of the program before it was optimised, is the one to compare.
"""

import dataclasses
import pathlib

from absl import app, flags, logging
from benching import rows, setups, traces

from inv_jax import build, sizing
from inv_jax import params as params_lib
from inv_jax.cost import count, memory, trial
from inv_jax.cost.products import Floor
from inv_jax.models.nerf import Nerf
from inv_jax.train.parallel import Devices

_RAYS = flags.DEFINE_list("rays", None, "Rays a step; default 1024, on a GPU also 4096 and 16384.")
_PRECISION = flags.DEFINE_list("precision", None, "Default float32, on a GPU all three.")
_PHASES = flags.DEFINE_list("phases", ["warmup", "transfer"], "What trains: all, structure.")
_PASS = flags.DEFINE_integer("rays_per_pass", 0, "0: what the trainer would choose.")
_SWEEP = flags.DEFINE_bool("sweep", False, "Tries passes of other sizes too; no products.")
_PIXELS = flags.DEFINE_list("pixels", ["20", "1014", "1352"], "Cameras, height, width of a frame.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_SECONDS = flags.DEFINE_float("seconds", 1.0, "How long one timed dispatch takes, about.")
_BUDGET = flags.DEFINE_float("budget", 0.0, "No new case begins after so many seconds; 0: all do.")
_TRACE = flags.DEFINE_string("trace", "", "Folder for a trace of each first case; prints its ops.")

_ROLES = {"warmup": params_lib.ROLES, "transfer": (params_lib.STRUCTURE,)}
_MOST_BYTES = 0.5  # of the memory, for the activations of a pass in a sweep


@dataclasses.dataclass(frozen=True)
class Case:
    """One step to time."""

    precision: str
    rays: int
    phase: str
    rays_per_pass: int = 0  # 0: what the trainer would choose


class Bench:
    """Cases share frames on the device, rates, and products that they have in common."""

    def __init__(self, devices: Devices):
        self._devices = devices
        self._placed = devices.replicate(trial.random_frame(*map(int, _PIXELS.value)))
        self._rates = rows.Rates()
        self._floors: dict[str, Floor] = {}
        self._traced: set[str] = set()

    def run(self, case: Case, *, with_products: bool = True) -> dict:
        """Times one case."""
        nerf, stepper = self._build(case)
        share = case.rays // self._devices.count
        cost = count.step(
            nerf,
            rays=share,
            rays_per_pass=stepper.rays_per_pass,
            roles=_ROLES[case.phase],
            itemsize=count.itemsize(case.precision),
        )
        step = trial.Trial(stepper, self._devices, _ROLES[case.phase], *self._placed)
        step.seconds(1)
        steps = max(1, min(10_000, round(_SECONDS.value / step.seconds(1))))
        timers = {"step": lambda: step.seconds(steps)}
        if with_products:
            floor = self._floors.setdefault(case.precision, Floor(case.precision))
            floor.prepare(cost.products)
            timers["products"] = lambda: floor.seconds(cost.products)
        times = rows.in_turn(_ROUNDS.value, **timers)
        self._trace(case, step, steps)
        return {
            **self._describe(case, nerf, stepper.rays_per_pass),
            "steps": steps,
            **times["step"].row(),
            "rays_per_second": case.rays / times["step"].median,
            **self._beside(cost, case, times, share // stepper.rays_per_pass, step.analysis),
            "temp_bytes": memory.activations(
                nerf, stepper.rays_per_pass, _ROLES[case.phase], count.itemsize(case.precision)
            ),
            "temp_bytes_compiler": step.analysis.temp_bytes,
            "device_peak_bytes": self._devices.peak_memory_bytes(),
            "compile_seconds": step.compile_seconds,
        }

    def passes(self, case: Case) -> list[int]:
        """Rays per pass worth trying: powers of two that divide the share and fit."""
        nerf, _ = self._build(case)
        share = case.rays // self._devices.count
        most = _MOST_BYTES * (sizing.available_memory(self._devices) or float("inf"))
        powers = [2**i for i in range(3, 20) if share % 2**i == 0]
        return [n for n in powers if memory.activations(nerf, n, _ROLES[case.phase]) < most]

    def _build(self, case: Case):
        config = setups.config(
            model__precision=case.precision,
            train__rays_per_step=case.rays,
            train__rays_per_pass=case.rays_per_pass,
        )
        nerf = build.model(config)
        return nerf, build.stepper(config, nerf, self._devices)

    def _describe(self, case: Case, nerf: Nerf, rays_per_pass: int) -> dict:
        return {
            "case": f"{case.phase}, {case.rays} rays, {case.precision}",
            "phase": case.phase,
            "precision": case.precision,
            "rays": case.rays,
            "rays_per_pass": rays_per_pass,
            "width": nerf.mlp.width,
            "samples": [nerf.coarse_samples, nerf.fine_samples],
        }

    def _beside(
        self,
        cost: count.Cost,
        case: Case,
        times: dict[str, rows.Times],
        passes: int,
        compiler: trial.Compiled,
    ) -> dict:
        """Counts, rates and floors of one device's work."""
        floor = self._rates.floor(cost, case.precision, self._devices)
        seconds = times["step"].median
        row = {
            "flops": cost.flops,
            "flops_compiler": passes * compiler.flops,
            "flops_written": passes * compiler.written_flops,
            "bytes_fused": cost.bytes.fused,
            "bytes_unfused": cost.bytes.unfused,
            "bytes_compiler": passes * compiler.bytes_accessed,
            "flops_per_second": cost.flops * self._devices.count / seconds,
            **floor,
            "floor_fraction": floor["floor_seconds"] / seconds,
        }
        if "products" in times:
            shared = self._devices.count if self._devices.platform == "cpu" else 1
            products = times["products"].median * shared
            row["products_seconds"] = products
            row["products_rate"] = cost.product_flops * shared / products
            row["fraction"] = products / seconds
        return row

    def _trace(self, case: Case, step: trial.Trial, steps: int) -> None:
        """Traces some steps of the first case of each phase and precision."""
        name = f"{case.phase}_{case.precision}"
        if not _TRACE.value or name in self._traced:
            return
        self._traced.add(name)
        summary = traces.record(
            pathlib.Path(_TRACE.value) / name, step, max(1, min(steps, traces.STEPS))
        )
        described = {"case": f"trace of {case.phase}, {case.rays} rays, {case.precision}"}
        rows.emit("trace", self._devices, {**described, **summary})


def main(_: list[str]) -> None:
    devices = Devices()
    bench, budget = Bench(devices), rows.Budget(_BUDGET.value)
    on_gpu = devices.platform != "cpu"
    rays = _RAYS.value or (["1024", "4096", "16384"] if on_gpu else ["1024"])
    precisions = _PRECISION.value or (["float32", "tf32", "bfloat16"] if on_gpu else ["float32"])
    cases = [
        Case(precision, int(n), phase, _PASS.value)
        for n in rays
        for precision in precisions
        for phase in _PHASES.value
    ]
    for case in cases:
        swept = [dataclasses.replace(case, rays_per_pass=n) for n in bench.passes(case)]
        for one in swept if _SWEEP.value else [case]:
            if budget.is_over:
                rows.say(f"no time left for {one}")
                continue
            rows.emit("step", devices, bench.run(one, with_products=not _SWEEP.value))


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
