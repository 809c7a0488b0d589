"""The loop that carries out a plan: frame by frame, resumable at any moment.

For each frame: params and optimizer state from where the plan says, steps in dispatches of about
a second, a state within the frame now and then, the frame stored whole, and then its held-out
view, row and images. What is seen of a frame is made from what was stored, so a run that was
killed in between makes it up when it starts again.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.data import prefetch
from inv_jax.data.capture import Capture
from inv_jax.eval import evaluate
from inv_jax.models.base import Model
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train import parallel
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Phase, Plan
from inv_jax.train.progress import Progress
from inv_jax.train.step import Means, Stepper, TrainState
from inv_jax.types import Cameras, Frame, InvError, Params, Stopped


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the loop goes about its work; nothing here changes a result."""

    save_every: int = 5000  # steps between states within a frame; 0: none
    image_every: int = 0  # steps between images and params within a frame; 0: none
    dispatch_seconds: float = 1.0  # how long one dispatch should take

    def __post_init__(self):
        for name in ("save_every", "image_every"):
            if getattr(self, name) < 0:
                raise InvError(
                    f"train.{name}={getattr(self, name)}; want steps, 1 or more, or 0 for none"
                )


@dataclasses.dataclass
class _Frame:
    """A frame in training."""

    number: int
    phase: Phase
    state: Any  # TrainState, replicated over the devices
    step: int  # steps done
    seconds: float  # training time so far, over all runs


class Trainer:
    """Trains the frames of a capture after a plan."""

    def __init__(
        self,
        *,
        capture: Capture,
        model: Model,
        plan: Plan,
        stepper: Stepper,
        devices: Devices,
        store: FrameStore,
        journal: Journal,
        evaluator: evaluate.Evaluator,
        initial: Params,
        seed: int,
        workdir: pathlib.Path,
        settings: Settings,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Takes parts that know nothing of each other; `build.py` makes them from a config.

        `initial` are the params that the first frame starts from (unless its phase starts from
        scratch), `should_stop` is asked between dispatches.
        """
        self._capture, self._model, self._plan = capture, model, plan
        self._stepper, self._devices = stepper, devices
        self._store, self._journal, self._evaluator = store, journal, evaluator
        self._initial, self._workdir, self._settings = initial, workdir, settings
        self._should_stop = should_stop
        self._key_init, self._key = jax.random.split(jax.random.key(seed))
        cams = np.array(capture.train_cams)
        self._cameras: Cameras = devices.replicate(capture.cameras.take(cams))
        self._train_cams = cams
        self._run = devices.map(stepper.run, donate=(0,))
        self._steps_per_second = 0.0
        self._compiled: set[tuple[str, ...]] = set()

    def train(self) -> None:
        """Trains every frame that is not stored yet.

        Raises:
          InvError: If something is wrong with the capture, the disk or the numbers; frames
            stored so far stay.
          Stopped: After a request to stop; the state within the frame is stored.
        """
        frames = self._capture.frames
        stored = self._store.frames()
        done = [number for number in frames if number in stored]
        if done != list(frames[: len(done)]):
            raise InvError(
                f"{self._workdir} holds frames {stored[0]} to {stored[-1]}, which are not the "
                f"first of {frames[0]} to {frames[-1]}; use another --workdir"
            )
        self._catch_up(stored)
        left = frames[len(done) :]
        if not left:
            logging.info("all %d frames are trained already", len(frames))
            return
        total = [self._plan.phase(number).steps for number in frames]
        with Progress() as progress:
            progress.start_video(sum(total), sum(total[: len(done)]), len(frames), len(done))
            previous = self._resume_point(done[-1] if done else None)
            for frame in prefetch.frames_ahead(self._capture, left):
                previous = self._train_frame(int(frame.index), frame, previous, progress)

    # One frame.

    def _train_frame(
        self,
        number: int,
        frame: Frame,
        previous: tuple[Params, optax.OptState | None],
        progress: Progress,
    ) -> tuple[Params, optax.OptState]:
        current = self._begin(number, *previous)
        phase = current.phase
        progress.start_frame(number, phase.name, phase.steps, current.step)
        with parallel.out_of_memory_as_error("the pixels: raise data.factor or hold out cameras"):
            on_device = self._devices.replicate(
                frame.replace(images=np.asarray(frame.images)[self._train_cams])
            )
        self._compile(current, on_device)
        for target in self._stops(current.step, phase.steps):
            self._advance(current, on_device, target, progress)
            at_end = current.step == phase.steps
            # The picture first: a run that is killed in between makes it again.
            if not at_end and self._due(self._settings.image_every, current.step):
                self._picture_within(current, frame)
            if not at_end and self._due(self._settings.save_every, current.step):
                self._save_partial(current)
        params, opt_state = self._finish(current)
        if self._should_stop():
            raise Stopped(f"stopped after frame {number}; the same command goes on from there")
        row = self._evaluate(number, frame, params)
        progress.end_frame(row)
        return params, opt_state

    def _begin(self, number: int, params: Params, opt_state: optax.OptState | None) -> _Frame:
        """The state a frame starts from, or goes on from if a state within it was stored."""
        phase = self._plan.phase(number)
        if phase.start == SCRATCH:
            params = self._model.init(jax.random.fold_in(self._key_init, number))
        metadata: dict[str, Any] = {"step": 0, "seconds": 0.0}
        stored_leaves = None
        found = self._store.partial()
        if found is not None and found[0]["frame"] == number:
            metadata, stored, stored_leaves = found
            params = params_lib.fill(params, params_lib.flatten(stored))
            logging.info("frame %d goes on after step %d", number, metadata["step"])
        trainable, frozen = params_lib.split(params, phase.roles)
        kept = opt_state if phase.keep_optimizer else None
        state = TrainState(
            trainable=trainable,
            frozen=frozen,
            opt_state=optimizer_lib.init_state(self._stepper.optimizer, trainable, kept),
            key=jax.random.fold_in(self._key, number),
            step=jnp.int32(metadata["step"]),
            means=Means.start(),
        )
        if stored_leaves is not None:
            state = state.replace(
                opt_state=params_lib.fill(state.opt_state, stored_leaves),
                means=Means(*(np.float32(x) for x in metadata["means"]), np.int32(-1)),
            )
        return _Frame(
            number=number,
            phase=phase,
            state=self._devices.replicate(state),
            step=int(metadata["step"]),
            seconds=float(metadata["seconds"]),
        )

    def _compile(self, current: _Frame, frame: Frame) -> None:
        """Compiles the phase's step by running none of it, so that no frame's time holds it."""
        roles = current.phase.roles
        if roles not in self._compiled:
            start = time.perf_counter()
            current.state = self._dispatch(current, frame, 0)
            self._compiled.add(roles)
            seconds = time.perf_counter() - start
            logging.info("compiled the step of %s in %.1f s", current.phase.name, seconds)

    def _stops(self, step: int, last: int) -> Iterator[int]:
        """Steps at which something is due, up to the last one."""
        while step < last:
            intervals = [n for n in (self._settings.save_every, self._settings.image_every) if n]
            step = min([last, *(step - step % n + n for n in intervals)])
            yield step

    @staticmethod
    def _due(interval: int, step: int) -> bool:
        return interval > 0 and step % interval == 0

    def _advance(self, current: _Frame, frame: Frame, target: int, progress: Progress) -> None:
        """Trains up to a step, in dispatches that take about as long as they should."""
        while current.step < target:
            if self._should_stop():
                self._save_partial(current)
                raise Stopped(
                    f"stopped in frame {current.number} after step {current.step} of "
                    f"{current.phase.steps}; the same command goes on from there"
                )
            wanted = int(self._steps_per_second * self._settings.dispatch_seconds)
            count = min(max(wanted, 1), target - current.step)
            start = time.perf_counter()
            current.state = self._dispatch(current, frame, count)
            seconds = time.perf_counter() - start
            current.step += count
            current.seconds += seconds
            self._steps_per_second = count / seconds
            means = self._devices.first(current.state.means)
            self._check_finite(current, means)
            progress.advance(
                count,
                loss=float(means.loss),
                psnr=_psnr(means.mse),
                rays_per_second=count * self._stepper.rays_per_step / seconds,
            )

    def _dispatch(self, current: _Frame, frame: Frame, count: int) -> Any:
        counts = self._devices.replicate(np.int32(count))
        with parallel.out_of_memory_as_error("train.rays_per_pass or train.rays_per_step"):
            state = self._run(current.state, frame, self._cameras, counts)
            return jax.block_until_ready(state)

    def _check_finite(self, current: _Frame, means: Means) -> None:
        bad = int(means.bad_step)
        if bad >= 0:
            stored = self._store.frames()
            last = f"frame {stored[-1]} is the last good one" if stored else "no frame is stored"
            raise InvError(
                f"the loss or gradient of frame {current.number} is not finite at step {bad + 1} "
                f"of {current.phase.steps}; {last}: try a lower train.learning_rate or "
                "train.clip_norm, or train.reset_optimizer=True"
            )

    # What is stored.

    def _save_partial(self, current: _Frame) -> None:
        if current.step == 0:
            return
        state: TrainState = jax.device_get(self._devices.first(current.state))
        self._store.save_partial(
            current.number,
            current.step,
            state.params,
            params_lib.flatten(state.opt_state),
            {
                "seconds": current.seconds,
                "means": [float(state.means.loss), float(state.means.mse)],
            },
        )

    def _finish(self, current: _Frame) -> tuple[Params, optax.OptState]:
        """Stores a trained frame; its params and optimizer state, for the next one."""
        state: TrainState = jax.device_get(self._devices.first(current.state))
        phase = current.phase
        self._store.save(
            current.number,
            state.params,
            params_lib.flatten(state.opt_state),
            trained=phase.roles,
            metadata={
                "frame": current.number,
                "phase": phase.name,
                "steps": phase.steps,
                "loss": float(state.means.loss),
                "train_psnr": _psnr(state.means.mse),
                "seconds": round(current.seconds, 3),
                "rays_per_second": round(
                    phase.steps * self._stepper.rays_per_step / current.seconds
                ),
            },
        )
        return state.params, state.opt_state

    def _resume_point(self, last: int | None) -> tuple[Params, optax.OptState | None]:
        """Params and optimizer state of the last stored frame, or what the first starts from."""
        if last is None:
            return self._initial, None
        params = params_lib.fill(self._initial, params_lib.flatten(self._store.params(last)))
        if not self._plan.phase(last + 1).keep_optimizer:
            return params, None
        leaves = self._store.optimizer(last)
        if leaves is None:
            raise InvError(
                f"frame {last} of {self._workdir} has lost its optimizer state: copy the folder "
                f"frames/{last:06d}/optimizer back, or begin a new --workdir with "
                f"train.init_from={self._workdir}"
            )
        trainable, _ = params_lib.split(params, self._plan.phase(last).roles)
        fresh = self._stepper.optimizer.init(trainable)
        return params, params_lib.fill(fresh, leaves)

    # What is seen.

    def _evaluate(self, number: int, frame: Frame, params: Params) -> dict[str, Any]:
        row = self._evaluator.held_out_view(number, frame, params, should_stop=self._should_stop)
        metadata = self._store.metadata(number)
        metadata.pop("holds")
        row = {
            **metadata,
            **row,
            "structure_bytes": self._store.role_bytes(number, params_lib.STRUCTURE),
        }
        self._journal.write(row)
        return row

    def _catch_up(self, stored: list[int]) -> None:
        """Makes rows and images of stored frames that a killed run did not get to."""
        self._journal.keep_only(stored)
        missing = set(stored) - self._journal.frames()
        for number in sorted(missing & set(self._capture.frames)):
            logging.info("evaluating frame %d, which was stored but not evaluated", number)
            self._evaluate(number, self._capture.load(number), self._store.params(number))

    def _picture_within(self, current: _Frame, frame: Frame) -> None:
        params = self._devices.first(current.state).params
        self._evaluator.held_out_view(current.number, frame, params, step=current.step)
        self._store.save_intermediate(current.number, current.step, jax.device_get(params))


def _psnr(mse: Any) -> float:
    return float(-10.0 * np.log10(max(float(mse), 1e-20)))
