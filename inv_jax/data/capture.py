"""A capture, open: synchronized images of calibrated cameras, read frame by frame.

One class serves every layout and every kind of storage: a folder of files (`folder.py`), packed
records (`records.py`), the video of one camera (`images2d.py`), several of these (`sequence.py`).
Opening checks all that can be checked without decoding every image, so that a mistake is found
before anything is trained or written.
"""

import dataclasses
import functools
import itertools
import math
import mmap
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8

from inv_jax.data import folder, frame_index, images, images2d, records, sequence
from inv_jax.data.rig import Rig
from inv_jax.data.source import Contents, FileSource, ImageSource, Making
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.types import Cameras, InvError, Views

_THREADS = 8  # decoders release the GIL


def _decoders() -> futures.ThreadPoolExecutor:
    # Idle threads end when the pool is garbage, that is with the capture, or with the process.
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="decode")


@dataclasses.dataclass(frozen=True, eq=False)
class Capture(Rig):
    """An open capture: its cameras, what is known of all its frames, and `load` for one."""

    frames: range  # the frames that are trained on, as numbered on disk
    span: range  # all selected frames, of which those are some; all of them exist
    making: Making  # what its images and numbers were made with
    fps: float | None  # frames per second, where that is known
    source: ImageSource = dataclasses.field(repr=False)
    _pool: futures.ThreadPoolExecutor = dataclasses.field(default_factory=_decoders, repr=False)
    _said: set[str] = dataclasses.field(default_factory=set, repr=False)
    _said_lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    def load(self, frame: int, cams: Sequence[int] | None = None) -> Views:
        """Reads and decodes images of one frame, several at a time; any thread may call it.

        Args:
          frame: One of `frames`.
          cams: Indices of the cameras to load, in the order wanted; None is all of them. Of the
            others nothing is read.

        Raises:
          InvError: If the frame is not one of `frames`, or if an image is missing, broken or of
            another size.
          IndexError: If a camera is none of this capture's.
        """
        self._check_frame(frame)
        cams = range(self.cameras.num_cams) if cams is None else [int(cam) for cam in cams]
        if outside := [cam for cam in cams if not 0 <= cam < self.cameras.num_cams]:
            raise IndexError(f"camera {outside[0]} of {self.cameras.num_cams}")
        stack = np.empty((len(cams), self.cameras.height, self.cameras.width, 3), np.uint8)

        def fill(row: int) -> tuple[str, ...]:
            image, notes = self.source.load(int(frame), cams[row])
            self._check_size(int(frame), cams[row], image)
            stack[row] = image
            return notes

        for row, notes in enumerate(self._pool.map(fill, range(len(cams)))):
            self._say_once(self.source.name(int(frame), cams[row]), notes)
        return Views(images=_host(stack, np.uint8), index=_host(frame, np.int32))

    def load_clip(self, frames: Sequence[int], cams: Sequence[int]) -> UInt8[np.ndarray, "v h w 3"]:
        """Reads and decodes images of several frames, frame by frame: (F * N, H, W, 3).

        The array lies so that a CPU device takes it as it is: nowhere is a second copy. A large one
        lies in a temporary file (in `$TMPDIR`, which should be a disk): memory then holds what is
        in use of it, as far as there is room.

        Args:
          frames: Of `span`.
          cams: Indices of cameras; of each frame all of them.

        Raises:
          InvError: As `load`.
        """
        views = [(int(frame), int(cam)) for frame in frames for cam in cams]
        shape = (len(views), self.cameras.height, self.cameras.width, 3)
        clip = _room(shape)

        def fill(place: int) -> tuple[str, ...]:
            frame, cam = views[place]
            self._check_frame(frame)
            image, notes = self.source.load(frame, cam)
            self._check_size(frame, cam, image)
            clip[place] = image
            return notes

        mapped = map if self.source.is_sequential else self._pool.map
        for place, notes in enumerate(mapped(fill, range(len(views)))):
            self._say_once(self.source.name(*views[place]), notes)
        return clip

    def read_whole(self, frame: int) -> list[bytes]:
        """The encoded images of one frame, all cameras, each decoded once to see that it is whole.

        Raises:
          InvError: As `load`, and if the images are no files.
        """
        self._check_frame(frame)
        source = self.source
        if not isinstance(source, FileSource):
            raise InvError(
                f"{self.source.name(frame, 0)} is of a single video, which is read as it is; packs "
                "are for captures of several cameras"
            )

        def read(cam: int) -> tuple[bytes, tuple[str, ...]]:
            data = source.read(int(frame), cam)
            image, notes = images.decode(data, source.name(int(frame), cam))
            self._check_size(int(frame), cam, image)
            return data, notes

        whole = []
        for cam, (data, notes) in enumerate(self._pool.map(read, range(self.cameras.num_cams))):
            self._say_once(self.source.name(int(frame), cam), notes)
            whole.append(data)
        return whole

    def _check_frame(self, frame: int) -> None:
        if frame not in self.span:
            raise InvError(
                f"frame {frame} is not open, only {frame_index.name_frames(self.span)}: see "
                "data.first_frame and data.num_frames"
            )

    def _check_size(self, frame: int, cam: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        height, width = self.cameras.height, self.cameras.width
        if image.shape[:2] != (height, width):
            raise InvError(
                f"{self.source.name(frame, cam)} is {image.shape[1]}x{image.shape[0]}; expected "
                f"{width}x{height} as when the capture was opened: restore the file"
            )

    def _say_once(self, name: str, notes: Iterable[str]) -> None:
        for note in notes:
            with self._said_lock:
                is_new = note not in self._said
                self._said.add(note)
            if is_new:
                logging.warning("%s %s (said once for all images)", name, note)


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
    background: float = 0.0,
    frame_step: int = 1,
    size: tuple[int, int] = (0, 0),
    frame_ids: Sequence[int] = (),
    clips: Sequence[str] = (),
) -> Capture:
    """Opens a capture: reads its calibration, lists its images, decodes its first frame.

    Args:
      layout: A key of `folder.LAYOUTS`, `images2d.LAYOUT` or `sequence.LAYOUT`; of a packed
        capture, the layout that was packed.
      path: The capture's folder, or the folder it was packed into (`pack.py`); of a video, see
        `images2d.open_video`, of several, `sequence.open_sequence`.
      factor: What the images were reduced by; they are in `frames_{factor}` (1: `frames`). Those
        of a video are reduced by it now.
      first_frame: Number of the first frame, as on disk.
      num_frames: How many, of each clip of a sequence; 0 is all up to the last.
      holdout: Cameras that are not trained on, as indices (`llffhold` in the original).
      near: Where sampling starts in NDC, in [0, 1). Without NDC it has no effect, as in the
        original: sampling then spans the bounds.
      ndc: Whether rays are warped to NDC; for cameras that all face one way.
      pixel_center: Offset of a pixel's center, see `geometry/cameras.py`.
      bd_factor: The nearest bound becomes 1 / `bd_factor`.
      background: Grey level in [0, 1] that shows where images of a video are transparent; those
        of other layouts may not be.
      frame_step: Every so many of the frames are trained on.
      size: Height and width that pictures of a video are averaged to; 0, 0: as they are.
      frame_ids: Of a video: these of its pictures are the frames, numbered anew from 1; none: all.
      clips: Of a folder of several clips: these, by name; none: all.

    Raises:
      InvError: If anything about the capture or the arguments cannot be right.
    """
    if layout not in (layouts := [*folder.LAYOUTS, images2d.LAYOUT, sequence.LAYOUT]):
        known = ", ".join(sorted(layouts))
        raise InvError(f"data.layout is {layout!r}; expected one of {known}")
    if ndc and not 0.0 <= near < 1.0:
        raise InvError(f"data.near is {near}; expected 0 <= near < 1, where NDC has its far plane")
    if frame_step < 1:
        raise InvError(f"data.frame_step is {frame_step}; expected 1 (all frames) or more")
    path = pathlib.Path(path)
    contents = _opener(layout, path, background, size, frame_ids, clips)(
        path,
        Making(layout=layout, factor=factor, bd_factor=bd_factor),
        first_frame=first_frame,
        num_frames=num_frames,
    )
    names, rig = contents.camera_names, contents.calibration
    test_cams = check_holdout(holdout, names)
    cameras = Cameras(
        cam_to_world=_host(rig.cam_to_world, np.float32),
        intrinsics=_host(rig.intrinsics, np.float32),
        near=_host(near if ndc else 0.9 * rig.bounds.min(), np.float32),
        far=_host(1.0 if ndc else rig.bounds.max(), np.float32),
        height=contents.height,
        width=contents.width,
        ndc=ndc,
        pixel_center=pixel_center,
    )
    if ndc:
        _check_forward_facing(cameras, names)
    capture = Capture(
        cameras=cameras,
        bounds=rig.bounds,
        spiral=rig.spiral,
        camera_names=names,
        frames=contents.frames[::frame_step],
        span=contents.frames,
        train_cams=tuple(cam for cam in range(len(names)) if cam not in test_cams),
        test_cams=test_cams,
        making=contents.making,
        fps=contents.fps,
        source=contents.images,
        clips=contents.clips,
        clip_names=contents.clip_names,
        footage=contents.footage,
    )
    capture.load(contents.frames[0])  # A broken first frame is found before anything is written.
    return capture


def _opener(
    layout: str,
    path: pathlib.Path,
    background: float,
    size: tuple[int, int],
    frame_ids: Sequence[int],
    clips: Sequence[str],
) -> Callable[..., Contents]:
    """What opens a layout; arguments as of `open_capture`, each for the layout that has it."""
    of_videos = {"background": background, "size": size}
    if layout == images2d.LAYOUT:
        return functools.partial(images2d.open_video, frame_ids=frame_ids, **of_videos)
    if layout == sequence.LAYOUT:
        return functools.partial(sequence.open_sequence, names=clips, **of_videos)
    return records.open_records if records.is_packed(path) else folder.open_folder


_ALIGNMENT = 64  # bytes; XLA copies host arrays that lie otherwise
LARGE = 2**28  # bytes of a clip that need not be in memory as a whole


def _room(shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """An array for a clip; its first byte lies where XLA's CPU backend wants it."""
    size = math.prod(shape)
    if size >= LARGE:
        try:
            with tempfile.TemporaryFile() as file:
                os.posix_fallocate(
                    file.fileno(), 0, size
                )  # A full disk is an error here, not later.
                return np.frombuffer(mmap.mmap(file.fileno(), size), np.uint8).reshape(shape)
        except OSError as error:
            logging.warning(
                "no room for the clip in %s (%s): it is held in memory; see $TMPDIR",
                *(tempfile.gettempdir(), error.strerror),
            )
    buffer = np.empty(size + _ALIGNMENT, np.uint8)
    first = -buffer.ctypes.data % _ALIGNMENT
    return buffer[first : first + size].reshape(shape)


def _host(values: Any, dtype: type[np.generic]) -> Any:
    """A leaf in host memory: `Any`, as the structs name the array type of the device."""
    return np.asarray(values, dtype)


def check_holdout(holdout: Sequence[int], names: tuple[str, ...]) -> tuple[int, ...]:
    cams = tuple(int(cam) for cam in holdout)
    known = f"the {len(names)} cameras are 0 ({names[0]}) to {len(names) - 1} ({names[-1]})"
    if outside := [cam for cam in cams if not 0 <= cam < len(names)]:
        raise InvError(f"data.holdout names camera {outside[0]}, but {known}; choose one of these")
    if len(set(cams)) < len(cams):
        raise InvError(f"data.holdout is {cams}: a camera is named twice; expected each one once")
    if len(cams) == len(names):
        alone = "; one camera alone is trained as a picture: configs/image2d.py"
        raise InvError(
            f"data.holdout is {cams}, but {known}: none is left to train on; hold out fewer"
            + (alone if len(names) == 1 else "")
        )
    return cams


def _check_forward_facing(cameras: Cameras, names: tuple[str, ...]) -> None:
    """Every ray must go down -z of the average camera: the NDC warp divides by that component."""
    away = list(itertools.compress(names, cameras_lib.look_away(cameras)))
    if away:
        raise InvError(
            f"NDC cannot hold rays that look away from the average view, as those of "
            f"{', '.join(away)} do; expected cameras that all face one way: set data.ndc=False"
        )
