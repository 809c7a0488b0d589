"""What the frames so far tell about the next one: a prediction, and how sure it is.

Prediction: params go on in the direction in which they went, `decoded + gain * velocity`, with a
gain for each leaf that the encoder chooses and sends. Sureness: how large a param's symbols were,
and its row's and column's, as a context for the entropy coder.

The decoder derives all of it again, so it must come out equal to the bit on any machine: floats
meet single products and sums of float32 (numpy fuses none), everything else is integers.
"""

import copy
import dataclasses
import math

import numpy as np

from inv_jax.codec.base import Layout

# Mean sizes of symbols that contexts stand for: 2^(-7), 2^(-6.5) ... 2^7, two per octave.
_LOWEST, _PER_OCTAVE = -7, 2
NUM_CONTEXTS = 29
_ROOTS = (1.0, 1.4142135623730951)
CONTEXT_MEANS = tuple(
    math.ldexp(_ROOTS[i % _PER_OCTAVE], _LOWEST + i // _PER_OCTAVE) for i in range(NUM_CONTEXTS)
)

_ONE = 512  # sizes count in 1/512 of a symbol
_LARGEST = 63  # larger symbols count as this, so that sizes are int16
_FADE = 2  # a frame's part of a running size is 2^-2

GAIN_ONE = 8  # gains count in eighths
MAX_GAIN = 15

# Steps are 2^(e / 8) for whole exponents e.
PER_OCTAVE = 8
MAX_EXPONENT = 160
_EIGHTHS = (
    1.0, 1.0905077326652577, 1.189207115002721, 1.2968395546510096,
    1.4142135623730951, 1.5422108254079407, 1.681792830507429, 1.8340080864093424,
)  # fmt: skip
STEPS = np.array(
    [
        math.ldexp(_EIGHTHS[e % PER_OCTAVE], e // PER_OCTAVE)
        for e in range(-MAX_EXPONENT, MAX_EXPONENT + 1)
    ],
    np.float32,
)


def _make_lookup() -> np.ndarray:
    """Context of each size, (63 * 512 + 1,) uint8: the nearest of the means, by their logarithm."""
    limits = [CONTEXT_MEANS[i] * 1.189207115002721 for i in range(NUM_CONTEXTS - 1)]
    sizes = np.arange(_LARGEST * _ONE + 1) / _ONE
    return np.searchsorted(np.array(limits), sizes).astype(np.uint8)


_CONTEXT_OF = _make_lookup()
_ALL_CONTEXTS = np.arange(NUM_CONTEXTS)


def _sum(sizes: np.ndarray, axis: int) -> np.ndarray:
    """Sums of sizes along an axis, as wide as they need."""
    is_long = sizes.shape[axis] * _LARGEST * _ONE >= 2**31
    return sizes.sum(axis=axis, dtype=np.int64 if is_long else np.int32)


def step_of(exponents: np.ndarray | int) -> np.ndarray:
    """float32 steps 2^(e / 8); exponents beyond what is stored count as the last one."""
    return STEPS[np.clip(exponents + MAX_EXPONENT, 0, 2 * MAX_EXPONENT)]


@dataclasses.dataclass(frozen=True)
class Grid:
    """A layout's leaves as matrices, side by side in a flat array of all params."""

    parts: tuple[slice, ...]  # each leaf's place in the flat array
    # (rows, columns) of each leaf: columns are outputs, rows what leads to one; a bias is one row.
    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, layout: Layout) -> "Grid":
        shapes, parts, start = [], [], 0
        for _, shape in layout.shapes:
            size = math.prod(shape)
            columns = shape[-1] if shape else 1
            shapes.append((size // max(columns, 1), columns))
            parts.append(slice(start, start + size))
            start += size
        return cls(tuple(parts), tuple(shapes))

    @property
    def size(self) -> int:
        return self.parts[-1].stop if self.parts else 0

    def matrices(self, flat: np.ndarray) -> list[np.ndarray]:
        """Views of a flat array, leaf by leaf."""
        return [
            flat[part].reshape(shape) for part, shape in zip(self.parts, self.shapes, strict=True)
        ]


class History:
    """What encoder and decoder know before a frame.

    Attributes:
      decoded: (size,) float32, the frame before.
      velocity: (size,) float32, how it got there from the one before.
      sizes: (size,) int16, running means of the symbols' sizes.
    """

    def __init__(self, grid: Grid, decoded: np.ndarray):
        """Begins behind a key frame."""
        self._grid = grid
        self.decoded = decoded
        self.velocity = np.zeros_like(decoded)
        self.sizes = np.full(decoded.shape, _ONE // 4, np.int16)

    def predict(self, gains: np.ndarray) -> np.ndarray:
        """(size,) float32, by each leaf's gain in eighths."""
        predicted = np.empty_like(self.decoded)
        for part, gain in zip(self._grid.parts, gains, strict=True):
            factor = np.float32(gain / GAIN_ONE)
            np.multiply(self.velocity[part], factor, out=predicted[part])
        predicted += self.decoded
        return predicted

    def contexts(self, shifts: np.ndarray) -> np.ndarray:
        """A context for each param, (size,) uint8.

        Args:
          shifts: Of each leaf, how many contexts this frame lies above what was expected.
        """
        contexts = np.empty(self.sizes.shape, np.uint8)
        sizes, found = self._grid.matrices(self.sizes), self._grid.matrices(contexts)
        for own, out, shift in zip(sizes, found, shifts, strict=True):
            rows, columns = max(own.shape[0], 1), max(own.shape[1], 1)
            by_column = (_sum(own, axis=0) // (4 * rows)).astype(np.int16)
            by_row = (_sum(own, axis=1) // (4 * columns)).astype(np.int16)
            mixed = own >> 1
            mixed += by_column
            mixed += by_row[:, None]
            moved = np.minimum(np.maximum(_ALL_CONTEXTS + int(shift), 0), NUM_CONTEXTS - 1)
            out[:] = moved.astype(np.uint8)[_CONTEXT_OF][mixed]
        return contexts

    def rescaled(self, changes: np.ndarray) -> "History":
        """A copy for steps that are 2^(change / 8) times as large, leaf by leaf."""
        copied = copy.copy(self)
        copied.sizes = self.sizes.copy()
        for part, change in zip(self._grid.parts, changes, strict=True):
            if change:
                octaves, eighths = divmod(-int(change), PER_OCTAVE)
                wide = self.sizes[part].astype(np.int32) * round(_EIGHTHS[eighths] * 256) >> 8
                wide = wide << min(octaves, 15) if octaves >= 0 else wide >> min(-octaves, 31)
                copied.sizes[part] = np.minimum(wide, _ONE * _LARGEST)
        return copied

    def advance(self, decoded: np.ndarray, symbols: np.ndarray) -> None:
        """Takes a frame."""
        met = np.minimum(np.abs(symbols), _LARGEST).astype(np.int16)
        met *= _ONE
        met -= self.sizes
        met >>= _FADE
        self.sizes += met
        self.velocity = decoded - self.decoded
        self.decoded = decoded
