"""The guide: look-ups, weights and samples, each against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import places
import pytest

from inv_jax.models import guide

NUM, PARTS, COUNT = 5, 7, 4

look_up, weights = jax.jit(guide.look_up), jax.jit(guide.weights)
edges_of = jax.jit(guide.edges, static_argnums=(1, 2))
probes = jax.jit(guide.probes, static_argnums=0)


def make_density(scale: float = 8.0) -> np.ndarray:
    """Rays of PARTS densities, from nearly nothing to opaque."""
    drawn = np.random.default_rng(0).uniform(0, 1, (NUM, PARTS)) ** 3
    return (scale * drawn * np.array([0.01, 1, 3, 10, 100])[:, None]).astype(np.float32)


def make_keys(seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), NUM)


def loop_weights(density: np.ndarray) -> np.ndarray:
    """Of one ray: what ends in each part, and half of it in the part itself."""
    light, ends = 1.0, []
    for one in density:
        stays = np.exp(-one / len(density))
        ends.append(light * (1 - stays))
        light *= stays
    blurred = np.zeros(len(ends))
    for part, end in enumerate(ends):
        for neighbour, share in ((part - 1, 0.25), (part, 0.5), (part + 1, 0.25)):
            if 0 <= neighbour < len(ends):
                blurred[neighbour] += share * end
    return blurred


def distribution(found: np.ndarray, even: float) -> np.ndarray:
    """Cumulative, at the borders of the parts; with the floors that empty parts have."""
    found = found + 1e-5
    share = (1 - even) * found / found.sum() + even / len(found) + 1e-5
    return np.concatenate([[0.0], np.cumsum(share / share.sum())])


def test_a_look_up_is_the_cell_that_a_point_is_in():
    densities = np.random.default_rng(1).normal(size=(4, 3, 5)).astype(np.float32)
    points = np.random.default_rng(2).uniform(0, 1, (6, 8, 3)).astype(np.float32)
    points[0] = 0.0
    points[1] = 1.0
    points[2, :, 1] = 1.0
    found = np.asarray(look_up(jnp.asarray(densities), jnp.asarray(points)))
    for at in np.ndindex(6, 8):
        cell = tuple(
            min(int(np.float32(x) * count), count - 1)
            for x, count in zip(points[at], densities.shape, strict=True)
        )
        assert found[at] == densities[cell]


def test_cells_are_looked_up_at_their_centers():
    shape = (4, 3, 5)
    densities = np.arange(60, dtype=np.float32).reshape(shape)
    found = look_up(jnp.asarray(densities), jnp.asarray(places.cell_centers(shape)))
    np.testing.assert_array_equal(found, np.arange(60))


def test_weights_are_a_loop_over_the_parts_of_a_ray():
    density = make_density()
    found = np.asarray(weights(jnp.asarray(density)))
    for row, expected in zip(found, density, strict=True):
        np.testing.assert_allclose(row, loop_weights(expected.astype(float)), rtol=1e-5, atol=1e-6)
    assert (found >= 0).all() and (found.sum(-1) <= 1 + 1e-6).all()


@pytest.mark.parametrize("even", [0.05, 0.2, 1.0])
def test_edges_hold_equal_parts_of_the_weights(even):
    """The inverse of the distribution at even places of it, ray by ray."""
    found = weights(jnp.asarray(make_density()))
    edges = np.asarray(edges_of(found, COUNT, even, None))
    assert edges.shape == (NUM, COUNT + 1)
    for ray in range(NUM):
        borders = distribution(np.asarray(found[ray], float), even)
        wanted = np.arange(COUNT + 1) / COUNT
        expected = [np.interp(u, borders, np.linspace(0, 1, PARTS + 1)) for u in wanted]
        np.testing.assert_allclose(edges[ray], expected, atol=1e-5)


@pytest.mark.parametrize("keys", [None, make_keys()], ids=["evaluation", "training"])
def test_edges_are_sorted_and_within_the_ray(keys):
    edges = np.asarray(edges_of(weights(jnp.asarray(make_density())), COUNT, 0.1, keys))
    assert (np.diff(edges, axis=-1) >= 0).all()
    assert edges.min() >= 0.0 and edges.max() <= 1.0 + 1e-6
    if keys is None:
        np.testing.assert_allclose(edges[:, [0, -1]], [[0, 1]] * NUM, atol=1e-5)


def test_edges_move_by_half_an_intervals_weight_in_training():
    found = np.asarray(weights(jnp.asarray(make_density())))
    moves = []
    for seed in range(20):
        edges = np.asarray(edges_of(jnp.asarray(found), COUNT, 0.2, make_keys(seed)))
        for ray in range(NUM):
            borders = distribution(found[ray].astype(float), 0.2)
            places = np.interp(edges[ray], np.linspace(0, 1, PARTS + 1), borders)
            moves.append(places * COUNT - np.arange(COUNT + 1))
    inner = np.array(moves)[:, 1:-1]
    assert np.abs(inner).max() <= 0.5 + 1e-3
    assert inner.min() < -0.4 and inner.max() > 0.4
    assert abs(inner.mean()) < 0.1


def test_all_parts_are_looked_at_where_nothing_is_found():
    edges = edges_of(jnp.zeros((NUM, PARTS)), COUNT, 0.2, None)
    np.testing.assert_allclose(edges, [np.linspace(0, 1, COUNT + 1)] * NUM, atol=1e-5)


def test_a_wall_draws_the_samples():
    density = np.zeros((1, 20), np.float32)
    density[0, 12:14] = 1e4
    edges = np.asarray(edges_of(weights(jnp.asarray(density)), 10, 0.2, None))[0]
    at_wall = (edges > 10.9 / 20) & (edges < 14.1 / 20)
    assert at_wall.sum() >= 7


def test_probes_are_the_middles_of_even_parts_moved_together():
    middles = (np.arange(PARTS) + 0.5) / PARTS
    np.testing.assert_allclose(probes(PARTS, None), [middles], rtol=1e-6)
    moved = np.asarray(probes(PARTS, make_keys())) - middles
    np.testing.assert_allclose(moved, moved[:, :1].repeat(PARTS, 1), atol=1e-6)
    assert len(set(moved[:, 0].tolist())) == NUM
    assert np.abs(moved).max() <= 0.5 / PARTS


def test_rays_depend_on_their_own_key_alone():
    found = weights(jnp.asarray(make_density()))
    order = np.array([3, 0, 4, 4, 1])
    keys = make_keys()
    whole = np.asarray(edges_of(found, COUNT, 0.2, keys))
    some = edges_of(found[order], COUNT, 0.2, keys[order])
    np.testing.assert_array_equal(some, whole[order])
    alone = probes(PARTS, keys)
    np.testing.assert_array_equal(probes(PARTS, keys[order]), np.asarray(alone)[order])
