"""`inv-jax encode`: the stored frames of a run, or those of another video, as a neural video."""

import pathlib
import sys

from absl import flags, logging

from inv_jax.assembly import build, record
from inv_jax.assembly.playback import open_playback
from inv_jax.codec import make, registry
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.writer import VideoWriter
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.player.player import FrameSource
from inv_jax.types import InvError, Stopped

USAGE = "--workdir=runs/demo --codec=delta|twc|raw --out=video.inv [--fidelity=40 ...]"
REQUIRED = flagged.WORKDIR | {"out": "give the file to write, for example video.inv"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_enum("codec", "delta", sorted(registry.CODECS), "Codec.", flag_values=values)
    flags.DEFINE_string("out", None, "File to write.", flag_values=values)
    numbers = {
        "fidelity": (flags.DEFINE_float, "delta: PSNR in dB against the stored frames."),
        "key_every": (flags.DEFINE_integer, "delta: frames from one key frame to the next."),
        "precision": (flags.DEFINE_integer, "twc: bits of a number, 2 to 32."),
        "group": (flags.DEFINE_integer, "twc: frames of a group; 0: all."),
        "color_precision": (flags.DEFINE_integer, "Bits of a color param; 32 loses nothing."),
    }
    for name, (define_number, text) in numbers.items():
        define_number(name, None, f"{text} Default: the config's.", flag_values=values)
    flagged.define_stored_frames(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    workdir, out = flagged.workdir(values), pathlib.Path(values.out).expanduser().absolute()
    if out.is_dir():
        raise InvError(f"--out={out} is a folder; give a file, as {out / 'video.inv'}")
    playback = open_playback(workdir, values.data_path)
    settings = playback.config.codec.to_dict()
    settings |= {name: values[name].value for name in settings if _is_given(values, name)}
    codec = make.codec(values.codec, settings)
    frames = flagged.select_frames(playback.source.frames(), values.frames)
    first = playback.source.params(frames[0])
    header = make.header(
        codec,
        first,
        playback.config.to_dict(),
        playback.rig,
        record.provenance(playback.rig.fingerprint),
    )
    gauge = make.gauge(codec, build.shown_model(playback.config), playback.rig, first)
    try:
        with files.replacing(out) as temporary:
            writer = VideoWriter(
                temporary, header, codec, gauge, color_precision=settings["color_precision"]
            )
            _write(writer, playback.source, frames, stop)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    bits = bits_per_param(writer.packet_bytes, header.layout, len(frames))
    print(f"{out}: {len(frames)} frames, {writer.num_bytes:,} bytes, {bits:.3f} bits a param")
    return 0


def _write(writer: VideoWriter, source: FrameSource, frames: list[int], stop: Stop) -> None:
    for frame in frames:
        if stop():
            writer.abandon()
            raise Stopped("stopped while encoding; no file was written")
        grown = writer.push(frame, source.params(frame), source.color_id(frame))
        logging.info("frame %d: %d bytes", frame, grown)
    writer.close()


def _is_given(values: flags.FlagValues, name: str) -> bool:
    return name in values and values[name].value is not None
