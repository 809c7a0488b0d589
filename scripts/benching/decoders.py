"""NeRV decoders that the benches run, and the work of a picture."""

import math

from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import Nerv

STRIDES_360P = (5, 2, 2, 2)


def decoder(
    channels: int = 26,
    strides: tuple[int, ...] = STRIDES_360P,
    lower_width: int = 96,
    precision: str = "float32",
) -> Nerv:
    """A decoder; by default one of 2.9 M params and 640x360 pixels."""
    return Nerv(
        encoding=TimeWaves(),
        channels=channels,
        strides=strides,
        lower_width=lower_width,
        precision=precision,
    )


def product_flops(model: Nerv) -> int:
    """Of a picture's forward pass, if each convolution multiplies all pairs."""
    shapes, blocks = model.layer_shapes(), model.blocks()
    places = {f"block_{i}": block.height * block.width for i, block in enumerate(blocks)}
    for i, name in model.heads().items():
        places[name] = blocks[i].height * blocks[i].width * blocks[i].stride ** 2
    return sum(2 * math.prod(shape) * places.get(name, 1) for name, shape in shapes.items())
