"""What changed between two frames: bricks of texels, whole.

A texture is cut into bricks of `side` texels along each axis, those at its far faces smaller where
it does not divide. Bricks are counted from 0, along x first, then y, then z. The bytes of a brick
are those of its texels in the texture's own order: what `texSubImage3D` takes.

An update is

    counts     uint32 for each texture, how many of its bricks follow
    bricks     uint32 each, rising: the bricks of the first texture, of the second one, ...
    texels     uint8: the bytes of these bricks, in the same order

with little-endian numbers.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from inv_jax.codec.base import CorruptError

_NUMBER = np.dtype("<u4")


def encode(before: Sequence[np.ndarray], after: Sequence[np.ndarray], side: int) -> bytes:
    """The update from some textures to others of the same shapes.

    Args:
      before: Textures, (z, y, x, channels) uint8.
      after: Likewise.
      side: Of a brick, in texels.
    """
    found = [changed(*pair, side) for pair in zip(before, after, strict=True)]
    counts = np.array([bricks.size for bricks in found])
    texels = [
        texture[place].tobytes()
        for texture, bricks in zip(after, found, strict=True)
        for place in _places(texture.shape, bricks, side)
    ]
    numbers = np.concatenate([counts, *found]).astype(_NUMBER)
    return b"".join([numbers.tobytes(), *texels])


def apply(textures: Sequence[np.ndarray], update: bytes, side: int) -> None:
    """Puts the bricks of an update into textures, which are changed in place.

    Raises:
      CorruptError: If the bytes are no update of such textures; they may be changed in part.
    """
    raw = np.frombuffer(update, np.uint8)
    numbers = raw[: raw.size - raw.size % _NUMBER.itemsize].view(_NUMBER)
    counts = numbers[: len(textures)].astype(np.int64)
    first, end = len(textures), len(textures) + int(counts.sum())
    if len(counts) < len(textures) or len(numbers) < end:
        raise CorruptError("an update that is cut")
    at = end * _NUMBER.itemsize
    for texture, count in zip(textures, counts.tolist(), strict=True):
        bricks, first = numbers[first : first + count].astype(np.int64), first + count
        most = math.prod(_counts(texture.shape, side))
        if (np.diff(bricks) <= 0).any() or (count and bricks[-1] >= most):
            raise CorruptError(f"an update of bricks that are not among {most}, rising")
        for place in _places(texture.shape, bricks, side):
            brick = texture[place]
            texels = raw[at : at + brick.size]
            if texels.size < brick.size:
                raise CorruptError("an update that is cut")
            brick[...] = texels.reshape(brick.shape)
            at += brick.size
    if at != len(update):
        raise CorruptError(f"an update with {len(update) - at} bytes too many")


def num_bricks(update: bytes, num_textures: int) -> int:
    """How many bricks an update of so many textures has, over all of them."""
    return int(np.frombuffer(update, _NUMBER, num_textures).sum())


def changed(before: np.ndarray, after: np.ndarray, side: int) -> np.ndarray:
    """The bricks that differ, rising."""
    differs = (before != after).any(axis=-1)
    counts = _counts(differs.shape, side)
    pads = [(0, n * side - size) for n, size in zip(counts, differs.shape, strict=True)]
    differs = np.pad(differs, pads).reshape([x for n in counts for x in (n, side)])
    return np.flatnonzero(differs.any(axis=(1, 3, 5)))


def _counts(shape: Sequence[int], side: int) -> tuple[int, int, int]:
    """Bricks along z, y and x."""
    z, y, x = (-(-size // side) for size in shape[:3])
    return z, y, x


def _places(shape: Sequence[int], bricks: np.ndarray, side: int) -> Iterator[tuple[slice, ...]]:
    """Where bricks lie in a texture of this shape."""
    for corner in zip(*np.unravel_index(bricks, _counts(shape, side)), strict=True):
        yield tuple(slice(int(n) * side, (int(n) + 1) * side) for n in corner)
