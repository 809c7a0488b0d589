"""What opening a capture finds out, wherever it lies: its rig, its frames, a source of images.

A capture is a folder of image files (`folder.py`), records in shards (`records.py`), the video of
one camera (`images2d.py`), or several of these (`sequence.py`). Each yields `Contents`; all that
comes after (`capture.py`) does not know which it was.
"""

import abc
import dataclasses

import numpy as np
from jaxtyping import UInt8

from inv_jax.data import images
from inv_jax.data.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class Making:
    """What a capture's images and numbers were made with; once packed, they stay so."""

    layout: str  # whose calibration files they were
    factor: int  # what the images were reduced by
    bd_factor: float  # the nearest bound is at 1 / bd_factor


class ImageSource(abc.ABC):
    """The images of a capture; any thread may load, also several at once.

    Attributes:
      is_sequential: Whether many of them come fastest in order, one by one.
    """

    is_sequential = False

    @abc.abstractmethod
    def load(self, frame: int, cam: int) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
        """The image of one frame (as numbered on disk) and camera (an index).

        Returns:
          The image as 8-bit RGB, and what had to be converted for it: phrases that go on after
          its name, none for an ordinary image.

        Raises:
          InvError: If it cannot be read or is broken; it names the image as `name` does.
        """

    @abc.abstractmethod
    def name(self, frame: int, cam: int) -> str:
        """What to call that image in messages; reads nothing."""


class FileSource(ImageSource):
    """Images that are a file each, wherever these lie."""

    @abc.abstractmethod
    def read(self, frame: int, cam: int) -> bytes:
        """The image file of one frame (as numbered on disk) and camera (an index), as it is.

        Raises:
          InvError: If it cannot be read; it names the image as `name` does.
        """

    def load(self, frame: int, cam: int) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
        """See `ImageSource.load`."""
        return images.decode(self.read(frame, cam), self.name(frame, cam))


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """A capture as it lies on disk, checked; N cameras."""

    making: Making
    calibration: Calibration  # of all N cameras
    camera_names: tuple[str, ...]  # in the order of the calibration
    frames: range  # the selected frames; all of them exist
    height: int  # of every image
    width: int
    images: ImageSource
    fps: float | None = None  # frames per second, where that is known
    footage: str = ""  # see `Rig`
    clips: tuple[int, ...] = ()  # frames of each clip, where they are a sequence of several
    clip_names: tuple[str, ...] = ()  # ... and what people call them
