"""Positional encodings: coordinates in, coordinates and waves of many frequencies out."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def octaves(x: Float[Array, "*b C"], num: int) -> Float[Array, "*b D"]:
    """The input, then sin and cos of each octave `2^k x` in turn, k = 0 .. num - 1.

    NeRF, eq. 4, without the factor pi, as in its release and in INV.

    Args:
      x: Coordinates.
      num: Number of octaves; 0 returns the input.

    Returns:
      C * (1 + 2 * num) features: x, sin(x), cos(x), sin(2x), cos(2x), ...
    """
    if num == 0:
        return x
    channels = x.shape[-1]
    scales = (2.0 ** jnp.arange(num, dtype=x.dtype)).reshape((1,) * (x.ndim - 1) + (num, 1))
    angles = scales * x[..., None, :]  # (*b, num, C)
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-2)  # (*b, num, 2, C)
    return jnp.concatenate([x, waves.reshape(*x.shape[:-1], num * 2 * channels)], axis=-1)


def octave_features(channels: int, num: int) -> int:
    """Number of features that `octaves` makes of `channels` coordinates."""
    return channels * (1 + 2 * num)
