"""Milliseconds a frame to encode and decode a neural video, on one core.

    python scripts/bench_codec.py                  # the network of configs/base.py
    python scripts/bench_codec.py --codec=delta,quant --frames=48
    python scripts/bench_codec.py --video=runs/mine/video.inv   # real frames, decoded alone

One JSON line per codec and setting, or per file. The network is that of `configs/base.py`,
untrained; the params that frames own walk at random, each frame by Laplace distributed steps of
`--scale` of a leaf's standard deviation, so `bits_per_param` says how much the codec had to do, and
nothing about real videos. Steps and symbols are chosen without a picture: with one, rendering it
adds to the encoder.

The process, and with it all that it starts, is pinned to one core. `seconds` is a frame in order:
bytes to params, with checks; `key_seconds` and `predicted_seconds` are those of the two kinds of
packet that predictive codecs have, `random_seconds` any frame of a file, the packets on the way
from its key included; the shared color params are decoded before. All these are seconds on the
wall; `cpu_seconds`, and likewise of each kind, is what a frame in order took of the core, and on a
machine with other work the better number, though without the process that decodes twc.
"""

import os
import pathlib
import random
import tempfile
import time
from typing import Any

import jax
from absl import app, flags, logging
from benching import decoding, rows, setups
from fuzzing import samples

from inv_jax.assembly import build
from inv_jax.codec.base import Codec, Layout
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter

_CODEC = flags.DEFINE_list("codec", ["raw", "twc", "delta", "quant"], "Codecs.")
_FRAMES = flags.DEFINE_integer("frames", 24, "Of the video.", lower_bound=2)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Times that it is decoded.", lower_bound=1)
_SCALE = flags.DEFINE_float("scale", 0.005, "Size of an update, of a leaf's standard deviation.")
_FIDELITY = flags.DEFINE_list("fidelity", ["40", "50", "60"], "Of delta, in dB of the params.")
_BITS = flags.DEFINE_list("bits", ["8"], "Of quant.")
_VIDEO = flags.DEFINE_list("video", [], "Files to decode; nothing is encoded then.")
_CORE = flags.DEFINE_integer("core", -1, "That it is pinned to; -1: the first one allowed.")


def _codecs() -> list[tuple[str, Codec]]:
    made: list[tuple[str, Codec]] = []
    if "raw" in _CODEC.value:
        made.append(("raw", RawCodec()))
    if "twc" in _CODEC.value:
        made.append(("twc, 16 bits, groups of 1", FpzipCodec(16, 1)))
    if "delta" in _CODEC.value:
        for fidelity in map(float, _FIDELITY.value):
            made.append((f"delta, {fidelity:g} dB", DeltaCodec(fidelity, key_every=12)))
    if "bricks" in _CODEC.value:
        for fidelity in map(float, _FIDELITY.value):
            made.append((f"bricks, {fidelity:g} dB", BricksCodec(fidelity, key_every=12)))
    if "quant" in _CODEC.value:
        made += [(f"quant, {bits} bits", QuantCodec(bits)) for bits in map(int, _BITS.value)]
    return made


def bench(case: str, codec: Codec, layouts: tuple[Layout, Layout], path: pathlib.Path) -> dict:
    """Writes a video, then decodes it in order and at random."""
    layout, _ = layouts
    walk = samples.Walk(*layouts)
    writer = VideoWriter(path, samples.header(codec, *layouts), codec)
    encode, sizes = [], []
    for frame in range(1, _FRAMES.value + 1):
        params = walk.step(scale=_SCALE.value)
        start = time.perf_counter()
        sizes.append(writer.push(frame, params, 1))
        encode.append(time.perf_counter() - start)
    writer.close()
    with NeuralVideo.open(path) as video:
        decoding = decode(video)
    coded = sum(sizes[1:])  # the first frame has the color params with it
    frames = _FRAMES.value - 1
    row: dict[str, Any] = {
        "case": case,
        "codec": codec.name,
        "params": layout.size,
        "frames": _FRAMES.value,
        "scale": _SCALE.value,
        "bytes_per_frame": coded / frames,
        "bits_per_param": bits_per_param(coded, layout, frames),
        **decoding,
        **rows.Times.of(encode[1:]).row("encode_seconds"),
    }
    return row


def decode(video: NeuralVideo) -> dict[str, float]:
    """Times a video's frames, in order and at random."""
    start = time.perf_counter()
    video.color(video.color_id(video.frames()[0]))
    row: dict[str, float] = {"color_seconds": time.perf_counter() - start}
    times = decoding.in_order(video, _ROUNDS.value) | {"random_seconds": []}
    rng = random.Random(0)
    for _ in video.frames():
        frame = rng.choice(video.frames())
        start = time.perf_counter()
        video.params(frame)
        times["random_seconds"].append(time.perf_counter() - start)
    for name, seconds in times.items():
        row |= rows.Times.of(seconds).row(name)
    return row


def bench_file(path: pathlib.Path) -> dict[str, Any]:
    """Decodes a file; its bytes are those of packets, by kind."""
    with NeuralVideo.open(path) as video:
        layout, entries = video.header.layout, [one for group in video.groups for one in group]
        sizes: dict[bool, list[int]] = {True: [], False: []}
        for entry in entries:
            sizes[entry.is_key].append(len(video.packet(entry).payload))
        frames = sum(entry.sets for entry in entries)
        total = sum(map(sum, sizes.values()))
        return {
            "case": str(path),
            "codec": video.header.codec,
            "settings": video.header.settings,
            "params": layout.size,
            "frames": frames,
            "bytes_per_frame": total / frames,
            "key_bytes": sizes[True],
            "predicted_bytes": sizes[False],
            "bits_per_param": bits_per_param(total, layout, frames),
            **decode(video),
        }


def main(_: list[str]) -> None:
    core = _CORE.value if _CORE.value >= 0 else min(os.sched_getaffinity(0))
    where = {"bench": "codec", "cores": 1, "core": core}
    if _VIDEO.value:
        _pin(core)
        for name in _VIDEO.value:
            rows.write({**where, **bench_file(pathlib.Path(name))})
        return
    model = build.model(setups.config())
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    layouts = Layout.of(shapes, *model.roles.own), Layout.of(shapes, *model.roles.shared)
    _pin(core)
    with tempfile.TemporaryDirectory() as name:
        for case, codec in _codecs():
            path = pathlib.Path(name) / "video.inv"
            row = bench(case, codec, layouts, path)
            rows.write({**where, **row})


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core})  # of this thread, and of those and the processes it starts
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {core})


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
