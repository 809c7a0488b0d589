"""Sines and cosines of whole matrices, at the speed of the products beside them.

XLA's CPU backend (jax 0.10) computes a sine number by number, prepared for angles of any size: a
layer of 256 of them takes longer than its matrix product. Here the angle is brought into half a
turn around 0 by subtracting a multiple of pi, given in three parts that float32 multiplies without
rounding (Cody and Waite 1980), and a polynomial does the rest; all of that runs on vectors.

Angles up to 8,000 in size have their sine to 3e-7. The error grows with the angle beyond; no
result leaves [-1, 1] by more than its rounding.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

FLOPS = 25  # of a sine or a cosine, about

# Of sin(r) / r in r^2 on half a turn around 0, fitted at Chebyshev's points: to 7e-9.
_POLYNOMIAL = (0.9999999957, -0.16666657970, 8.3330506173e-3, -1.9809046357e-4, 2.6051661763e-6)
_PI_PARTS = (3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7)  # their sum; Cephes'


@jax.custom_jvp
def sin(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The sine; float32 in, float32 out."""
    return _wave(x, jnp.round(x * (1.0 / math.pi)), 0.0)


@jax.custom_jvp
def cos(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The cosine; float32 in, float32 out."""
    return -_wave(x, jnp.floor(x * (1.0 / math.pi)), 0.5)


sin.defjvps(lambda tangent, _, x: cos(x) * tangent)
cos.defjvps(lambda tangent, _, x: -sin(x) * tangent)


def _wave(x: Array, turns: Array, offset: float) -> Array:
    """(-1)^turns times the sine of what (turns + offset) half turns leave of an angle."""
    rest = x
    for part in _PI_PARTS:
        rest = rest - (turns + offset) * part
    rest = jnp.clip(rest, -0.5 * math.pi, 0.5 * math.pi)  # of an angle too large for the parts
    square = rest * rest
    result = jnp.full_like(square, _POLYNOMIAL[-1])
    for coefficient in _POLYNOMIAL[-2::-1]:
        result = result * square + coefficient
    is_odd = turns - 2.0 * jnp.floor(0.5 * turns)
    return rest * result * (1.0 - 2.0 * is_odd)
