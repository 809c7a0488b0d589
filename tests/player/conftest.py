"""Rigs to lead cameras through."""

from collections.abc import Callable

import numpy as np
import pytest

from inv_jax.data.rig import Rig
from inv_jax.geometry import paths
from inv_jax.geometry import poses as poses_lib
from inv_jax.types import Cameras


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    """`make_rig(ndc=True)`: five cameras side by side that look at a point 3 away, down -z."""

    def make(*, ndc: bool = True) -> Rig:
        up = np.array([0.0, 1.0, 0.0])
        centers = [np.array([x, 0.1 * x * x, 0.0]) for x in (0.0, -0.6, -0.3, 0.3, 0.6)]
        focus = np.array([0.0, 0.0, -3.0])
        poses = np.stack([poses_lib.look_along(center - focus, up, center) for center in centers])
        bounds = np.tile([1.5, 6.0], (5, 1))
        intrinsics = np.tile(np.float32([[20, 0, 12], [0, 20, 9], [0, 0, 1]]), (5, 1, 1))
        intrinsics[:, 0, 0] += np.arange(5)  # each its own focal length
        near, far = (0.25, 1.0) if ndc else (1.0, 6.0)
        return Rig(
            cameras=Cameras(
                poses.astype(np.float32),
                intrinsics,
                np.float32(near),
                np.float32(far),
                height=18,
                width=24,
                ndc=ndc,
            ),
            bounds=bounds.astype(np.float32),
            spiral=paths.tour_path(poses, bounds, num_poses=120).astype(np.float32),
            camera_names=tuple(f"cam{cam:02d}" for cam in range(5)),
            train_cams=(1, 2, 3, 4),
            test_cams=(0,),
        )

    return make
