"""The blocks of a decoder (`inv_jax/models/nerv.py`): their shapes, and what they compute."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from inv_jax.models.work import Map, Network, Work

CONV, DECONV, BILINEAR = UPSAMPLINGS = ("conv", "deconv", "bilinear")
NONE, BATCH, INSTANCE = NORMS = ("none", "bn", "in")
COLORS = 3
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "leaky": functools.partial(jax.nn.leaky_relu, negative_slope=0.01),
    "leaky01": functools.partial(jax.nn.leaky_relu, negative_slope=0.1),
    "relu6": jax.nn.relu6,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "swish": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "hardswish": jax.nn.hard_swish,
}

# Their gradients follow from their results, which the next kernel reads anyway.
_PIECEWISE = ("relu", "leaky", "leaky01", "relu6")
# Operations of an element beside the one that counts as a ReLU: forward, forward and backward.
_ACTIVATION_FLOPS, _NORM_FLOPS = (10, 25), (8, 20)


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a decoder.

    Attributes:
      stride: Times as many rows and columns come out.
      fan_in: Channels that go in.
      fan_out: Channels that come out.
      height: Rows that go in.
      width: Columns that go in.
    """

    stride: int
    fan_in: int
    fan_out: int
    height: int
    width: int


def kernel_shape(block: Block, upsampling: str) -> tuple[int, ...]:
    """(rows, columns, in, out) of a block's kernel."""
    s, fan_in, fan_out = block.stride, block.fan_in, block.fan_out
    return {
        CONV: (3, 3, fan_in, fan_out * s * s),
        DECONV: (s, s, fan_in, fan_out),
        BILINEAR: (2 * s + 1, 2 * s + 1, fan_in, fan_out),
    }[upsampling]


def bound(name: str, shape: tuple[int, ...], upsampling: str) -> float:
    """1 / sqrt(fan_in) of a layer, by its name and its kernel's shape; fresh params are within it.

    Of a `deconv` block what comes out is counted, as the framework of the original does.
    """
    is_deconv = name.startswith("block_") and upsampling == DECONV
    fans = shape[-1] if is_deconv else shape[-2]
    return 1.0 / math.sqrt(math.prod(shape[:-2]) * fans)


def uniform(
    key: PRNGKeyArray, wanted: Mapping[str, tuple[tuple[int, ...], float]]
) -> dict[str, Array]:
    """Arrays by path, of a shape each, uniform within a bound each; drawn all at once."""
    sizes = [math.prod(shape) for shape, _ in wanted.values()]
    numbers = jax.random.uniform(key, (sum(sizes),), minval=-1.0, maxval=1.0)
    parts = jnp.split(numbers, list(itertools.accumulate(sizes))[:-1])
    return {
        path: bound * part.reshape(shape)
        for (path, (shape, bound)), part in zip(wanted.items(), parts, strict=True)
    }


def _map(block: Block, shape: tuple[int, ...], upsampling: str, trains: bool) -> Map:
    places, (rows, columns, fan_in, fan_out) = block.height * block.width, shape
    if upsampling == DECONV:
        return Map(places, fan_in, rows * columns * fan_out, True, trains, trains)
    if upsampling == BILINEAR:
        places *= block.stride**2
    return Map(places, rows * columns * fan_in, fan_out, True, trains, trains)


def work(
    blocks: Sequence[Block],
    shapes: Mapping[str, tuple[int, ...]],
    heads: Mapping[int, str],
    upsampling: str,
    *,
    encoded: int,
    activation: str,
    norm: str,
    trains: bool,
) -> Work:
    """What a decoder does for a picture; a convolution is a map of as many rows as it has places.

    Args:
      blocks: In order.
      shapes: Of all kernels, by layer; a block may have none.
      heads: Names of the heads, by the index of the block that each stands behind.
      upsampling: One of `UPSAMPLINGS`.
      encoded: Features of the time's encoding.
      activation: One of `ACTIVATIONS`.
      norm: One of `NORMS`.
      trains: Whether the decoder does.
    """
    ways = 1 if trains else 0
    stem = [shape for name, shape in shapes.items() if name.startswith("stem_")]
    maps = [Map(1, *shape, True, trains, trains and i > 0) for i, shape in enumerate(stem)]
    kept = sum(fan_in for fan_in, _ in stem)
    elements = sum(fan_out for _, fan_out in stem)
    pictures = 0
    for i, block in enumerate(blocks):
        pixels = block.height * block.width * block.stride**2
        made = pixels * block.fan_out
        if f"block_{i}" in shapes:
            maps.append(_map(block, shapes[f"block_{i}"], upsampling, trains))
        elements += made
        kept += block.height * block.width * block.fan_in  # what the kernel reads
        kept += 0 if activation in _PIECEWISE else made  # what the activation reads
        if upsampling == BILINEAR:
            kept += pixels * block.fan_in  # ... and the kernel
        if norm == INSTANCE:
            kept += made
        if i in heads:
            maps.append(Map(pixels, block.fan_out, COLORS, True, trains, trains))
            kept += made + pixels * COLORS
            pictures += pixels * COLORS
    point_flops = _ACTIVATION_FLOPS[ways] + (norm != NONE) * _NORM_FLOPS[ways]
    network = Network(
        points=1,
        maps=tuple(maps),
        encoded=encoded,
        point_flops=point_flops * elements + _ACTIVATION_FLOPS[ways] * pictures,
        point_floats=0,
        kept=kept if trains else 0,
        kept_bytes=0,
    )
    return Work(networks=(network,), row_floats=2 + 3 * pictures)
