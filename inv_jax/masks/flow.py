"""Optical flow from a camera's frame to another of its frames: computed, or from files.

Flow is (dx, dy) in pixels, to the right and down: what is at (x, y) in the frame is at
(x + dx, y + dy) in the other one. Computed is DIS (Kroeger et al. 2016, Fast Optical Flow using
Dense Inverse Search), of OpenCV. Files are `.flo` (Middlebury) or `.npz` (one array):

    flow/frame{frame:04d}{cam}.flo            to the next frame
    flow/frame{frame:04d}to{to:04d}{cam}.npz  to the frame that {to} says
"""

import abc
import pathlib
import string
import zipfile
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from inv_jax.types import InvError

Grey = UInt8[np.ndarray, "h w"]
Flow = Float32[np.ndarray, "h w 2"]

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
SUFFIXES = (".flo", ".npz")

_LEAST_SIDE = 16  # pixels; below it DIS has no scale to work on
_UNKNOWN = 1e9  # Middlebury: above it, flow is not known


class FlowSource(abc.ABC):
    """Where flow comes from; any thread may ask.

    Attributes:
      reach: Frames that it reaches over; None if any.
    """

    reach: int | None = None

    @abc.abstractmethod
    def between(self, frame: int, other: int, cam: int, images: tuple[Grey, Grey]) -> Flow:
        """Flow from a camera's frame to another frame of its.

        Args:
          frame: As numbered on disk.
          other: As well.
          cam: An index.
          images: Of both frames.

        Raises:
          InvError: If there is none; it names frame and camera.
        """


class DisFlow(FlowSource):
    """Computes flow between the images."""

    def __init__(self, preset: str = "medium"):
        """Of `PRESETS`; the better ones take longer.

        Raises:
          InvError: For any other.
        """
        if preset not in PRESETS:
            raise InvError(f"--preset={preset}: choose among {', '.join(PRESETS)}")
        self._preset = PRESETS[preset]

    def between(self, frame: int, other: int, cam: int, images: tuple[Grey, Grey]) -> Flow:
        """See `FlowSource.between`."""
        del frame, other, cam
        height, width = images[0].shape
        # Of small pictures a border is added, and cut from the flow again.
        below, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
        padded = [np.pad(image, [(0, below), (0, right)], mode="edge") for image in images]
        # One of its own, as threads cannot share it.
        flow = cv2.DISOpticalFlow.create(self._preset).calc(*padded, None)
        return flow[:height, :width]


class FlowFiles(FlowSource):
    """Reads flow that was computed before."""

    def __init__(self, pattern: str, camera_names: Sequence[str]):
        """Looks at nothing on disk yet, unless the pattern is a folder.

        Args:
          pattern: Of paths, with `{frame}`, `{cam}` (the camera's name) and `{to}`, see the head
            of this file; a folder stands for `frame{frame:04d}{cam}` in it.
          camera_names: Of all cameras, by index.

        Raises:
          InvError: If the pattern cannot be right, or the folder holds no flow.
        """
        folder = pathlib.Path(pattern)
        if folder.is_dir():
            suffixes = [
                suffix
                for suffix in SUFFIXES
                if any(any(folder.glob(f"frame*{name}{suffix}")) for name in camera_names)
            ]
            if not suffixes:
                raise InvError(
                    f"--flow={pattern}: no frame0001{camera_names[0]}.flo or .npz there; give a "
                    "pattern as FOLDER/flow_{frame:04d}_{cam}.flo"
                )
            pattern = str(folder / ("frame{frame:04d}{cam}" + suffixes[0]))
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(pattern)} - {None}
            pattern.format(frame=1, to=2, cam=camera_names[0])
        except (LookupError, ValueError, AttributeError) as error:
            raise InvError(f"--flow={pattern}: {error}; fields are frame, to and cam") from error
        needed = {"frame", "cam"} if len(camera_names) > 1 else {"frame"}
        if not needed <= fields or pathlib.Path(pattern).suffix not in SUFFIXES:
            raise InvError(
                f"--flow={pattern}: expected .flo or .npz files whose names have {{frame:04d}} and "
                "{cam}"
            )
        self._pattern, self._names = pattern, tuple(camera_names)
        self.reach = None if "to" in fields else 1

    def between(self, frame: int, other: int, cam: int, images: tuple[Grey, Grey]) -> Flow:
        """See `FlowSource.between`; of unknown flow, 0."""
        shape = images[0].shape
        if self.reach is None or other > frame:
            return self._read(frame, other, cam, shape)
        return reverse(self._read(other, frame, cam, shape))

    def _read(self, frame: int, to: int, cam: int, shape: tuple[int, ...]) -> Flow:
        name = self._names[cam]
        path = pathlib.Path(self._pattern.format(frame=frame, to=to, cam=name))
        subject = f"flow of frame {frame}, {name}: {path}"
        if not path.is_file():
            raise InvError(f"{subject} is missing; choose --frames that have flow, or leave --flow")
        flow = _read_npz(path, subject) if path.suffix == ".npz" else cv2.readOpticalFlow(str(path))
        if flow is None or not flow.size:
            raise InvError(f"{subject} is no whole .flo file; write it again")
        if flow.shape != (*shape, 2):
            raise InvError(
                f"{subject} has shape {flow.shape}, the images {(*shape, 2)} (height, width, dx "
                "and dy); compute it on these images"
            )
        flow = flow.astype(np.float32)
        return np.where(np.abs(flow) < _UNKNOWN, flow, np.float32(0))  # False for NaN too


def reverse(flow: Flow) -> Flow:
    """The flow back, at the pixels of the other frame.

    Each pixel takes its flow to the nearest pixel of where it lands; where several land, the
    fastest counts, and where none does, 0.
    """
    height, width = flow.shape[:2]
    speed = np.hypot(flow[..., 0], flow[..., 1]).ravel()
    order = np.argsort(speed, kind="stable")  # the last one that is written stays
    y, x = np.divmod(order, width)
    vectors = flow.reshape(-1, 2)[order]
    x = np.rint(x + vectors[:, 0]).astype(np.int64)
    y = np.rint(y + vectors[:, 1]).astype(np.int64)
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    back = np.zeros_like(flow)
    back[y[is_inside], x[is_inside]] = -vectors[is_inside]
    return back


def _read_npz(path: pathlib.Path, subject: str) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        arrays = dict(found) if isinstance(found, np.lib.npyio.NpzFile) else {"flow": found}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise InvError(f"{subject} is no whole .npz file ({reason}); write it again") from error
    if len(arrays) != 1 and "flow" not in arrays:
        raise InvError(f"{subject} holds {', '.join(arrays) or 'nothing'}; expected 'flow'")
    flow = arrays["flow"] if "flow" in arrays else next(iter(arrays.values()))
    if flow.dtype.kind not in "fiu":
        raise InvError(f"{subject} holds {flow.dtype}; expected real numbers")
    return flow
