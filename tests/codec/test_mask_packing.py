"""Packed masks are the original's, integer for integer, and come back from whole bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import mask_packing
from inv_jax.codec.base import CorruptError
from inv_jax.types import InvError

_TENSORS = ("stem.mlp_fc1.weight", "layers.0.conv.conv.weight")
_SESSIONS = 9
_GROUPS = [(bits, first) for bits in (2, 4, 7) for first in range(0, _SESSIONS, bits)]
_SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def golden(parity):
    with np.load(parity / "pfnr" / "mask_coding.npz") as arrays:
        return dict(arrays)


def _shapes(masks):
    return tuple((path, mask.shape) for path, mask in masks.items())


def _group(rng: np.random.Generator, sessions: int) -> list[dict[str, np.ndarray]]:
    shapes = {"a": (3, 50), "b": (7,), "c": (2, 2, 5, 9)}
    share = rng.random()
    return [{p: rng.random(s) < share for p, s in shapes.items()} for _ in range(sessions)]


def _read_plainly(payload: bytes, sizes: list[int]) -> list[list[int]]:
    """Integers as the module's docstring says: one bit after another."""
    flat, at, found = "".join(f"{byte:08b}" for byte in payload[5:]), 0, []
    count = 2 ** (payload[0] - 0xA0)
    for size in sizes:
        width, at = int(flat[at : at + 6], 2), at + 6
        lengths = [int(flat[at + i * width : at + (i + 1) * width], 2) for i in range(count)]
        at += count * width
        words, word, last = {}, 0, 0
        for length, value in sorted((n, v) for v, n in enumerate(lengths) if n):
            word, last = word << length - last, length
            words[f"{word:0{length}b}"], word = value, word + 1
        found.append([])
        for _ in range(size):
            end = at + 1
            while flat[at:end] not in words:
                end += 1
            found[-1].append(words[flat[at:end]])
            at = end
        assert "1" not in flat[at : at + -at % 8]
        at += -at % 8
    assert at == len(flat)
    return found


@pytest.mark.parametrize("bits, first", _GROUPS)
def test_integers_and_bits_of_words_are_the_originals(golden, bits, first):
    sessions = range(first, min(first + bits, _SESSIONS))
    for tensor in _TENSORS:
        masks = [golden[f"mask/{session}/{tensor}"].astype(bool) for session in sessions]
        name = f"packed/bits{bits}/group{first}/{tensor}"
        packed = mask_packing.pack(masks)
        np.testing.assert_array_equal(packed, golden[name])
        for there, back in zip(masks, mask_packing.unpack(packed, len(masks)), strict=True):
            np.testing.assert_array_equal(back, there)
        words, table = mask_packing.bits(packed, len(masks))
        assert words == golden[f"{name}/huff_total_bits"]
        assert len(mask_packing.encode([{tensor: mask} for mask in masks])) == (
            5 + -(-(words + table) // 8)
        )


@settings(max_examples=40, deadline=None)
@given(_SEEDS, st.integers(1, 8))
def test_masks_come_back_and_the_bytes_are_what_is_said_of_them(seed, sessions):
    group = _group(np.random.default_rng(seed), sessions)
    payload = mask_packing.encode(group)
    back = mask_packing.decode(payload, _shapes(group[0]))
    assert len(back) == sessions
    for there, here in zip(group, back, strict=True):
        assert there.keys() == here.keys()
        for path, mask in there.items():
            np.testing.assert_array_equal(here[path], mask)
    plain = _read_plainly(payload, [mask.size for mask in group[0].values()])
    for path, integers in zip(group[0], plain, strict=True):
        packed = mask_packing.pack([masks[path] for masks in group])
        np.testing.assert_array_equal(packed.ravel(), integers)


def test_a_hand_made_group_takes_these_bytes():
    first, second = np.array([1, 0, 0, 0, 1], bool), np.array([1, 0, 0, 0, 0], bool)
    # Integers 3 0 0 0 1: words of 0, 1, 3 are 0, 10, 11; their lengths 1 2 0 2 take 2 bits each.
    payload = mask_packing.encode([{"a": first}, {"a": second}])
    assert payload[0] == 0xA2
    assert "".join(f"{byte:08b}" for byte in payload[5:]) == (
        "000010" + "01100010" + "1100010" + "000"
    )


@pytest.mark.parametrize("value", [False, True])
def test_a_single_integer_has_a_word_of_one_bit(value):
    masks = {"a": np.full((4, 6), value)}
    payload = mask_packing.encode([masks] * 3)
    packed = mask_packing.pack([masks["a"]] * 3)
    assert mask_packing.bits(packed, 3) == (24, 6 + 8)
    (back, *_) = mask_packing.decode(payload, _shapes(masks))
    np.testing.assert_array_equal(back["a"], masks["a"])


def test_words_may_go_over_the_bits_that_are_looked_at_together(monkeypatch):
    monkeypatch.setattr(mask_packing, "_AT_ONCE", 64)
    group = _group(np.random.default_rng(5), 7)
    back = mask_packing.decode(mask_packing.encode(group), _shapes(group[0]))
    for there, here in zip(group, back, strict=True):
        for path, mask in there.items():
            np.testing.assert_array_equal(here[path], mask)


def test_words_of_rare_integers_are_long_and_come_back():
    counts = [1, 1]
    while len(counts) < 20:
        counts.append(counts[-1] + counts[-2])  # Fibonacci's numbers: the longest words there are
    packed = np.random.default_rng(0).permutation(np.repeat(np.arange(20, dtype=np.uint8), counts))
    masks = [{"a": mask} for mask in mask_packing.unpack(packed, 5)]
    back = mask_packing.decode(mask_packing.encode(masks), (("a", packed.shape),))
    np.testing.assert_array_equal(mask_packing.pack([one["a"] for one in back]), packed)


def test_groups_that_do_not_go_together_are_refused():
    one = np.ones(3, bool)
    for group, said in [
        ([], "0 masks"),
        ([{"a": one}] * 9, "9 masks"),
        ([{"a": one}, {"b": one}], "other tensors"),
        ([{"a": one}, {"a": np.ones(4, bool)}], r"\(4,\)"),
        ([{"a": np.ones(3, np.uint8)}], "uint8"),
    ]:
        with pytest.raises(InvError, match=said):
            mask_packing.encode(group)


def test_cut_and_foreign_bytes_are_named_errors():
    group = _group(np.random.default_rng(1), 4)
    payload, shapes = mask_packing.encode(group), _shapes(group[0])
    for cut in range(len(payload)):
        with pytest.raises(CorruptError) as error:
            mask_packing.decode(payload[:cut], shapes)
        assert "\n" not in str(error.value)
    for wrong in (shapes[:2], shapes[::-1], (("a", (10**12,)),), (*shapes, ("d", (90,)))):
        with pytest.raises(CorruptError):
            mask_packing.decode(payload, wrong)
    with pytest.raises(CorruptError, match="these are none"):
        mask_packing.decode(b"INV" + payload, shapes)


def test_changed_bytes_are_named_errors():
    rng = np.random.default_rng(2)
    group = _group(rng, 3)
    payload, shapes = mask_packing.encode(group), _shapes(group[0])
    refused = 0
    for _ in range(300):
        spoilt = bytearray(payload)
        spoilt[rng.integers(len(spoilt))] ^= 1 << rng.integers(8)
        try:
            back = mask_packing.decode(bytes(spoilt), shapes)
        except CorruptError:
            refused += 1
        else:  # a zero behind a tensor's words
            assert all((a[p] == b[p]).all() for a, b in zip(group, back, strict=True) for p in a)
    assert refused > 250
