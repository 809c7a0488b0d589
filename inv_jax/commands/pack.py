"""`inv-jax pack`: a capture as ArrayRecord shards, for clusters that read from shared storage."""

import pathlib
import sys

from absl import flags

from inv_jax.assembly import captures
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import pack
from inv_jax.types import InvError, Stopped

USAGE = "--config=configs/base.py --config.data.path=CAPTURE --out=FOLDER [--shards=8]"
REQUIRED = flagged.CONFIG | {"out": "give the folder to make"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    flagged.define_config(values, argv)
    flags.DEFINE_string(
        "out", None, "Folder to make; data.path of a config that reads it.", flag_values=values
    )
    flags.DEFINE_integer(
        "shards", 0, "Number of files; 0: one per 256 MiB or so.", flag_values=values
    )


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    out = pathlib.Path(values.out).expanduser().absolute()
    if not values.config.data.path:
        raise InvError(
            "data.path is empty; say where the capture is (a procedural one is in WORKDIR/capture "
            "once it is rendered): --config.data.path=FOLDER"
        )
    capture = captures.of(values.config, pathlib.Path())
    try:
        pack.pack(capture, out, num_shards=values.shards, should_stop=stop)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    images = len(capture.frames) * len(capture.camera_names)
    print(f"{out}: {images} images, {pack.size_bytes(out) / 1e6:.1f} MB")
    return 0
