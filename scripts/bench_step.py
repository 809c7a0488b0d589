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
- `matrix_fraction` is the time of the step's products at the rate of one large product, timed in
  the same rounds, over `seconds`.
- `flops` and `bytes_*` are counted (`inv_jax/cost/count.py`): each product reads its operands and
  writes its result; `bytes_unfused` has bias, ReLU and their gradients as passes over memory of
  their own. `flops_compiler` and `bytes_compiler` are XLA's cost analysis, of one pass times the
  passes (it counts the body of a loop once); on a GPU it leaves out what a library computes, and
  `flops_written`, of the program before it was optimised, is the one to compare.
"""

from collections.abc import Iterator

import jax
from absl import app, flags, logging
from benching import setups, steps

_RAYS = flags.DEFINE_list("rays", None, "Rays a step; default 1024, on a GPU also 4096 and 16384.")
_PRECISION = flags.DEFINE_list("precision", None, "Default float32, on a GPU all three.")
_PHASES = flags.DEFINE_list("phases", ["warmup", "transfer"], "What trains: all, structure.")
_PIXELS = flags.DEFINE_list("pixels", ["20", "1014", "1352"], "Cameras, height, width of a frame.")


def cases() -> Iterator[steps.Case]:
    """Every step of the flags."""
    on_gpu = jax.default_backend() != "cpu"
    precisions = _PRECISION.value or (["float32", "tf32", "bfloat16"] if on_gpu else ["float32"])
    cams, height, width = map(int, _PIXELS.value)
    for rays in _RAYS.value or (["1024", "4096", "16384"] if on_gpu else ["1024"]):
        for precision in precisions:
            config = setups.config(
                model__precision=precision, train__rows_per_step=int(rays), train__rows_per_pass=0
            )
            for phase in _PHASES.value:
                yield steps.Case(
                    name=f"{phase}, {rays} rays, {precision}",
                    kind=f"{phase}_{precision}",
                    config=config,
                    roles=steps.PHASES[phase],
                    pixels=(cams, height, width),
                    told={
                        "phase": phase,
                        "samples": [config.model.coarse_samples, config.model.fine_samples],
                    },
                )


def main(_: list[str]) -> None:
    steps.Bench("step").emit(cases())


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
