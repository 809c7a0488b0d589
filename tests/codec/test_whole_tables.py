"""Tables of whole numbers: exact parts of 2^24, and a coder that whole numbers alone can follow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import whole_tables
from inv_jax.codec.entropy import Reader, Writer
from inv_jax.codec.whole_tables import PARTS, WholeTables

_SEEDS = st.integers(0, 2**32 - 1)


def _tables(rng: np.random.Generator, rows: int, tokens: int) -> WholeTables:
    """Counts of all sizes, none among them, too."""
    counts = rng.integers(0, 2 ** rng.integers(1, 22, (rows, tokens)))
    counts[:, rng.integers(tokens)] += 1
    return WholeTables(counts.astype(np.int64))


def _plainly(words: list[int], rows: list[list[int]]) -> tuple[list[int], list[int], int]:
    """Tokens as the module's docstring says: Python's whole numbers, one token after another."""
    words, tokens, state = list(words), [], 0
    for row in rows:
        while state < 2**32 and words:
            state = state * 2**32 + words.pop()
        slot, first, token = state % 2**24, 0, 0
        while slot >= first + row[token] + 1:
            first, token = first + row[token] + 1, token + 1
        state = state // 2**24 * (row[token] + 1) + slot - first
        tokens.append(token)
    return tokens, words, state


@settings(max_examples=60, deadline=None)
@given(_SEEDS)
def test_every_token_has_a_part_and_all_parts_are_given_out(seed):
    rng = np.random.default_rng(seed)
    tables = _tables(rng, 3, int(rng.integers(2, 93)))
    made = whole_tables.weights(tables.counts)
    assert made.min() >= 0
    assert ((made + 1).sum(axis=1) == PARTS).all()


@settings(max_examples=60, deadline=None)
@given(_SEEDS)
def test_whole_numbers_alone_decode_what_was_coded(seed):
    rng = np.random.default_rng(seed)
    rows, size, count = (int(rng.integers(low, high)) for low, high in ((1, 9), (2, 93), (0, 60)))
    tables = _tables(rng, rows, size)
    tokens = rng.integers(0, size, count).astype(np.uint8)
    given_ = whole_tables.weights(tables.counts)[rng.integers(0, rows, count)]
    writer = Writer()
    writer.push(tokens, given_)
    words = writer.words()
    assert _plainly(words.tolist(), given_.tolist()) == (tokens.tolist(), [], 0)
    reader = Reader(words.tobytes())
    np.testing.assert_array_equal(reader.pull(count, given_), tokens)
    reader.finish()


@settings(max_examples=60, deadline=None)
@given(_SEEDS)
def test_tokens_come_back_and_both_sides_learn_the_same(seed):
    rng = np.random.default_rng(seed)
    rows, size, count = (int(rng.integers(low, high)) for low, high in ((1, 9), (2, 93), (0, 300)))
    there, here = (_tables(np.random.default_rng(seed), rows, size) for _ in range(2))
    writer, calls = Writer(), []
    for _ in range(3):
        tokens = rng.integers(0, size, count).astype(np.uint8)
        contexts = rng.integers(0, rows, count).astype(np.uint8)
        whole_tables.push_tokens(writer, tokens, contexts, there)
        calls.append((tokens, contexts))
    reader = Reader(writer.words().tobytes())
    for tokens, contexts in calls:
        found = whole_tables.pull_tokens(reader, contexts, here)
        np.testing.assert_array_equal(found, tokens)
    reader.finish()
    np.testing.assert_array_equal(here.counts, there.counts)


def test_many_tokens_are_coded_as_few_are(monkeypatch):
    rng = np.random.default_rng(0)
    tokens, contexts = (rng.integers(0, 5, 1000).astype(np.uint8) for _ in range(2))
    words = []
    for at_once in (2**18, 64):
        monkeypatch.setattr(whole_tables, "_AT_ONCE", at_once)
        writer = Writer()
        whole_tables.push_tokens(writer, tokens, contexts, _tables(np.random.default_rng(1), 5, 5))
        words.append(writer.words())
        there = _tables(np.random.default_rng(1), 5, 5)
        found = whole_tables.pull_tokens(Reader(words[-1].tobytes()), contexts, there)
        np.testing.assert_array_equal(found, tokens)
    np.testing.assert_array_equal(*words)


def test_a_row_that_learned_much_is_halved_and_keeps_its_shape():
    tables = WholeTables.flags([128], gain=2**20)
    tables.learn_all(np.zeros(64, np.uint8), np.arange(64, dtype=np.uint8) % 4 // 3)
    assert tables.counts.sum() <= tables.limit
    assert tables.counts[0, 0] / tables.counts.sum() == pytest.approx(0.75, abs=0.01)


def test_priors_fall_by_their_ratio_and_leave_something_for_all():
    tables = WholeTables.falling([64, 192])
    assert tables.counts.min() >= 1
    for row, ratio in zip(tables.counts, (64, 192), strict=True):
        np.testing.assert_allclose(row[3] / row[1], ratio / 256, rtol=0.01)
        assert row[1] == row[2]  # of a size, both signs
    assert tables.counts[1, 20] > tables.counts[0, 20]
