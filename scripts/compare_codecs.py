"""Bits against quality: TWC and the predictive codec, without and with training in the loop.

    python scripts/compare_codecs.py --capture=../shared/data/multiview/basketball \
        --workdir=runs/codecs
    python scripts/compare_codecs.py --capture=demo --workdir=runs/codecs_demo

Trains Warm-Up once, then Structure Transfer: once as it is, and once for each setting with the
codec in the loop, where each frame starts from what a receiver has of the frame before. The
former's frames then go through every setting of TWC and of the predictive codec. All pictures are
judged on the same random pixels, in every frame other ones, of the frozen frames; a loss is
against the undecoded params of plain training. What is finished is kept in the workdir and not
made again.

Writes `table.txt`, `results.json` and `curve.png` to the workdir.
"""

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import matplotlib
import numpy as np
from absl import app, flags, logging
from comparing.judge import PIXELS, Judge
from comparing.transfers import NO_KEYS, Loop, Setup, transfer

from configs import base, demo
from inv_jax.assembly import build, captures
from inv_jax.codec.base import Codec, Layout, Packet
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_CAPTURE = flags.DEFINE_string(
    "capture",
    os.environ.get("INV_JAX_DATA", "../shared/data") + "/multiview/basketball",
    "Folder of a META capture with frames_4/, or 'demo'.",
)
_WORKDIR = flags.DEFINE_string("workdir", "runs/codecs", "Folder for the runs and the results.")
_FRAMES = flags.DEFINE_integer("frames", 24, "How many frames, Warm-Up included.")
_STEPS = flags.DEFINE_integer("steps", 400, "Steps of a frame of Structure Transfer.")
_LOOPS = flags.DEFINE_list(
    "loops",
    [],
    "Training in the loop, several of NAME=fidelity:40/pull:0.02/rate:1/restart:1; left out: "
    "nothing is pulled, the learning rate falls to that part of it within each frame (1: stays), "
    "frames begin at what is decoded.",
)

_PRECISIONS = (12, 14, 16, 18, 20, 24)
_GROUPS = {1: "groups of 1", 8: "groups of 8", 0: "one group"}
_FIDELITIES = (30.0, 32.5, 35.0, 37.5, 40.0, 42.5, 46.0, 50.0)
_KEYED = (37.5, 42.5)  # fidelities at which key frames are tried too


def config_of(capture: str) -> build.Config:
    """The settings of the runs: a network of width 64 on small images, warm for 3 or 4 frames."""
    config = demo.get_config() if capture == "demo" else base.get_config()
    with config.unlocked():
        config.data.num_frames = _FRAMES.value
        if capture == "demo":
            config.train.steps = _STEPS.value
            return config
        config.data.update(layout="n3dv", path=capture, factor=4, near=0.2)
        config.model.update(width=64, coarse_samples=32, fine_samples=32)
        config.train.update(
            warmup_steps=1500,
            steps=_STEPS.value,
            freeze_frame=4,
            rows_per_step=256,
            save_every=0,
        )
    return config


def set_up(capture: str, workdir: pathlib.Path) -> Setup:
    """Opens the capture; renders the demo's."""
    config = config_of(capture)
    devices = Devices(jax.devices()[:1])
    nerf = build.model(config)
    shots = captures.for_training(config, nerf, workdir, devices, lambda: False)
    stepper = dataclasses.replace(build.stepper(config, nerf, devices), axis=None)
    return Setup(config, nerf, shots, stepper, workdir)


# What is compared.


def through_twc(setup: Setup, true: np.ndarray, precision: int) -> tuple[np.ndarray, dict]:
    """Decoded frames and, by frames of a group (0: all), bytes of each frame on average."""
    layout, sizes, decoded = setup.layout, {}, None
    for group in _GROUPS:
        codec = FpzipCodec(precision=precision, group=group)
        packets = _encode(codec, layout, setup.freeze, true)
        sizes[group] = sum(len(packet.payload) for packet in packets) / len(true)
        if decoded is None:  # what is decoded does not depend on the group
            decoder = codec.decoder(layout)
            frames = [frame for packet in packets for frame in decoder.decode(packet).values()]
            decoded = np.array([layout.ravel(frame) for frame in frames])
    return decoded, sizes


def through_delta(setup: Setup, true: np.ndarray, fidelity: float) -> tuple[np.ndarray, dict]:
    """Decoded frames and bytes of each on average: predicted ones alone, and with keys."""
    layout, warm = setup.layout, setup.layout.ravel(setup.layout.pick(setup.warm[0]))
    codec = DeltaCodec(fidelity=fidelity, key_every=NO_KEYS)
    packets = _encode(codec, layout, setup.freeze - 1, [warm, *true], setup.gauge())
    decoder = codec.decoder(layout)
    decoded = [layout.ravel(decoder.decode(packet)[packet.first]) for packet in packets]
    sizes = [len(packet.payload) for packet in packets]
    found = {"predicted": sum(sizes[1:]) / len(true), "key": float(sizes[0])}
    if fidelity in _KEYED:
        for every in (8, 24):
            codec = DeltaCodec(fidelity=fidelity, key_every=every)
            keyed = _encode(codec, layout, setup.freeze - 1, [warm, *true], setup.gauge())
            found[f"key every {every}"] = sum(len(p.payload) for p in keyed) / len(keyed)
    return np.array(decoded[1:]), found


def _encode(
    codec: Codec, layout: Layout, first: int, frames: Sequence[np.ndarray], gauge: Any = None
) -> list[Packet]:
    encoder = codec.encoder(layout, gauge)
    packets = [
        packet
        for number, frame in enumerate(frames, first)
        for packet in encoder.push(number, layout.unravel(frame))
    ]
    return packets + encoder.finish()


def compare(setup: Setup, loops: Mapping[str, Loop]) -> list[dict]:
    """Trains and encodes whatever is not there yet; a row for each setting."""
    file, judge = setup.workdir / "results.json", Judge(setup)
    rows: dict[str, dict] = {}
    if file.exists():
        rows = {row["name"]: row for row in json.loads(file.read_text())}

    def note(name: str, decoded: np.ndarray, num_bytes: dict, **more: Any) -> None:
        psnr = judge.psnr(decoded)
        rows[name] = {
            "name": name,
            **more,
            "bytes": num_bytes,
            "bits": {k: 8 * size / setup.layout.size for k, size in num_bytes.items()},
            "psnr": {kind: values.tolist() for kind, values in psnr.items()},
        }
        file.write_text(json.dumps(list(rows.values()), indent=1))
        logging.info("%s: %s", name, rows[name]["bits"])

    true = transfer(setup, "plain").true
    if "plain" not in rows:
        note("plain", true, {"raw": 4 * setup.layout.size}, kind="undecoded")
    for precision in _PRECISIONS:
        if (name := f"twc {precision}") not in rows:
            decoded, sizes = through_twc(setup, true, precision)
            sizes = {_GROUPS[group]: size for group, size in sizes.items()}
            note(name, decoded, sizes, kind="twc")
    for fidelity in _FIDELITIES:
        if (name := f"delta {fidelity:g}") not in rows:
            note(name, *through_delta(setup, true, fidelity), kind="delta")
    for name, loop in loops.items():
        if name not in rows:
            video = transfer(setup, name, loop)
            note(name, video.decoded, {"predicted": float(video.num_bytes.mean())}, kind="loop")
    return list(rows.values())


# What is shown.


def lines_of(rows: list[dict]) -> dict[str, list[tuple[float, float, float, str]]]:
    """Points (bits, loss in training views, loss in held-out views, name) by codec and group."""
    plain = next(row for row in rows if row["kind"] == "undecoded")
    lines: dict[str, list] = {}
    for row in rows:
        if row["kind"] == "undecoded":
            continue
        losses = []
        for kind, values in row["psnr"].items():
            count = len(values)
            losses.append(float(np.mean(np.array(plain["psnr"][kind])[:count] - values)))
        for how, bits in row["bits"].items():
            if how != "key":
                lines.setdefault(f"{row['kind']}, {how}", []).append((bits, *losses, row["name"]))
    return {name: sorted(points) for name, points in lines.items()}


def format_lines(setup: Setup, rows: list[dict]) -> str:
    """The table."""
    plain = next(row for row in rows if row["kind"] == "undecoded")["psnr"]
    text = [
        f"{len(setup.frames)} frozen frames of {setup.capture.cameras.height} x "
        f"{setup.capture.cameras.width} pixels, {setup.layout.size} structure params, "
        f"{PIXELS['training']} training and {PIXELS['held-out']} held-out pixels a frame; "
        f"undecoded: {np.mean(plain['training']):.2f} and {np.mean(plain['held-out']):.2f} dB",
        "",
        "| codec | setting | bytes a frame | bits a param | dB lost, training | held-out |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for line, points in lines_of(rows).items():
        for bits, training, held_out, name in points:
            size = bits * setup.layout.size / 8
            text.append(
                f"| {line} | {name} | {size:,.0f} | {bits:.2f} | {training:.3f} | {held_out:.3f} |"
            )
    keys = [f"{row['name']}: {row['bits']['key']:.2f}" for row in rows if "key" in row["bits"]]
    text += ["", f"bits a param of a key frame: {', '.join(keys)}"]
    return "\n".join(text)


def plot(rows: list[dict], file: pathlib.Path) -> None:
    """Loss against bits, training and held-out views side by side."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for axis, place, title in zip(axes, (1, 2), ("training views", "held-out view"), strict=True):
        for name, points in lines_of(rows).items():
            style = {"twc": "s--", "delta": "o-", "loop": "*"}[name.split(",")[0]]
            x, y = [point[0] for point in points], [point[place] for point in points]
            axis.plot(x, y, style, label=name, markersize=9 if style == "*" else 4)
        axis.set(xscale="log", xlabel="bits a param", title=title, ylim=(-0.15, 1.0))
        axis.axhline(0.1, color="gray", linewidth=0.8)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("PSNR lost, dB")
    axes[0].legend(fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main(_: list[str]) -> None:
    workdir = pathlib.Path(_WORKDIR.value).absolute()
    workdir.mkdir(parents=True, exist_ok=True)
    setup = set_up(_CAPTURE.value, workdir)
    rows = compare(setup, dict(map(Loop.parse, _LOOPS.value)))
    table = format_lines(setup, rows)
    (workdir / "table.txt").write_text(table + "\n")
    plot(rows, workdir / "curve.png")
    print(table)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_codecs: {error}", file=sys.stderr)
        sys.exit(2)
