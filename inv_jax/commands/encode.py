"""`inv-jax encode`: what a run has stored, or another video, as a neural video."""

import pathlib
import sys
from typing import Any

from absl import flags, logging

from inv_jax.assembly import record
from inv_jax.assembly.playback import open_playback
from inv_jax.codec import make, registry
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.writer import VideoWriter
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.data.segments import name_of
from inv_jax.player.player import FrameSource, segments_of
from inv_jax.settings import compose
from inv_jax.types import InvError, Stopped

USAGE = "--workdir=runs/demo --codec=bricks|delta|quant|raw|twc --out=video.inv [--fidelity=40 ...]"
REQUIRED = flagged.WORKDIR | {"out": "give the file to write, for example video.inv"}

_NUMBERS = {
    "fidelity": (flags.DEFINE_float, "bricks, delta: PSNR in dB against the stored frames."),
    "key_every": (flags.DEFINE_integer, "bricks, delta: frames from one key frame to the next."),
    "precision": (flags.DEFINE_integer, "twc: bits of a number, 2 to 32."),
    "group": (flags.DEFINE_integer, "twc: frames of a group; 0: all."),
    "bits": (flags.DEFINE_integer, "quant: bits of a weight, 1 to 16."),
    "axis": (flags.DEFINE_integer, "quant: a slice is 0: an output, 1: an input, -1: a leaf."),
    "color_precision": (flags.DEFINE_integer, "Bits of a color param; 32 loses nothing."),
}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_enum("codec", "delta", sorted(registry.CODECS), "Codec.", flag_values=values)
    flags.DEFINE_string("out", None, "File to write.", flag_values=values)
    for name, (define_number, text) in _NUMBERS.items():
        define_number(name, None, f"{text} Default: the config's.", flag_values=values)
    flagged.define_stored_frames(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    workdir, out = flagged.workdir(values), pathlib.Path(values.out).expanduser().absolute()
    if out.is_dir():
        raise InvError(f"--out={out} is a folder; give a file, as {out / 'video.inv'}")
    playback = open_playback(workdir, values.data_path)
    # The run's, as far as it has them, over the defaults; the flags' over both.
    settings = compose(codec=values.codec).codec.to_dict() | playback.config.codec.to_dict()
    settings |= _given(values)
    codec = make.codec(values.codec, settings)
    segments = flagged.select_segments(segments_of(playback.source), values.frames)
    first, longest = playback.source.params(segments[0][0]), max(map(len, segments))
    header = make.header(
        codec,
        first,
        playback.model.roles,
        playback.config.to_dict(),
        playback.rig,
        record.provenance(playback.rig.fingerprint),
        longest,
    )
    gauge = make.gauge(codec, playback.model, playback.rig, first, longest)
    try:
        with files.replacing(out) as temporary:
            writer = VideoWriter(
                temporary, header, codec, gauge, color_precision=settings["color_precision"]
            )
            _write(writer, playback.source, segments, stop)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    bits = bits_per_param(writer.packet_bytes, header.layout, len(segments))
    count = f"{sum(map(len, segments))} frames"
    if longest > 1:
        count += f" in {len(segments)} segments"
    print(f"{out}: {count}, {writer.num_bytes:,} bytes, {bits:.3f} bits a param")
    return 0


def _write(writer: VideoWriter, source: FrameSource, segments: list[range], stop: Stop) -> None:
    for segment in segments:
        if stop():
            writer.abandon()
            raise Stopped("stopped while encoding; no file was written")
        grown = writer.push(segment, source.params(segment[0]), source.color_id(segment[0]))
        logging.info("%s: %d bytes", name_of(segment), grown)
    writer.close()


def _given(values: flags.FlagValues) -> dict[str, Any]:
    """The codec's settings among the flags.

    Raises:
      InvError: If one is given that another codec has.
    """
    given = {name: values[name].value for name in _NUMBERS if values[name].value is not None}
    known = compose(codec=values.codec).codec.to_dict()
    for name in given.keys() - known.keys():
        others = [codec for codec in sorted(registry.CODECS) if name in compose(codec=codec).codec]
        raise InvError(
            f"--{name} says nothing to --codec={values.codec}; leave it out, or choose "
            f"--codec={' or '.join(others)}"
        )
    return given
