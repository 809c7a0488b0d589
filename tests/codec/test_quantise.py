"""Quantisation and Huffman bits are the original's, number for number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inv_jax.codec import huffman, quantise


@pytest.fixture(scope="module")
def golden(parity):
    with np.load(parity / "nerv" / "quantize_huffman.npz") as arrays:
        return dict(arrays)


def _ours(array: np.ndarray) -> np.ndarray:
    """An array in our layout: kernels are (in, out) and (height, width, in, out)."""
    orders = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
    return np.ascontiguousarray(array.transpose(orders[array.ndim]))


def _cases() -> list[tuple[str, int, int]]:
    named = [
        (name, bits, axis) for name in ("w2d", "w4d") for bits in (4, 6, 8) for axis in (-1, 0, 1)
    ]
    return [*named, *(("b1d", bits, -1) for bits in (4, 6, 8))]


@pytest.mark.parametrize("name, bits, axis", _cases())
def test_codes_and_weights_are_the_originals(golden, name, bits, axis):
    leaf = _ours(golden[f"in/{name}"])
    found = quantise.quantise(leaf, bits, axis)
    codes, wanted = (
        _ours(golden[f"{kind}/{name}/bit{bits}/axis{axis}"]) for kind in ("code", "deq")
    )
    met = leaf != 0
    np.testing.assert_array_equal(found.codes[met], codes[met])
    back = quantise.dequantise(found.codes, found.minimum, found.scale, axis)
    np.testing.assert_array_equal(back[met], wanted[met])
    np.testing.assert_array_equal(found.is_zero, ~met)


def test_huffman_bits_are_the_originals(golden):
    codes = []
    for name, axis in (("w2d", 0), ("w4d", 0), ("b1d", -1)):
        leaf = _ours(golden[f"in/{name}"])
        codes.append(quantise.quantise(leaf, 8, axis).codes[leaf != 0])
    symbols, counts = np.unique(np.concatenate(codes), return_counts=True)
    order = np.argsort(golden["huff_symbols"])
    np.testing.assert_array_equal(symbols, golden["huff_symbols"][order])
    np.testing.assert_array_equal(counts, golden["huff_counts"][order])
    assert counts.sum() == golden["huff_n"]
    assert huffman.average_bits(counts) * counts.sum() == golden["huff_total_bits"]
    assert huffman.average_bits(counts) == golden["huff_avg_bits"]
    assert huffman.average_bits(counts) / 8 == golden["huff_efficiency"]


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_huffman_codes_are_within_a_bit_of_the_entropy(counts):
    counts = np.array(counts, np.int64)
    lengths, met = huffman.lengths(counts), counts[counts > 0]
    assert not lengths[counts == 0].any()
    if met.size < 2:
        assert lengths.sum() == met.size  # a bit for one symbol
        return
    shares = met / met.sum()
    entropy = -float(shares @ np.log2(shares))
    bits = counts @ lengths / counts.sum()
    assert entropy - 1e-9 <= bits < entropy + 1
    assert bits - 1e-9 <= huffman.average_bits(counts)  # the end mark costs something
    assert np.exp2(-lengths[counts > 0].astype(float)).sum() == pytest.approx(1.0)  # Kraft


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
@pytest.mark.parametrize("axis", quantise.AXES)
def test_weights_come_back_within_half_a_step_and_zeros_to_the_bit(bits, axis):
    rng = np.random.default_rng(bits)
    leaf = rng.normal(size=(3, 3, 7, 5)).astype(np.float32)
    leaf[rng.random(leaf.shape) < 0.4] = 0.0
    leaf[..., 2] = 0.0
    found = quantise.quantise(leaf, bits, axis)
    codes = found.codes[~found.is_zero]
    assert codes.min() == 0 and codes.max() == 2**bits
    back = quantise.dequantise(found.codes, found.minimum, found.scale, axis)
    back[found.is_zero] = 0.0
    steps = quantise.spread(found.scale, leaf.shape, axis)
    assert np.all(np.abs(back - leaf) <= 0.501 * steps + 1e-6)
    assert np.all((back == 0) >= (leaf == 0))


def test_a_slice_of_one_value_is_that_value():
    leaf = np.full((4, 3), 0.3, np.float32)
    leaf[:, 1] = 0.0
    found = quantise.quantise(leaf, 8, 0)
    np.testing.assert_array_equal(found.minimum, np.float32([0.3, 0.0, 0.3]))
    np.testing.assert_array_equal(found.scale, np.zeros(3, np.float32))
    back = quantise.dequantise(found.codes * 0, found.minimum, found.scale, 0)
    np.testing.assert_array_equal(back, leaf)


def test_slices_are_the_originals_axes():
    for shape, axis, count in [
        ((5, 9), 0, 9), ((5, 9), 1, 5), ((5, 9), -1, 1), ((3, 3, 5, 9), 0, 9),
        ((3, 3, 5, 9), 1, 5), ((9,), 0, 1), ((2, 3, 4), 0, 1),
    ]:  # fmt: skip
        assert quantise.num_slices(shape, axis) == count
