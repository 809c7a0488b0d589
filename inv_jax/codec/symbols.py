"""Lists of numbers and matrices of symbols through the entropy coder, as codecs share it.

A matrix of symbols that lie around zero is coded by contexts, and the contexts are told: a level
for each leaf, and for its rows and columns how far each lies above or below. A level is the mean
size of a symbol, a quarter of an octave from the next one. An entry's context is its row's and its
column's level, less the leaf's: whatever a unit's scale is, its weights meet tables of their own.
Everything about it is whole numbers, so encoders on any machine write the same bytes.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import entropy
from inv_jax.codec.base import CorruptError
from inv_jax.codec.entropy import Reader, Tables, Writer
from inv_jax.codec.history import Grid

_SIDE_TABLE = entropy.geometric(4.0)
_WAVES = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16))

# Levels: mean sizes 2^-16, 2^(-16 + 1/4) ... 2^17.
_LOWEST, _HIGHEST, _PER_OCTAVE = -16, 17, 4
_ROOTS = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
LEVEL_MEANS = tuple(
    math.ldexp(_ROOTS[i % _PER_OCTAVE], _LOWEST + i // _PER_OCTAVE)
    for i in range(_PER_OCTAVE * (_HIGHEST - _LOWEST))
)
_LIMITS = np.array([mean * 1.0905077326652577 for mean in LEVEL_MEANS[:-1]])
_LEAST_ENTRIES = 64  # of a row or column that has a level of its own
_LINE_GAIN, _GAIN, _LIMIT = 2048, 1024, 2**26  # of the tables of lines, and of symbols


def push_numbers(writer: Writer, numbers: np.ndarray | Sequence[int]) -> None:
    """Codes a list of small numbers in one table that does not learn."""
    tokens, extra = entropy.tokenize(np.asarray(numbers, np.int32))
    writer.push(tokens, _SIDE_TABLE)
    entropy.push_extra(writer, tokens, extra)


def pull_numbers(reader: Reader, count: int, low: int, high: int, what: str) -> np.ndarray:
    """The inverse of `push_numbers`, (count,) int32.

    Raises:
      CorruptError: If one is not from `low` to `high`; `what` is what it calls them.
    """
    tokens = reader.pull(count, _SIDE_TABLE).astype(np.uint8)
    numbers = entropy.detokenize(tokens, entropy.pull_extra(reader, tokens))
    _check_range(numbers, low, high, what)
    return numbers


def _check_range(numbers: np.ndarray, low: int, high: int, what: str) -> None:
    if numbers.size and not low <= numbers.min() <= numbers.max() <= high:
        raise CorruptError(f"{what} out of range ({numbers.min()} to {numbers.max()})")


def checksum(tokens: np.ndarray, extra: np.ndarray, before: int) -> int:
    """CRC-32 of tokens (bytes) and of the plain bits that are not 0 (int32), behind another one."""
    crc = zlib.crc32(tokens.tobytes(), before)
    return zlib.crc32(extra[extra != 0].astype("<i4").tobytes(), crc) if extra.any() else crc


def waves(size: int) -> list[np.ndarray]:
    """Places in [0, size) in five parts, each as large as those before it together.

    Of each 16 places these are those from 0 to 1, 1 to 2, 2 to 4, 4 to 8, 8 to 16. Tables that
    learn from a part know what they meet in the next one.
    """
    places = np.resize(np.arange(16, dtype=np.uint8), size)  # each in its 16
    return [np.flatnonzero((places >= low) & (places < high)) for low, high in _WAVES]


def push_matrices(
    writer: Writer, grid: Grid, symbols: np.ndarray, there: np.ndarray | None, crc: int
) -> int:
    """Codes matrices of symbols.

    Args:
      writer: Takes them.
      grid: Of the leaves.
      symbols: (size,) int32.
      there: (size,) bool, which of them are coded; None: all.
      crc: The checksum of what was coded before.

    Returns:
      The checksum behind it.
    """
    levels, lines = _levels(grid, symbols, there)
    push_numbers(writer, levels)
    side, zeros = np.concatenate(lines), np.zeros(sum(map(len, lines)), np.uint8)
    crc = checksum(*entropy.push_by_context(writer, side, zeros, _line_tables()), crc)
    contexts, tables = _contexts(grid, levels, lines), _tables()
    if there is not None:
        symbols, contexts = symbols[there], contexts[there]
    for wave in waves(symbols.size):
        coded = entropy.push_by_context(writer, symbols[wave], contexts[wave], tables)
        crc = checksum(*coded, crc)
    return crc


def pull_matrices(
    reader: Reader, grid: Grid, there: np.ndarray | None, crc: int
) -> tuple[np.ndarray, int]:
    """The inverse of `push_matrices`: symbols (size,) int32, 0 where none is; and the checksum.

    Raises:
      CorruptError: If a level is none.
    """
    most = len(LEVEL_MEANS) - 1
    levels = pull_numbers(reader, len(grid.parts), 0, most, "a leaf's level")
    counts = [_line_counts(shape) for shape in grid.shapes]
    zeros = np.zeros(sum(map(sum, counts)), np.uint8)
    side, *coded = entropy.pull_by_context(reader, zeros, _line_tables())
    _check_range(side, -most, most, "a row's level")
    crc = checksum(*coded, crc)
    lines = np.split(side, np.cumsum([sum(count) for count in counts])[:-1])
    contexts, tables = _contexts(grid, levels, lines), _tables()
    places = None if there is None else np.flatnonzero(there)
    contexts = contexts if places is None else contexts[places]
    found = np.empty(contexts.size, np.int32)
    for wave in waves(found.size):
        found[wave], *coded = entropy.pull_by_context(reader, contexts[wave], tables)
        crc = checksum(*coded, crc)
    if places is None:
        return found, crc
    symbols = np.zeros(grid.size, np.int32)
    symbols[places] = found
    return symbols, crc


def _line_tables() -> Tables:
    return Tables.geometric([1.0], _LINE_GAIN)


def _tables() -> Tables:
    made = Tables.geometric(LEVEL_MEANS, _GAIN)
    made.limit = _LIMIT
    return made


def _line_counts(shape: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns of a matrix have a level of their own."""
    rows, columns = shape
    return rows * (columns >= _LEAST_ENTRIES), columns * (rows >= _LEAST_ENTRIES)


def _level(sums: np.ndarray, counts: np.ndarray, otherwise: int) -> np.ndarray:
    """Levels of means, int32; another one where there are no entries."""
    levels = np.searchsorted(_LIMITS, sums / np.maximum(counts, 1)).astype(np.int32)
    return np.where(counts > 0, levels, otherwise)


def _levels(
    grid: Grid, symbols: np.ndarray, there: np.ndarray | None
) -> tuple[list[int], list[np.ndarray]]:
    """Each leaf's level, and how those of its rows and columns compare; int32."""
    sizes = np.abs(symbols)
    is_there = np.ones(sizes.shape, bool) if there is None else there
    levels, lines = [], []
    for size, met in zip(grid.matrices(sizes * is_there), grid.matrices(is_there), strict=True):
        level = int(_level(size.sum(dtype=np.int64), met.sum(), 0))
        parts = [
            _level(size.sum(axis, dtype=np.int64), met.sum(axis), level) - level
            for axis, count in zip((1, 0), _line_counts(size.shape), strict=True)
            if count
        ]
        levels.append(level)
        lines.append(np.concatenate([np.zeros(0, np.int32), *parts]))
    return levels, lines


def _contexts(
    grid: Grid, levels: Sequence[int] | np.ndarray, lines: Sequence[np.ndarray]
) -> np.ndarray:
    """(size,) uint8, the table of each entry."""
    contexts = np.empty(grid.size, np.uint8)
    for out, level, line in zip(grid.matrices(contexts), levels, lines, strict=True):
        rows, columns = _line_counts(out.shape)
        of_row = line[:rows, None] if rows else np.zeros((1, 1), np.int32)
        of_column = line[None, rows:] if columns else np.zeros((1, 1), np.int32)
        out[:] = np.clip(int(level) + of_row + of_column, 0, len(LEVEL_MEANS) - 1)
    return contexts
