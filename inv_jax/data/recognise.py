"""Opens a capture of which only the place is known: its layout is what its files say."""

import pathlib

from inv_jax.data import capture as capture_lib
from inv_jax.data import frame_index, images2d, records
from inv_jax.data.capture import Capture
from inv_jax.types import InvError

_BD_FACTOR = 0.75  # scales poses, which nobody asks for here
_FACTORS = range(1, 65)


def open_footage(path: pathlib.Path, *, layout: str = "", factor: int = 0) -> Capture:
    """Opens all frames of a capture, with no camera held out; its cameras are not in NDC.

    Args:
      path: A capture's folder, packed or not; a video file, or a folder of pictures.
      layout: As `data.layout`; empty: by the files.
      factor: As `data.factor`; 0: of the largest images that there are.

    Raises:
      InvError: If it is none of these, or broken.
    """
    if not path.exists() and "*" not in path.name:
        raise InvError(f"{path} does not exist; give a capture's folder, or a video")
    bd_factor, first_frame = _BD_FACTOR, 1
    if path.is_dir() and records.is_packed(path):
        found = records.read_description(path)
        layout, factor = layout or found["layout"], factor or found["factor"]
        bd_factor, first_frame = found["bd_factor"], found["first_frame"]
    else:
        layout = layout or _layout(path)
        if layout == images2d.LAYOUT:
            factor = factor or 1
            if not path.is_file():
                first_frame = min(images2d.find_pictures(path))
        else:
            factor = factor or _largest(path)
            folder = frame_index.find_folder(path, factor)
            first_frame = min(frame_index.read_index(folder))
    return capture_lib.open_capture(
        layout,
        path,
        factor=factor,
        first_frame=first_frame,
        num_frames=0,
        holdout=(),
        near=0.0,
        ndc=False,
        pixel_center=0.0,
        bd_factor=bd_factor,
    )


def _layout(path: pathlib.Path) -> str:
    if (path / "poses_bounds.npy").is_file():
        return "n3dv"
    if (path / "calibration").is_dir():
        return "little_falls"
    return images2d.LAYOUT


def _largest(path: pathlib.Path) -> int:
    """The smallest factor that there is a folder of frames of; 1 if there is none."""
    there = [n for n in _FACTORS if (path / (f"frames_{n}" if n > 1 else "frames")).is_dir()]
    return min(there, default=1)
