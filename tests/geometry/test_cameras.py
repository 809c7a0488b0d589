"""Rays from pixels: the loop a reader would write, the way back, and what NDC leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.types import Cameras, Rays

HEIGHT, WIDTH = 6, 9

cast_rays = jax.jit(cameras_lib.cast_rays)


def rotation(rng: np.random.Generator, angle: float) -> np.ndarray:
    """A rotation by `angle` about a random axis (Rodrigues)."""
    x, y, z = (axis := rng.normal(size=3)) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def make_cameras(num: int = 3, angle: float = 0.3, **settings) -> Cameras:
    """Cameras that all differ: in pose, fx, fy, cx and cy."""
    rng = np.random.default_rng(7)
    poses = [np.c_[rotation(rng, angle), rng.normal(size=3) * 0.2] for _ in range(num)]
    intrinsics = np.tile(np.eye(3), (num, 1, 1))
    intrinsics[:, 0, 0] = rng.uniform(8, 12, num)
    intrinsics[:, 1, 1] = rng.uniform(13, 16, num)
    intrinsics[:, 0, 2] = WIDTH / 2 + rng.uniform(-1, 1, num)
    intrinsics[:, 1, 2] = HEIGHT / 2 + rng.uniform(-1, 1, num)
    return Cameras(
        cam_to_world=jnp.asarray(np.stack(poses), jnp.float32),
        intrinsics=jnp.asarray(intrinsics, jnp.float32),
        near=jnp.float32(0.25),
        far=jnp.float32(1.5),
        height=HEIGHT,
        width=WIDTH,
        **settings,
    )


def all_pixels(num_cams: int) -> list[np.ndarray]:
    """Camera, column and row of every pixel of every camera."""
    cams, rows, cols = np.meshgrid(
        np.arange(num_cams), np.arange(HEIGHT), np.arange(WIDTH), indexing="ij"
    )
    return [x.reshape(-1).astype(np.int32) for x in (cams, cols, rows)]


def cast_all(cameras: Cameras) -> tuple[Rays, list[np.ndarray]]:
    pixels = all_pixels(cameras.num_cams)
    return cast_rays(cameras, *pixels), pixels


def pixel_ray(cameras: Cameras, cam: int, col: float, row: float) -> tuple[np.ndarray, np.ndarray]:
    """Origin and direction through one image point, entry by entry in float64."""
    pose = np.asarray(cameras.cam_to_world[cam], np.float64)
    k = np.asarray(cameras.intrinsics[cam], np.float64)
    local = [(col - k[0, 2]) / k[0, 0], -(row - k[1, 2]) / k[1, 1], -1.0]
    direction = np.array([sum(pose[a, b] * local[b] for b in range(3)) for a in range(3)])
    return pose[:, 3], direction


@pytest.mark.parametrize("pixel_center", [0.0, 0.5])
def test_rays_equal_a_loop_over_pixels(pixel_center):
    cameras = make_cameras(pixel_center=pixel_center)
    rays, pixels = cast_all(cameras)
    for n, (cam, col, row) in enumerate(zip(*pixels, strict=True)):
        origin, direction = pixel_ray(cameras, cam, col + pixel_center, row + pixel_center)
        np.testing.assert_allclose(rays.origins[n], origin, rtol=1e-6)
        np.testing.assert_allclose(rays.directions[n], direction, rtol=0, atol=1e-6)
        unit = direction / np.sqrt((direction**2).sum())
        np.testing.assert_allclose(rays.viewdirs[n], unit, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pixel_center", [0.0, 0.5])
def test_pixels_survive_the_way_to_a_ray_and_back(pixel_center):
    cameras = make_cameras(num=4, angle=2.0, pixel_center=pixel_center)
    rays, (cams, cols, rows) = cast_all(cameras)
    distances = np.random.default_rng(0).uniform(0.5, 20.0, (len(cams), 1))
    points = np.asarray(rays.origins) + distances * np.asarray(rays.directions)
    pose = np.asarray(cameras.cam_to_world)[cams]
    local = np.einsum("nba,nb->na", pose[:, :, :3], points - pose[:, :, 3])
    k = np.asarray(cameras.intrinsics)[cams]
    found_cols = k[:, 0, 2] + k[:, 0, 0] * local[:, 0] / -local[:, 2] - pixel_center
    found_rows = k[:, 1, 2] - k[:, 1, 1] * local[:, 1] / -local[:, 2] - pixel_center
    np.testing.assert_allclose(found_cols, cols, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found_rows, rows, rtol=0, atol=1e-4)


def test_distance_along_a_ray_is_depth():
    cameras = make_cameras()
    rays, (cams, _, _) = cast_all(cameras)
    optical_axis = -np.asarray(cameras.cam_to_world)[cams][:, :, 2]
    along = np.sum(np.asarray(rays.directions) * optical_axis, axis=-1)
    np.testing.assert_allclose(along, 1.0, rtol=1e-6)


def test_half_a_pixel_is_a_shift_of_the_principal_point():
    shifted = make_cameras()
    k = shifted.intrinsics.at[:, :2, 2].add(-0.5)
    ours, _ = cast_all(make_cameras(pixel_center=0.5))
    twin, _ = cast_all(shifted.replace(intrinsics=k))
    np.testing.assert_allclose(ours.directions, twin.directions, rtol=0, atol=1e-6)


def test_principal_ray_runs_along_the_optical_axis():
    cameras = make_cameras(num=1)
    k = cameras.intrinsics.at[0, :2, 2].set(jnp.array([4.0, 3.0]))
    cameras = cameras.replace(intrinsics=k)
    rays = cast_rays(cameras, *map(np.int32, (0, 4, 3)))
    np.testing.assert_allclose(rays.directions, -cameras.cam_to_world[0, :, 2], rtol=0, atol=1e-7)


def test_view_directions_are_unit_and_the_same_with_ndc():
    world, _ = cast_all(make_cameras(ndc=False))
    warped, _ = cast_all(make_cameras(ndc=True))
    np.testing.assert_allclose(np.linalg.norm(world.viewdirs, axis=-1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(world.viewdirs, warped.viewdirs)
    assert not np.allclose(world.directions, warped.directions)


def test_ndc_warps_with_each_cameras_own_fx():
    cameras = make_cameras(ndc=True)
    rays, pixels = cast_all(cameras)
    for n, (cam, col, row) in enumerate(zip(*pixels, strict=True)):
        (ox, oy, oz), (dx, dy, dz) = pixel_ray(cameras, cam, col, row)
        fx = float(cameras.intrinsics[cam, 0, 0])
        to_plane = -(1.0 + oz) / dz
        ox, oy, oz = ox + to_plane * dx, oy + to_plane * dy, oz + to_plane * dz
        origin = [-fx / (WIDTH / 2) * ox / oz, -fx / (HEIGHT / 2) * oy / oz, 1 + 2 / oz]
        direction = [
            -fx / (WIDTH / 2) * (dx / dz - ox / oz),
            -fx / (HEIGHT / 2) * (dy / dz - oy / oz),
            -2 / oz,
        ]
        np.testing.assert_allclose(rays.origins[n], origin, rtol=0, atol=2e-5)
        np.testing.assert_allclose(rays.directions[n], direction, rtol=0, atol=2e-5)


def test_bounds_are_the_cameras_on_every_ray():
    rays, (cams, _, _) = cast_all(make_cameras(ndc=True))
    np.testing.assert_array_equal(rays.near, np.full((len(cams), 1), 0.25, np.float32))
    np.testing.assert_array_equal(rays.far, np.full((len(cams), 1), 1.5, np.float32))


@pytest.mark.parametrize("as_array", [False, True])
def test_image_rays_are_the_rays_of_its_pixels(as_array):
    cameras = make_cameras()
    flat, (cams, _, _) = cast_all(cameras)
    image = cameras_lib.image_rays(cameras, jnp.int32(1) if as_array else 1)
    assert image.directions.shape == (HEIGHT, WIDTH, 3)
    for name in ("origins", "directions", "viewdirs", "near", "far"):
        ours, twin = getattr(image, name), np.asarray(getattr(flat, name))[cams == 1]
        np.testing.assert_allclose(ours, twin.reshape(ours.shape), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_leading_dimensions_are_free(shape):
    pixels = [jnp.ones(shape, jnp.int32)] * 3
    rays = jax.eval_shape(cameras_lib.cast_rays, make_cameras(ndc=True), *pixels)
    assert rays.origins.shape == rays.directions.shape == rays.viewdirs.shape == (*shape, 3)
    assert rays.near.shape == rays.far.shape == (*shape, 1)


def test_taken_cameras_cast_the_same_rays():
    cameras = make_cameras(num=4)
    order = jnp.array([2, 0, 3])
    cols, rows = np.array([1, 5, 8]), np.array([0, 2, 5])
    taken = cast_rays(cameras.take(order), np.arange(3), cols, rows)
    jax.tree.map(np.testing.assert_array_equal, taken, cast_rays(cameras, order, cols, rows))


def test_gradients_of_directions_equal_finite_differences():
    with jax.enable_x64(True):
        cols, rows = jnp.array([0.0, 4.5, 9.0]), jnp.array([6.0, 3.0, 0.0])
        # The middle pixel lies on the principal point.
        intrinsics = jnp.array([[10.0, 0.0, 4.5], [0.0, 12.0, 3.0], [0.0, 0.0, 1.0]])
        intrinsics = jnp.tile(intrinsics, (3, 1, 1))
        args = cols, rows, intrinsics
        directions = jax.jit(cameras_lib.pixel_directions)
        check_grads(directions, args, order=1, atol=1e-6, rtol=1e-6, eps=1e-6)
