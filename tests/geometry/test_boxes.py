"""Boxes: lines stay lines, distances come back, all that is far is squeezed into the margin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry import boxes
from inv_jax.geometry.boxes import AXES, MARGIN, PROJECTIVE, Box, BoxRays
from inv_jax.types import InvError, Rays

# Numbers that float32 has exactly: a box keeps its corners in it.
LOWER, UPPER, CENTER = (-0.75, -0.5, 1.5), (0.875, 0.5, 6.0), 0.5
FRONT = Box(PROJECTIVE, LOWER, UPPER, center=CENTER)
CUBE = Box(AXES, (-1.0, -0.5, -2.0), (1.0, 1.5, 0.5), near=0.5, far=7.0)
BOXES = pytest.mark.parametrize("box", [FRONT, CUBE], ids=boxes.KINDS)


in_box = jax.jit(lambda box, rays: box.rays(rays), static_argnums=0)
squeeze = jax.jit(lambda box, points: box.squeeze(points), static_argnums=0)
distance_of = jax.jit(BoxRays.distance)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def make_rays(seed: int, num: int = 9) -> Rays:
    """Rays from around the origin that go down -z, with directions of any length."""
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(num, 3)) * 0.3
    slopes = rng.uniform(-0.8, 0.8, (num, 2))
    directions = np.c_[slopes, -np.ones(num)] * rng.uniform(0.5, 2.0, (num, 1))
    viewdirs = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    bounds = np.zeros((num, 1)), np.full((num, 1), np.nan)  # those of the rays say nothing here
    return Rays(*map(jnp.asarray, (origins, directions, viewdirs, *bounds)))


def fold(points: np.ndarray) -> np.ndarray:
    """Where `FRONT` has points of the world, by its formula."""
    x, y, z = points
    away, c = CENTER - z, CENTER
    across = [(v / away - low) / (up - low) for v, low, up in zip((x, y), LOWER, UPPER)]  # noqa: B905
    first, last = 1 / (c + LOWER[2]), 1 / (c + UPPER[2])
    return np.array([*across, (first - 1 / away) / (first - last)])


def place(points: np.ndarray) -> np.ndarray:
    """Where `CUBE` has points of the world."""
    return (points - np.array(CUBE.lower)) / (np.array(CUBE.upper) - np.array(CUBE.lower))


def lines(box: Box, rays: Rays, s: float) -> np.ndarray:
    found = in_box(box, rays)
    return np.asarray(found.starts) + s * np.asarray(found.spans)


def along(rays: Rays, distance) -> np.ndarray:
    """World points of rays."""
    return np.asarray(rays.origins) + np.asarray(distance) * np.asarray(rays.directions)


# Lines.


@pytest.mark.parametrize("seed", range(4))
def test_world_points_along_a_ray_folded_lie_on_the_ray_in_the_box(seed):
    rays = make_rays(seed)
    found = in_box(FRONT, rays)
    near, far = np.asarray(found.near), np.asarray(found.far)
    away = lambda distance: CENTER - along(rays, distance)[:, 2:]  # noqa: E731
    for part in np.linspace(0.0, 1.0, 7):
        distance = near + part * (far - near)
        s = (1 / away(near) - 1 / away(distance)) / (1 / away(near) - 1 / away(far))
        expected = np.asarray(found.starts) + s * np.asarray(found.spans)
        folded = np.stack([fold(point) for point in along(rays, distance)])
        np.testing.assert_allclose(folded, expected, atol=1e-9)
        np.testing.assert_allclose(distance_of(found, jnp.asarray(s)), distance, rtol=1e-9)


@BOXES
def test_the_distance_at_a_place_of_a_ray_is_where_the_world_has_it(box):
    rays, to_box = make_rays(5), fold if box is FRONT else place
    found = in_box(box, rays)
    for s in (0.0, 0.1, 0.5, 0.93, 1.0):
        world = along(rays, distance_of(found, jnp.full((9, 1), s)))
        expected = np.stack([to_box(point) for point in world])
        np.testing.assert_allclose(lines(box, rays, s), expected, atol=1e-9)


@BOXES
def test_distances_begin_at_near_end_at_far_and_grow_between(box):
    found = in_box(box, make_rays(6))
    s = np.tile(np.linspace(0.0, 1.0, 33), (9, 1))
    distance = np.asarray(distance_of(found, jnp.asarray(s)))
    np.testing.assert_allclose(distance[:, :1], found.near)
    np.testing.assert_allclose(distance[:, -1:], found.far)
    assert (np.diff(distance, axis=-1) > 0).all()


def test_a_ray_enters_at_the_nearest_depth_and_leaves_at_the_farthest():
    rays = make_rays(7)
    np.testing.assert_allclose(lines(FRONT, rays, 0.0)[:, 2], 0.0, atol=1e-12)
    np.testing.assert_allclose(lines(FRONT, rays, 1.0)[:, 2], 1.0, atol=1e-12)
    found = in_box(FRONT, rays)
    np.testing.assert_allclose(-along(rays, found.near)[:, 2], LOWER[2])
    np.testing.assert_allclose(-along(rays, found.far)[:, 2], UPPER[2])


def test_a_ray_from_within_the_box_enters_at_its_camera():
    rays = make_rays(8)
    rays = rays.replace(origins=rays.origins - np.array([[0.0, 0.0, 3.0]]))
    found = in_box(FRONT, rays)
    np.testing.assert_array_equal(found.near, 0.0)
    expected = np.stack([fold(point) for point in np.asarray(rays.origins)])
    np.testing.assert_allclose(found.starts, expected, atol=1e-12)
    np.testing.assert_allclose(lines(FRONT, rays, 1.0)[:, 2], 1.0, atol=1e-12)


def test_rays_of_a_box_of_axes_are_the_worlds_between_its_distances():
    rays = make_rays(9)
    np.testing.assert_array_equal(in_box(CUBE, rays).bend, 1.0)
    for s, distance in ((0.0, CUBE.near), (0.25, 0.75 * 0.5 + 0.25 * 7.0), (1.0, CUBE.far)):
        expected = np.stack([place(point) for point in along(rays, distance)])
        np.testing.assert_allclose(lines(CUBE, rays, s), expected, atol=1e-12)


@pytest.mark.parametrize("z", [0.0, 0.7])
def test_a_ray_that_does_not_go_down_z_stays_finite(z):
    rays = make_rays(10)
    directions = np.array(rays.directions)
    directions[:, 2] = z
    found = in_box(FRONT, rays.replace(directions=jnp.asarray(directions)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@BOXES
def test_viewdirs_are_the_worlds_and_leading_dimensions_are_free(box):
    rays = make_rays(11)
    flat = in_box(box, rays)
    np.testing.assert_array_equal(flat.viewdirs, rays.viewdirs)
    shaped = in_box(box, jax.tree.map(lambda x: x.reshape(3, 3, -1), rays))
    for found, expected in zip(jax.tree.leaves(shaped), jax.tree.leaves(flat), strict=True):
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


# The margin.


def squeezed(values: np.ndarray, box: Box = CUBE) -> np.ndarray:
    """The first coordinate of points that have these."""
    points = np.full((len(values), 3), 0.3)
    points[:, 0] = values
    return np.asarray(squeeze(box, jnp.asarray(points)))[:, 0]


@BOXES
def test_squeezing_is_monotone_and_stays_within_the_box(box):
    values = np.concatenate([np.linspace(-30, 30, 4001), [-1e6, 1e6]])
    values.sort()
    found = squeezed(values, box)
    assert (np.diff(found) > 0).all()
    assert found.min() >= 0.0 and found.max() <= 1.0
    assert found[0] < 1e-5 and found[-1] > 1.0 - 1e-5


@BOXES
def test_squeezing_is_linear_in_the_middle_and_leaves_the_margin(box):
    values = np.linspace(0.0, 1.0, 11)
    np.testing.assert_allclose(squeezed(values, box), 0.5 + (1 - MARGIN) * (values - 0.5))


def test_squeezing_is_smooth_where_the_margin_begins():
    """In value and slope, on both sides; and alike on both ends."""
    gap = 1e-6
    for end in (0.0, 1.0):
        before, at, behind = squeezed(np.array([end - gap, end, end + gap]))
        assert (at - before) / gap == pytest.approx(1 - MARGIN, rel=1e-4)
        assert (behind - at) / gap == pytest.approx(1 - MARGIN, rel=1e-4)
    values = np.linspace(0.0, 9.0, 50)
    np.testing.assert_allclose(squeezed(0.5 + values), 1.0 - squeezed(0.5 - values), atol=1e-12)


def test_the_depth_of_a_projective_box_is_not_squeezed():
    points = jnp.asarray(np.random.default_rng(0).uniform(-1, 2, (20, 3)))
    front, cube = (np.asarray(squeeze(box, points)) for box in (FRONT, CUBE))
    np.testing.assert_array_equal(front[:, 2], points[:, 2])
    np.testing.assert_array_equal(front[:, :2], cube[:, :2])


# Gradients.


def assert_gradients(function, *args: np.ndarray) -> None:
    """Along a random way through all arguments, against finite differences."""
    ways, gap = [np.random.default_rng(9).normal(size=x.shape) for x in args], 1e-6
    run = jax.jit(lambda args, ways: jax.jvp(function, args, ways))
    ends = [
        run(tuple(x + sign * gap * way for x, way in zip(args, ways, strict=True)), tuple(ways))[0]
        for sign in (1, -1)
    ]
    found = run(args, tuple(ways))[1]
    for leaf, high, low in zip(*map(jax.tree.leaves, (found, *ends)), strict=True):
        np.testing.assert_allclose(leaf, (high - low) / (2 * gap), atol=1e-6, rtol=1e-6)


@BOXES
def test_gradients_of_rays_equal_finite_differences(box):
    rays = make_rays(12)

    def ends(origins, directions):
        found = box.rays(rays.replace(origins=origins, directions=directions))
        return found.starts, found.spans, found.near, found.far, found.bend

    assert_gradients(ends, np.asarray(rays.origins), np.asarray(rays.directions))


@BOXES
def test_gradients_of_squeezing_equal_finite_differences(box):
    points = np.random.default_rng(1).uniform(-2, 3, (30, 3))
    points[0] = 0.5  # the very middle
    assert_gradients(box.squeeze, points)


def test_gradients_of_distances_equal_finite_differences():
    found = in_box(FRONT, make_rays(13))
    s = np.random.default_rng(2).uniform(0, 1, (9, 6))

    def distance(s, near, far, bend):
        return found.replace(near=near, far=far, bend=bend).distance(s)

    assert_gradients(distance, s, *map(np.asarray, (found.near, found.far, found.bend)))


# Numbers of a config.


@BOXES
def test_a_box_comes_back_from_its_numbers(box):
    assert Box.of(box.kind, list(box.numbers)) == box


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        ("round", FRONT.numbers, "model.space='round'; choose one of projective, axes"),
        (AXES, FRONT.numbers[:8], "want nine finite numbers"),
        (AXES, (np.nan, *FRONT.numbers[1:]), "want nine finite numbers"),
        (AXES, (*FRONT.numbers[:8], np.inf), "want nine finite numbers"),
        (AXES, (*UPPER, *LOWER, 0.0, 0.0, 0.0), "lower corner is not below"),
    ],
)
def test_numbers_of_no_box_are_refused(kind, numbers, said):
    with pytest.raises(InvError, match=said):
        Box.of(kind, numbers)


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        ("projective", (-1.0, -1.0, 2.0, 1.0, 1.0, 9.0, -2.0, 0.0, 0.0), "centre of projection"),
        ("axes", (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 0.0, 3.0, 2.0), "rising"),
        ("axes", (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 0.0, -3.0, 2.0), "rising"),
    ],
)
def test_numbers_that_fold_nothing_are_refused(kind, numbers, said):
    with pytest.raises(InvError, match=said):
        Box.of(kind, numbers)
