"""Bricks that changed: found, written and put in place as a plain loop over them would."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec.base import CorruptError
from inv_jax.textures import updates

SHAPES = [(5, 7, 9, 4), (8, 4, 4, 4), (3, 2, 5, 1)]  # z, y, x, channels


def textures(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, np.uint8) for shape in SHAPES]


def nearby(before: list[np.ndarray], seed: int, num_texels: int) -> list[np.ndarray]:
    """The same but for a few texels."""
    rng, after = np.random.default_rng(seed), [x.copy() for x in before]
    for texture in after:
        for _ in range(num_texels):
            texture[tuple(rng.integers(0, texture.shape))] ^= 1
    return after


def bricks_of(texture: np.ndarray, side: int) -> dict[int, bytes]:
    """All bricks by number, texel by texel: x fastest, then y, then z."""
    depth, height, width, _ = texture.shape
    corners = itertools.product(
        range(0, depth, side), range(0, height, side), range(0, width, side)
    )
    found = {}
    for number, (z0, y0, x0) in enumerate(corners):
        found[number] = b"".join(
            texture[z, y, x].tobytes()
            for z in range(z0, min(z0 + side, depth))
            for y in range(y0, min(y0 + side, height))
            for x in range(x0, min(x0 + side, width))
        )
    return found


@pytest.mark.parametrize("side", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("num_texels", [0, 1, 5])
def test_an_update_is_what_a_loop_over_all_bricks_finds(side, num_texels):
    before = textures(0)
    after = nearby(before, 1, num_texels)
    counts, numbers, texels = [], [], []
    for old, new in zip(before, after, strict=True):
        old_bricks, new_bricks = bricks_of(old, side), bricks_of(new, side)
        differing = [n for n, texel in new_bricks.items() if texel != old_bricks[n]]
        counts.append(len(differing))
        numbers += differing
        texels += [new_bricks[n] for n in differing]
    expected = struct.pack(f"<{len(counts) + len(numbers)}I", *counts, *numbers) + b"".join(texels)
    found = updates.encode(before, after, side)
    assert found == expected
    assert updates.num_bricks(found, len(SHAPES)) == len(numbers)


@pytest.mark.parametrize("side", [1, 3, 4, 100])
@pytest.mark.parametrize("num_texels", [0, 3, 200])
def test_an_update_makes_the_textures_behind_it_of_those_before(side, num_texels):
    before = textures(2)
    after = nearby(before, 3, num_texels)
    found = [x.copy() for x in before]
    updates.apply(found, updates.encode(before, after, side), side)
    for a, b in zip(found, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_nothing_changes_an_update_is_its_counts():
    assert updates.encode(textures(4), textures(4), 4) == bytes(4 * len(SHAPES))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "cut"),
        (lambda data: data[:7], "cut"),
        (lambda data: data[:-1], "cut"),
        (lambda data: data + b"\0", "too many"),
        (lambda data: b"\xff" * 12 + data[12:], "cut"),
        (lambda data: data[:12] + b"\xff" * 4 + data[16:], "not among"),
        (lambda data: data[:12] + data[16:20] + data[12:16] + data[20:], "rising"),
    ],
)
def test_a_damaged_update_is_refused(damage, said):
    before = textures(5)
    data = updates.encode(before, nearby(before, 6, 4), 2)
    with pytest.raises(CorruptError, match=said):
        updates.apply(before, damage(data), 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=9), st.binary(max_size=20), st.integers(1, 6))
def test_any_bytes_are_an_update_or_refused(numbers, texels, side):
    data, found = struct.pack(f"<{len(numbers)}I", *numbers) + texels, textures(7)
    try:
        updates.apply(found, data, side)
    except CorruptError:
        return
    # Bricks that it names and no others may be other ones now.
    again = updates.encode(textures(7), found, side)
    assert updates.num_bricks(again, len(SHAPES)) <= updates.num_bricks(data, len(SHAPES))
    assert len(again) <= len(data)
