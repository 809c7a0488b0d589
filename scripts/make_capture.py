r"""Renders the procedural toy theatre to a capture in the META (Neural 3D Video) layout.

Small, for a quick start on a CPU (27 images, about 15 s):

    python scripts/make_capture.py --out=data/theatre --frames=3

In the proportions of the META captures (21 cameras, 10 s of video; a day or more on a CPU):

    python scripts/make_capture.py --out=data/theatre_full \
        --height=1014 --width=1352 --cams=21 --frames=300 --factor=2

Called again, it keeps what is there and writes what is missing, so it may be interrupted, and
`--frames` may grow. The motion repeats after 120 frames.
"""

import re
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from inv_jax.data import synthetic
from inv_jax.types import InvError

_OUT = flags.DEFINE_string("out", None, "Folder of the capture.", required=True)
_HEIGHT = flags.DEFINE_integer("height", 72, "Height of the written images.")
_WIDTH = flags.DEFINE_integer("width", 96, "Width of the written images.")
_CAMS = flags.DEFINE_integer("cams", 9, "Number of cameras; cam00 is the middle one.")
_FRAMES = flags.DEFINE_string("frames", "30", "How many frames, or first-last: 30, 31-60.")
_FACTOR = flags.DEFINE_integer(
    "factor", 1, "How many times smaller the images are than poses_bounds.npy says."
)
_SAMPLES = flags.DEFINE_integer("samples_per_axis", 2, "Rays per pixel and axis.")
_MASKS = flags.DEFINE_boolean("masks", True, "Write the dynamic masks.")


def parse_frames(text: str) -> range:
    """Reads a number of frames (`30`: 1 to 30) or a range with both ends (`31-60`)."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    first, last = (int(match[1] or 1), int(match[2])) if match else (0, 0)
    if not 1 <= first <= last:
        raise InvError(f"--frames is {text!r}; give a number like 30 or a range like 31-60")
    return range(first, last + 1)


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        _stop(f"unexpected argument {argv[1]!r}; all settings are flags, see --help")
    logging.set_verbosity(logging.INFO)
    try:
        synthetic.write_capture(
            _OUT.value,
            height=_HEIGHT.value,
            width=_WIDTH.value,
            num_cams=_CAMS.value,
            frames=parse_frames(_FRAMES.value),
            factor=_FACTOR.value,
            samples_per_axis=_SAMPLES.value,
            write_masks=_MASKS.value,
        )
    except (InvError, OSError) as error:
        _stop(str(error))


def _stop(message: str) -> None:
    print(f"make_capture: {message}", file=sys.stderr)
    sys.exit(2)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        # absl lists every wrong flag on a line of its own.
        _stop("; ".join(str(error).split("\n")))
        raise


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
