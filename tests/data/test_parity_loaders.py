"""Captures read as the original INV reads them: recorded arrays, and real captures."""

import numpy as np
import pytest

from inv_jax.geometry import poses as poses_lib


def assert_close(actual, expected) -> None:
    """1e-5 relative to the array's size; entries that should be 0 carry its rounding."""
    scale = max(1e-30, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6 * scale)


@pytest.fixture(params=["meta", "little_falls"])
def recorded(request, parity_root, open_meta):
    """A capture opened as the recording says, and what was recorded."""
    expected = dict(np.load(parity_root / f"{request.param}_loader.npz"))
    capture = open_meta(
        parity_root / f"{request.param}_capture",
        layout={"meta": "n3dv"}.get(request.param, request.param),
        factor=int(expected["factor"]),
        first_frame=int(expected["frame"]),
        num_frames=1,
        holdout=[int(expected["holdout"])] if "holdout" in expected else [],
        ndc=False,
    )
    return capture, expected


def test_images_equal_the_recorded_ones(recorded):
    capture, expected = recorded
    frame = capture.load(int(expected["frame"]))
    assert frame.images.dtype == np.uint8
    assert frame.index == expected["frame"]
    assert_close(frame.images.astype(np.float32) / 255.0, expected["images"])


def test_poses_and_size_equal_the_recorded_ones(recorded):
    capture, expected = recorded
    assert_close(capture.cameras.cam_to_world, expected["poses_hwf"][..., :4])
    sizes = expected["poses_hwf"][..., :2, 4]
    assert np.all(sizes == [capture.cameras.height, capture.cameras.width])


def test_intrinsics_equal_the_recorded_ones(recorded):
    capture, expected = recorded
    assert_close(capture.cameras.intrinsics[:, :2], expected["intrinsics"][:, :2])
    np.testing.assert_array_equal(
        capture.cameras.intrinsics[:, 2], np.tile([0.0, 0.0, 1.0], (capture.cameras.num_cams, 1))
    )


def test_bounds_equal_the_recorded_ones(recorded):
    capture, expected = recorded
    assert_close(capture.bounds, expected["bounds"])
    assert_close(capture.cameras.near, 0.9 * expected["bounds"].min())
    assert_close(capture.cameras.far, expected["bounds"].max())


def test_spiral_equals_the_recorded_one(recorded):
    capture, expected = recorded
    assert_close(capture.spiral, expected["spiral_poses_hwf"][..., :4])


REAL = [
    ("multiview/basketball", 2, True),
    ("multiview/basketball", 4, True),
    ("multiview/basketball_dome", 2, False),
    ("static/flame_steak", 4, True),
    ("static/flame_steak", 8, True),
]


@pytest.fixture(params=REAL, ids=lambda real: f"{real[0].split('/')[1]}_{real[1]}")
def real(request, data_root, open_meta):
    """A real capture, with its rows of calibration as they are on disk."""
    name, factor, ndc = request.param
    path = data_root / name
    if not path.is_dir():
        pytest.skip(f"{path} is absent")
    capture = open_meta(path, factor=factor, ndc=ndc, near=0.3, pixel_center=0.5)
    return capture, np.load(path / "poses_bounds.npy"), factor


def test_real_frames_have_the_size_of_the_calibration(real):
    capture, rows, factor = real
    frame = capture.load(capture.frames[-1])
    height, width = rows[0, 4] / factor, rows[0, 9] / factor
    assert frame.images.shape == (len(rows), capture.cameras.height, capture.cameras.width, 3)
    assert abs(capture.cameras.height - height) <= 1
    assert abs(capture.cameras.width - width) <= 1
    assert frame.images.std() > 1  # Pictures, not blanks.


def test_real_focal_lengths_are_each_cameras_own(real):
    capture, rows, factor = real
    for axis in (0, 1):
        np.testing.assert_allclose(
            capture.cameras.intrinsics[:, axis, axis], rows[:, 14] / factor, rtol=1e-6
        )


def test_real_average_pose_is_identity(real):
    capture, _, _ = real
    average = poses_lib.average_pose(capture.cameras.cam_to_world.astype(np.float64))
    np.testing.assert_allclose(average, np.eye(3, 4), rtol=0, atol=1e-5)


def test_real_rigs_keep_their_shape(real):
    """Distances between cameras change by the scale alone, angles not at all."""
    capture, rows, _ = real
    before = rows[:, :15].reshape(-1, 3, 5)
    after = capture.cameras.cam_to_world
    scale = 1.0 / (0.75 * rows[:, 15].min())
    np.testing.assert_allclose(
        np.linalg.norm(after[:, None, :, 3] - after[None, :, :, 3], axis=-1),
        scale * np.linalg.norm(before[:, None, :, 3] - before[None, :, :, 3], axis=-1),
        rtol=1e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        after[:, :, 2] @ after[:, :, 2].T, before[:, :, 2] @ before[:, :, 2].T, atol=1e-5
    )


def test_real_spiral_poses_are_rotations(real):
    capture, _, _ = real
    rotations = capture.spiral[:, :, :3]
    np.testing.assert_allclose(
        np.swapaxes(rotations, 1, 2) @ rotations,
        np.broadcast_to(np.eye(3), rotations.shape),
        rtol=0,
        atol=1e-5,
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, rtol=1e-5)


def test_nearest_surface_lies_at_four_thirds(real):
    capture, _, _ = real
    np.testing.assert_allclose(capture.bounds.min(), 4 / 3, rtol=1e-6)
