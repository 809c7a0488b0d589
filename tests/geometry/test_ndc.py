"""NDC: warping a ray and projecting its points are the same thing."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.test_util import check_grads

from inv_jax.geometry import ndc

HEIGHT, WIDTH = 30, 40
NUM = 32

warp_rays = jax.jit(ndc.warp_rays, static_argnames=("height", "width", "near_plane"))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random_rays(seed: int, num: int = NUM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forward-facing rays from around the origin, each with its own focal length."""
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(num, 3)) * 0.3
    slopes = rng.uniform(-0.7, 0.7, (num, 2))
    directions = np.c_[slopes, -np.ones(num)] * rng.uniform(0.3, 3.0, (num, 1))
    return origins, directions, rng.uniform(20.0, 60.0, num)


def warp(origins, directions, focal, near_plane=1.0) -> tuple[np.ndarray, np.ndarray]:
    size = {"height": HEIGHT, "width": WIDTH}
    warped = warp_rays(origins, directions, focal=focal, near_plane=near_plane, **size)
    return np.asarray(warped[0]), np.asarray(warped[1])


def project(points, focal, near_plane=1.0) -> np.ndarray:
    """Perspective projection with the far plane at infinity (NeRF, eqs. 8 to 11)."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack(
        [-focal / (WIDTH / 2) * x / z, -focal / (HEIGHT / 2) * y / z, 1.0 + 2.0 * near_plane / z],
        axis=-1,
    )


seeds = st.integers(0, 2**32 - 1)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(seeds, st.sampled_from([0.5, 1.0, 2.0]), st.floats(1.0, 1e4))
def test_warped_points_are_the_projected_world_points(seed, near_plane, depth_factor):
    with jax.enable_x64(True):
        origins, directions, focal = random_rays(seed)
        warped_origins, warped_directions = warp(origins, directions, focal, near_plane)
        depth = near_plane * depth_factor
        world = origins + ((-depth - origins[:, 2]) / directions[:, 2])[:, None] * directions
        # Linear in disparity: 0 on the near plane, 1 at infinity.
        distance = 1.0 - near_plane / depth
        points = warped_origins + distance * warped_directions
        expected = project(world, focal, near_plane)
        np.testing.assert_allclose(points, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("near_plane", [0.5, 1.0, 2.0])
def test_distance_zero_is_on_the_near_plane_and_one_at_infinity(near_plane):
    origins, directions, focal = random_rays(1)
    warped_origins, warped_directions = warp(origins, directions, focal, near_plane)
    np.testing.assert_allclose(warped_origins[:, 2], -1.0, rtol=1e-12)
    ends = warped_origins + warped_directions
    np.testing.assert_allclose(ends[:, 2], 1.0, rtol=1e-12)
    # At infinity only the direction counts: all parallel rays meet in one vanishing point.
    vanishing = project(directions, focal)[:, :2]
    np.testing.assert_allclose(ends[:, :2], vanishing, rtol=1e-9, atol=1e-12)


def test_frustum_becomes_the_cube():
    focal = 25.0
    for depth, z in ((1.0, -1.0), (2.0, 0.0), (4.0, 0.5)):
        for right in (-1, 1):
            for up in (-1, 1):
                corner = np.array([right * WIDTH / 2 / focal, up * HEIGHT / 2 / focal, -1.0])
                origins, directions = warp(np.zeros((1, 3)), corner[None], np.full(1, focal))
                point = (origins + (1.0 - 1.0 / depth) * directions)[0]
                np.testing.assert_allclose(point, [right, up, z], rtol=0, atol=1e-12)


def test_warp_equals_the_formulas_ray_by_ray():
    origins, directions, focal = random_rays(2)
    warped_origins, warped_directions = warp(origins, directions, focal, 1.5)
    for n in range(NUM):
        t = -(1.5 + origins[n, 2]) / directions[n, 2]
        ox, oy, oz = (origins[n, a] + t * directions[n, a] for a in range(3))
        dx, dy, dz = directions[n]
        ax, ay = -focal[n] / (WIDTH / 2), -focal[n] / (HEIGHT / 2)
        np.testing.assert_allclose(
            warped_origins[n], [ax * ox / oz, ay * oy / oz, 1 + 2 * 1.5 / oz], rtol=1e-12
        )
        np.testing.assert_allclose(
            warped_directions[n],
            [ax * (dx / dz - ox / oz), ay * (dy / dz - oy / oz), -2 * 1.5 / oz],
            rtol=1e-9,
        )


def test_every_ray_uses_its_own_focal_length():
    origins, directions, focal = random_rays(3)
    together = warp(origins, directions, focal)
    for n in range(0, NUM, 7):
        alone = warp(origins[n], directions[n], focal[n])
        np.testing.assert_allclose(together[0][n], alone[0], rtol=1e-14)
        np.testing.assert_allclose(together[1][n], alone[1], rtol=1e-14)


def test_warp_ignores_where_on_its_line_a_ray_begins_and_how_long_it_is():
    origins, directions, focal = random_rays(4)
    moved = warp(origins + 0.7 * directions, 5.0 * directions, focal)
    for ours, expected in zip(moved, warp(origins, directions, focal), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def check_warp_grads(origins, directions, focal) -> None:
    def warped(origins, directions, focal):
        return warp_rays(origins, directions, focal=focal, height=HEIGHT, width=WIDTH)

    args = tuple(map(jnp.asarray, (origins, directions, focal)))
    check_grads(warped, args, order=1, atol=1e-6, rtol=1e-6, eps=1e-6)


def test_gradients_equal_finite_differences():
    check_warp_grads(*random_rays(5, num=8))


@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0, -1.0]),  # the optical axis: every slope is zero
        ([0.3, -0.2, 0.1], [0.0, 0.0, -2.0]),  # parallel to it
        ([0.3, 0.0, -1.0], [0.5, 0.0, -1.0]),  # begins on the near plane, in the plane y = 0
        ([0.0, 0.4, -3.0], [0.0, 0.2, -1.0]),  # begins behind it, in the plane x = 0
    ],
)
def test_gradients_equal_finite_differences_on_axis_parallel_rays(origin, direction):
    origins, directions = np.array([origin]), np.array([direction])
    assert all(np.isfinite(x).all() for x in warp(origins, directions, np.full(1, 30.0)))
    check_warp_grads(origins, directions, np.full(1, 30.0))
