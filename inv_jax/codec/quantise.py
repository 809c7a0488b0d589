"""Uniform quantisation of weights, as the original NeRV does it.

A slice of a weight has `2^bits + 1` levels between the least and the largest of its entries that
are not zero:

    scale = (max - min) / 2^bits      code = round((w - min) / (scale + 1e-19))

and comes back as `min + scale * code`; each operation is rounded to float32, halves go to the even
code. Slices go along an axis of weights of 2 or 4 axes, which counts in the original's layouts,
(out, in) and (out, in, height, width): 0 is a slice for each output, our last axis, 1 one for each
input. Biases and what else there is are a slice each, and so is everything with axis -1.

What is different: an entry that is zero, as pruned ones are, stays zero. In the original it becomes
the nearest level, which as a rule is not zero.
"""

import dataclasses

import numpy as np

AXES = (-1, 0, 1)
MOST_BITS = 16
_TINY = np.float32(1e-19)


@dataclasses.dataclass(frozen=True)
class Quantised:
    """A quantised leaf of n slices.

    Attributes:
      codes: (*shape) float32, whole numbers; in [0, 2^bits] but for entries that are zero.
      is_zero: (*shape) bool, entries that are zero.
      minimum: (n,) float32 of each slice; 0 where all of it is zero.
      scale: (n,) float32, likewise.
    """

    codes: np.ndarray
    is_zero: np.ndarray
    minimum: np.ndarray
    scale: np.ndarray


def slice_axis(shape: tuple[int, ...], axis: int) -> int | None:
    """Our axis of the slices of a leaf; None if it is one slice."""
    return {0: -1, 1: -2}.get(axis) if len(shape) in (2, 4) else None


def num_slices(shape: tuple[int, ...], axis: int) -> int:
    """How many slices a leaf has."""
    along = slice_axis(shape, axis)
    return 1 if along is None else shape[along]


def spread(values: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Values of slices (n,), in a shape that goes with the leaf's."""
    along = slice_axis(shape, axis)
    sizes = [1] * len(shape)
    if along is not None:
        sizes[along] = -1
    return values.reshape(sizes)


def quantise(leaf: np.ndarray, bits: int, axis: int) -> Quantised:
    """Quantises a leaf (*shape) float32 of finite numbers.

    Args:
      leaf: The weights.
      bits: Of a code, 1 to `MOST_BITS`.
      axis: One of `AXES`.

    Returns:
      Codes, and what they mean; a scale that is not finite where a slice spans more than float32.
    """
    along, is_zero = slice_axis(leaf.shape, axis), leaf == 0
    others = tuple(i for i in range(leaf.ndim) if along is None or i != leaf.ndim + along)
    infinite = np.float32(np.inf)
    low = np.min(leaf, axis=others, initial=infinite, where=~is_zero).reshape(-1)
    high = np.max(leaf, axis=others, initial=-infinite, where=~is_zero).reshape(-1)
    is_empty = low > high
    low[is_empty] = high[is_empty] = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        scale = (high - low) / np.float32(2**bits)
        steps = spread(scale, leaf.shape, axis) + _TINY
        codes = np.rint((leaf - spread(low, leaf.shape, axis)) / steps)
    return Quantised(codes, is_zero, low, scale)


def dequantise(codes: np.ndarray, minimum: np.ndarray, scale: np.ndarray, axis: int) -> np.ndarray:
    """Weights (*shape) float32 of codes (*shape) float32, without regard to zero entries."""
    made = codes * spread(scale, codes.shape, axis)
    made += spread(minimum, codes.shape, axis)
    return made


def code_of_zero(minimum: np.ndarray, scale: np.ndarray, bits: int) -> np.ndarray:
    """(n,) int32: the level of each slice that lies next to zero."""
    with np.errstate(over="ignore"):
        nearest = np.rint(-minimum / (scale + _TINY))
    return np.clip(nearest, 0, 2**bits).astype(np.int32)
