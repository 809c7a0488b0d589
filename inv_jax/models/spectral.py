"""The Fourier subneural operator of PFNR: a block that mixes channels frequency by frequency.

A picture of h x w becomes one of h s x w s. Of its frequencies two corners are kept, the lowest
h // 2 rows and the highest, of the lowest w // 2 columns each. In both, the channels of a frequency
are multiplied by a complex matrix of its own, of which four layers' leaves hold the parts:

| leaf | (in, out, h // 2, w // 2) |
| --- | --- |
| `real_0`, `imag_0` | of the top corner: rows 0 .. h // 2 - 1 |
| `real_1`, `imag_1` | of the bottom corner: rows h - h // 2 .. h - 1 |

The result is a spectrum of h x (w // 2 + 1) that the inverse transform pads, behind its last row
and column, to that of h s x w s. So with s above 1 what were negative rows come to lie among the
positive ones, as in the original. For odd h the middle row, and always the last column, is zero.

Everything is float32, whatever the precision of the products.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from inv_jax.models.nerv_blocks import Block
from inv_jax.models.work import Work

LEAVES = "real_0", "imag_0", "real_1", "imag_1"


def shape(fan_in: int, fan_out: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Of each leaf, by channels and by the rows and columns that go in."""
    return fan_in, fan_out, height // 2, width // 2


def bound(leaf: tuple[int, ...]) -> float:
    """Fresh params are uniform within it: the original takes its fan-in from what comes out."""
    return 1.0 / math.sqrt(math.prod(leaf[1:]))


def apply(
    x: Float[Array, "b c h w"], layer: Mapping[str, Float[Array, "c d k1 k2"]], stride: int
) -> Float[Array, "b d H W"]:
    """Mixes the channels of each frequency, and shows the result on stride times as many pixels.

    Args:
      x: Pictures; two rows and two columns at least.
      layer: `LEAVES`.
      stride: H is stride * h, W is stride * w.
    """
    height, width = x.shape[2:]
    rows, columns = layer["real_0"].shape[2:]
    spectrum = jnp.fft.rfft2(x, norm="forward")
    top, bottom = spectrum[:, :, :rows, :columns], spectrum[:, :, height - rows :, :columns]
    top = lax.complex(*_mixed(top.real, top.imag, layer["real_0"], layer["imag_0"]))
    bottom = lax.complex(*_mixed(bottom.real, bottom.imag, layer["real_1"], layer["imag_1"]))
    between = jnp.zeros((*top.shape[:2], height - 2 * rows, columns), top.dtype)
    made = jnp.concatenate([top, between, bottom], axis=2)
    return jnp.fft.irfft2(made, s=(height * stride, width * stride), norm="forward")


@jax.custom_vjp
def _mixed(
    x_real: Float[Array, "b c k1 k2"],
    x_imag: Float[Array, "b c k1 k2"],
    real: Float[Array, "c d k1 k2"],
    imag: Float[Array, "c d k1 k2"],
) -> tuple[Float[Array, "b d k1 k2"], Float[Array, "b d k1 k2"]]:
    """The sum over c of `(x_real + i x_imag) * (real + i imag)`: its two parts.

    One channel after the other goes in, so that nothing is as large as the params but their
    gradients. Of 96 channels on 22 x 40 frequencies a sum of complex numbers takes 64 MiB beside
    params of 31 MiB each on XLA's CPU backend, this loop 1.3; forward 9 times as long, backward 1.6
    times. The gradient of the loop as JAX derives it takes 9 times as long.
    """

    def add(sums: tuple[Array, Array], one: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
        a, b, r, i = one
        a, b, r, i = a[:, None], b[:, None], r[None], i[None]
        return (sums[0] + a * r - b * i, sums[1] + a * i + b * r), None

    zeros = jnp.zeros((x_real.shape[0], *real.shape[1:]), x_real.dtype)
    return lax.scan(add, (zeros, zeros), _by_channel(x_real, x_imag, real, imag))[0]


def _by_channel(x_real: Array, x_imag: Array, real: Array, imag: Array) -> tuple[Array, ...]:
    return x_real.swapaxes(0, 1), x_imag.swapaxes(0, 1), real, imag


def _mixed_forward(*operands: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    return _mixed(*operands), operands


def _mixed_backward(
    operands: tuple[Array, ...], grads: tuple[Array, Array]
) -> tuple[Array, Array, Array, Array]:
    g, h = grads  # of the real part and of the imaginary part

    def one(_: None, operands: tuple[Array, ...]) -> tuple[None, tuple[Array, ...]]:
        a, b, r, i = operands
        a, b, r, i = a[:, None], b[:, None], r[None], i[None]
        to_x = jnp.sum(r * g + i * h, 1), jnp.sum(r * h - i * g, 1)
        return None, (*to_x, jnp.sum(a * g + b * h, 0), jnp.sum(a * h - b * g, 0))

    _, (to_real, to_imag, *to_params) = lax.scan(one, None, _by_channel(*operands))
    return to_real.swapaxes(0, 1), to_imag.swapaxes(0, 1), *to_params


_mixed.defvjp(_mixed_forward, _mixed_backward)


def with_operator(work: Work, block: Block, fan_out: int, trains: bool) -> Work:
    """What a decoder computes that has an operator, for a picture.

    Args:
      work: What it computes without.
      block: Where the operator is.
      fan_out: Channels that it makes.
      trains: Whether it does.
    """
    leaf = shape(block.fan_in, fan_out, block.height, block.width)
    before, after = block.height * block.width, block.height * block.width * block.stride**2
    frequencies = 2 * 2 * math.prod(leaf[2:])  # of both corners, two numbers each
    transforms = block.fan_in * _transform_flops(before) + fan_out * _transform_flops(after)
    products = 2 * 8 * math.prod(leaf)  # a complex product and its sum are eight operations
    floats = block.fan_in * (before + frequencies) + fan_out * (after + frequencies)
    ways, times = (3, 2) if trains else (1, 1)  # products have two gradients, transforms one
    network = work.networks[0]
    network = dataclasses.replace(
        network,
        point_flops=network.point_flops + round(times * transforms) + ways * products,
        point_floats=network.point_floats + times * floats,
        kept=network.kept + (block.fan_in * frequencies if trains else 0),
        pass_floats=network.pass_floats + ways * len(LEAVES) * math.prod(leaf),
    )
    return dataclasses.replace(work, networks=(network, *work.networks[1:]))


def _transform_flops(pixels: int) -> float:
    """Operations of a transform of so many real numbers, about."""
    return 2.5 * pixels * math.log2(pixels)
