r"""Steps of Split INV beside those of INV, on the same rays: what two fields cost.

    python scripts/bench_split.py                   # full size
    python scripts/bench_split.py --width=64 --samples=32 --rays=512

One JSON line per phase, `warmup` and `transfer`. `inv_seconds` is INV's step, `seconds` that of
each kind of step of Split INV's phase, compiled alone, and of their `mixture`, the program that the
trainer runs; all are timed in turn, medians over rounds. `ratio` is the mixture's time over INV's;
in Structure Transfer it is to be `GOAL` at most. `kinds_ratio` is that of the kinds, weighed by how
often they are taken: what the mixture would take without drawing.
"""

import dataclasses
import operator
from typing import Any

import jax
from absl import app, flags, logging
from benching import rows, setups

from inv_jax import build, plans
from inv_jax.cost import trial
from inv_jax.train.mixture import PLAIN, Mixture
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import Phase

GOAL = 1.6  # most of `ratio`, in Structure Transfer

_RAYS = flags.DEFINE_integer("rays", 1024, "Rays a step.")
_PIXELS = flags.DEFINE_list("pixels", ["20", "254", "338"], "Cameras, height, width of a frame.")
_BLEND = flags.DEFINE_string("blend", "softmax", "Rule of the blend.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_STEPS = flags.DEFINE_integer(
    "steps", 24, "Of the mixture in a dispatch; a quarter of it of kinds."
)


def _phases(name: str, devices: Devices) -> tuple[Any, dict[str, Phase]]:
    """The stepper of a model, and its phases by name."""
    config = setups.config(
        model__name=name,
        model__blend=_BLEND.value,
        train__rays_per_step=_RAYS.value,
        train__freeze_frame=2,
        train__init_from="any",  # the static field comes trained
        train__init_roles=("static_structure", "static_color"),
    )
    found = plans.of(config).phases
    stepper = build.stepper(config, build.model(config), devices)
    return stepper, {phase.name: phase for phase in found}


def _row(name: str, devices: Devices) -> dict[str, Any]:
    frame, cameras = devices.replicate(
        trial.random_frame(*map(int, _PIXELS.value), has_regions=True)
    )
    inv_stepper, inv = _phases("nerf", devices)
    stepper, split = _phases("split", devices)
    phase = split[name]
    plain = dataclasses.replace(frame, regions=None)
    make = lambda *step, mixture=PLAIN: trial.Trial(*step, cameras, mixture)  # noqa: E731
    trials = {
        "inv": make(inv_stepper, devices, inv[name].roles, plain),
        "mixture": make(stepper, devices, phase.roles, frame, mixture=phase.mixture),
    }
    for kind in phase.mixture.kinds:
        trials[kind.name] = make(
            stepper, devices, phase.roles, frame, mixture=Mixture(kinds=(kind,))
        )
    counts = {key: _STEPS.value // (1 if key == "mixture" else 4) for key in trials}
    times = rows.in_turn(
        _ROUNDS.value,
        **{key: lambda key=key: trials[key].seconds(counts[key]) for key in trials},
    )
    seconds = {key: found.median for key, found in times.items()}
    kinds = [seconds[kind.name] for kind in phase.mixture.kinds]
    weighed = sum(map(operator.mul, phase.mixture.shares(), kinds))
    return {
        "phase": name,
        "blend": _BLEND.value,
        "rays": _RAYS.value,
        "width": stepper.model.mlp.width,
        "inv_seconds": seconds.pop("inv"),
        "seconds": seconds,
        "ratio": seconds["mixture"] / times["inv"].median,
        "kinds_ratio": weighed / times["inv"].median,
        "goal": GOAL if name == "transfer" else None,
        "compile_seconds": {key: one.compile_seconds for key, one in trials.items()},
    }


def main(_: list[str]) -> None:
    devices = Devices()
    for name in ("transfer", "warmup"):
        rows.emit("split", devices, _row(name, devices))
        jax.clear_caches()


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
