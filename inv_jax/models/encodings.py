"""Positional encodings: coordinates in, coordinates and waves of many frequencies out."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def octaves(x: Float[Array, "..."], num: int, axis: int = -1) -> Float[Array, "..."]:
    """The input, then sin and cos of each octave `2^k x` in turn, k = 0 .. num - 1.

    NeRF, eq. 4, without the factor pi, as in its release and in INV.

    Args:
      x: C coordinates along `axis`.
      num: Number of octaves; 0 returns the input.
      axis: Axis of the coordinates, and of the features.

    Returns:
      C * (1 + 2 * num) features: x, sin(x), cos(x), sin(2x), cos(2x), ...
    """
    if num == 0:
        return x
    axis %= x.ndim
    scales = 2.0 ** jnp.arange(num, dtype=x.dtype)
    scales = scales.reshape((1,) * axis + (num,) + (1,) * (x.ndim - axis))
    angles = scales * jnp.expand_dims(x, axis)  # (..., num, C, ...)
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis + 1)  # (..., num, 2, C, ...)
    features = (*x.shape[:axis], num * 2 * x.shape[axis], *x.shape[axis + 1 :])
    return jnp.concatenate([x, waves.reshape(features)], axis)


def octave_features(channels: int, num: int) -> int:
    """Number of features that `octaves` makes of `channels` coordinates."""
    return channels * (1 + 2 * num)
