r"""Steps and pixels a second of the 2D image networks, beside what the machine can.

    python scripts/bench_image.py                      # all networks at 640x360 and 1280x720
    python scripts/bench_image.py --networks=siren_fourier --sizes=640x360 --rays=8192
    python scripts/bench_image.py --trace=runs/trace   # where a step's time goes, by network

One JSON line per size, network, pixels a step (`all`, or so many random ones) and phase: `warmup`
trains everything, `transfer` the first layer. The fields are those of `bench_step.py`; a ray is a
pixel. On a CPU `matrix_fraction` is to be `GOAL` at least. What it lacks to 1 is what no product
does (the waves of the encoding and of a SIREN, ReLUs, the sampler, the sum over passes, Adam) and
what smaller products are slower than a large one; `fraction` leaves out the latter.
"""

from collections.abc import Iterator

import jax
from absl import app, flags, logging
from benching import setups, steps

GOAL = 0.8  # least `matrix_fraction`, on two cores

_ENCODINGS, _ACTIVATIONS = ("octaves", "fourier"), ("relu", "siren")
_ALL = [f"{activation}_{encoding}" for activation in _ACTIVATIONS for encoding in _ENCODINGS]
_NETWORKS = flags.DEFINE_list("networks", _ALL, f"Some of {', '.join(_ALL)}.")
_SIZES = flags.DEFINE_list("sizes", ["640x360", "1280x720"], "Of the image, WIDTHxHEIGHT.")
_RAYS = flags.DEFINE_list("rays", ["all", "8192"], "Pixels a step.")
_PRECISION = flags.DEFINE_list("precision", ["float32"], "Of the products.")
_PHASES = flags.DEFINE_list("phases", ["warmup", "transfer"], "What trains: all, first layer.")


def cases() -> Iterator[steps.Case]:
    """Every step of the flags; those of a size, and then of a network, together."""
    for size in _SIZES.value:
        for network in _NETWORKS.value:
            for rays in _RAYS.value:
                for precision in _PRECISION.value:
                    for phase in _PHASES.value:
                        yield case(size, network, rays, precision, phase)


def case(size: str, network: str, rays: str, precision: str, phase: str) -> steps.Case:
    """One step. `size` is WIDTHxHEIGHT, `rays` a number or `all`."""
    width, height = map(int, size.split("x"))
    activation, encoding = network.split("_")
    config = setups.image_config(
        model__activation=activation,
        model__encoding=encoding,
        model__precision=precision,
        train__rows_per_step=height * width if rays == "all" else int(rays),
    )
    goal = GOAL if jax.default_backend() == "cpu" else None
    pixels = "all" if rays == "all" else f"{rays} random"
    return steps.Case(
        name=f"{network}, {phase}, {pixels} pixels of {size}, {precision}",
        kind=f"{network}_{phase}_{precision}",
        config=config,
        roles=steps.PHASES[phase],
        pixels=(1, height, width),
        told={"network": network, "phase": phase, "image": [height, width], "goal": goal},
    )


def main(_: list[str]) -> None:
    steps.Bench("image").emit(cases())


flags.register_validator(
    "networks", lambda names: set(names) <= set(_ALL), f"want some of {', '.join(_ALL)}"
)

if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
