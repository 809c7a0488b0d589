"""Positional encodings: coordinates in, coordinates and waves of many frequencies out."""

import abc
import dataclasses
import math
import re

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from inv_jax.models import linear, waves
from inv_jax.types import InvError

_MOST_OCTAVES = 128  # the waves of the next one have an infinite frequency in float32
_FAST_OCTAVES = 13  # of coordinates up to 2 the angles stay below 8,192


def octaves(
    x: Float[Array, "..."], num: int, axis: int = -1, *, is_fast: bool = False
) -> Float[Array, "..."]:
    """The input, then sin and cos of each octave `2^k x` in turn, k = 0 .. num - 1.

    NeRF, eq. 4, without the factor pi, as in its release and in INV.

    Args:
      x: C coordinates along `axis`.
      num: Number of octaves; 0 returns the input.
      axis: Axis of the coordinates, and of the features.
      is_fast: Whether an error of 3e-7 may be (`waves`), where that can be kept; of float32
        coordinates up to 2 in size.

    Returns:
      C * (1 + 2 * num) features: x, sin(x), cos(x), sin(2x), cos(2x), ...
    """
    if num == 0:
        return x
    axis %= x.ndim
    scales = 2.0 ** jnp.arange(num, dtype=x.dtype)
    scales = scales.reshape((1,) * axis + (num,) + (1,) * (x.ndim - axis))
    angles = scales * jnp.expand_dims(x, axis)  # (..., num, C, ...)
    # Beyond, and in float64, an angle wants more digits than `waves` has.
    is_fast = is_fast and x.dtype == jnp.float32 and num <= _FAST_OCTAVES
    sin, cos = (waves.sin, waves.cos) if is_fast else (jnp.sin, jnp.cos)
    turned = jnp.stack([sin(angles), cos(angles)], axis + 1)  # (..., num, 2, C, ...)
    features = (*x.shape[:axis], num * 2 * x.shape[axis], *x.shape[axis + 1 :])
    return jnp.concatenate([x, turned.reshape(features)], axis)


def octave_features(channels: int, num: int) -> int:
    """Number of features that `octaves` makes of `channels` coordinates."""
    return channels * (1 + 2 * num)


def fourier(
    x: Float[Array, "..."], frequencies: Float[Array, "C F"], axis: int = -1
) -> Float[Array, "..."]:
    """Sin and cos of 2 pi times F mixtures of C coordinates (Tancik et al. 2020, eq. 5).

    Args:
      x: Coordinates of points, a matrix with the coordinates on `axis`.
      frequencies: Turns that each mixture makes per unit of each coordinate.
      axis: Axis of the coordinates, and of the features.

    Returns:
      2 * F features: all sines, then all cosines.
    """
    axis %= x.ndim
    angles = linear.matmul(2.0 * np.pi * x, frequencies, axis, "float32")
    return jnp.concatenate([waves.sin(angles), waves.cos(angles)], axis)


class Encoding(abc.ABC):
    """How the two coordinates of a pixel become what its network sees; it has no params."""

    @property
    @abc.abstractmethod
    def features(self) -> int:
        """How many features it makes."""

    @abc.abstractmethod
    def encode(self, coordinates: linear.Matrix, axis: int) -> linear.Matrix:
        """Features of points; both are matrices with the features on `axis`."""


@dataclasses.dataclass(frozen=True)
class Octaves(Encoding):
    """The coordinates and `num` octaves of waves (see `octaves`); 0: the coordinates alone.

    A float32 coordinate in [0, 1] has 24 bits, so beyond 20 octaves or so a wave says nothing
    about where it is: it is noise, the same for every frame.
    """

    num: int

    def __post_init__(self):
        if not 0 <= self.num <= _MOST_OCTAVES:
            raise InvError(f"model.position_octaves={self.num}; want 0 to {_MOST_OCTAVES}")

    @property
    def features(self) -> int:
        """See `Encoding.features`."""
        return octave_features(2, self.num)

    def encode(self, coordinates: linear.Matrix, axis: int) -> linear.Matrix:
        """See `Encoding.encode`."""
        return octaves(coordinates, self.num, axis, is_fast=True)


@dataclasses.dataclass(frozen=True)
class GaussianFourier(Encoding):
    """Waves of random frequencies, normally distributed (see `fourier`).

    The frequencies are not params: they follow from the three settings, so that all frames, all
    runs and all receivers of a video have the same. They come from numpy's `RandomState`, whose
    numbers are frozen for good (NEP 19), unlike those of JAX's generators, which have changed.

    Attributes:
      num: How many frequencies; there are twice as many features.
      scale: Their standard deviation, in turns across the picture.
      seed: Names them.
    """

    num: int
    scale: float
    seed: int = 0

    def __post_init__(self):
        is_seed = isinstance(self.seed, int) and 0 <= self.seed < 2**32
        if self.num < 1 or not 0.0 < self.scale <= 1e6 or not is_seed:
            raise InvError(
                f"model.fourier_features={self.num}, model.fourier_scale={self.scale}, "
                f"model.fourier_seed={self.seed}: want 1 or more, a number above 0, and 0 to 2^32-1"
            )

    @property
    def features(self) -> int:
        """See `Encoding.features`."""
        return 2 * self.num

    def frequencies(self) -> Float[np.ndarray, "2 F"]:
        """Turns per unit of y and x, of each feature."""
        drawn = np.random.RandomState(self.seed).standard_normal((self.num, 2))
        return (self.scale * drawn).astype(np.float32).T

    def encode(self, coordinates: linear.Matrix, axis: int) -> linear.Matrix:
        """See `Encoding.encode`."""
        return fourier(coordinates, jnp.asarray(self.frequencies()), axis)


@dataclasses.dataclass(frozen=True)
class TimeWaves:
    """Waves of a time whose frequencies are powers of a base (NeRV, eq. 1); no params.

    Attributes:
      base: Each frequency is so many times the one before.
      num: How many; 0: the time as it is.
    """

    base: float = 1.25
    num: int = 40

    def __post_init__(self):
        is_base = np.isfinite(self.base) and self.base > 0.0
        if not (is_base and 0 <= self.num <= _MOST_OCTAVES):
            raise InvError(
                f"model.embed={self.name!r}: want a base above 0 and 1 to {_MOST_OCTAVES} "
                "frequencies, as '1.25_40'"
            )
        if (self.num - 1) * math.log(self.base) > math.log(np.finfo(np.float32).max / np.pi):
            raise InvError(
                f"model.embed={self.name!r}: its last frequency is infinite; want fewer, or a "
                "smaller base, as '1.25_40'"
            )

    @classmethod
    def of(cls, name: str) -> "TimeWaves":
        """Those of a name: `base_num`, as the original's `1.25_40`, or `none`.

        Raises:
          InvError: If it is no such name.
        """
        if name == "none":
            return cls(num=0)
        found = re.fullmatch(r"(\d+(?:\.\d*)?)_(\d+)", name)
        if not found or int(found[2]) == 0:
            raise InvError(
                f"model.embed={name!r}; want a base and a number of frequencies as '1.25_40', or "
                "'none'"
            )
        return cls(float(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        """The name that makes it."""
        return f"{self.base:g}_{self.num}" if self.num else "none"

    @property
    def features(self) -> int:
        """How many features it makes."""
        return 2 * self.num or 1

    def encode(self, times: Float[Array, "*b"]) -> Float[Array, "*b {self.features}"]:
        """`sin((t * base^i) * pi)`, then cos, for each i from 0, in float32.

        The order of the products counts: the last of 80 frequencies is 1e8, so the angle has no
        digits to spare and another order makes other numbers. The barrier keeps XLA from
        multiplying both constants first.
        """
        if not self.num:
            return times[..., None]
        frequencies = np.asarray([self.base**i for i in range(self.num)], np.float32)
        frequencies = frequencies.reshape((1,) * times.ndim + (self.num,))
        turns = lax.optimization_barrier(times[..., None] * frequencies)
        angles = turns * np.float32(np.pi)
        waves_ = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        return waves_.reshape(*times.shape, self.features)
