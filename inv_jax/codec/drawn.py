"""The numbers that a training began with, as a receiver can draw them again, and their classes.

A mask selects the highest scores, and a score is a random number that training moved. A receiver
who is told the random key (8 bytes) knows the number, and of a short training much of the mask.
Numbers come from Threefry 2x32 of 20 rounds (Salmon et al. 2011), as `jax.random.bits` draws them:
number i is the exclusive or of the two words of the i-th block, whose counter is i in 64 bits. All
is whole numbers: classes are the same on any machine, and with any version of JAX.
"""

import math
from collections.abc import Sequence

import numpy as np

from inv_jax.codec.base import Shapes

CLASSES = 16

_ROUNDS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_AT_ONCE = 2**16  # numbers; the caches hold what is computed of so many
_BITS = 23  # of a number that is uniform in [0, 1): the high ones


def bits(key: Sequence[int], first: int, count: int) -> np.ndarray:
    """`jax.random.bits(key, (first + count,), jnp.uint32)[first:]`: (count,) uint32.

    Args:
      key: Its two words, `jax.random.key_data(key)`.
      first: Number of the first one.
      count: How many.
    """
    one, two = (np.uint32(word) for word in key)
    words = (one, two, one ^ two ^ np.uint32(_PARITY))
    counters = np.arange(first, first + count, dtype=np.uint64)
    left = (counters >> np.uint64(32)).astype(np.uint32) + words[0]
    right = counters.astype(np.uint32) + words[1]
    for step in range(5):
        for by in _ROUNDS[step % 2]:
            left += right
            right = (right << np.uint32(by)) | (right >> np.uint32(32 - by))
            right ^= left
        left += words[(step + 1) % 3]
        right += words[(step + 2) % 3]
        right += np.uint32(step + 1)
    return left ^ right


def classes(
    key: Sequence[int], shapes: Shapes, by_magnitude: Sequence[bool]
) -> dict[str, np.ndarray]:
    """How high each leaf's numbers are, uint8 in [0, `CLASSES`), by path.

    Numbers are those of `jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)`, one leaf's
    behind the other's, in classes of equal width.

    Args:
      key: Its two words.
      shapes: (path, shape) of the leaves, in the order in which they were drawn.
      by_magnitude: For each leaf, whether the magnitude of a number counts.
    """
    found, start = {}, 0
    for (path, shape), is_by_magnitude in zip(shapes, by_magnitude, strict=True):
        made = np.empty(math.prod(shape), np.uint8)
        for at in range(0, made.size, _AT_ONCE):
            part = made[at : at + _AT_ONCE]
            numbers = (bits(key, start + at, part.size) >> np.uint32(32 - _BITS)).astype(np.int32)
            if is_by_magnitude:  # 2 n - 1 in place of n, in parts of 2^23
                numbers = np.minimum(np.abs(2 * numbers - 2**_BITS), 2**_BITS - 1)
            part[:] = numbers * np.int32(CLASSES) >> np.int32(_BITS)
        found[path] = made.reshape(shape)
        start += made.size
    return found
