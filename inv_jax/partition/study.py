"""Measures one run: change, swap, train."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from inv_jax import params as params_lib
from inv_jax.assembly import build, sizing
from inv_jax.assembly.playback import Playback
from inv_jax.eval import metrics
from inv_jax.partition import probe
from inv_jax.partition.choices import ALL, Choice, in_order, to_train
from inv_jax.partition.findings import (
    FRAMES,
    HELD_OUT,
    STILL,
    SWAP,
    TRAIN,
    TRAINING,
    Findings,
    Row,
)
from inv_jax.player.player import segments_of
from inv_jax.train.refine import Refiner
from inv_jax.types import Cameras, InvError, Params, Stopped, Views


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
      pairs: Base and donor frames.
      steps: Of training; 0 leaves it out.
      counts: How many layers train.
      draws: Random choices for each of them.
      cams: Cameras whose views are measured; their roles are looked up in the run.
      pixels: Of each view, and as many of those that moved; whole views if they have no more.
      seed: Of pixels, random layers, rays.
    """

    pairs: tuple[tuple[int, int], ...]
    steps: int
    counts: tuple[int, ...]
    draws: int
    cams: tuple[int, ...]
    pixels: int
    seed: int


def default_pairs(frames: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The middle frame and the last one: the base is trained, the donor some way off.

    Raises:
      InvError: If there is one frame only.
    """
    if len(frames) < 2:
        raise InvError(f"stored frames are {list(frames)}; two at least are to be compared")
    return ((frames[(len(frames) - 1) // 2], frames[-1]),)


class Study:
    """Measures one run."""

    def __init__(
        self,
        playback: Playback,
        findings: Findings,
        effort: Effort,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Nothing is measured yet; `findings` grow while `run` does."""
        self._playback, self._effort, self._should_stop = playback, effort, should_stop
        self._findings = findings
        model, devices = build.whole_model(playback.config), playback.devices
        self._probe = probe.Probe(
            model,
            devices,
            playback.rig.cameras,
            sizing.rows_per_chunk(playback.config, model, devices),
        )
        self._refiner = Refiner(
            build.stepper(playback.config, model, devices), devices, should_stop
        )

    def run(self) -> None:
        """Measures all there is to; change first, for it costs next to nothing.

        Raises:
          Stopped: If asked to; the findings are those so far.
        """
        self._between_frames()
        for base, donor in self._effort.pairs:
            pair = _Pair(self._playback, self._effort, base, donor)
            self._swap(pair)
            if self._effort.steps:
                self._still(pair)
                self._train(pair)

    def _go_on(self) -> None:
        if self._playback.devices.agree(self._should_stop())[0]:
            raise Stopped("stopped; what was measured so far is kept")

    def _between_frames(self) -> None:
        source, before = self._playback.source, None
        for frame, *_ in segments_of(source):
            self._go_on()
            params = source.params(frame)
            if before is not None:
                self._note_change(FRAMES, frame, frame, before, params)
            before = params

    def _swap(self, pair: "_Pair") -> None:
        for choice in in_order(len(self._findings.layers)):
            self._go_on()
            params = params_lib.swap(pair.base, pair.donor, layers=choice.layers)
            self._see(SWAP, choice, pair, params)
        logging.info("frame %d in frame %d: swapped", pair.donor_frame, pair.base_frame)

    def _still(self, pair: "_Pair") -> None:
        images = pair.images(pair.base_frame)
        params = self._trained(pair.base, range(len(self._findings.layers)), images)
        self._note_change(STILL, pair.base_frame, pair.donor_frame, pair.base, params)

    def _train(self, pair: "_Pair") -> None:
        effort = self._effort
        images = pair.images(pair.donor_frame)
        choices = to_train(len(self._findings.layers), effort.counts, effort.draws, effort.seed)
        for number, choice in enumerate(choices, 1):
            params = pair.base
            if choice.layers:
                params = self._trained(pair.base, choice.layers, images)
            self._see(TRAIN, choice, pair, params, steps=effort.steps)
            if choice.kind == ALL:
                self._note_change(ALL, pair.base_frame, pair.donor_frame, pair.base, params)
            logging.info(
                "frame %d from frame %d: %d of %d trainings, %s %d",
                *(pair.donor_frame, pair.base_frame, number, len(choices)),
                *(choice.kind, choice.count),
            )

    def _trained(
        self, params: Params, layers: Sequence[int], images: tuple[Views, Cameras]
    ) -> Params:
        self._go_on()
        chosen = params_lib.mask(params, layers=layers)
        effort = self._effort
        return self._refiner.refine(params, chosen, *images, steps=effort.steps, seed=effort.seed)

    def _note_change(self, kind: str, frame: int, donor: int, a: Params, b: Params) -> None:
        numbers = params_lib.layer_numbers(a)
        for name, change in params_lib.relative_change(a, b).items():
            network, _, layer = name.rpartition("/")
            self._findings.changes.append(
                {
                    **{"kind": kind, "frame": frame, "donor": donor, "network": network},
                    **{"number": numbers[layer], "layer": layer, "change": change},
                }
            )

    def _see(self, what: str, choice: Choice, pair: "_Pair", params: Params, **more: Any) -> None:
        chosen = params_lib.mask(params, layers=choice.layers)
        trainable, _ = params_lib.partition(params, chosen)
        rgb = self._probe.rgb(params, pair.pixels)
        for view in pair.measure(rgb):
            self._findings.pictures.append(
                {
                    **{"what": what, "kind": choice.kind, "count": choice.count},
                    **{"draw": choice.draw, "layers": " ".join(map(str, choice.layers))},
                    "params": params_lib.num_bytes(trainable) // 4,
                    **{"base": pair.base_frame, "donor": pair.donor_frame, **view, **more},
                }
            )


class _Pair:
    """A base and a donor: their params, and the pixels that are measured of the donor's images."""

    def __init__(self, playback: Playback, effort: Effort, base: int, donor: int):
        self.base_frame, self.donor_frame = base, donor
        self.base, self.donor = (playback.source.params(frame) for frame in (base, donor))
        self._playback = playback
        before, after = (
            np.asarray(playback.capture.load(frame, effort.cams).images) for frame in (base, donor)
        )
        generator = np.random.default_rng((effort.seed, base, donor))
        parts, truth = [], []
        for cam, old, new in zip(effort.cams, before, after, strict=True):
            for where in (np.ones(new.shape[:2], bool), probe.moved(old, new)):
                part = probe.draw(cam, where, effort.pixels, generator)
                parts.append(part)
                truth.append(new[part.rows, part.cols].astype(np.float32) / np.float32(255.0))
        self.pixels, self._truth, self._cams = probe.join(parts), truth, effort.cams

    def measure(self, rgb: np.ndarray) -> Iterator[Row]:
        """PSNR of each view, by colors of `pixels`; None of moved ones if there are none."""
        ends = np.cumsum([len(part) for part in self._truth])[:-1]
        psnrs = [
            metrics.psnr(found[None], part[None]) if len(part) else None
            for found, part in zip(np.split(rgb, ends), self._truth, strict=True)
        ]
        held_out = self._playback.rig.test_cams
        for place, cam in enumerate(self._cams):
            view = HELD_OUT if cam in held_out else TRAINING
            whole, moved = psnrs[2 * place : 2 * place + 2]
            yield {"view": view, "cam": cam, "psnr": whole, "psnr_moved": moved}

    def images(self, frame: int) -> tuple[Views, Cameras]:
        """Images of the training cameras, and these."""
        return self._playback.training_views(frame)
