"""A sequence of clips, one after the other: what a model learns clip by clip.

    clips.txt   a clip a line: a video file, a folder of pictures, or a pattern, as `images2d.py`
                reads them, relative to the file; behind a # is a note
    FOLDER      its video files and its folders of pictures, each one a clip, in natural order, or
                those that are asked for by name, in that order

Frames are counted from 1 through all clips. All clips have one size.
"""

import bisect
import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np
from absl import logging
from jaxtyping import UInt8

from inv_jax.data import images2d
from inv_jax.data.source import Contents, ImageSource, Making
from inv_jax.types import InvError

LAYOUT = "clips"

_VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".y4m", ".ts", ".m4v", ".mpg")
_NOTE = re.compile(r"(?:^|\s)#")  # a name may have one
_USUAL = re.compile(r"(frames|images)(_\d+)?")  # folders whose names say nothing of the clip


def open_sequence(
    path: pathlib.Path,
    making: Making,
    *,
    first_frame: int,
    num_frames: int,
    background: float,
    size: tuple[int, int] = (0, 0),
    names: Sequence[str] = (),
) -> Contents:
    """Opens all clips and puts them behind each other.

    Args:
      path: See the head of this file.
      making: See `images2d.open_video`.
      first_frame: 1: frames are counted through all clips.
      num_frames: Of each clip at most, its first ones; 0 is all.
      background: See `images2d.open_video`.
      size: Likewise.
      names: Of clips in a folder, in their order; none: all.

    Raises:
      InvError: If there are no clips, one cannot be opened, or they differ in size.
    """
    if first_frame != 1:
        raise InvError(
            f"data.first_frame={first_frame}: frames of data.layout=clips are counted from 1 "
            "through all clips; leave it at 1"
        )
    if num_frames < 0:
        raise InvError(f"data.num_frames={num_frames}; want so many of each clip, or 0 for all")
    paths = find_clips(path, names)
    clips = [_open(clip, making, num_frames, background, size) for clip in paths]
    _check_sizes(paths, clips)
    _warn_of_twins(paths, clips)
    lengths = tuple(len(clip.frames) for clip in clips)
    rates = {clip.fps for clip in clips if clip.fps is not None}
    return dataclasses.replace(
        clips[0],
        frames=range(1, sum(lengths) + 1),
        images=_Joined(clips),
        fps=min(rates, default=None),
        footage="-".join(clip.footage for clip in clips),
        clips=lengths,
        clip_names=tuple(names_of(paths)),
    )


def find_clips(path: pathlib.Path, names: Sequence[str] = ()) -> list[pathlib.Path]:
    """The clips of a list or a folder, in order; `names` as of `open_sequence`.

    Raises:
      InvError: If there are none, or one that is asked for is not there.
    """
    if path.is_file():
        if names:
            raise InvError(
                f"data.clips={tuple(names)} chooses among the clips of a folder, and {path} is a "
                "list with an order of its own; set data.clips=()"
            )
        return _listed(path)
    if not path.is_dir():
        raise InvError(
            f"{path} does not exist; set data.path to a text file with a clip a line, or to a "
            "folder of video files or of folders of pictures"
        )
    found = [
        entry
        for entry in path.iterdir()
        if not entry.name.startswith(".") and (entry.is_dir() or entry.suffix.lower() in _VIDEOS)
    ]
    if not found:
        raise InvError(
            f"{path} holds no clips; want video files ({', '.join(_VIDEOS)}) or folders of "
            "pictures in it; a single clip is trained by configs/nerv.py"
        )
    if names:
        return [_named(path, found, name) for name in names]
    return sorted(found, key=lambda entry: images2d.natural(entry.name))


def _named(path: pathlib.Path, found: Sequence[pathlib.Path], name: str) -> pathlib.Path:
    fitting = [entry for entry in found if name in (entry.name, entry.stem)]
    if len(fitting) != 1:
        there = ", ".join(sorted(entry.name for entry in found))
        raise InvError(
            f"data.clips names {name!r}, and {path} holds {len(fitting)} of that name; there are: "
            f"{there}"
        )
    return fitting[0]


def _listed(path: pathlib.Path) -> list[pathlib.Path]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvError(
            f"{path} is no list of clips; want a text file with the path of a clip a line"
        ) from error
    names = [name for line in lines if (name := _NOTE.split(line)[0].strip())]
    if not names:
        raise InvError(f"{path} names no clips; want the path of one in each line")
    return [path.parent / pathlib.Path(name).expanduser() for name in names]


def _open(
    path: pathlib.Path,
    making: Making,
    num_frames: int,
    background: float,
    size: tuple[int, int],
) -> Contents:
    """A clip: all of it, or its first frames."""
    first = 1
    if path.is_dir() or "*" in path.name:
        first = min(images2d.find_pictures(path))
    whole = images2d.open_video(
        path, making, first_frame=first, num_frames=0, background=background, size=size
    )
    if not num_frames:
        return whole
    return dataclasses.replace(whole, frames=whole.frames[:num_frames])


def _check_sizes(paths: Sequence[pathlib.Path], clips: Sequence[Contents]) -> None:
    first = clips[0]
    for path, clip in zip(paths, clips, strict=True):
        if (clip.height, clip.width) != (first.height, first.width):
            raise InvError(
                f"the clips of a sequence have one size: {paths[0]} has {first.width}x"
                f"{first.height}, {path} has {clip.width}x{clip.height}; have all averaged to one "
                "size by data.height and data.width, or leave it out"
            )


def _warn_of_twins(paths: Sequence[pathlib.Path], clips: Sequence[Contents]) -> None:
    known: dict[tuple[str, int], pathlib.Path] = {}
    for path, clip in zip(paths, clips, strict=True):
        kind = clip.footage, len(clip.frames)
        if kind in known:
            logging.warning(
                "%s begins with the picture of %s and is as long: is it there twice?",
                *(path, known[kind]),
            )
        known.setdefault(kind, path)


def names_of(paths: Sequence[pathlib.Path]) -> list[str]:
    """What people call the clips: names of files or folders, with more of the path where needed."""
    parts = [path.with_suffix("").parts for path in paths]
    told = [[part for part in one if not _USUAL.fullmatch(part)] for one in parts]
    for count in range(1, max(map(len, told)) + 1):
        # A pattern alone says which camera, not of what.
        names = ["/".join(one[-(count + ("*" in one[-1])) :]) for one in told]
        if len(set(names)) == len(set(paths)):
            return names
    return [str(path) for path in paths]


class _Joined(ImageSource):
    """The images of clips, counted through."""

    def __init__(self, clips: Sequence[Contents]):
        self._clips = clips
        self._ends = np.cumsum([len(clip.frames) for clip in clips]).tolist()
        self.is_sequential = any(clip.images.is_sequential for clip in clips)

    def _place(self, frame: int) -> tuple[Contents, int]:
        """The clip that a frame is in, and the frame's number in it."""
        at = bisect.bisect_left(self._ends, frame)
        clip = self._clips[at]
        return clip, clip.frames[frame - 1 - (self._ends[at - 1] if at else 0)]

    def load(self, frame: int, cam: int) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
        clip, number = self._place(frame)
        return clip.images.load(number, cam)

    def name(self, frame: int, cam: int) -> str:
        clip, number = self._place(frame)
        return clip.images.name(number, cam)
