"""Symbols to bytes and back: lossless, near the entropy, safe on bytes that no encoder made."""

import math

import numpy as np
import pytest

from inv_jax.codec import entropy
from inv_jax.codec.base import CorruptError
from inv_jax.codec.entropy import NUM_TOKENS, Reader, Tables, Writer


def _laplace(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    return np.rint(rng.laplace(scale=scale, size=size)).astype(np.int32)


def test_every_symbol_has_a_token_and_comes_back():
    near = np.arange(-70_000, 70_000)
    powers = np.array([2**k + d for k in range(17, 22) for d in (-1, 0, 1)])
    edge = np.array([entropy.LIMIT, -entropy.LIMIT])
    symbols = np.concatenate([near, powers, -powers, edge]).astype(np.int32)
    tokens, extra = entropy.tokenize(symbols)
    assert tokens.max() == NUM_TOKENS - 1
    np.testing.assert_array_equal(entropy.detokenize(tokens, extra), symbols)


def test_small_symbols_come_first_and_have_no_plain_bits():
    tokens, extra = entropy.tokenize(np.array([0, -1, 1, -2, 2, -8, 7], np.int32))
    np.testing.assert_array_equal(tokens, [0, 1, 2, 3, 4, 15, 14])
    assert not extra.any()


def test_a_symbol_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="at most"):
        entropy.tokenize(np.array([entropy.LIMIT + 1], np.int32))


@pytest.mark.parametrize("mean", [2.0**-7, 0.3, 1.0, 50.0, 9000.0])
def test_the_prior_is_the_geometric_distribution_of_that_mean(mean):
    ratio = (math.sqrt(1 + mean * mean) - 1) / mean
    sizes = np.arange(-400_000, 400_001)
    chances = (1 - ratio) / (1 + ratio) * ratio ** np.abs(sizes)
    assert (chances * np.abs(sizes)).sum() == pytest.approx(mean, rel=1e-3)
    tokens, _ = entropy.tokenize(sizes.astype(np.int32))
    expected = np.bincount(tokens, weights=chances, minlength=NUM_TOKENS) * 2**16
    counts = entropy.geometric(mean)
    np.testing.assert_allclose(counts[counts > 1], expected[counts > 1], atol=1.01)
    assert (expected[counts == 1] < 2.01).all()


def test_what_is_pushed_is_pulled_in_the_same_order():
    rng = np.random.default_rng(0)
    tables = Tables.geometric([0.1, 3.0, 100.0])
    parts = [(row, _laplace(rng, size, scale)) for row, size, scale in
             [(0, 1000, 0.1), (2, 300, 150.0), (1, 1, 3.0), (0, 0, 1.0)]]  # fmt: skip
    writer = Writer()
    for row, symbols in parts:
        tokens, extra = entropy.tokenize(symbols)
        writer.push(tokens, tables.counts[row])
        entropy.push_extra(writer, tokens, extra)
    reader = Reader(writer.words().tobytes())
    for row, symbols in parts:
        tokens = reader.pull(symbols.size, tables.counts[row]).astype(np.uint8)
        extra = entropy.pull_extra(reader, tokens)
        np.testing.assert_array_equal(entropy.detokenize(tokens, extra), symbols)
    reader.finish()


@pytest.mark.parametrize("scale", [0.05, 0.7, 20.0])
def test_bytes_come_near_the_entropy_and_nearer_when_tables_have_learned(scale):
    rng = np.random.default_rng(1)
    tables, bits = Tables.geometric([scale]), []
    for _ in range(8):
        symbols = _laplace(rng, 20_000, scale)
        tokens, extra = entropy.tokenize(symbols)
        writer = Writer()
        writer.push(tokens, tables.counts[0])
        entropy.push_extra(writer, tokens, extra)
        bits.append(32 * writer.words().size / symbols.size)
        tables.learn(0, tokens)
    chances = np.unique(_laplace(rng, 2_000_000, scale), return_counts=True)[1] / 2e6
    bound = -(chances * np.log2(chances)).sum()
    assert bound - 0.05 < bits[-1] < 1.02 * bound + 0.01
    assert np.mean(bits[4:]) < bits[0] + 0.01


def test_the_cost_of_a_symbol_is_what_it_takes():
    tables = Tables.geometric([0.5, 8.0])
    bits = tables.bits(64)
    rng = np.random.default_rng(2)
    symbols = np.clip(_laplace(rng, 50_000, 8.0), -64, 64)
    tokens, extra = entropy.tokenize(symbols)
    writer = Writer()
    writer.push(tokens, tables.counts[1])
    entropy.push_extra(writer, tokens, extra)
    assert 32 * writer.words().size == pytest.approx(bits[1, symbols + 64].sum(), rel=1e-3)


def test_counts_are_halved_and_never_reach_zero():
    tables = Tables.geometric([0.5])
    for _ in range(50):
        tables.learn(0, np.zeros(10_000, np.uint8))
    assert tables.counts.sum() <= tables.limit
    assert tables.counts.min() >= 1


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_a_stream_of_half_words_is_refused(length):
    with pytest.raises(CorruptError, match="multiple of 4"):
        Reader(bytes(length))


def test_a_stream_that_ends_in_zeros_is_refused():
    with pytest.raises(CorruptError, match="zero word"):
        Reader(bytes(8))


def test_bytes_of_no_encoder_give_other_values_or_an_error_only():
    rng = np.random.default_rng(3)
    tables = Tables.geometric([0.5, 5000.0])
    for length in [0, 4, 40, 400] * 25:
        try:
            reader = Reader(rng.bytes(length))
            tokens = reader.pull(300, tables.counts[rng.integers(2)]).astype(np.uint8)
            symbols = entropy.detokenize(tokens, entropy.pull_extra(reader, tokens))
            assert np.abs(symbols).max() <= entropy.LIMIT + 1
            reader.finish()
        except CorruptError:
            continue


def test_what_is_left_over_is_an_error():
    writer = Writer()
    writer.push(np.full(1000, 5, np.uint8), entropy.geometric(1.0))
    reader = Reader(writer.words().tobytes())
    reader.pull(500, entropy.geometric(1.0))
    with pytest.raises(CorruptError, match="do not end"):
        reader.finish()
