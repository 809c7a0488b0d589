"""Training steps to time, each beside what its matrix products take alone and the machine can."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections
from absl import flags

from benching import rows, traces
from inv_jax import params as params_lib
from inv_jax.assembly import build, sizing
from inv_jax.cost import count, memory, trial
from inv_jax.cost.products import Floor
from inv_jax.models.base import Model
from inv_jax.train.parallel import Devices
from inv_jax.train.step import Stepper

_PASS = flags.DEFINE_integer("rows_per_pass", 0, "0: what the trainer would choose.")
_SWEEP = flags.DEFINE_bool("sweep", False, "Tries passes of other sizes too; no products.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_SECONDS = flags.DEFINE_float("seconds", 1.0, "How long one timed dispatch takes, about.")
_BUDGET = flags.DEFINE_float("budget", 0.0, "No new case begins after so many seconds; 0: all do.")
_TRACE = flags.DEFINE_string("trace", "", "Folder for a trace of each first case; prints its ops.")

PHASES = {  # what trains
    "warmup": (params_lib.STRUCTURE, params_lib.COLOR),
    "transfer": (params_lib.STRUCTURE,),
}
_MOST_BYTES = 0.5  # of the memory, for the activations of a pass in a sweep


@dataclasses.dataclass(frozen=True)
class Case:
    """One step to time.

    Attributes:
      name: For the row.
      kind: Of the cases with one kind the first is traced, under this name.
      config: With `train.rows_per_pass` 0: the flag's, or what the trainer would choose.
      roles: What trains.
      pixels: Cameras, height and width of a frame.
      told: What the row says of it besides.
    """

    name: str
    kind: str
    config: ml_collections.ConfigDict
    roles: tuple[str, ...]
    pixels: tuple[int, int, int]
    told: Mapping[str, Any]


class Bench:
    """Cases share frames on the device, rates, and products that they have in common."""

    def __init__(self, name: str):
        """Prepares the devices. `name`: that of the rows."""
        self._name = name
        self._devices = Devices()
        self._placed: tuple[tuple[int, int, int], Any] | None = None
        self._rates = rows.Rates()
        side = 1024 if self._devices.platform == "cpu" else 8192
        self._large = Counter({count.Product(side, side, side): 1})
        self._floors: dict[str, Floor] = {}
        self._traced: set[str] = set()

    def emit(self, cases: Iterable[Case]) -> None:
        """Prints a row for each, or several in a sweep, until the time is over."""
        budget = rows.Budget(_BUDGET.value)
        for case in cases:
            for wanted in self._passes(case) if _SWEEP.value else [_PASS.value]:
                if budget.is_over:
                    rows.say(f"no time left for {case.name}")
                    continue
                rows.emit(self._name, self._devices, self._row(case, wanted))

    def _row(self, case: Case, wanted: int) -> dict[str, Any]:
        model, stepper = self._build(case, wanted)
        precision, share = model.precision, stepper.rows_per_step // self._devices.count
        cost = count.step(
            model,
            rows=share,
            rows_per_pass=stepper.rows_per_pass,
            roles=case.roles,
            itemsize=count.itemsize(precision),
        )
        step = trial.Trial(stepper, self._devices, case.roles, *self._frame(case.pixels))
        step.seconds(1)
        steps = max(1, min(10_000, round(_SECONDS.value / step.seconds(1))))
        timers = {"step": lambda: step.seconds(steps)}
        if not _SWEEP.value:
            floor = self._floors.setdefault(precision, Floor(precision))
            floor.prepare([*cost.products, *self._large])
            timers["products"] = lambda: floor.seconds(cost.products)
            timers["large"] = lambda: floor.seconds(self._large)
        times = rows.in_turn(_ROUNDS.value, **timers)
        self._trace(case, step, steps)
        seconds = times["step"].median
        return {
            "case": case.name,
            **case.told,
            "precision": precision,
            "rays": stepper.rows_per_step,
            "rows_per_pass": stepper.rows_per_pass,
            "width": case.config.model.width,
            "steps": steps,
            **times["step"].row(),
            "steps_per_second": 1.0 / seconds,
            "rows_per_second": stepper.rows_per_step / seconds,
            **self._beside(cost, precision, times, share // stepper.rows_per_pass, step.analysis),
            "temp_bytes": memory.activations(
                model, stepper.rows_per_pass, case.roles, count.itemsize(precision)
            ),
            "temp_bytes_compiler": step.analysis.temp_bytes,
            "device_peak_bytes": self._devices.peak_memory_bytes(),
            "compile_seconds": step.compile_seconds,
        }

    def _passes(self, case: Case) -> list[int]:
        """Rays per pass worth trying: powers of two that divide the share and fit."""
        model, stepper = self._build(case, 0)
        share = stepper.rows_per_step // self._devices.count
        most = _MOST_BYTES * (sizing.available_memory(self._devices) or float("inf"))
        powers = [2**i for i in range(3, 20) if share % 2**i == 0]
        return [n for n in powers if memory.activations(model, n, case.roles) < most]

    def _build(self, case: Case, rows_per_pass: int) -> tuple[Model, Stepper]:
        config = case.config.copy_and_resolve_references()
        config.train.rows_per_pass = rows_per_pass
        model = build.model(config)
        return model, build.stepper(config, model, self._devices)

    def _frame(self, pixels: tuple[int, int, int]) -> Any:
        """Random pixels and their cameras, on the devices; the last ones are kept."""
        if self._placed is None or self._placed[0] != pixels:
            self._placed = pixels, self._devices.replicate(trial.random_views(*pixels))
        return self._placed[1]

    def _beside(
        self,
        cost: count.Cost,
        precision: str,
        times: dict[str, rows.Times],
        passes: int,
        compiler: trial.Compiled,
    ) -> dict[str, Any]:
        """Counts, rates and floors of one device's work."""
        floor = self._rates.floor(cost, precision, self._devices)
        seconds = times["step"].median
        shared = self._devices.count if self._devices.platform == "cpu" else 1
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
            products = times["products"].median * shared
            row["products_seconds"] = products
            row["products_rate"] = cost.product_flops * shared / products
            row["fraction"] = products / seconds
            (large,) = self._large
            at_once = times["large"].median / large.flops
            row["matrix_fraction"] = shared * cost.product_flops * at_once / seconds
        return row

    def _trace(self, case: Case, step: trial.Trial, steps: int) -> None:
        """Traces some steps of the first case of each kind."""
        if not _TRACE.value or case.kind in self._traced:
            return
        self._traced.add(case.kind)
        summary = traces.record(
            pathlib.Path(_TRACE.value) / case.kind, step, max(1, min(steps, traces.STEPS))
        )
        rows.emit("trace", self._devices, {"case": f"trace of {case.name}", **summary})
