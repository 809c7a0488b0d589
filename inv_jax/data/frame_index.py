"""Which image files a capture has: by frame number, then by camera name.

Both layouts keep `frame%04dcam%02d` images in `frames_{factor}/` (`frames/` for factor 1). The
folder is listed once, when the capture is opened; a run of hours then never searches again, and
learns at its start, not at frame 57, that frame 57 lacks a camera.
"""

import collections
import itertools
import os
import pathlib
import re

from inv_jax.types import InvError

FrameIndex = dict[int, dict[str, pathlib.Path]]  # {frame: {camera name: file}}

_IMAGE = re.compile(r"frame(\d+)(cam\d+)\.(?:png|jpe?g)", re.IGNORECASE)
_FOLDER = re.compile(r"frames(?:_(\d+))?")


def find_folder(path: pathlib.Path, factor: int) -> pathlib.Path:
    """The folder that holds the images of `factor`.

    Raises:
      InvError: If the capture or the folder is missing; it names the factors that exist.
    """
    if factor < 1:
        raise InvError(f"data.factor is {factor}; expected 1 or more")
    if not path.is_dir():
        raise InvError(f"{path} is not a folder; expected a capture: set data.path to one")
    folder = path / (f"frames_{factor}" if factor > 1 else "frames")
    if folder.is_dir():
        return folder
    matches = [_FOLDER.fullmatch(entry.name) for entry in path.iterdir() if entry.is_dir()]
    factors = sorted(int(match[1] or 1) for match in matches if match)
    if not factors:
        raise InvError(
            f"{folder} is missing, and {path} has no other folder of frames; expected frames/ or "
            "frames_2/ with images frame0001cam00.png, ...: cut the videos into frames first"
        )
    raise InvError(
        f"{folder} is missing; this capture has images for data.factor "
        f"{', '.join(map(str, factors))}: choose one of these"
    )


def read_index(folder: pathlib.Path) -> FrameIndex:
    """Lists a folder of frames; files of other names are ignored.

    Raises:
      InvError: If it holds no frame, or two files for one frame and camera.
    """
    index: FrameIndex = collections.defaultdict(dict)
    with os.scandir(folder) as entries:
        for entry in entries:
            if not (match := _IMAGE.fullmatch(entry.name)):
                continue
            frame, cam = int(match[1]), match[2].lower()
            if cam in index[frame]:
                names = sorted([entry.name, index[frame][cam].name])
                raise InvError(f"{folder} holds both {names[0]} and {names[1]}; remove one")
            index[frame][cam] = pathlib.Path(entry.path)
    if not index:
        raise InvError(
            f"{folder} holds no frames; expected images named like frame0001cam00.png (or .jpg)"
        )
    return dict(index)


def select_frames(
    index: FrameIndex, folder: pathlib.Path, *, first_frame: int, num_frames: int
) -> range:
    """The frames asked for, once it is clear that all of them exist.

    Args:
      index: What there is.
      folder: Where, for messages.
      first_frame: Number of the first one, as on disk.
      num_frames: How many; 0 is all up to the last.

    Raises:
      InvError: If the range reaches beyond what exists, or has gaps; it names the frames.
    """
    first, last = min(index), max(index)
    exist = f"{folder} holds {name_frames(range(first, last + 1))}"
    if num_frames < 0:
        raise InvError(f"data.num_frames is {num_frames}; expected 0 (all) or more: {exist}")
    if not first <= first_frame <= last:
        raise InvError(f"data.first_frame is {first_frame}, but {exist}; choose one of these")
    frames = range(first_frame, first_frame + num_frames if num_frames else last + 1)
    if frames[-1] > last:
        raise InvError(
            f"data.first_frame and data.num_frames ask for {name_frames(frames)}, but {exist}; set "
            f"data.num_frames to at most {last + 1 - first_frame}, or to 0 for all"
        )
    if gaps := _gaps(sorted(frame for frame in index if frame in frames), frames):
        subject = f"frame {gaps} is" if gaps.isdecimal() else f"frames {gaps} are"
        raise InvError(
            f"{subject} missing from {folder}; expected all of "
            f"{name_frames(frames)}: add what is missing, or choose data.first_frame and "
            "data.num_frames around it"
        )
    return frames


def name_frames(frames: range) -> str:
    """'frame 7' or 'frames 1-24'."""
    first, last = frames[0], frames[-1]
    return f"frame {first}" if first == last else f"frames {first}-{last}"


def match_cameras(
    index: FrameIndex,
    folder: pathlib.Path,
    frames: range,
    *,
    num_cams: int,
    source: str,
    camera_names: tuple[str, ...] | None = None,
) -> tuple[str, ...]:
    """Checks that every selected frame has exactly the calibrated cameras.

    Args:
      index: What there is; frames that are not selected help to say what is missing.
      folder: Where, for messages.
      frames: The selected frames.
      num_cams: How many cameras are calibrated.
      source: The file that says so.
      camera_names: Their names, if it says them. Otherwise the sorted file names count, and
        numbers may have gaps.

    Returns:
      The cameras' names, in the order of the calibration.

    Raises:
      InvError: If a frame has a camera too few or too many; it names the camera.
    """
    complete = collections.Counter(
        tuple(sorted(cams)) for cams in index.values() if len(cams) == num_cams
    )
    names = camera_names or (complete.most_common(1)[0][0] if complete else None)
    for frame in frames:
        found = sorted(index[frame])
        if names is not None and found == sorted(names):
            continue
        message = f"{len(found)} images for frame {frame} but {num_cams} poses in {source}"
        if names is None:
            raise InvError(f"{message}; {_guess(found, num_cams, folder)}")
        missing = ", ".join(sorted(set(names) - set(found)))
        extra = ", ".join(sorted(set(found) - set(names)))
        parts = [f"{missing} missing" if missing else "", f"{extra} extra" if extra else ""]
        raise InvError(
            f"{message}: {' and '.join(filter(None, parts))} in {folder}; expected one image per "
            "pose: add or remove images, or choose other frames"
        )
    assert names is not None  # A selection is never empty.
    return names


def _gaps(present: list[int], frames: range) -> str:
    """The frames of a range that are not present, as '4-6, 9'."""
    ends = [frames.start - 1, *present, frames.stop]
    spans = [(a + 1, b - 1) for a, b in itertools.pairwise(ends) if b - a > 1]
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in spans)


def _guess(found: list[str], num_cams: int, folder: pathlib.Path) -> str:
    """What to say where no frame at all has the right number of cameras."""
    numbers = {int(name.removeprefix("cam")) for name in found}
    holes = sorted(set(range(min(max(numbers), num_cams) + 1)) - numbers)
    if len(holes) == num_cams - len(found):
        cams = ", ".join(f"cam{number:02d}" for number in holes)
        return f"is {cams} missing from {folder}? Add its images, or remove its pose"
    return (
        f"{folder} has {found[0]} to {found[-1]}; expected one image per pose: add or remove "
        "images, or use the poses of this capture"
    )
