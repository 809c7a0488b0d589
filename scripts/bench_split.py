r"""Steps of Split INV beside those of INV, on the same rays: what two fields cost.

    python scripts/bench_split.py                   # full size
    python scripts/bench_split.py --setting=density
    python scripts/bench_split.py --width=64 --samples=32 --rays=512

One JSON line per phase, `warmup` and `transfer`. `inv_seconds` is INV's step, `kinds` that of each
kind of step of Split INV's phase, all in the program that the trainer runs, `shares` how often each
is taken; INV and the kinds are timed in turn, medians over rounds. `ratio` is the mean over the
kinds, by their shares, over INV's; in Structure Transfer it is to be `GOAL` at most. `flops_ratio`
is what counted operations say.
"""

import operator
from typing import Any

import jax
import ml_collections
from absl import app, flags, logging
from benching import rows, setups

from inv_jax.assembly import build, plans
from inv_jax.cost import count, trial
from inv_jax.train.parallel import Devices

GOAL = 1.6  # most of `ratio`, in Structure Transfer

_RAYS = flags.DEFINE_integer("rays", 1024, "Rays a step.")
_PIXELS = flags.DEFINE_list("pixels", ["20", "254", "338"], "Cameras, height, width of a frame.")
_SETTING = flags.DEFINE_string("setting", "", "Of configs/split.py: '' or density.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_STEPS = flags.DEFINE_integer("steps", 6, "Of each kind, in a dispatch.")


class _Model:
    """INV or Split INV, and a phase of it, compiled."""

    def __init__(
        self, config: ml_collections.ConfigDict, phase: str, frame: Any, cameras: Any, devices: Any
    ):
        """Compiles the step of the phase of that name."""
        net = build.model(config)
        stepper = build.stepper(config, net, devices)
        (found,) = (one for one in plans.of(config).phases if one.name == phase)
        self.mixture, self.width = found.mixture, net.mlp.width
        self.trial = trial.Trial(stepper, devices, found.roles, frame, cameras, found.mixture)
        self.cost = count.step(
            net,
            rows=stepper.rows_per_step // stepper.num_devices,
            rows_per_pass=stepper.rows_per_pass,
            roles=found.roles,
            itemsize=count.itemsize(net.precision),
            mixture=found.mixture,
        )


def _row(phase: str, devices: Devices) -> dict[str, Any]:
    host = trial.random_views(*map(int, _PIXELS.value), has_regions=True)
    frame, cameras = devices.replicate(host)
    changes = {"train__rows_per_step": _RAYS.value, "train__freeze_frame": 2}
    inv = _Model(setups.config(**changes), phase, frame.replace(regions=None), cameras, devices)
    split = _Model(setups.split_config(_SETTING.value, **changes), phase, frame, cameras, devices)
    rounds = [
        (inv.trial.seconds(_STEPS.value), split.trial.kind_seconds(_STEPS.value))
        for _ in range(_ROUNDS.value)
    ]
    inv_seconds = rows.Times.of([seconds for seconds, _ in rounds])
    kinds = {
        kind.name: rows.Times.of([seconds[kind.name] for _, seconds in rounds]).median
        for kind in split.mixture.kinds
    }
    shares = split.mixture.shares()
    mean = sum(map(operator.mul, shares, kinds.values()))
    return {
        "phase": phase,
        "setting": _SETTING.value,
        "rays": _RAYS.value,
        "width": split.width,
        **inv_seconds.row("inv_seconds"),
        "kinds": kinds,
        "shares": dict(zip(kinds, shares, strict=True)),
        "seconds": mean,
        "ratio": mean / inv_seconds.median,
        "flops_ratio": split.cost.flops / inv.cost.flops,
        "goal": GOAL if phase == "transfer" else None,
        "compile_seconds": {"inv": inv.trial.compile_seconds, "split": split.trial.compile_seconds},
    }


def main(_: list[str]) -> None:
    devices = Devices()
    for phase in ("transfer", "warmup"):
        rows.emit("split", devices, _row(phase, devices))
        jax.clear_caches()


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
