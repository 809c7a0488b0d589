"""What encoder and decoder of the predictive codec share (`inv_jax/codec/delta_codec.py`)."""

import dataclasses
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import history as history_lib
from inv_jax.codec.base import Layout
from inv_jax.codec.entropy import NUM_TOKENS, Tables
from inv_jax.codec.history import CONTEXT_MEANS, Grid, History

KEY, PREDICTED = 0xD0, 0xD1
HEAD = struct.Struct("<BI")
COUNT = struct.Struct("<I")
PARAMS_PER_BYTE = 8  # a key payload has a byte for so many params at least

KEY_LOWEST = -4  # contexts of key frames: mean sizes 2^-2 (two an octave) to 2^14
KEY_CONTEXTS = 33
KEY_MEANS = tuple(
    math.ldexp((1.0, 1.4142135623730951)[(i + KEY_LOWEST) % 2], (i + KEY_LOWEST) // 2)
    for i in range(KEY_CONTEXTS)
)
KEY_GAIN = 256

assert NUM_TOKENS <= 256  # tokens are bytes


@dataclasses.dataclass
class State:
    """What both sides have after a frame."""

    frame: int  # the last one, of a segment
    history: History
    tables: Tables
    scale: np.ndarray  # (size,) float32, steps without their leaf's own factor
    own: np.ndarray  # (leaves,) int32, each leaf's own exponent
    gains: np.ndarray  # (leaves,) int32, in eighths
    crc: int

    def step(self, grid: Grid, own: np.ndarray) -> np.ndarray:
        """(size,) float32 steps, for given exponents of the leaves."""
        step = self.scale.copy()
        for part, factor in zip(grid.parts, history_lib.step_of(own), strict=True):
            step[part] *= factor
        return step


def layout_checksum(layout: Layout) -> int:
    return zlib.crc32(repr(layout.shapes).encode())


def base(grid: Grid, leaves: Sequence[int], lines: Sequence[np.ndarray]) -> np.ndarray:
    """Exponents of all params without the common one, (size,) int32."""
    base = np.empty(grid.size, np.int32)
    for out, leaf, line in zip(grid.matrices(base), leaves, lines, strict=True):
        rows = out.shape[0]
        out[:] = line[:rows, None] + line[None, rows:] + int(leaf)
    return base


def key_contexts(grid: Grid, lines: Sequence[np.ndarray], levels: Sequence[int]) -> np.ndarray:
    contexts = np.empty(grid.size, np.uint8)
    for out, line, level in zip(grid.matrices(contexts), lines, levels, strict=True):
        rows = out.shape[0]
        joint = int(level) + ((-line[:rows, None] - line[None, rows:]) >> 2)
        out[:] = np.clip(joint - KEY_LOWEST, 0, KEY_CONTEXTS - 1)
    return contexts


def key_tables() -> Tables:
    return Tables.geometric(KEY_MEANS, KEY_GAIN)


def fresh_tables() -> Tables:
    return Tables.geometric(CONTEXT_MEANS)


def key_state(
    grid: Grid, frame: int, decoded: np.ndarray, scale: np.ndarray, common: int, crc: int
) -> State:
    own, gains = np.full(len(grid.parts), common, np.int32), np.zeros(len(grid.parts), np.int32)
    return State(frame, History(grid, decoded), fresh_tables(), scale, own, gains, crc)
