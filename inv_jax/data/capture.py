"""A capture on disk: synchronized images of calibrated cameras, read frame by frame.

One class serves every layout; a layout brings a function that reads its calibration files
(`n3dv.py`, `little_falls.py`). Opening checks all that can be checked without decoding every
image, so that a mistake is found before anything is trained or written.
"""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import logging

from inv_jax.data import frame_index, images, little_falls, n3dv
from inv_jax.data.calibration import Calibration
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.types import Cameras, Frame, InvError

LAYOUTS: Mapping[str, Callable[..., Calibration]] = {
    "n3dv": n3dv.read_calibration,
    "little_falls": little_falls.read_calibration,
}

_THREADS = 8  # decoders release the GIL; more than a frame's cameras never helps


@dataclasses.dataclass(frozen=True, eq=False)
class Capture:
    """An open capture of N cameras: what is known of all its frames, and `load` for one.

    `cameras` and everything else here is in host memory (numpy).
    """

    cameras: Cameras  # all N
    bounds: np.ndarray  # (N, 2), nearest and farthest depth of each camera, scene units
    spiral: np.ndarray  # (120, 3, 4), a path for free-viewpoint video
    camera_names: tuple[str, ...]  # ("cam00", ...); numbers may have gaps
    frames: range  # the selected frames, as numbered on disk; all of them exist
    train_cams: tuple[int, ...]  # indices into the cameras, ascending
    test_cams: tuple[int, ...]  # the held-out ones, in the order asked for
    files: Mapping[int, tuple[pathlib.Path, ...]] = dataclasses.field(repr=False)
    _said: set[str] = dataclasses.field(default_factory=set, repr=False)

    @property
    def fingerprint(self) -> str:
        """A short name of the rig: equal for captures of equal cameras and image size."""
        digest = hashlib.sha256(repr(self.camera_names).encode())
        digest.update(repr((self.cameras.height, self.cameras.width)).encode())
        for array in (self.cameras.cam_to_world, self.cameras.intrinsics, self.bounds):
            digest.update(np.ascontiguousarray(np.round(array, 4)).tobytes())
        return digest.hexdigest()[:16]

    def load(self, frame: int) -> Frame:
        """Decodes the images of one frame, all cameras.

        Raises:
          InvError: If the frame is not one of `frames`, or if a file is missing, broken or of
            another size.
        """
        if frame not in self.frames:
            raise InvError(
                f"frame {frame} is not open, only {frame_index.name_frames(self.frames)}: see "
                "data.first_frame and data.num_frames"
            )
        files = self.files[int(frame)]
        size = (self.cameras.height, self.cameras.width)
        stack = np.empty((len(files), *size, 3), np.uint8)

        def decode(cam: int) -> tuple[str, ...]:
            image, notes = images.decode(files[cam])
            if image.shape[:2] != size:
                raise InvError(
                    f"{files[cam]} is {image.shape[1]}x{image.shape[0]}; expected "
                    f"{size[1]}x{size[0]} as when the capture was opened: restore the file"
                )
            stack[cam] = image
            return notes

        with futures.ThreadPoolExecutor(min(_THREADS, len(files))) as pool:
            for file, notes in zip(files, pool.map(decode, range(len(files))), strict=True):
                self._say_once(file, notes)
        return Frame(images=_host(stack, np.uint8), index=_host(frame, np.int32))

    def _say_once(self, file: pathlib.Path, notes: Iterable[str]) -> None:
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                logging.warning("%s %s (said once for all images)", file, note)


def open_capture(
    layout: str,
    path: str | pathlib.Path,
    *,
    factor: int,
    first_frame: int,
    num_frames: int,
    holdout: Sequence[int],
    near: float,
    ndc: bool,
    pixel_center: float,
    bd_factor: float = 0.75,
) -> Capture:
    """Opens a capture: reads its calibration, lists its images, decodes its first frame.

    Args:
      layout: A key of `LAYOUTS`.
      path: The capture's folder.
      factor: What the images were reduced by; they are in `frames_{factor}` (1: `frames`).
      first_frame: Number of the first frame, as on disk.
      num_frames: How many; 0 is all up to the last.
      holdout: Cameras that are not trained on, as indices (`llffhold` in the original).
      near: Where sampling starts in NDC, in [0, 1). Without NDC it has no effect, as in the
        original: sampling then spans the bounds.
      ndc: Whether rays are warped to NDC; for cameras that all face one way.
      pixel_center: Offset of a pixel's center, see `geometry/cameras.py`.
      bd_factor: The nearest bound becomes 1 / `bd_factor`.

    Raises:
      InvError: If anything about the capture or the arguments cannot be right.
    """
    if layout not in LAYOUTS:
        raise InvError(f"data.layout is {layout!r}; expected one of {', '.join(sorted(LAYOUTS))}")
    if ndc and not 0.0 <= near < 1.0:
        raise InvError(f"data.near is {near}; expected 0 <= near < 1, where NDC has its far plane")
    path = pathlib.Path(path)
    folder = frame_index.find_folder(path, factor)
    index = frame_index.read_index(folder)
    frames = frame_index.select_frames(
        index, folder, first_frame=first_frame, num_frames=num_frames
    )
    height, width = _common_size([file for frame in frames for file in index[frame].values()])
    calibration = LAYOUTS[layout](
        path, factor=factor, height=height, width=width, bd_factor=bd_factor
    )
    names = frame_index.match_cameras(
        index,
        folder,
        frames,
        num_cams=len(calibration.cam_to_world),
        source=calibration.source,
        camera_names=calibration.camera_names,
    )
    test_cams = check_holdout(holdout, names)
    bounds = calibration.bounds
    cameras = Cameras(
        cam_to_world=_host(calibration.cam_to_world, np.float32),
        intrinsics=_host(calibration.intrinsics, np.float32),
        near=_host(near if ndc else 0.9 * bounds.min(), np.float32),
        far=_host(1.0 if ndc else bounds.max(), np.float32),
        height=height,
        width=width,
        ndc=ndc,
        pixel_center=pixel_center,
    )
    if ndc:
        _check_forward_facing(cameras, names)
    capture = Capture(
        cameras=cameras,
        bounds=bounds,
        spiral=calibration.spiral,
        camera_names=names,
        frames=frames,
        train_cams=tuple(cam for cam in range(len(names)) if cam not in test_cams),
        test_cams=test_cams,
        files={frame: tuple(index[frame][name] for name in names) for frame in frames},
    )
    capture.load(frames[0])  # A broken first frame is found before the run writes anything.
    return capture


def _host(values: Any, dtype: type[np.generic]) -> Any:
    """A leaf in host memory: `Any`, as the structs name the array type of the device."""
    return np.asarray(values, dtype)


def _common_size(files: list[pathlib.Path]) -> tuple[int, int]:
    """Height and width of all files, from their headers."""
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(images.image_size, files))
    (height, width), count = collections.Counter(sizes).most_common(1)[0]
    odd = sorted(
        f"{file.name} ({w}x{h})"
        for file, (h, w) in zip(files, sizes, strict=True)
        if (h, w) != (height, width)
    )
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise InvError(
            f"{files[0].parent} holds images of different sizes: {', '.join(odd[:3])}{more}, but "
            f"{count} are {width}x{height}; expected one size: scale them alike"
        )
    return height, width


def check_holdout(holdout: Sequence[int], names: tuple[str, ...]) -> tuple[int, ...]:
    cams = tuple(int(cam) for cam in holdout)
    known = f"the {len(names)} cameras are 0 ({names[0]}) to {len(names) - 1} ({names[-1]})"
    if outside := [cam for cam in cams if not 0 <= cam < len(names)]:
        raise InvError(f"data.holdout names camera {outside[0]}, but {known}; choose one of these")
    if len(set(cams)) < len(cams):
        raise InvError(f"data.holdout is {cams}: a camera is named twice; expected each one once")
    if len(cams) == len(names):
        raise InvError(
            f"data.holdout is {cams}, but {known}: none is left to train on; hold out fewer"
        )
    return cams


def _check_forward_facing(cameras: Cameras, names: tuple[str, ...]) -> None:
    """Every ray must go down -z of the average camera: the NDC warp divides by that component."""
    right, bottom = cameras.width - 1, cameras.height - 1
    corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32)
    shape = (cameras.num_cams, 4)
    directions = cameras_lib.pixel_directions(
        jnp.asarray(np.broadcast_to(corners[:, 0] + cameras.pixel_center, shape)),
        jnp.asarray(np.broadcast_to(corners[:, 1] + cameras.pixel_center, shape)),
        jnp.asarray(np.broadcast_to(cameras.intrinsics[:, None], (*shape, 3, 3))),
    )
    # z of each corner's ray in the recentred world; the extreme of an image is at a corner.
    depth_steps = np.einsum("nk,nck->nc", cameras.cam_to_world[:, 2, :3], np.asarray(directions))
    if away := [name for name, z in zip(names, depth_steps, strict=True) if z.max() >= 0]:
        raise InvError(
            f"NDC cannot hold rays that look away from the average view, as those of "
            f"{', '.join(away)} do; expected cameras that all face one way: set data.ndc=False"
        )
