"""Structure Transfer over a capture, as it is or with a codec in the loop.

In the loop each frame starts from what a receiver has of the frame before.
"""

import dataclasses
import functools
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from inv_jax import params as params_lib
from inv_jax.assembly import build
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.base import Layout
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.gauge import PictureGauge
from inv_jax.data.capture import Capture
from inv_jax.models.nerf import Nerf
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.train.update_penalty import UpdatePenalty
from inv_jax.types import Params

NO_KEYS = 1_000_000  # frames from a key frame to the next one


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
        codec = DeltaCodec(fidelity=loop.fidelity, key_every=NO_KEYS)
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
