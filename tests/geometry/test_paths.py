"""Paths: through their keys, smooth, and around what the cameras look at."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.spatial import transform

from inv_jax.geometry import paths
from inv_jax.geometry import poses as poses_lib

seeds = st.integers(0, 2**32 - 1)
small = hypothesis.settings(max_examples=25, deadline=None)


def random_keys(seed: int, num_keys: int, spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    turns = transform.Rotation.from_rotvec(spread * rng.normal(size=(num_keys, 3))).as_matrix()
    return np.concatenate([turns, rng.normal(size=(num_keys, 3, 1))], axis=-1)


def ring(num_cams: int, span: float = 2 * np.pi, height: float = 0.5) -> np.ndarray:
    """Cameras on a circle of radius 3 around the origin, y up, that look at it from above."""
    angles = span * np.arange(num_cams) / num_cams
    centers = np.stack([3 * np.cos(angles), np.full(num_cams, height), 3 * np.sin(angles)], axis=-1)
    up = np.array([0.0, 1.0, 0.0])
    return np.stack([poses_lib.look_along(center, up, center) for center in centers])


def bounds_of(poses: np.ndarray) -> np.ndarray:
    return np.tile([1.0, 6.0], (len(poses), 1))


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Radians between the rotations of poses."""
    relative = np.swapaxes(first[..., :3], -1, -2) @ second[..., :3]
    return transform.Rotation.from_matrix(relative).magnitude()


def assert_rotations(poses: np.ndarray) -> None:
    turns = poses[:, :, :3]
    identities = np.broadcast_to(np.eye(3), turns.shape)
    np.testing.assert_allclose(np.swapaxes(turns, 1, 2) @ turns, identities, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, rtol=1e-12)


# Through key poses.


@small
@hypothesis.given(seeds, st.integers(1, 6), st.booleans())
def test_keys_are_hit_exactly_and_rotations_stay_rotations(seed, num_keys, is_closed):
    keys = random_keys(seed, num_keys)
    times = np.cumsum(np.random.default_rng(seed).uniform(0.2, 3.0, num_keys))
    period = times[-1] - times[0] + 1.0 if is_closed else None
    np.testing.assert_allclose(
        paths.through(keys, times, times, period=period), keys, rtol=0, atol=1e-9
    )
    between = np.linspace(times[0] - 1, times[-1] + 1, 50)
    assert_rotations(paths.through(keys, times, between, period=period))


@small
@hypothesis.given(seeds, st.booleans())
def test_a_path_has_no_jumps_and_no_corners(seed, is_closed):
    keys, times = random_keys(seed, 5), np.array([0.0, 1.0, 1.5, 4.0, 5.0])
    step = 1e-5
    for time in times[1:-1]:
        at = time + step * np.array([-2, -1, 1, 2])
        before, just, after, later = paths.through(
            keys, times, at, period=7.0 if is_closed else None
        )
        speeds = (just - before) / step, (later - after) / step
        np.testing.assert_allclose(*speeds, rtol=0, atol=1e-2 * (1 + np.abs(speeds[0]).max()))
        assert np.abs(after - just).max() < 1e-2


@small
@hypothesis.given(seeds, st.integers(2, 5))
def test_a_closed_path_comes_back_as_it_left(seed, num_keys):
    keys, times = random_keys(seed, num_keys), np.arange(num_keys, dtype=float)
    period, step = num_keys + 0.5, 1e-5
    at = np.array([-step, 0.0, step, period - step, period, period + step])
    found = paths.through(keys, times, at, period=period)
    np.testing.assert_allclose(found[3:], found[:3], rtol=0, atol=1e-9)
    speeds = (found[1] - found[0]) / step, (found[2] - found[1]) / step
    np.testing.assert_allclose(*speeds, rtol=0, atol=1e-2 * (1 + np.abs(speeds[0]).max()))


def test_a_path_does_not_turn_back_between_keys_on_a_line():
    """Also where they are unevenly apart, in space or in time."""
    keys = np.tile(np.eye(3, 4), (4, 1, 1))
    keys[:, 0, 3] = [0.0, 1.0, 10.0, 10.5]
    at = np.linspace(0, 3, 200)
    x = paths.through(keys, np.arange(4.0), at)[:, 0, 3]
    assert (np.diff(x) > 0).all()
    steady = paths.through(keys, keys[:, 0, 3], np.linspace(0, 10.5, 50))[:, 0, 3]
    np.testing.assert_allclose(steady, np.linspace(0, 10.5, 50), atol=1e-9)


def test_two_rotations_are_joined_by_the_shortest_turn_at_one_speed():
    keys = np.tile(np.eye(3, 4), (2, 1, 1))
    keys[1, :, :3] = transform.Rotation.from_rotvec([0, 2.0, 0]).as_matrix()
    found = paths.through(keys, np.array([0.0, 1.0]), np.linspace(0, 1, 5))
    np.testing.assert_allclose(angle(found[:1], found), [0, 0.5, 1.0, 1.5, 2.0], atol=1e-9)


def test_equal_keys_hold_the_camera_and_it_sets_off_gently():
    keys = random_keys(0, 3)[[0, 1, 1, 2]]
    times = np.array([0.0, 1.0, 3.0, 4.0])
    held = paths.through(keys, times, np.linspace(1.0, 3.0, 20))
    np.testing.assert_allclose(held, np.broadcast_to(keys[1], held.shape), rtol=0, atol=1e-9)
    at = np.array([3.0, 3.001, 3.5, 3.501])
    places = paths.through(keys, times, at)[:, :, 3]
    start, middle = np.linalg.norm(places[1] - places[0]), np.linalg.norm(places[3] - places[2])
    assert start < 0.02 * middle


def test_a_path_stands_still_before_and_behind_its_keys():
    keys, times = random_keys(1, 3), np.array([1.0, 2.0, 3.0])
    found = paths.through(keys, times, np.array([-5.0, 9.0]))
    np.testing.assert_allclose(found, keys[[0, 2]], rtol=0, atol=1e-9)


@small
@hypothesis.given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=6), st.lists(st.floats(0.1, 5), min_size=6)
)
def test_eased_numbers_stay_between_those_of_their_keys(values, gaps):
    values, times = np.array(values), np.cumsum(gaps[: len(values)])
    for i in range(len(values) - 1):
        found = paths.ease(times, values, np.linspace(times[i], times[i + 1], 11))
        assert found.min() >= min(values[i : i + 2]) - 1e-9
        assert found.max() <= max(values[i : i + 2]) + 1e-9


# Around the scene.


def test_the_focus_is_where_the_cameras_look():
    poses = ring(7)
    poses[:, :, 3] += [1.0, 2.0, 3.0]
    np.testing.assert_allclose(paths.focus_point(poses, bounds_of(poses)), [1, 2, 3], atol=1e-9)


def test_parallel_cameras_look_as_far_as_a_spiral_does():
    poses = np.tile(np.eye(3, 4), (4, 1, 1))
    poses[:, 0, 3] = [-1, 0, 1, 2]
    expected = [0.5, 0.0, -poses_lib.focus_depth(bounds_of(poses))]
    np.testing.assert_allclose(paths.focus_point(poses, bounds_of(poses)), expected, atol=1e-9)


@pytest.mark.parametrize(("span", "is_around"), [(1.0, True), (0.6, True), (0.4, False)])
def test_cameras_surround_a_scene_if_they_leave_no_half_turn_free(span, is_around):
    poses = ring(20, 2 * np.pi * span)
    assert paths.surrounds(poses, np.zeros(3)) == is_around


def test_cameras_that_look_outwards_surround_nothing():
    poses = ring(8)
    poses[:, :, [0, 2]] *= -1
    assert not paths.surrounds(poses, np.zeros(3))


def test_a_circle_around_the_scene_keeps_its_distance_and_height():
    poses = ring(9, 2 * np.pi * 0.9)
    path = paths.circle_path(poses, bounds_of(poses), num_poses=40)
    assert_rotations(path)
    np.testing.assert_allclose(path[0], poses[0], atol=1e-9)
    np.testing.assert_allclose(path[:, 1, 3], 0.5, atol=1e-9)
    np.testing.assert_allclose(np.hypot(path[:, 0, 3], path[:, 2, 3]), 3.0, atol=1e-9)
    towards = -path[:, :, 3] / np.linalg.norm(path[:, :, 3], axis=-1, keepdims=True)
    np.testing.assert_allclose(-path[:, :, 2], towards, atol=1e-9)
    steps = np.linalg.norm(np.diff(path[:, :, 3], axis=0, append=path[:1, :, 3]), axis=-1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)  # the last one closes it


def test_a_circle_in_front_of_a_scene_looks_at_the_focus_and_is_as_wide_as_the_rig():
    poses = poses_lib.recenter(ring(9, 0.7))
    focus = paths.focus_point(poses, bounds_of(poses))
    path = paths.circle_path(poses, bounds_of(poses), num_poses=60)
    assert_rotations(path)
    away = path[:, :, 3] - focus
    unit = away / np.linalg.norm(away, axis=-1, keepdims=True)
    np.testing.assert_allclose(path[:, :, 2], unit, atol=1e-9)
    widest = np.percentile(np.abs(poses[:, 0, 3]), 90)
    assert path[:, 0, 3].max() == pytest.approx(widest)


def test_a_tour_of_a_surrounded_scene_goes_round_it_twice_as_high_as_its_cameras():
    poses = np.concatenate([ring(8, height=-0.5), ring(8, height=1.5)])
    path = paths.tour_path(poses, bounds_of(poses), num_poses=120)
    turned = np.unwrap(np.arctan2(path[:, 2, 3], path[:, 0, 3]))
    assert abs(turned[-1] - turned[0]) == pytest.approx(2 * 2 * np.pi * 119 / 120)
    elevations = np.degrees(np.arcsin(path[:, 1, 3] / np.linalg.norm(path[:, :, 3], axis=-1)))
    low, high = np.degrees(np.arctan2([-0.5, 1.5], 3.0))
    assert elevations.min() >= low - 1e-9
    assert elevations.max() <= high + 1e-9
    assert np.ptp(elevations) > 0.9 * (high - low)


def test_a_tour_of_a_scene_in_front_is_the_spiral():
    poses = poses_lib.recenter(ring(9, 0.7))
    np.testing.assert_array_equal(
        paths.tour_path(poses, bounds_of(poses), num_poses=30, extra_vertical_radius=0.2),
        poses_lib.spiral_path(poses, bounds_of(poses), num_poses=30, extra_vertical_radius=0.2),
    )
