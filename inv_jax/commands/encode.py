"""`inv-jax encode`: what a run has stored, or another video, as a neural video."""

import pathlib
import sys
from typing import Any

from absl import flags, logging

from inv_jax import params as params_lib
from inv_jax.assembly import record
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.codec import make, registry
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.header import Header
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.writer import VideoWriter
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.data.segments import name_of
from inv_jax.player.player import FrameSource, segments_of
from inv_jax.settings import compose
from inv_jax.types import InvError, Params, Stopped

USAGE = "--workdir=runs/demo --codec=bricks|delta|quant|raw|twc --out=video.inv [--fidelity=40 ...]"
REQUIRED = flagged.WORKDIR | {"out": "give the file to write, for example video.inv"}

_NUMBERS = {
    "fidelity": (flags.DEFINE_float, "bricks, delta: PSNR in dB against the stored frames."),
    "key_every": (
        flags.DEFINE_integer,
        "bricks, delta: frames from one key frame to the next; with any codec, clips from one "
        "whose mask stands alone to the next, where there are masks (quant, raw, twc: 1).",
    ),
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
    settings |= _given(values, has_masks=playback.model.keeps_shared)
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
    kept = _kept(playback, segments)
    gauge = make.gauge(codec, playback.model, playback.rig, first, longest)
    try:
        with files.replacing(out) as temporary:
            writer = VideoWriter(
                *(temporary, header, codec, gauge),
                color_precision=settings["color_precision"],
                color_codec=codec if kept and isinstance(codec, QuantCodec) else None,
                mask_key_every=settings.get("key_every", 1),
            )
            _write(writer, playback.source, segments, kept, stop)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    count = f"{sum(map(len, segments))} frames"
    if longest > 1:
        count += f" in {len(segments)} segments"
    print(f"{out}: {count}, {writer.num_bytes:,} bytes, {_bits(writer, header, len(segments))}")
    return 0


def _kept(playback: Playback, segments: list[range]) -> Params | None:
    """The shared params that serve all segments; None: each has those that it was trained with."""
    if not playback.model.keeps_shared:
        return None
    return playback.model.needed(playback.source.params(segment[0]) for segment in segments)


def _write(
    writer: VideoWriter,
    source: FrameSource,
    segments: list[range],
    kept: Params | None,
    stop: Stop,
) -> None:
    for segment in segments:
        if stop():
            writer.abandon()
            raise Stopped("stopped while encoding; no file was written")
        params, color = source.params(segment[0]), source.color_id(segment[0])
        if kept is not None:
            # The id is the same however many segments follow: packets stay as they are.
            params = params_lib.nest(params_lib.flatten(params) | params_lib.flatten(kept))
            color = segments[0][0]
        grown = writer.push(segment, params, color)
        logging.info("%s: %d bytes", name_of(segment), grown)
    writer.close()


def _bits(writer: VideoWriter, header: Header, sets: int) -> str:
    """What packets take for each param, or for each bit of masks."""
    if not header.layout.masks:
        bits = bits_per_param(writer.packet_bytes, header.layout, sets)
        return f"{bits:.3f} bits a param"
    bits = 8 * writer.packet_bytes / (header.layout.num_masked * sets)
    shared = writer.num_bytes - writer.packet_bytes
    return f"{shared:,} of them shared; {bits:.3f} bits a weight and segment besides"


def _given(values: flags.FlagValues, *, has_masks: bool) -> dict[str, Any]:
    """The codec's settings among the flags.

    Args:
      values: The flags.
      has_masks: Whether there are masks, which come in groups whatever the codec.

    Raises:
      InvError: If one is given that another codec has.
    """
    given = {name: values[name].value for name in _NUMBERS if values[name].value is not None}
    known = {*compose(codec=values.codec).codec, *(("key_every",) if has_masks else ())}
    for name in given.keys() - known:
        others = [codec for codec in sorted(registry.CODECS) if name in compose(codec=codec).codec]
        raise InvError(
            f"--{name} says nothing to --codec={values.codec}; leave it out, or choose "
            f"--codec={' or '.join(others)}"
        )
    return given
