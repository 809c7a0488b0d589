"""Training rays: an epoch covers the pixels once, each with the color of its own pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry.cameras import cast_rays
from inv_jax.sampling.rays import RAYS, regions
from inv_jax.sampling.rows import ALL, DYNAMIC, STATIC
from inv_jax.types import Batch, Cameras, Places, Rays, Views

NUM_CAMS, HEIGHT, WIDTH = 3, 5, 7
NUM_PIXELS = NUM_CAMS * HEIGHT * WIDTH
BATCH = 16
STEPS = NUM_PIXELS // BATCH  # per epoch; a remainder of 9 pixels rests


def inputs(cameras: Cameras, places: Places) -> Rays:
    return cast_rays(cameras, places.cams, places.cols, places.rows)


jitted = jax.jit(RAYS.sample, static_argnums=(0, 4, 7))


def make_cameras() -> Cameras:
    """Cameras side by side, so that a ray's origin tells its camera."""
    poses = np.tile(np.eye(3, 4), (NUM_CAMS, 1, 1))
    poses[:, 0, 3] = np.arange(NUM_CAMS)
    angles = np.linspace(-0.2, 0.2, NUM_CAMS)
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angles)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angles), -np.sin(angles)
    intrinsics = np.tile(np.diag([9.0, 11.0, 1.0]), (NUM_CAMS, 1, 1))
    intrinsics[:, 0, 2] = [3.2, 3.4, 3.6]
    intrinsics[:, 1, 2] = 2.7
    return Cameras(
        jnp.asarray(poses, jnp.float32),
        jnp.asarray(intrinsics, jnp.float32),
        near=jnp.float32(0.0),
        far=jnp.float32(1.0),
        height=HEIGHT,
        width=WIDTH,
    )


def make_frame() -> Views:
    images = np.random.default_rng(0).integers(0, 256, (NUM_CAMS, HEIGHT, WIDTH, 3), np.uint8)
    return Views(jnp.asarray(images), jnp.int32(1))


def draw(
    step: int, ids=None, seed: int = 0, rays: int = BATCH, mask=None, region: str = ALL
) -> Batch:
    ids = jnp.arange(rays) if ids is None else ids
    key, frame = jax.random.key(seed), make_frame()
    if mask is not None:
        frame = frame.replace(regions=jax.tree.map(jnp.asarray, regions(mask)))
    return jitted(inputs, key, jnp.int32(step), ids, rays, frame, make_cameras(), region)


def pixels_of(batch: Batch) -> np.ndarray:
    """Camera, row and column of each ray, from its geometry alone."""
    cameras = make_cameras()
    cams = np.rint(np.asarray(batch.inputs.origins)[:, 0]).astype(int)
    rotations = np.asarray(cameras.cam_to_world)[cams, :, :3]
    local = np.einsum("nba,nb->na", rotations, np.asarray(batch.inputs.directions))
    k = np.asarray(cameras.intrinsics)[cams]
    cols = k[:, 0, 2] + k[:, 0, 0] * local[:, 0] / -local[:, 2]
    rows = k[:, 1, 2] - k[:, 1, 1] * local[:, 1] / -local[:, 2]
    pixels = np.stack([cams, np.rint(rows).astype(int), np.rint(cols).astype(int)], axis=-1)
    np.testing.assert_allclose(np.stack([rows, cols], axis=-1), pixels[:, 1:], atol=1e-4)
    return pixels


def epoch_of(number: int, seed: int = 0) -> np.ndarray:
    steps = range(number * STEPS, (number + 1) * STEPS)
    return np.concatenate([pixels_of(draw(step, seed=seed)) for step in steps])


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_visits_all_pixels_but_a_remainder_once(epoch):
    pixels = epoch_of(epoch)
    assert len(pixels) == STEPS * BATCH > NUM_PIXELS - BATCH
    assert len({tuple(pixel) for pixel in pixels}) == len(pixels)
    assert (pixels >= 0).all()
    assert (pixels < [NUM_CAMS, HEIGHT, WIDTH]).all()


def test_colors_are_those_of_the_rays_own_pixels():
    images = np.asarray(make_frame().images)
    for step in (0, 1, STEPS, 50):
        batch = draw(step)
        cams, rows, cols = pixels_of(batch).T
        expected = images[cams, rows, cols] / np.float32(255)
        np.testing.assert_allclose(batch.target, expected, rtol=1e-6)
        assert batch.target.dtype == jnp.float32


def test_the_next_epoch_has_another_order_and_rests_other_pixels():
    first, second = epoch_of(0), epoch_of(1)
    assert np.mean((first == second).all(axis=-1)) < 0.1
    left_out = [
        {tuple(p) for p in np.ndindex(NUM_CAMS, HEIGHT, WIDTH)} - {tuple(p) for p in pixels}
        for pixels in (first, second)
    ]
    assert left_out[0] != left_out[1]


def test_another_frame_key_has_another_order():
    first, second = epoch_of(0), epoch_of(0, seed=1)
    assert np.mean((first == second).all(axis=-1)) < 0.1


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_devices_together_draw_the_same_batch(num_devices):
    whole = draw(3)
    share = BATCH // num_devices
    parts = [draw(3, first + jnp.arange(share)) for first in range(0, BATCH, share)]
    together = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    np.testing.assert_array_equal(together.ids, np.arange(BATCH))
    np.testing.assert_array_equal(together.target, whole.target)
    np.testing.assert_array_equal(pixels_of(together), pixels_of(whole))
    # Programs for other numbers of rays may be rounded differently.
    np.testing.assert_allclose(
        together.inputs.directions, whole.inputs.directions, rtol=0, atol=1e-6
    )


def test_ids_address_rays_in_any_order():
    ids = jnp.array([11, 2, 2, 15])
    batch, whole = draw(4, ids), draw(4)
    np.testing.assert_array_equal(batch.ids, ids)
    np.testing.assert_array_equal(pixels_of(batch), pixels_of(whole)[np.asarray(ids)])
    np.testing.assert_array_equal(batch.target, np.asarray(whole.target)[np.asarray(ids)])


def test_steps_and_keys_are_traced():
    before = jitted._cache_size()
    for step in (0, 6, 1000):
        draw(step, seed=step, rays=5)
    assert jitted._cache_size() == before + 1


def test_a_batch_of_all_pixels_is_an_epoch():
    batch = draw(0, rays=NUM_PIXELS)
    assert len({tuple(pixel) for pixel in pixels_of(batch)}) == NUM_PIXELS


def test_more_rays_than_pixels_are_refused():
    with pytest.raises(ValueError, match=f"{NUM_PIXELS + 1} rays a step.*{NUM_PIXELS} pixels"):
        draw(0, rays=NUM_PIXELS + 1)


def test_rays_of_a_clip_start_at_their_views_camera_at_its_time():
    """Views of two times, each of all cameras but in another order."""
    images = np.random.default_rng(1).integers(0, 256, (6, HEIGHT, WIDTH, 3), np.uint8)
    cams, times = np.int32([0, 1, 2, 2, 0, 1]), np.repeat(np.float32([0.0, 0.5]), 3)
    clip = jax.tree.map(jnp.asarray, Views(images, np.int32(1), cams=cams, times=times))

    def timed(cameras: Cameras, places: Places) -> tuple[Rays, jax.Array]:
        return inputs(cameras, places), places.times

    @jax.jit
    def sample(clip: Views, cameras: Cameras) -> Batch:
        key, all_ids = jax.random.key(0), jnp.arange(2 * NUM_PIXELS)
        step, count = jnp.int32(0), 2 * NUM_PIXELS
        return RAYS.sample(timed, key, step, all_ids, count, clip, cameras, ALL)

    batch = sample(clip, make_cameras())
    rays, when = batch.inputs
    pixels = pixels_of(batch.replace(inputs=rays))
    view_of = {(cam, time): view for view, (cam, time) in enumerate(zip(cams, times, strict=True))}
    which = [view_of[cam, time] for cam, time in zip(pixels[:, 0], np.asarray(when), strict=True)]
    expected = images[which, pixels[:, 1], pixels[:, 2]] / np.float32(255)
    np.testing.assert_allclose(batch.target, expected, rtol=1e-6)
    drawn = {(view, *pixel[1:]) for view, pixel in zip(which, pixels, strict=True)}
    assert len(drawn) == 2 * NUM_PIXELS


def make_mask(num_dynamic: int) -> np.ndarray:
    """So many dynamic pixels, here and there."""
    mask = np.zeros(NUM_PIXELS, bool)
    mask[np.random.default_rng(5).permutation(NUM_PIXELS)[:num_dynamic]] = True
    return mask.reshape(NUM_CAMS, HEIGHT, WIDTH)


@pytest.mark.parametrize(("region", "wanted"), [(STATIC, False), (DYNAMIC, True)])
def test_rays_of_a_region_go_through_its_pixels_once_an_epoch(region, wanted):
    mask = make_mask(40)
    count = 40 if wanted else NUM_PIXELS - 40
    batches = [draw(step, mask=mask, region=region) for step in range(count // BATCH)]
    pixels = np.concatenate([pixels_of(batch) for batch in batches])
    assert len({tuple(pixel) for pixel in pixels}) == len(pixels)
    assert all(mask[tuple(pixel)] == wanted for pixel in pixels)
    assert all(np.all(np.asarray(batch.is_dynamic) == wanted) for batch in batches)


def test_all_rays_know_which_of_them_are_dynamic():
    mask = make_mask(40)
    batch = draw(2, mask=mask)
    np.testing.assert_array_equal(batch.is_dynamic, [mask[tuple(p)] for p in pixels_of(batch)])


def test_a_region_smaller_than_a_batch_is_drawn_over_and_over():
    mask = make_mask(5)
    for step in (0, 3):
        pixels = [tuple(pixel) for pixel in pixels_of(draw(step, mask=mask, region=DYNAMIC))]
        assert set(pixels) == {tuple(pixel) for pixel in np.argwhere(mask)}


def test_an_empty_region_stands_for_all_pixels():
    batch = draw(0, mask=make_mask(0), region=DYNAMIC)
    assert len({tuple(pixel) for pixel in pixels_of(batch)}) == BATCH
    assert not np.any(batch.is_dynamic)


def test_a_region_of_views_without_masks_is_an_error():
    with pytest.raises(ValueError, match="do not know their static pixels"):
        draw(0, region=STATIC)
