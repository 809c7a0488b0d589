"""The computed shuffle: a bijection for every length, that looks like a random one."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from inv_jax.sampling.permutation import permute

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025]
META_PIXELS = 20 * 1014 * 1352  # 27 million: the training cameras of a META capture

jitted = jax.jit(permute, static_argnums=2)
traced_jitted = jax.jit(permute)


@functools.cache
def shuffled(seed: int, num: int) -> np.ndarray:
    return np.asarray(jitted(jax.random.key(seed), jnp.arange(num), num))


@pytest.mark.parametrize("num", LENGTHS)
def test_every_item_occurs_once(num):
    items = shuffled(0, num)
    assert items.dtype == np.int32
    np.testing.assert_array_equal(np.sort(items), np.arange(num))


@hypothesis.settings(max_examples=6, deadline=None)
@hypothesis.given(st.integers(1, 5000), st.integers(0, 2**31 - 1))
def test_every_item_occurs_once_for_any_length_and_key(num, seed):
    items = jitted(jax.random.key(seed), jnp.arange(num), num)
    np.testing.assert_array_equal(np.sort(items), np.arange(num))


@pytest.mark.parametrize("num", [META_PIXELS, 2**24, 2**24 + 1, 2**31 - 1])
def test_slices_of_long_sequences_hold_distinct_valid_items(num):
    places = np.concatenate([start + np.arange(20_000) for start in (0, num // 2, num - 20_000)])
    places = jnp.asarray(places.astype(np.int32))
    items = np.asarray(jitted(jax.random.key(3), places, num))
    assert items.min() >= 0
    assert items.max() < num
    assert len(np.unique(items)) == 60_000
    # Neighbouring places lie far apart, all over the sequence.
    counts = np.bincount((items.astype(np.int64) * 100) // num, minlength=100)
    assert np.sum((counts - 600.0) ** 2 / 600.0) < 99 + 6 * np.sqrt(2 * 99)


def test_equal_keys_shuffle_equally_and_other_keys_differently():
    places = jnp.arange(257)
    first = jitted(jax.random.key(1), places, 257)
    np.testing.assert_array_equal(first, jitted(jax.random.key(1), places, 257))
    # A random shuffle has one item in its old place on average.
    for seed in (2, 3, 4):
        assert np.sum(first == jitted(jax.random.key(seed), places, 257)) < 12
    assert np.sum(np.asarray(first) == np.arange(257)) < 12


def test_an_item_depends_on_its_own_place_alone():
    whole = shuffled(5, 1000)
    places = jnp.array([[999, 0, 17], [3, 3, 500]])
    np.testing.assert_array_equal(
        jitted(jax.random.key(5), places, 1000), whole[np.asarray(places)]
    )
    assert jitted(jax.random.key(5), jnp.int32(17), 1000) == whole[17]


def test_keys_can_be_traced():
    def epoch(key: jax.Array, number: jax.Array) -> jax.Array:
        return permute(jax.random.fold_in(key, number), jnp.arange(100), 100)

    key = jax.random.key(0)
    mapped = jax.jit(jax.vmap(epoch, in_axes=(None, 0)))(key, jnp.arange(5))
    for number in range(5):
        alone = jitted(jax.random.fold_in(key, number), jnp.arange(100), 100)
        np.testing.assert_array_equal(mapped[number], alone)
    assert len({tuple(row) for row in np.asarray(mapped)}) == 5


@functools.cache
def many(num: int, num_keys: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(11), num_keys)
    draw = jax.jit(jax.vmap(lambda key: permute(key, jnp.arange(num), num)))
    return np.asarray(draw(keys))


@pytest.mark.parametrize("num", [3, 5, 16, 23])
def test_every_item_is_equally_likely_at_every_place(num):
    num_keys = 4000
    items = many(num, num_keys)
    counts = np.stack([np.bincount(items[:, place], minlength=num) for place in range(num)])
    expected = num_keys / num
    chi_square = np.sum((counts - expected) ** 2 / expected)
    freedom = (num - 1) ** 2  # rows and columns of the table have fixed sums
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("num", [4, 7, 16])
def test_neighbouring_places_are_independent(num):
    num_keys = 4000
    items = many(num, num_keys)
    pairs = np.bincount(items[:, 0] * num + items[:, 1], minlength=num * num)
    pairs = pairs.reshape(num, num)[~np.eye(num, dtype=bool)]
    expected = num_keys / len(pairs)
    freedom = len(pairs) - 1
    chi_square = np.sum((pairs - expected) ** 2 / expected)
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)


def test_one_shuffle_mixes_places_and_items():
    num = 4096
    places, items = np.arange(num), shuffled(2, num)
    assert abs(np.corrcoef(places, items)[0, 1]) < 5 / np.sqrt(num)
    assert abs(np.corrcoef(items[:-1], items[1:])[0, 1]) < 5 / np.sqrt(num)
    # Each sixteenth of the sequence draws evenly from each sixteenth of the items.
    counts = np.bincount((places // 256) * 16 + items // 256, minlength=256)
    freedom = 15 * 15
    assert np.sum((counts - 16.0) ** 2 / 16.0) < freedom + 6 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("num", LENGTHS)
def test_a_traced_length_gives_the_same(num):
    traced = traced_jitted(jax.random.key(0), jnp.arange(1025), jnp.int32(num))
    np.testing.assert_array_equal(traced[:num], shuffled(0, num))
