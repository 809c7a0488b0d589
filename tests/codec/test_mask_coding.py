"""Masks come back from their payloads, at about what their contexts leave to say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import mask_coding, mask_contexts, mask_packing
from inv_jax.codec.base import CorruptError
from inv_jax.codec.mask_contexts import FirstUses, Past
from inv_jax.types import InvError

_SEEDS = st.integers(0, 2**32 - 1)
_SHAPES = (("stem/kernel", (9, 70)), ("block/kernel", (3, 3, 4, 12)), ("block/bias", (12,)))


def _entropy(share: float) -> float:
    return float(-share * np.log2(share) - (1 - share) * np.log2(1 - share))


def _drifting(
    rng: np.random.Generator, sessions: int, share: float = 0.3, shapes=_SHAPES, stays: float = 0.9
) -> list[dict[str, np.ndarray]]:
    """Masks of the weights with the largest scores; these drift from session to session."""
    scores = {path: rng.normal(size=shape) for path, shape in shapes}
    found = []
    for _ in range(sessions):
        found.append({
            path: np.abs(score) >= np.quantile(np.abs(score), 1 - share)
            for path, score in scores.items()
        })  # fmt: skip
        for path, score in scores.items():
            fresh = rng.normal(size=score.shape)
            scores[path] = stays * score + np.sqrt(1 - stays**2) * fresh
    return found


def _same(left, right):
    assert left.keys() == right.keys()
    for path, mask in left.items():
        np.testing.assert_array_equal(mask, right[path], err_msg=path)
        assert right[path].dtype == np.bool_


def _parts_of(counts: list[int]) -> list[int]:
    """Parts of 2^24 that tokens of these counts have."""
    parts = [1 + count * (2**24 - 2) // sum(counts) for count in counts]
    parts[int(counts[1] > counts[0])] += 2**24 - sum(parts)
    return parts


def _lent(row: list[int], of_context: list[int]) -> list[int]:
    """Counts of a row with those of its context, these worth 16 bits at most."""
    least = max(sum(of_context), 2**16)
    return [own + (other * 2**16 // least) for own, other in zip(row, of_context, strict=True)]


def _level(missed: int, expected: int) -> int:
    ratio = Fraction(missed + 4 * 2**24, expected + 4 * 2**24)
    return sum(ratio > limit for limit in (Fraction(2, 5), Fraction(4, 5), Fraction(3, 2)))


def _decode_plainly(payload: bytes, contexts: list[int], width: int) -> list[int]:
    """Bits of a single tensor as the docstrings say: whole numbers, one bit after another."""
    words, state = np.frombuffer(payload[5:], "<u4").tolist(), 0
    counts = [[[2**9, 2**9] for _ in range(4)] for _ in range(max(contexts) + 1)]
    missed, expected = [0] * width, [0] * width
    bits, start = [0] * len(contexts), 0
    while start < len(contexts):
        end = min(start + max(start, 64), len(contexts))
        levels = [_level(*of) for of in zip(missed, expected, strict=True)]
        rows = {i: (contexts[i], levels[i % width]) for i in range(start, end)}
        of_contexts = [np.sum(of_levels, axis=0).tolist() for of_levels in counts]
        likely = [_parts_of(of_context) for of_context in of_contexts]
        parts = [
            [_parts_of(_lent(row, of_context)) for row in of_levels]
            for of_levels, of_context in zip(counts, of_contexts, strict=True)
        ]
        for i in sorted(rows, key=rows.__getitem__):
            context, level = rows[i]
            zeros, ones = parts[context][level]
            while state < 2**32 and words:
                state = state * 2**32 + words.pop()
            slot = state % 2**24
            bits[i] = int(slot >= zeros)
            state = state // 2**24 * (zeros, ones)[bits[i]] + slot - bits[i] * zeros
            counts[context][level][bits[i]] += 2**12
            missed[i % width] += 2**24 * (bits[i] != (likely[context][1] > 2**23))
            expected[i % width] += min(likely[context])
        start = end
    assert (words, state) == ([], 0)
    return bits


@settings(max_examples=25, deadline=None)
@given(_SEEDS)
def test_sessions_are_appended_and_come_back(seed):
    rng = np.random.default_rng(seed)
    masks = _drifting(rng, 4, rng.uniform(0.05, 0.95))
    there, here = Past.none(_SHAPES), Past.none(_SHAPES)
    for mask in masks:
        payload = mask_coding.encode(mask, there.contexts)
        back = mask_coding.decode(payload, here.contexts)
        _same(mask, back)
        there, here = there.then(mask), here.then(back)


@settings(max_examples=25, deadline=None)
@given(_SEEDS)
def test_whole_numbers_alone_decode_a_mask(seed):
    rng = np.random.default_rng(seed)
    rows, width, size = int(rng.integers(1, 40)), int(rng.integers(2, 9)), int(rng.integers(1, 200))
    contexts = rng.integers(0, rows, (size, width)).astype(np.uint8)
    changes = rng.random(width)  # some columns are as their contexts say, others are not
    chances = np.where(rng.random(contexts.shape) < changes, 0.5, rng.random(rows)[contexts] > 0.5)
    mask = rng.random(contexts.shape) < chances
    payload = mask_coding.encode({"a": mask}, {"a": contexts})
    assert _decode_plainly(payload, contexts.ravel().tolist(), width) == mask.ravel().tolist()


def test_columns_that_hardly_trained_are_told_apart():
    rng = np.random.default_rng(8)
    before = {"a": rng.random((400, 50)) < 0.3}
    trains = rng.random(50) < 0.5
    after = {"a": before["a"] ^ (trains & (rng.random((400, 50)) < 0.2))}
    contexts = Past.none((("a", (400, 50)),)).then(before).contexts
    turned = {path: np.ascontiguousarray(found.T) for path, found in contexts.items()}
    by_columns = len(mask_coding.encode(after, contexts))
    by_rows = len(mask_coding.encode({"a": after["a"].T}, turned))
    assert by_columns < 0.85 * by_rows


def test_a_session_is_played_with_what_the_network_says_and_its_own_half():
    uses, sent = FirstUses.none(_SHAPES), []
    masks = _drifting(np.random.default_rng(1), 5)
    for mask in masks:
        halves = uses.free(), uses.taken()
        sent.append([mask_coding.encode(mask, uses.contexts, half) for half in halves])
        uses = uses.then(mask)
    # The fourth session: first halves of those before it, and its own two.
    uses = FirstUses.none(_SHAPES)
    for first, _ in sent[:3]:
        uses = uses.then(mask_coding.decode(first, uses.contexts, uses.free()))
    first = mask_coding.decode(sent[3][0], uses.contexts, uses.free())
    second = mask_coding.decode(sent[3][1], uses.contexts, uses.taken())
    _same(masks[3], {path: mask | second[path] for path, mask in first.items()})


def test_only_what_is_asked_for_is_coded():
    rng = np.random.default_rng(9)
    (mask,) = _drifting(rng, 1)
    contexts = mask_contexts.nothing(_SHAPES)
    only = {path: rng.random(shape) < 0.2 for path, shape in _SHAPES}
    payload = mask_coding.encode(mask, contexts, only)
    _same(
        {path: mask[path] & chosen for path, chosen in only.items()},
        mask_coding.decode(payload, contexts, only),
    )
    assert len(payload) < 0.4 * len(mask_coding.encode(mask, contexts))


def test_the_past_is_how_many_used_a_weight_and_whether_the_last_did():
    past = Past.none((("a", (4,)),))
    for used in ([1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]):
        past = past.then({"a": np.array(used, bool)})
    np.testing.assert_array_equal(past.contexts["a"], [2 * 3 + 1, 2 * 1, 2 * 1, 0])
    for _ in range(300):
        past = past.then({"a": np.ones(4, bool)})
    assert past.contexts["a"].max() == 2 * mask_contexts.MOST_USES + 1


def test_a_first_use_is_that_of_the_first_session():
    uses = FirstUses.none((("a", (4,)),))
    for used in ([1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]):
        uses = uses.then({"a": np.array(used, bool)})
    np.testing.assert_array_equal(uses.contexts["a"], [1, 2, 3, 0])
    with pytest.raises(InvError, match="a session behind 255"):
        FirstUses(uses.contexts, 255).then({"a": np.ones(4, bool)})


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5])
def test_a_mask_of_which_nothing_is_known_takes_its_entropy(share):
    shapes = (("a", (300, 400)),)
    (mask,) = _drifting(np.random.default_rng(0), 1, share, shapes)
    payload = mask_coding.encode(mask, mask_contexts.nothing(shapes))
    assert 8 * len(payload) / mask["a"].size == pytest.approx(_entropy(share), abs=2e-3)


def test_the_past_says_much_of_masks_that_drift_and_beats_packed_ones():
    shapes = (("a", (200, 300)), ("b", (30_000,)))
    masks = _drifting(np.random.default_rng(0), 9, shapes=shapes)
    past, uses, ours, halves = Past.none(shapes), FirstUses.none(shapes), [], []
    for mask in masks:
        ours.append(len(mask_coding.encode(mask, past.contexts)))
        for half in (uses.free(), uses.taken()):
            halves.append(len(mask_coding.encode(mask, uses.contexts, half)))
        past, uses = past.then(mask), uses.then(mask)
    packed = len(mask_packing.encode(masks[:7])) + len(mask_packing.encode(masks[7:]))
    alone = len(masks) * ours[0]
    assert sum(ours) < 0.96 * packed < 0.96 * 0.9 * alone
    assert sum(ours) < sum(halves) < alone


def test_what_both_sides_know_besides_makes_a_mask_short():
    rng = np.random.default_rng(3)
    shapes = (("a", (100, 200)),)
    drawn = rng.uniform(size=(100, 200))
    mask = {"a": drawn + 0.1 * rng.normal(size=drawn.shape) >= 0.7}
    nothing = mask_contexts.nothing(shapes)
    known = mask_contexts.refined(nothing, {"a": (drawn * 16).astype(np.uint8)}, 16)
    payload = mask_coding.encode(mask, known)
    _same(mask, mask_coding.decode(payload, known))
    assert len(payload) < 0.5 * len(mask_coding.encode(mask, nothing))


def test_contexts_of_all_numbers_are_told_apart():
    rng = np.random.default_rng(4)
    contexts = {"a": rng.integers(0, mask_coding.MOST_CONTEXTS, 3000).astype(np.uint16)}
    contexts["a"][7] = mask_coding.MOST_CONTEXTS - 1
    masks = {"a": rng.random(3000) < 0.5}
    _same(masks, mask_coding.decode(mask_coding.encode(masks, contexts), contexts))


def test_what_a_tensor_taught_helps_the_next_one():
    rng = np.random.default_rng(5)
    contexts = {name: rng.integers(0, 60, 500).astype(np.uint8) for name in "abcd"}
    masks = {name: rng.random(500) < found / 60 for name, found in contexts.items()}
    together = len(mask_coding.encode(masks, contexts))
    alone = sum(len(mask_coding.encode({n: masks[n]}, {n: contexts[n]})) - 7 for n in "abcd")
    assert together < alone


def test_a_full_an_empty_and_no_mask_take_almost_nothing():
    contexts = {"a": np.zeros((100, 100), np.uint8), "b": np.zeros((0, 3), np.uint8)}
    for value in (False, True):
        masks = {path: np.full(found.shape, value) for path, found in contexts.items()}
        payload = mask_coding.encode(masks, contexts)
        assert len(payload) < 40
        _same(masks, mask_coding.decode(payload, contexts))
    assert mask_coding.decode(mask_coding.encode({}, {}), {}) == {}


def test_masks_and_contexts_that_do_not_go_together_are_refused():
    masks, contexts = {"a": np.ones(3, bool)}, {"a": np.zeros(3, np.uint8)}
    for wrong, said in [
        (({"b": masks["a"]}, contexts), "masks of b"),
        (({"a": np.ones(4, bool)}, contexts), r"bool \(4,\)"),
        (({"a": np.ones(3, np.uint8)}, contexts), "uint8"),
        ((masks, {"a": np.zeros(3, np.int32)}), "int32"),
        ((masks, {"a": np.full(3, 2**14, np.uint16)}), "context of 16384"),
        ((masks, contexts, {"a": np.ones(2, bool)}), "bits to code of a"),
    ]:
        with pytest.raises(InvError, match=said):
            mask_coding.encode(*wrong)


def test_cut_foreign_and_changed_bytes_are_named_errors():
    rng = np.random.default_rng(6)
    (mask,) = _drifting(rng, 1)
    contexts = mask_contexts.nothing(_SHAPES)
    payload = mask_coding.encode(mask, contexts)
    spoilt = [payload[:cut] for cut in range(len(payload))]
    spoilt += [b"INV" + payload, payload + bytes(4), payload + b"1234", bytes(len(payload))]
    for _ in range(200):
        changed = bytearray(payload)
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        spoilt.append(bytes(changed))
    for data in spoilt:
        with pytest.raises(CorruptError) as error:
            mask_coding.decode(data, contexts)
        assert "\n" not in str(error.value)


def test_another_past_is_noticed():
    first, second, third = _drifting(np.random.default_rng(7), 3)
    past = Past.none(_SHAPES).then(first)
    payload = mask_coding.encode(third, past.then(second).contexts)
    with pytest.raises(CorruptError, match="earlier"):
        mask_coding.decode(payload, past.then(first).contexts)
