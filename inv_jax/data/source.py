"""What opening a capture finds out, wherever it lies: its rig, its frames, a source of images.

A capture is a folder of image files (`folder.py`) or records in shards (`records.py`). Either
yields `Contents`; all that comes after (`capture.py`) does not know which it was.
"""

import abc
import dataclasses

from inv_jax.data.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class Making:
    """What a capture's images and numbers were made with; once packed, they stay so."""

    layout: str  # whose calibration files they were
    factor: int  # what the images were reduced by
    bd_factor: float  # the nearest bound is at 1 / bd_factor


class ImageSource(abc.ABC):
    """The encoded images of a capture; any thread may read, also several at once."""

    @abc.abstractmethod
    def read(self, frame: int, cam: int) -> bytes:
        """The image file of one frame (as numbered on disk) and camera (an index), as it is.

        Raises:
          InvError: If it cannot be read; it names the image as `name` does.
        """

    @abc.abstractmethod
    def name(self, frame: int, cam: int) -> str:
        """What to call that image in messages; reads nothing."""


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
