"""The video of one camera: a file, or a folder of pictures; where it stands is not known.

    clip.mp4                    any file that FFmpeg reads; frames are counted from 1 as shown
    FOLDER, FOLDER/frames       pictures, numbered by the number in their names: 0001.png, ...
    FOLDER/frame*cam05.png      those of one pattern, numbered by what the * stands for
    portrait.png                a single picture, frame 1

Pictures whose names do not differ in one number alone are counted from 1 in natural order. The
camera has the pose of the world: what a model makes of that is its own affair.
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from inv_jax.data import calibration as calibration_lib
from inv_jax.data import folder, frame_index, images, pooling
from inv_jax.data.calibration import Calibration
from inv_jax.data.rig import footage_of
from inv_jax.data.source import Contents, ImageSource, Making
from inv_jax.data.video_file import VideoFile
from inv_jax.types import InvError

LAYOUT = "video"

Pictures = Mapping[int, pathlib.Path]  # by frame number
T = TypeVar("T")

_SUFFIXES = (".png", ".jpg", ".jpeg")
_CAMERA = ("cam00",)
_NEIGHBOURS = 4  # how many factors or sizes an error names


def open_video(
    path: pathlib.Path,
    making: Making,
    *,
    first_frame: int,
    num_frames: int,
    background: float,
    size: tuple[int, int] = (0, 0),
    frame_ids: Sequence[int] = (),
) -> Contents:
    """Opens a video file, or lists pictures and checks their sizes.

    Args:
      path: See the head of this file.
      making: Its `factor` divides the size of the images, which are averaged over squares.
      first_frame: Number of the first frame.
      num_frames: How many; 0 is all up to the last.
      background: Grey level in [0, 1] that shows where images are transparent.
      size: Height and width that images are averaged to, behind the factor; 0, 0: none.
      frame_ids: These pictures only, as numbered on disk; they are the frames from 1 on.

    Raises:
      InvError: If there is no such video, a frame is missing, pictures differ in size, the factor
        does not divide it, or the size is larger.
    """
    backdrop = round(255 * background)
    is_picture = path.suffix.lower() in _SUFFIXES
    if path.is_file() and not is_picture:
        file = VideoFile(path)
        places = _chosen({n: n for n in range(1, file.num_frames + 1)}, frame_ids, path)
        frames = _select(places, path, first_frame, num_frames)
        on_disk, fps, first = file.size, file.fps, file.first
        smaller = Smaller.of(*on_disk, making.factor, size)
        source: ImageSource = _FileFrames(file, places, smaller, backdrop)
    else:
        pictures = {1: path} if path.is_file() else find_pictures(path)
        pictures = _chosen(pictures, frame_ids, path)
        frames = _select(pictures, path, first_frame, num_frames)
        on_disk = folder.common_size([pictures[frame] for frame in frames], is_photo=True)
        smaller = Smaller.of(*on_disk, making.factor, size)
        fps, first = None, pictures[frames[0]].read_bytes()
        source = _Pictures(pictures, smaller, backdrop)
    height, width = smaller.height, smaller.width
    return Contents(
        making=making,
        calibration=_unknown_pose(height, width, str(path)),
        camera_names=_CAMERA,
        frames=frames,
        height=height,
        width=width,
        images=source,
        fps=fps,
        footage=footage_of(first),
    )


@dataclasses.dataclass(frozen=True)
class Smaller:
    """How images become smaller: means over squares, then over the bins of any smaller size.

    Attributes:
      height: That they have then.
      width: Likewise.
      factor: Side of the squares.
    """

    height: int
    width: int
    factor: int

    @classmethod
    def of(cls, height: int, width: int, factor: int, size: tuple[int, int]) -> "Smaller":
        """From the size on disk; `size` as of `open_video`.

        Raises:
          InvError: If the factor does not divide it, or the size is larger than what is left.
        """
        left = reduced_size(height, width, factor)
        if size == (0, 0):
            return cls(*left, factor)
        if not (0 < size[0] <= left[0] and 0 < size[1] <= left[1]):
            raise InvError(
                f"data.height={size[0]}, data.width={size[1]}: the images are {left[1]}x{left[0]}, "
                "which can be averaged to that size or a smaller one; set both, or both to 0"
            )
        return cls(*size, factor)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """The image, smaller; rounded once for each of the two ways."""
        image = reduce(image, self.factor)
        if image.shape[:2] == (self.height, self.width):
            return image
        rows = pooling.weights(image.shape[0], self.height)
        cols = pooling.weights(image.shape[1], self.width)
        pooled = np.tensordot(rows, image.astype(np.float32), 1)  # (height, w, 3)
        pooled = np.tensordot(cols, pooled, ([1], [1]))  # (width, height, 3)
        return np.rint(pooled.swapaxes(0, 1)).astype(np.uint8)


def reduced_size(height: int, width: int, factor: int) -> tuple[int, int]:
    """The size divided by the factor.

    Raises:
      InvError: If it does not divide; it names the nearest factors and sizes that would fit.
    """
    if factor < 1:
        raise InvError(f"data.factor is {factor}; expected 1 or more")
    if not height % factor and not width % factor:
        return height // factor, width // factor
    both = math.gcd(height, width)
    fitting = [n for n in range(1, both + 1) if both % n == 0]
    nearest = sorted(sorted(fitting, key=lambda n: abs(n - factor))[:_NEIGHBOURS])
    down, up = (
        "x".join(str(max(1, side // factor + more) * factor) for side in (width, height))
        for more in (0, 1)
    )
    raise InvError(
        f"data.factor={factor} does not divide {width}x{height}; set data.factor to "
        f"{', '.join(map(str, nearest))}, or cut or scale the images to {down} or {up}"
    )


def reduce(image: UInt8[np.ndarray, "h w 3"], factor: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The mean over squares of `factor` pixels a side, rounded."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape[:2])
    squares = image.reshape(height, factor, width, factor, 3)
    total = squares.sum(axis=(1, 3), dtype=np.uint32)
    return ((total + factor * factor // 2) // (factor * factor)).astype(np.uint8)


class _Pictures(ImageSource):
    """A file per frame."""

    def __init__(self, pictures: Pictures, smaller: Smaller, backdrop: int):
        self._pictures, self._smaller, self._backdrop = pictures, smaller, backdrop

    def load(self, frame: int, cam: int) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
        name = self.name(frame, cam)
        try:
            data = self._pictures[frame].read_bytes()
        except OSError as error:
            raise images.broken(name, error) from error
        image, notes = images.decode(data, name, self._backdrop, is_photo=True)
        return self._smaller(image), notes

    def name(self, frame: int, cam: int) -> str:
        del cam
        return str(self._pictures[frame])


class _FileFrames(ImageSource):
    """Frames of a video file."""

    is_sequential = True

    def __init__(self, file: VideoFile, places: Mapping[int, int], smaller: Smaller, backdrop: int):
        self._file, self._places = file, places
        self._smaller, self._backdrop = smaller, backdrop

    def load(self, frame: int, cam: int) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
        image, notes = self._file.read(self._places[frame]), ()
        if image.shape[-1] == 4:
            image, note = images.flatten(image, self.name(frame, cam), self._backdrop)
            notes = (note,)
        return self._smaller(image), notes

    def name(self, frame: int, cam: int) -> str:
        del cam
        return self._file.name(self._places[frame])


def find_pictures(path: pathlib.Path) -> Pictures:
    """Lists the pictures of a folder or a pattern, by frame number.

    Raises:
      InvError: If there are none, or if they are of several cameras.
    """
    place = path.parent if "*" in path.name else path
    if not place.is_dir():
        raise InvError(
            f"{path} does not exist; set data.path to a video file, a folder of pictures, or a "
            "pattern as FOLDER/frame*cam00.png"
        )
    if "*" in path.name:
        found = _by_pattern(place, path.name)
    else:
        files = _pictures_in(place) or _pictures_in(place / "frames")
        found = _by_names(files)
    if not found:
        raise InvError(f"{path} holds no pictures; expected files as 0001.png or 0001.jpg")
    return found


def _pictures_in(place: pathlib.Path) -> list[pathlib.Path]:
    if not place.is_dir():
        return []
    files = (file for file in place.iterdir() if file.suffix.lower() in _SUFFIXES)
    return [file for file in files if not file.name.startswith(".")]  # a system's own notes


def _by_pattern(place: pathlib.Path, pattern: str) -> dict[int, pathlib.Path]:
    before, _, behind = pattern.partition("*")
    if "*" in behind:
        raise InvError(f"{place / pattern} has more than one *; one stands for the frame's number")
    found: dict[int, pathlib.Path] = {}
    for file in sorted(place.iterdir()):
        match = re.fullmatch(f"{re.escape(before)}(\\d+){re.escape(behind)}", file.name)
        if match:
            _add(found, int(match[1]), file)
    return found


def _by_names(files: list[pathlib.Path]) -> dict[int, pathlib.Path]:
    """Numbers from the one number in which the names differ; or else from 1, in natural order."""
    parts = {file: re.split(r"(\d+)", file.stem) for file in files}  # odd ones are numbers
    texts = {tuple(part.lower() for part in split[::2]) for split in parts.values()}
    numbers = list(zip(*(split[1::2] for split in parts.values()), strict=False))
    differing = [i for i, column in enumerate(numbers) if len(set(column)) > 1]
    if texts == {("frame", "cam", "")} and differing[-1:] == [1]:
        cams = sorted(set(numbers[1]))
        raise InvError(
            f"{files[0].parent} holds pictures of {len(cams)} cameras; choose one by a pattern, as "
            f"data.path={files[0].parent}/frame*cam{cams[0]}{files[0].suffix}"
        )
    if len(texts) == 1 and numbers and len(differing) <= 1:
        column = 2 * (differing or [len(numbers) - 1])[0] + 1
        found: dict[int, pathlib.Path] = {}
        for file in sorted(files):
            _add(found, int(parts[file][column]), file)
        return found

    return dict(enumerate(sorted(files, key=lambda file: natural(file.stem)), start=1))


def natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by, so that 10 comes behind 9."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _add(found: dict[int, pathlib.Path], number: int, file: pathlib.Path) -> None:
    if number in found:
        raise InvError(
            f"{file.parent} holds both {found[number].name} and {file.name}, frame {number} each; "
            "remove one"
        )
    found[number] = file


def _chosen(numbers: Mapping[int, T], frame_ids: Sequence[int], path: pathlib.Path) -> dict[int, T]:
    """Of all pictures those that are asked for, numbered anew from 1; all of them for none.

    Raises:
      InvError: If there is no such picture.
    """
    if not frame_ids:
        return dict(numbers)
    if missing := [number for number in frame_ids if number not in numbers]:
        raise InvError(
            f"data.frame_ids names {missing[0]}, but {path} holds "
            f"{frame_index.name_frames(range(min(numbers), max(numbers) + 1))}"
        )
    return {place: numbers[number] for place, number in enumerate(frame_ids, start=1)}


def _select(numbers: Iterable[int], path: pathlib.Path, first_frame: int, num_frames: int) -> range:
    index = {number: {_CAMERA[0]: path} for number in numbers}
    return frame_index.select_frames(index, path, first_frame=first_frame, num_frames=num_frames)


def _unknown_pose(height: int, width: int, source: str) -> Calibration:
    """A camera in the world's own pose, as wide as it is high above its image."""
    pose = np.eye(3, 4, dtype=np.float32)[None]
    focal = np.array([float(max(height, width))])
    return Calibration(
        cam_to_world=pose,
        intrinsics=calibration_lib.pinhole(focal, height=height, width=width).astype(np.float32),
        bounds=np.array([[1.0, 2.0]], np.float32),
        spiral=pose,
        source=source,
        camera_names=_CAMERA,
    )
