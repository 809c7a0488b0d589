"""The box of a rig: it is filled by what the cameras see, and what cannot be is said by name."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry import boxes
from inv_jax.geometry.boxes import AXES, PROJECTIVE, Box
from inv_jax.types import Cameras, InvError, Rays


def cameras_at(poses: np.ndarray, focal: float = 30.0) -> Cameras:
    """Cameras of 24x16 pixels."""
    intrinsics = np.tile([[focal, 0, 12.0], [0, focal, 8.0], [0, 0, 1]], (len(poses), 1, 1))
    arrays = (np.asarray(x, np.float32) for x in (poses, intrinsics))
    return Cameras(*arrays, np.float32(0), np.float32(1), height=16, width=24)


def facing_front() -> Cameras:
    """Nine cameras in a square that look down -z."""
    poses = np.tile(np.eye(3, 4), (9, 1, 1))
    poses[:, 0, 3], poses[:, 1, 3] = np.repeat([-0.4, 0, 0.4], 3), np.tile([-0.3, 0, 0.3], 3)
    return cameras_at(poses)


def looking_inwards(target: np.ndarray, count: int = 9, away: float = 3.0) -> Cameras:
    """Cameras on a circle around a point, somewhat above it."""
    poses = np.zeros((count, 3, 4))
    for pose, angle in zip(poses, np.arange(count) * 2 * np.pi / count, strict=True):
        back = np.array([np.sin(angle), 0.3, np.cos(angle)])
        back /= np.linalg.norm(back)
        right = np.cross([0, 1, 0], back)
        right /= np.linalg.norm(right)
        pose[:] = np.stack([right, np.cross(back, right), back, target + away * back], axis=-1)
    return cameras_at(poses)


TARGET = np.array([0.5, -0.25, 1.0])
BOUNDS = np.tile([[2.0, 9.0]], (9, 1))


def places_seen(box: Box, cameras: Cameras) -> np.ndarray:
    """Anywhere on random rays, in the box before it is squeezed."""
    rng, pose = np.random.default_rng(3), np.asarray(cameras.cam_to_world, np.float64)
    slopes = rng.uniform(-1, 1, (len(pose), 200, 2)) * [12 / 30, 8 / 30]
    local = np.concatenate([slopes, -np.ones((len(pose), 200, 1))], axis=-1)
    directions = np.einsum("nij,nkj->nki", pose[:, :, :3], local)
    origins = np.broadcast_to(pose[:, None, :, 3], directions.shape)
    empty = np.zeros((len(pose), 200, 1))
    rays = Rays(*map(jnp.asarray, (origins, directions, directions, empty, empty)))
    found = jax.jit(box.rays)(rays)
    s = rng.uniform(0, 1, empty.shape)
    return (np.asarray(found.starts) + s * np.asarray(found.spans)).reshape(-1, 3)


def test_cameras_that_face_one_way_get_a_projective_box_that_they_fill():
    box = boxes.fit(facing_front(), BOUNDS)
    assert box.kind == PROJECTIVE
    assert (box.lower[2], box.upper[2]) == pytest.approx((2.0, 9.0), rel=0.02)
    seen = places_seen(box, facing_front())
    inside = ((seen >= -1e-5) & (seen <= 1 + 1e-5)).all(axis=-1)
    assert inside.mean() > 0.95
    low, high = np.percentile(seen, [5, 95], axis=0)
    assert (low < 0.25).all() and (high > 0.75).all()


def test_cameras_that_look_inwards_get_a_cube_around_what_they_look_at():
    box = boxes.fit(looking_inwards(TARGET), BOUNDS)
    assert box.kind == AXES
    np.testing.assert_allclose(np.add(box.lower, box.upper) / 2, TARGET, atol=1e-5)
    np.testing.assert_allclose(np.subtract(box.upper, box.lower), 2 * 3.0, rtol=1e-5)
    assert (box.near, box.far) == (0.9 * 2.0, 9.0)


def test_a_kind_that_is_asked_for_is_taken_where_it_can_be():
    assert boxes.fit(facing_front(), BOUNDS, PROJECTIVE).kind == PROJECTIVE
    with pytest.raises(InvError, match=r"some look away .* set model\.space='axes'"):
        boxes.fit(looking_inwards(TARGET), BOUNDS, PROJECTIVE)


@pytest.mark.parametrize(
    "bounds", [(0.0, 9.0), (-1.0, 9.0), (2.0, np.inf), (np.nan, 9.0), (9.0, 2.0), (3.0, 3.0)]
)
def test_depths_that_are_none_are_refused(bounds):
    with pytest.raises(InvError, match=r"the capture's depths are .* poses_bounds\.npy"):
        boxes.fit(facing_front(), np.tile([bounds], (9, 1)))


def test_a_camera_that_misses_the_box_is_named():
    cameras = looking_inwards(TARGET)
    poses = np.array(cameras.cam_to_world)
    poses[5, :, 3] += 9.0 * poses[5, :, 0]  # as it looks, but far aside
    with pytest.raises(
        InvError, match=r"0% of the rays of training camera 5 meet the box model\.space=axes"
    ):
        boxes.fit(cameras.replace(cam_to_world=poses), BOUNDS)


def test_cameras_in_one_place_have_no_box():
    with pytest.raises(InvError, match=r"all 9 training cameras are within .* of one place"):
        boxes.fit(looking_inwards(TARGET, away=0.0), BOUNDS)


def test_a_camera_that_sees_what_no_other_sees_is_named():
    cameras = facing_front()
    poses = np.array(cameras.cam_to_world)
    poses[4, 0, 3] += 100.0
    with pytest.raises(
        InvError, match=r"0% of what training camera east sees, at depths of 2 to 9"
    ):
        boxes.fit(cameras.replace(cam_to_world=poses), BOUNDS, names=[*"abcd", "east", *"fghi"])


def test_cameras_that_look_away_from_each_other_are_told_a_box_to_try():
    cameras = looking_inwards(TARGET, away=-0.5)
    with pytest.raises(
        InvError, match=r"9 of the 9 .* model\.box=-8\.5,-9\.394,-8,9\.5,8\.606,10,0,1\.8,9"
    ):
        boxes.fit(cameras, BOUNDS)


def test_a_box_whose_distances_end_in_front_of_it_is_not_met():
    box = Box(AXES, (-4.0, -4.0, -24.0), (4.0, 4.0, -16.0), near=1.0, far=15.0)
    with pytest.raises(InvError, match=r"0% of the rays of training camera 0 meet the box"):
        boxes.check_met(box, facing_front())
    boxes.check_met(dataclasses.replace(box, far=20.0), facing_front())
