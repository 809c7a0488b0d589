"""The procedural capture in the size of the META captures, made in minutes instead of days."""

import os
import pathlib

from absl import flags

from inv_jax.data import synthetic

HEIGHT, WIDTH, NUM_CAMS = 1014, 1352, 21
FACTOR = 2  # as the META captures are at that size

_CAPTURE = flags.DEFINE_string("capture", "", "Its folder; default: runs/theatre_SIZE_CAMERAS.")
_CAMS = flags.DEFINE_integer("cams", NUM_CAMS, "Its cameras; the first is held out.")
_IMAGE = flags.DEFINE_string("image", f"{WIDTH}x{HEIGHT}", "Size of its images.")


def image_size() -> tuple[int, int]:
    """Height and width."""
    width, height = map(int, _IMAGE.value.split("x"))
    return height, width


def describe() -> str:
    """For example `21 cameras of 1352x1014`."""
    return f"{_CAMS.value} cameras of {_IMAGE.value}"


def frame_bytes() -> int:
    """Pixels of the training cameras, 3 bytes each."""
    height, width = image_size()
    return 3 * (_CAMS.value - 1) * height * width


def write(frames: int) -> pathlib.Path:
    """Makes the capture as far as it is not there; its first frame stands in for all others.

    They have other pictures but the same bytes, in memory and (hard links) on disk, and take as
    long to decode. To render 21 views of 1352x1014 takes some minutes on two cores.
    """
    height, width = image_size()
    default = f"runs/theatre_{_IMAGE.value}_{_CAMS.value}"
    folder = pathlib.Path(_CAPTURE.value or default).absolute()
    synthetic.write_capture(
        folder,
        height=height,
        width=width,
        num_cams=_CAMS.value,
        frames=[1],
        factor=FACTOR,
        samples_per_axis=1,
        write_masks=False,
    )
    for cam in range(_CAMS.value):
        first = folder / f"frames_{FACTOR}" / f"frame0001cam{cam:02d}.png"
        for frame in range(2, frames + 1):
            copy = first.with_name(f"frame{frame:04d}cam{cam:02d}.png")
            if not copy.exists():
                os.link(first, copy)
    return folder


def settings(frames: int) -> dict[str, object]:
    """The fields of a config that trains on so many frames of it."""
    return {
        "data__path": str(write(frames)),
        "data__factor": FACTOR,
        "data__near": 0.2,
        "data__num_frames": frames,
    }
