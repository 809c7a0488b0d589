"""Grids: interpolation, its gradient and the total variation, each against a plain loop."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import places
import pytest

from inv_jax.models import grid_optimizer, grids

read = jax.jit(grids.read)
read_all = jax.jit(grids.read_all)
roughness = jax.jit(grids.roughness_gradient, static_argnums=1)

SHAPES = pytest.mark.parametrize("shape", [(4, 3, 5), (2, 2, 2), (7, 2, 3)])


def make_level(shape, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, channels))


def make_points(shape, num: int = 60) -> np.ndarray:
    """Anywhere within the cube; on nodes, corners and faces; outside."""
    rng = np.random.default_rng(1)
    inside = rng.uniform(0, 1, (num, 3))
    nodes = np.array(list(np.ndindex(shape))) / (np.array(shape) - 1)
    faces = rng.uniform(0, 1, (12, 3))
    faces[np.arange(12), np.arange(12) % 3] = np.arange(12) % 2
    outside = rng.uniform(-1, 2, (12, 3))
    return np.concatenate([inside, nodes, faces, outside])


def corners(shape, point: np.ndarray):
    """The eight nodes around a point, and their weights, one by one."""
    last = np.array(shape) - 1
    at = np.clip(point, 0, 1) * last
    first = np.minimum(np.floor(at), last - 1)
    for offset in itertools.product((0, 1), repeat=3):
        weight = 1.0
        for axis, step in enumerate(offset):
            after = at[axis] - first[axis]
            weight *= after if step else 1 - after
        yield tuple(int(f + o) for f, o in zip(first, offset, strict=True)), weight


def loop_read(level: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Every point and corner on its own, in float64."""
    found = np.zeros((len(points), level.shape[3]))
    for n, point in enumerate(points):
        for node, weight in corners(level.shape[:3], point):
            found[n] += weight * level[node]
    return found


def loop_gradient(shape, points: np.ndarray, to_read: np.ndarray) -> np.ndarray:
    """Every corner gets its part of what its point gets."""
    found = np.zeros((*shape, to_read.shape[1]))
    for point, gradient in zip(points, to_read, strict=True):
        for node, weight in corners(shape, point):
            found[node] += weight * gradient
    return found


@SHAPES
def test_reading_is_a_loop_over_points_and_corners(shape):
    level, points = make_level(shape), make_points(shape)
    found = read(jnp.asarray(level, jnp.float32), jnp.asarray(points, jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, loop_read(level, points), rtol=1e-5, atol=1e-5)


@SHAPES
@pytest.mark.parametrize("cells", [(7, 2, 3), (1, 5, 4)])
def test_reading_cells_is_reading_at_their_centers(shape, cells):
    level = make_level(shape)
    found = jax.jit(grids.read_cells, static_argnums=1)(jnp.asarray(level, jnp.float32), cells)
    expected = loop_read(level, places.cell_centers(cells)).reshape(*cells, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_nodes_are_read_as_they_are():
    shape = (4, 3, 5)
    level, nodes = make_level(shape), np.array(list(np.ndindex(shape))) / [3, 2, 4]
    found = read(jnp.asarray(level, jnp.float32), jnp.asarray(nodes, jnp.float32))
    np.testing.assert_allclose(found, level.reshape(-1, 3), atol=1e-5)


def test_points_outside_are_read_at_the_faces():
    level, points = make_level((4, 3, 5)), np.random.default_rng(2).uniform(-2, 3, (40, 3))
    args = [jnp.asarray(x, jnp.float32) for x in (points, np.clip(points, 0, 1))]
    outside, at_faces = (read(jnp.asarray(level, jnp.float32), at) for at in args)
    np.testing.assert_array_equal(outside, at_faces)


def test_a_linear_field_is_read_as_it_is():
    axes = [np.linspace(0, 1, count) for count in (5, 4, 3)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    level = (2 * x - 3 * y + 0.5 * z + 1)[..., None]
    points = np.random.default_rng(3).uniform(0, 1, (50, 3))
    found = read(jnp.asarray(level, jnp.float32), jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(found[:, 0], points @ [2, -3, 0.5] + 1, atol=1e-5)


def test_levels_are_summed():
    shapes = [(3, 2, 4), (5, 6, 2), (2, 2, 2)]
    levels = [make_level(shape, seed=n) for n, shape in enumerate(shapes)]
    points = make_points((3, 3, 3))
    found = read_all(
        [jnp.asarray(level, jnp.float32) for level in levels], jnp.asarray(points, jnp.float32)
    )
    expected = sum(loop_read(level, points) for level in levels)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@SHAPES
def test_the_gradient_of_a_level_is_a_loop_over_points_and_corners(shape):
    level, points = make_level(shape), make_points(shape)
    to_read = np.random.default_rng(4).normal(size=(len(points), 3))

    def loss(level):
        read = grids.read(level, jnp.asarray(points, jnp.float32))
        return jnp.sum(read * jnp.asarray(to_read, jnp.float32))

    found = jax.jit(jax.grad(loss))(jnp.asarray(level, jnp.float32))
    expected = loop_gradient(shape, points, to_read)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_levels_equal_finite_differences():
    with jax.enable_x64(True):
        points, gap = jnp.asarray(make_points((3, 3, 3), num=20)), 1e-6
        levels = [jnp.asarray(make_level(shape, 2)) for shape in ((3, 2, 4), (2, 3, 2))]
        ways = [make_level(level.shape[:3], 2, seed=9) for level in levels]

        def loss(levels):
            return jnp.sum(jnp.sin(grids.read_all(levels, points)))

        run = jax.jit(jax.value_and_grad(loss))
        high, low = (
            run([level + sign * gap * way for level, way in zip(levels, ways, strict=True)])[0]
            for sign in (1, -1)
        )
        slopes = zip(run(levels)[1], ways, strict=True)
        found = sum(float((slope * way).sum()) for slope, way in slopes)
        assert found == pytest.approx(float(high - low) / (2 * gap), rel=1e-6)


# The total variation.


def penalty(level: np.ndarray, edge: float) -> float:
    """Huber's, of every pair of neighbours: quadratic up to `edge`, then a straight line."""
    total, shape = 0.0, level.shape[:3]
    for node in np.ndindex(shape):
        for axis in range(3):
            neighbour = tuple(at + (i == axis) for i, at in enumerate(node))
            if neighbour[axis] < shape[axis]:
                gaps = np.abs(level[neighbour] - level[node])
                total += np.where(gaps <= edge, gaps**2 / 2, edge * (gaps - edge / 2)).sum()
    return total


@pytest.mark.parametrize("edge", [0.05, 0.7, 20.0])
def test_the_gradient_of_the_total_variation_equals_finite_differences(edge):
    level, gap = make_level((3, 2, 4), channels=2, seed=5), 1e-5
    expected = np.zeros_like(level)
    for at in np.ndindex(level.shape):
        moved = np.zeros_like(level)
        moved[at] = gap
        expected[at] = (penalty(level + moved, edge) - penalty(level - moved, edge)) / (2 * gap)
    with jax.enable_x64(True):
        found = roughness(jnp.asarray(level), edge)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * edge)


def test_a_constant_has_no_total_variation_and_a_node_six_bounded_pulls():
    level = jnp.full((4, 3, 5, 2), 0.7)
    np.testing.assert_array_equal(roughness(level, 0.1), 0.0)
    spike = np.zeros((3, 3, 3, 1), np.float32)
    spike[1, 1, 1, 0] = 1e3
    found = np.asarray(roughness(jnp.asarray(spike), 0.1))
    assert found[1, 1, 1, 0] == pytest.approx(6 * 0.1)
    assert found[0, 1, 1, 0] == pytest.approx(-0.1)
    assert np.count_nonzero(found) == 7


def test_roughness_is_added_to_the_gradients_of_grids_alone():
    level = jnp.asarray(make_level((3, 2, 4)), jnp.float32)
    params = {"level": level, "kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    grads = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.25), params)
    rough = grid_optimizer.add_roughness(0.5, 0.2)
    found, _ = rough.update(grads, rough.init(params), params)
    expected = 0.25 + 0.5 * np.asarray(roughness(level, 0.2))
    np.testing.assert_allclose(found["level"], expected, rtol=1e-6)
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(found[name], grads[name])


def test_without_a_weight_and_where_nothing_trains_gradients_stay():
    level = jnp.asarray(make_level((3, 2, 4)), jnp.float32)
    none = grid_optimizer.add_roughness(0.0, 0.2)
    found, _ = none.update({"level": level}, none.init({"level": level}), {"level": level})
    np.testing.assert_array_equal(found["level"], level)
    frozen = {"level": level, "kernel": optax.MaskedNode()}
    rough = grid_optimizer.add_roughness(0.5, 0.2)
    found, _ = rough.update(frozen, rough.init(frozen), frozen)
    assert found["kernel"] == optax.MaskedNode()
