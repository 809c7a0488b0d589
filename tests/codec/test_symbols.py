"""Lists and matrices of symbols come back as they were, in few bits, and never otherwise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import symbols
from inv_jax.codec.base import CorruptError, Layout
from inv_jax.codec.entropy import LIMIT, Reader, Writer
from inv_jax.codec.history import Grid


def _coded(grid: Grid, values: np.ndarray, there: np.ndarray | None) -> tuple[bytes, int]:
    writer = Writer()
    crc = symbols.push_matrices(writer, grid, values, there, 7)
    return writer.words().tobytes(), crc


def _grid(*shapes: tuple[int, ...]) -> Grid:
    return Grid.of(Layout(tuple((f"net/own/l{i}/x", shape) for i, shape in enumerate(shapes))))


_SHAPES = st.lists(
    st.sampled_from([(1,), (5,), (70,), (3, 5), (70, 3), (3, 70), (66, 70), (3, 3, 8, 4)]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(_SHAPES, st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 30, 10**4, LIMIT]), st.booleans())
def test_matrices_come_back(shapes, seed, largest, is_part):
    rng, grid = np.random.default_rng(seed), _grid(*shapes)
    values = rng.integers(-largest, largest + 1, grid.size).astype(np.int32)
    there = rng.random(grid.size) < 0.6 if is_part else None
    data, crc = _coded(grid, values, there)
    reader = Reader(data)
    found, checked = symbols.pull_matrices(reader, grid, there, 7)
    reader.finish()
    wanted = values if there is None else np.where(there, values, 0)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.int32 and checked == crc


def test_units_of_different_scale_take_the_bits_of_their_own():
    """Rows and columns of 2^-2 to 2^6 steps: near the entropy of each, far below one table's."""
    rng, grid = np.random.default_rng(0), _grid((256, 256))
    scale = 2.0 ** rng.uniform(-1, 3, (256, 1)) * 2.0 ** rng.uniform(-1, 3, (1, 256))
    values = np.rint(scale * rng.normal(size=(256, 256))).astype(np.int32)
    bits = 8 * len(_coded(grid, values.ravel(), None)[0]) / values.size
    ideal = float(np.mean(np.maximum(np.log2(scale * np.sqrt(2 * np.pi * np.e)), 0.0)))
    counts = np.unique(values, return_counts=True)[1] / values.size
    of_one_table = -float(counts @ np.log2(counts))
    assert bits < ideal + 0.25 < of_one_table - 0.2


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400).map(lambda data: data[: len(data) // 4 * 4]), _SHAPES, st.booleans())
def test_any_bytes_are_symbols_or_a_named_error(data, shapes, is_part):
    grid = _grid(*shapes)
    there = np.arange(grid.size) % 3 > 0 if is_part else None
    try:
        reader = Reader(data)
        found, _ = symbols.pull_matrices(reader, grid, there, 0)
        reader.finish()
    except CorruptError as error:
        assert str(error).isprintable()
        return
    assert found.shape == (grid.size,)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_waves_are_all_places_once(size):
    found = symbols.waves(size)
    assert sorted(np.concatenate(found)) == list(range(size))


def test_numbers_out_of_range_are_refused_by_name():
    writer = Writer()
    symbols.push_numbers(writer, [3, -4, 100])
    data = writer.words().tobytes()
    found = symbols.pull_numbers(Reader(data), 3, -4, 100, "a number")
    np.testing.assert_array_equal(found, [3, -4, 100])
    with pytest.raises(CorruptError, match=r"a number out of range \(-4 to 100\)"):
        symbols.pull_numbers(Reader(data), 3, -4, 99, "a number")
