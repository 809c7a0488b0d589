"""The cameras of a capture, without its images: all that rendering asks for."""

import dataclasses
import hashlib

import numpy as np

from inv_jax.types import Cameras


@dataclasses.dataclass(frozen=True, eq=False)
class Rig:
    """N calibrated cameras and what each is for; everything in host memory (numpy)."""

    cameras: Cameras  # all N
    bounds: np.ndarray  # (N, 2), nearest and farthest depth of each camera, scene units
    spiral: np.ndarray  # (120, 3, 4), a path for free-viewpoint video
    camera_names: tuple[str, ...]  # ("cam00", ...); numbers may have gaps
    train_cams: tuple[int, ...]  # indices into the cameras, ascending
    test_cams: tuple[int, ...]  # the held-out ones, in the order asked for

    @property
    def shown_cam(self) -> int:
        """The camera that pictures and videos show: the first held-out one, if there is any."""
        return (self.test_cams or self.train_cams)[0]

    @property
    def fingerprint(self) -> str:
        """A short name of the rig: equal for captures of equal cameras and image size."""
        digest = hashlib.sha256(repr(self.camera_names).encode())
        digest.update(repr((self.cameras.height, self.cameras.width)).encode())
        for array in (self.cameras.cam_to_world, self.cameras.intrinsics, self.bounds):
            digest.update(np.ascontiguousarray(np.round(array, 4)).tobytes())
        return digest.hexdigest()[:16]
