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
import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from absl import app, flags, logging

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from configs import base, demo  # noqa: E402
from inv_jax import params as params_lib  # noqa: E402
from inv_jax.assembly import build, captures  # noqa: E402
from inv_jax.checkpoint import FrameStore  # noqa: E402
from inv_jax.codec.base import Codec, Layout, Packet  # noqa: E402
from inv_jax.codec.delta_codec import DeltaCodec  # noqa: E402
from inv_jax.codec.fpzip_codec import FpzipCodec  # noqa: E402
from inv_jax.codec.gauge import PictureGauge  # noqa: E402
from inv_jax.data.capture import Capture  # noqa: E402
from inv_jax.geometry import cameras as cameras_lib  # noqa: E402
from inv_jax.models.nerf import Nerf  # noqa: E402
from inv_jax.train import optimizer as optimizer_lib  # noqa: E402
from inv_jax.train.parallel import Devices  # noqa: E402
from inv_jax.train.step import Means, Stepper, TrainState  # noqa: E402
from inv_jax.train.update_penalty import UpdatePenalty  # noqa: E402
from inv_jax.types import InvError, Params  # noqa: E402

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

_PIXELS = {"training": 8_192, "held-out": 4_096}  # judged in each frame
_PASS = 128  # pixels rendered at once
_PRECISIONS = (12, 14, 16, 18, 20, 24)
_GROUPS = {1: "groups of 1", 8: "groups of 8", 0: "one group"}
_FIDELITIES = (30.0, 32.5, 35.0, 37.5, 40.0, 42.5, 46.0, 50.0)
_KEYED = (37.5, 42.5)  # fidelities at which key frames are tried too
_NEVER = 1_000_000


@dataclasses.dataclass(frozen=True)
class Loop:
    """Training that knows of the codec.

    Attributes:
      fidelity: Of the codec, in dB.
      pull: See `UpdatePenalty.pull`.
      rate: To what part of itself the learning rate falls within a frame.
      restart: Whether a frame begins at what is decoded of the one before, not at its own params.
    """

    fidelity: float
    pull: float = 0.0
    rate: float = 1.0
    restart: float = 1.0

    @classmethod
    def parse(cls, text: str) -> tuple[str, "Loop"]:
        """Name and settings from `NAME=fidelity:40/pull:0.02`."""
        name, settings = text.split("=")
        return name, cls(**{k: float(v) for k, v in (x.split(":") for x in settings.split("/"))})


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


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all runs on a capture share."""

    config: build.Config
    nerf: Nerf
    capture: Capture
    stepper: Stepper
    workdir: pathlib.Path

    @property
    def freeze(self) -> int:
        return self.config.train.freeze_frame

    @property
    def frames(self) -> list[int]:
        """The frozen ones."""
        return [frame for frame in self.capture.frames if frame >= self.freeze]

    @functools.cached_property
    def train_cameras(self):
        return self.capture.cameras.take(np.array(self.capture.train_cams))

    @functools.cached_property
    def layout(self) -> Layout:
        return Layout.of(self.warm[0], *self.nerf.roles.own)

    @functools.cached_property
    def warm(self) -> tuple[Params, dict]:
        """Params and optimizer leaves behind Warm-Up."""
        workdir = self.workdir / "warm"
        config = self.config.copy_and_resolve_references()
        with config.unlocked():
            config.data.num_frames = self.freeze - config.data.first_frame
        trainer, close = build.trainer(config.lock(), workdir, lambda: False)
        try:
            trainer.train()
        finally:
            close()
        store = FrameStore(workdir)
        try:
            last = store.frames()[-1]
            return store.params(last), store.optimizer(last)
        finally:
            store.close()

    def gauge(self) -> PictureGauge:
        return PictureGauge(self.nerf, self.train_cameras, self.warm[0])


def set_up(capture: str, workdir: pathlib.Path) -> Setup:
    """Opens the capture; renders the demo's."""
    config = config_of(capture)
    devices = Devices(jax.devices()[:1])
    nerf = build.model(config)
    shots = captures.for_training(config, nerf, workdir, devices, lambda: False)
    stepper = dataclasses.replace(build.stepper(config, nerf, devices), axis=None)
    return Setup(config, nerf, shots, stepper, workdir)


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames as trained, and as a receiver has them, with their sizes."""

    true: np.ndarray  # (frames, size)
    decoded: np.ndarray  # (frames, size)
    num_bytes: np.ndarray  # (frames,)
    seconds: np.ndarray  # (frames, 2): training, encoding


def transfer(setup: Setup, name: str, loop: Loop | None = None) -> Video:
    """Structure Transfer over all frozen frames; the result is kept under the name."""
    file = setup.workdir / f"{name}.npz"
    if file.exists():
        return Video(**np.load(file))
    params, leaves = setup.warm
    layout, opt_state = setup.layout, None
    penalty = UpdatePenalty(pull=loop.pull) if loop is not None and loop.pull else None
    stepper = dataclasses.replace(setup.stepper, shaper=penalty)
    encoder = None
    if loop is not None:
        stepper = _falling(stepper, loop.rate)
        codec = DeltaCodec(fidelity=loop.fidelity, key_every=_NEVER)
        encoder = codec.encoder(layout, setup.gauge())
        encoder.push(setup.freeze - 1, layout.pick(params))
        params = fill(params, encoder.decoded()) if loop.restart else params
    run = jax.jit(stepper.run)
    key = jax.random.key(setup.config.train.seed)
    rows: list[tuple] = []
    for frame in setup.frames:
        start = time.perf_counter()
        trainable, frozen = params_lib.split(params, [params_lib.STRUCTURE])
        if opt_state is None:
            opt_state = optimizer_lib.init_state(
                stepper.optimizer, trainable, params_lib.nest(leaves)
            )
        shaping = None if penalty is None else penalty.begin(trainable)
        state = TrainState(
            trainable, frozen, opt_state, jax.random.fold_in(key, frame), jnp.int32(0),
            Means.start(), jnp.int32(setup.config.train.steps), shaping,
        )  # fmt: skip
        shot = setup.capture.load(frame, setup.capture.train_cams)
        state = run(state, shot, setup.train_cameras, jnp.int32(setup.config.train.steps))
        state = jax.block_until_ready(state)
        params, opt_state = jax.device_get((state.params, state.opt_state))
        between = time.perf_counter()
        true = decoded = layout.pick(params)
        size = 0
        if encoder is not None:
            (packet,) = encoder.push(frame, true)
            decoded, size = encoder.decoded(), len(packet.payload)
            params = fill(params, decoded) if loop.restart else params
        seconds = between - start, time.perf_counter() - between
        rows.append((layout.ravel(true), layout.ravel(decoded), size, seconds))
        mse = float(state.means.mse)
        logging.info(
            "%s frame %d: %.2f dB, %.3f bits, %.1f + %.1f s", name, frame, -10 * np.log10(mse),
            8 * size / layout.size, *seconds,
        )  # fmt: skip
    video = Video(*(np.array(column) for column in zip(*rows, strict=True)))
    np.savez(file, **vars(video))
    return video


def _falling(stepper: Stepper, part: float) -> Stepper:
    """The learning rate falls to a part of itself within each frame."""
    rate = stepper.schedule
    return dataclasses.replace(
        stepper,
        schedule=lambda step, total, epoch: rate(step, total, epoch) * part ** (step / total),
    )


def fill(params: Params, leaves: dict[str, np.ndarray]) -> Params:
    """Params with some leaves replaced."""
    return params_lib.fill(params, params_lib.flatten(params) | dict(leaves))


class Judge:
    """Measures params against the capture, on random pixels that are the same for all."""

    def __init__(self, setup: Setup):
        """Draws the pixels of each frame."""
        self._setup = setup
        self._cameras = jax.tree.map(jnp.asarray, setup.capture.cameras)
        self._pixels: dict[int, dict[str, tuple]] = {}

        @jax.jit
        def render(params: Params, pixels: tuple[jax.Array, ...]) -> jax.Array:
            def one(part: tuple[jax.Array, ...]) -> jax.Array:
                cams, rows, cols = part
                rays = cameras_lib.cast_rays(self._cameras, cams, cols, rows)
                return list(setup.nerf.predict(params, rays).values())[-1].rgb

            return jax.lax.map(one, pixels)

        self._render = render

    def _of(self, frame: int) -> dict[str, tuple]:
        """Pixels and their true colors, by kind of camera."""
        if frame not in self._pixels:
            rng, capture = np.random.default_rng(frame), self._setup.capture
            images = np.asarray(capture.load(frame).images)
            found = {}
            for kind, cams in (("training", capture.train_cams), ("held-out", capture.test_cams)):
                shape = (_PIXELS[kind] // _PASS, _PASS)
                cam = np.array(cams)[rng.integers(0, len(cams), shape)]
                row, col = (rng.integers(0, size, shape) for size in images.shape[1:3])
                pixels = tuple(np.asarray(x, np.int32) for x in (cam, row, col))
                found[kind] = pixels, images[pixels].astype(np.float32) / 255.0
            self._pixels[frame] = found
        return self._pixels[frame]

    def psnr(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """PSNR of frames (frames, size) in dB, (frames,) for each kind of camera."""
        setup, found = self._setup, {kind: [] for kind in _PIXELS}
        for frame, leaves in zip(setup.frames, flat, strict=False):
            params = fill(setup.warm[0], setup.layout.unravel(leaves))
            for kind, (pixels, colors) in self._of(frame).items():
                difference = np.asarray(self._render(params, pixels)) - colors
                mse = np.mean(np.square(difference, dtype=np.float64))
                found[kind].append(-10.0 * np.log10(mse))
        return {kind: np.array(values) for kind, values in found.items()}


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
    codec = DeltaCodec(fidelity=fidelity, key_every=_NEVER)
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
        f"{_PIXELS['training']} training and {_PIXELS['held-out']} held-out pixels a frame; "
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
