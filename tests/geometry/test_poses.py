"""Poses: the frame of reference of a rig, and the path through it."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from inv_jax.geometry import poses as poses_lib


def rotation_about(axis, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def random_rig(seed: int, num_cams: int = 5, spread: float = 0.4) -> np.ndarray:
    """Cameras of roughly one view, the whole rig turned and moved at random."""
    rng = np.random.default_rng(seed)
    world = rotation_about(rng.normal(size=3), rng.uniform(0, np.pi))
    shift = rng.normal(size=3) * 10
    poses = [
        np.concatenate(
            [
                world @ rotation_about(rng.normal(size=3), rng.uniform(-spread, spread)),
                (world @ rng.normal(size=3) + shift)[:, None],
            ],
            axis=1,
        )
        for _ in range(num_cams)
    ]
    return np.stack(poses)


def homogeneous(pose: np.ndarray) -> np.ndarray:
    return np.concatenate([pose, [[0.0, 0.0, 0.0, 1.0]]])


def assert_rotations(poses: np.ndarray) -> None:
    rotations = poses[:, :, :3]
    identities = np.broadcast_to(np.eye(3), rotations.shape)
    np.testing.assert_allclose(
        np.swapaxes(rotations, 1, 2) @ rotations, identities, rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, rtol=1e-12)


seeds = st.integers(0, 2**32 - 1)
small = hypothesis.settings(max_examples=30, deadline=None)


@small
@hypothesis.given(seeds)
def test_recentred_average_pose_is_identity(seed):
    average = poses_lib.average_pose(poses_lib.recenter(random_rig(seed)))
    np.testing.assert_allclose(average, np.eye(3, 4), rtol=0, atol=1e-12)


@small
@hypothesis.given(seeds)
def test_recentring_keeps_relative_poses(seed):
    before = random_rig(seed)
    after = poses_lib.recenter(before)
    for i in range(len(before)):
        relative_before = np.linalg.inv(homogeneous(before[0])) @ homogeneous(before[i])
        relative_after = np.linalg.inv(homogeneous(after[0])) @ homogeneous(after[i])
        np.testing.assert_allclose(relative_after, relative_before, rtol=0, atol=1e-11)


@small
@hypothesis.given(seeds)
def test_recentring_does_not_depend_on_where_the_world_was(seed):
    rig = random_rig(seed)
    world = rotation_about([1, 2, 3], 0.7)
    moved = world @ rig
    moved[:, :, 3] += [5.0, -3.0, 1.0]
    np.testing.assert_allclose(
        poses_lib.recenter(moved), poses_lib.recenter(rig), rtol=0, atol=1e-11
    )


@small
@hypothesis.given(seeds)
def test_average_pose_is_a_rotation_about_the_mean_center(seed):
    rig = random_rig(seed)
    average = poses_lib.average_pose(rig)
    assert_rotations(average[None])
    np.testing.assert_allclose(average[:, 3], rig[:, :, 3].mean(axis=0))


def test_average_of_a_single_camera_is_that_camera():
    pose = random_rig(3, num_cams=1)
    np.testing.assert_allclose(poses_lib.average_pose(pose), pose[0], rtol=0, atol=1e-12)


def test_a_closed_ring_of_cameras_has_an_average_pose():
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    up = np.array([0.0, 1.0, 0.0])
    centers = np.stack([np.sin(turns), np.zeros(8), np.cos(turns)], axis=-1)
    ring = np.stack([poses_lib.look_along(center, up, center) for center in centers])
    average = poses_lib.average_pose(ring)
    assert_rotations(average[None])
    np.testing.assert_allclose(average[:, 1], up, atol=1e-12)
    np.testing.assert_allclose(
        poses_lib.average_pose(poses_lib.recenter(ring)), np.eye(3, 4), rtol=0, atol=1e-12
    )


def test_looking_along_up_is_refused():
    up = np.array([0.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="parallel"):
        poses_lib.look_along(2 * up, up, np.zeros(3))


def test_llff_axes_become_right_up_backwards():
    right, up, backwards, center = np.eye(3)[0], np.eye(3)[1], np.eye(3)[2], np.full(3, 7.0)
    llff = np.stack([-up, right, backwards, center], axis=-1)[None]
    np.testing.assert_array_equal(
        poses_lib.from_llff_axes(llff)[0], np.stack([right, up, backwards, center], axis=-1)
    )


def spiral_one_by_one(poses, bounds, extra_vertical_radius):
    """The path of LLFF, pose by pose and in homogeneous coordinates."""
    close, far = bounds.min() * 0.9, bounds.max() * 5.0
    mean_depth = 1.0 / (0.25 / close + 0.75 / far)
    average = poses_lib.average_pose(poses)
    radii = [np.percentile(np.abs(poses[:, axis, 3]), 90) for axis in range(3)]
    radii[1] += extra_vertical_radius
    target = average @ np.array([0.0, 0.0, -mean_depth, 1.0])
    up = sum(pose[:, 1] for pose in poses)
    path = []
    for step in range(120):
        angle = 2 * (2 * np.pi) * step / 120
        offset = [np.cos(angle), -np.sin(angle), -np.sin(angle * 0.5)]
        local = np.array([offset[0] * radii[0], offset[1] * radii[1], offset[2] * radii[2], 1.0])
        point = average @ local
        back = (point - target) / np.linalg.norm(point - target)
        right = np.cross(up, back)
        right /= np.linalg.norm(right)
        path.append(np.stack([right, np.cross(back, right), back, point], axis=-1))
    return np.stack(path)


@small
@hypothesis.given(seeds, st.sampled_from([0.0, 0.2]))
def test_spiral_equals_the_path_pose_by_pose(seed, extra):
    poses = poses_lib.recenter(random_rig(seed))
    bounds = np.array([[1.3, 20.0], [1.6, 25.0]] + [[1.5, 22.0]] * (len(poses) - 2))
    np.testing.assert_allclose(
        poses_lib.spiral_path(poses, bounds, extra_vertical_radius=extra),
        spiral_one_by_one(poses, bounds, extra),
        rtol=0,
        atol=1e-10,
    )


def test_spiral_poses_are_rotations_that_look_at_one_point():
    poses = poses_lib.recenter(random_rig(1))
    path = poses_lib.spiral_path(poses, np.tile([1.3, 20.0], (len(poses), 1)))
    assert path.shape == (120, 3, 4)
    assert_rotations(path)
    depth = 1.0 / (0.25 / (0.9 * 1.3) + 0.75 / (5 * 20.0))
    to_focus = np.array([0.0, 0.0, -depth]) - path[:, :, 3]
    to_focus /= np.linalg.norm(to_focus, axis=-1, keepdims=True)
    np.testing.assert_allclose(-path[:, :, 2], to_focus, rtol=0, atol=1e-12)


def test_spiral_is_closed_and_goes_round_twice():
    poses = poses_lib.recenter(random_rig(2))
    path = poses_lib.spiral_path(poses, np.tile([1.3, 20.0], (len(poses), 1)))
    centers = path[:, :, 3]
    np.testing.assert_allclose(centers[:60, :2], centers[60:, :2], rtol=0, atol=1e-12)
    steps = np.linalg.norm(np.diff(np.concatenate([centers, centers[:1]]), axis=0), axis=-1)
    assert steps[-1] < 1.5 * steps[:-1].max()
