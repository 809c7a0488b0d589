"""The cameras of a capture, without its images: all that rendering asks for."""

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np

from inv_jax.types import Cameras, InvError


@dataclasses.dataclass(frozen=True, eq=False)
class Rig:
    """N calibrated cameras and what each is for; everything in host memory (numpy)."""

    cameras: Cameras  # all N
    bounds: np.ndarray  # (N, 2), nearest and farthest depth of each camera, scene units
    spiral: np.ndarray  # (120, 3, 4), a path for free-viewpoint video
    camera_names: tuple[str, ...]  # ("cam00", ...); numbers may have gaps
    train_cams: tuple[int, ...]  # indices into the cameras, ascending
    test_cams: tuple[int, ...]  # the held-out ones, in the order asked for
    # What tells its images from others of such cameras; empty where the cameras do that.
    footage: str = dataclasses.field(default="", kw_only=True)
    # Of a sequence of clips: frames of each one, and what people call them; none: it is none.
    clips: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)
    clip_names: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    @property
    def shown_cam(self) -> int:
        """The camera that pictures and videos show: the first held-out one, if there is any."""
        return (self.test_cams or self.train_cams)[0]

    def check_cams(self, cams: Iterable[int], name: str) -> None:
        """Refuses indices that are no camera.

        Args:
          cams: Indices.
          name: Of the setting they come from.

        Raises:
          InvError: Naming what there is.
        """
        for cam in cams:
            if not isinstance(cam, int) or not 0 <= cam < self.cameras.num_cams:
                raise InvError(f"{name}={cam}: cameras are 0 to {self.cameras.num_cams - 1}")

    @property
    def fingerprint(self) -> str:
        """A short name: equal for captures of equal cameras and image size, and equal footage."""
        digest = hashlib.sha256(repr(self.camera_names).encode())
        digest.update(repr((self.cameras.height, self.cameras.width)).encode())
        for array in (self.cameras.cam_to_world, self.cameras.intrinsics, self.bounds):
            digest.update(np.ascontiguousarray(np.round(array, 4)).tobytes())
        return "-".join([digest.hexdigest()[:16], *filter(None, [self.footage])])


def footage_of(picture: bytes) -> str:
    """A short name of a video, by its first picture as it is stored: it may move, and grow."""
    return hashlib.sha256(picture).hexdigest()[:8]


def may_be_same(a: str, b: str) -> bool:
    """Whether two fingerprints may be of one capture: some do not say what their footage is."""
    return all(x == y for x, y in zip(a.split("-"), b.split("-"), strict=False))
