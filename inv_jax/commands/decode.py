"""`inv-jax decode`: a neural video as a workdir: for notebooks, `eval`, `train.init_from`."""

import os
import pathlib
import shutil
import sys

from absl import flags, logging

from inv_jax.assembly import record
from inv_jax.assembly.playback import model_of
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data.segments import name_of
from inv_jax.params import Roles
from inv_jax.types import InvError, Stopped

USAGE = "video.inv --out=FOLDER [--frames=1:30]"
POSITIONAL = "video"
REQUIRED = {"video": "give an .inv file", "out": "give the folder to make"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_string("video", None, "An .inv file.", flag_values=values)
    flags.DEFINE_string("out", None, "Folder to make: the workdir of a run.", flag_values=values)
    flagged.define_frames(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    path, out = (pathlib.Path(text).expanduser().absolute() for text in (values.video, values.out))
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InvError(f"--out={out} is there and not an empty folder; give a new one")
    with NeuralVideo.open(path) as video:
        return _decode(video, path, out, values.frames, stop)


def _decode(
    video: NeuralVideo, path: pathlib.Path, out: pathlib.Path, wanted: str, stop: Stop
) -> int:
    config, model = model_of(video.header, str(path))
    segments = flagged.select_segments(video.segments(), wanted)
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _write(video, segments, model.roles, temporary, stop)
        capture = video.header.rig.fingerprint
        record.write(config, temporary, None, rows_per_pass=0, capture=capture)
        os.replace(temporary, out)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"{out}: {sum(map(len, segments))} frames")
    return 0


def _write(
    video: NeuralVideo, segments: list[range], roles: Roles, workdir: pathlib.Path, stop: Stop
) -> None:
    with_color: int | None = None  # id of the color that was stored last
    store = FrameStore(workdir, roles=roles)
    try:
        for segment in segments:
            if stop():
                raise Stopped("stopped while decoding; nothing was written")
            frame = segment[0]
            color = video.color_id(frame)
            trained = roles.all if color != with_color else roles.own
            with_color = color
            metadata = {"frame": frame, "phase": "decoded", "steps": 0}
            if len(segment) > 1:
                metadata["num_frames"] = len(segment)
            store.save(frame, video.params(frame), {}, trained=trained, metadata=metadata)
            logging.info("%s", name_of(segment))
    finally:
        store.close()
