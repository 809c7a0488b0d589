"""The loop that carries out a plan: frame by frame, resumable at any moment.

For each frame: params and optimizer state from where the plan says, steps in dispatches of about
a second, a state within the frame now and then. What becomes of a trained frame is the recorder's
business, and the next frame's images are there already, so that the devices go from one frame's
last step to the next one's first with hardly a pause.

Several processes run this loop side by side. What they do next has to be the same, so it is
agreed before each dispatch: whether to stop, how many steps, how much of a picture.
"""

import contextlib
import dataclasses
import pathlib
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import jax
import numpy as np
import optax
from absl import logging

from inv_jax import params as params_lib
from inv_jax.data import prefetch
from inv_jax.data.capture import Capture
from inv_jax.models.base import Model
from inv_jax.train import parallel, resume
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Moments, Phase, Plan
from inv_jax.train.progress import Progress
from inv_jax.train.recorder import Recorder
from inv_jax.train.step import Means, Stepper, TrainState
from inv_jax.train.tracer import Tracer
from inv_jax.types import Cameras, Frame, InvError, Params, Stopped


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the loop goes about its work; but for `from_decoded`, nothing here changes a result."""

    saves: Moments  # of states within a frame
    images: Moments  # of images and params within a frame
    image_cams: tuple[int, ...]  # whose images these are; none: the shown one's
    dispatch_seconds: float  # how long one dispatch should take
    from_decoded: bool  # frames are stored, and gone on from, as a receiver has them


@dataclasses.dataclass
class _Frame:
    """A frame in training."""

    number: int
    phase: Phase
    state: Any  # TrainState, replicated over the devices
    step: int  # steps done
    seconds: float  # training time so far, over all runs
    shown: np.ndarray  # image of the shown camera
    costs: dict[str, Any]  # what it cost besides steps, for its row


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
        recorder: Recorder,
        initial: Params,
        seed: int,
        workdir: pathlib.Path,
        settings: Settings,
        should_stop: Callable[[], bool] = lambda: False,
        trace_folder: pathlib.Path | None = None,
    ):
        """Takes parts that know nothing of each other; `build.py` makes them from a config.

        `initial` are the params that the first frame starts from (unless its phase starts from
        scratch), `should_stop` is asked between dispatches, `trace_folder` gets a trace of some.
        """
        self._capture, self._model, self._plan = capture, model, plan
        self._stepper, self._devices, self._recorder = stepper, devices, recorder
        self._initial, self._workdir, self._settings = initial, workdir, settings
        self._should_stop = should_stop
        self._tracer = Tracer(trace_folder)
        self._key_init, self._key = jax.random.split(jax.random.key(seed))
        self._cameras: Cameras = devices.replicate(
            capture.cameras.take(np.array(capture.train_cams))
        )
        self._run = devices.map(stepper.run, donate=(0,))
        self._steps_per_second = 0.0
        self._compiled: set[tuple[str, ...]] = set()
        self._last_step_at: float | None = None  # when the frame before had its last step
        self._last_stored: int | None = None
        self._waited = 0.0  # what earlier frames reported of the recorder's waiting

    def train(self) -> None:
        """Trains every frame that is not stored yet.

        Raises:
          InvError: If something is wrong with the capture, the disk or the numbers; frames
            stored so far stay.
          Stopped: After a request to stop; the state within the frame is stored.
        """
        frames, recorder = self._capture.frames, self._recorder
        standing = self._devices.from_main(
            lambda: resume.find(recorder.store, recorder.journal, frames, self._plan, self._workdir)
        )
        self._devices.from_main(lambda: recorder.begin(frames[0]))
        with Progress(is_shown=self._devices.is_main) as progress:
            recorder.on_row = progress.show_row
            total = [self._plan.phase(number).steps for number in frames]
            num_done = len(standing.done)
            progress.start_video(sum(total), sum(total[:num_done]), len(frames), num_done)
            try:
                self._catch_up(standing.unseen)
                self._train_frames(standing, progress)
                self._see_to_the_end()
                recorder.finish_video()
                self._wait_for_writing()
            finally:
                self._tracer.close()

    def _train_frames(self, standing: resume.Standing, progress: Progress) -> None:
        frames, done = self._capture.frames, standing.done
        left = frames[len(done) :]
        if not left:
            logging.info("all %d frames are trained already", len(frames))
            return
        self._last_stored = done[-1] if done else None
        previous = resume.last_state(standing, self._initial, self._plan, self._stepper.optimizer)
        partial = standing.partial
        shown_cam = self._recorder.evaluator.cam
        ahead = prefetch.frames_ahead(self._capture, left, shown_cam=shown_cam, place=self._place)
        with contextlib.closing(ahead):
            for prepared in ahead:
                previous = self._train_frame(prepared, previous, partial, progress)
                partial = None

    def _place(self, frame: Frame) -> Any:
        with parallel.out_of_memory_as_error("the pixels: raise data.factor or hold out cameras"):
            return self._devices.replicate(frame)

    # One frame.

    def _train_frame(
        self,
        prepared: prefetch.Prepared,
        previous: tuple[Params, optax.OptState | None],
        partial: resume.Partial | None,
        progress: Progress,
    ) -> tuple[Params, optax.OptState]:
        current = self._begin(prepared, *previous, partial)
        phase = current.phase
        progress.start_frame(current.number, phase.name, phase.steps, current.step)
        self._compile(current, prepared.on_device)
        if not self._is_shown_within(current):
            self._show_within(current)
        for target in self._stops(current.step, phase.steps):
            self._advance(current, prepared.on_device, target, progress)
            # The pictures first: a run that is killed in between makes them again.
            self._show_within(current)
            if current.step in self._settings.saves and current.step < phase.steps:
                self._save_partial(current)
        self._last_step_at = time.perf_counter()
        following = self._finish(current)
        progress.end_frame()
        return following

    def _begin(
        self,
        prepared: prefetch.Prepared,
        params: Params,
        opt_state: optax.OptState | None,
        partial: resume.Partial | None,
    ) -> _Frame:
        """The frame, at the state it starts from or goes on from."""
        number = prepared.number
        phase = self._plan.phase(number)
        if phase.start == SCRATCH:
            params = self._model.init(jax.random.fold_in(self._key_init, number))
        state, step, seconds = resume.begin(
            params,
            opt_state if phase.keep_optimizer else None,
            partial if partial is not None and partial.metadata["frame"] == number else None,
            phase=phase,
            optimizer=self._stepper.optimizer,
            key=jax.random.fold_in(self._key, number),
        )
        if step:
            logging.info("frame %d goes on after step %d", number, step)
        if phase.is_shaped:
            anchor, _ = params_lib.split(params, phase.roles)
            state = state.replace(shaping=self._stepper.shaper.begin(anchor))
        return _Frame(
            number=number,
            phase=phase,
            state=self._devices.replicate(state),
            step=step,
            seconds=seconds,
            shown=prepared.shown,
            costs={
                "input_wait_seconds": prepared.wait_seconds,
                "gap_seconds": 0.0,
                "render_seconds": 0.0,
            },
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
            if self._last_step_at is not None:
                self._last_step_at += seconds

    def _stops(self, step: int, last: int) -> Iterator[int]:
        """Steps at which something is due, up to the last one."""
        while step < last:
            following = [m.behind(step) for m in (self._settings.saves, self._settings.images)]
            step = min([last, *(moment for moment in following if moment is not None)])
            yield step

    def _is_shown_within(self, current: _Frame) -> bool:
        """Whether the images of this very step are there, from before the run was stopped."""
        if current.step not in self._settings.images:
            return False
        return self._devices.from_main(
            lambda: self._recorder.is_shown_within(current.number, current.step)
        )

    def _show_within(self, current: _Frame) -> None:
        """Makes the images that are due at this step, if any are.

        Raises:
          Stopped: If asked to; the state is stored, and the next start begins with the images.
        """
        if current.step not in self._settings.images:
            return
        params = jax.device_get(self._devices.first(current.state).params)
        cams = self._settings.image_cams
        images = {self._recorder.evaluator.cam: current.shown}
        if cams:
            loaded = self._capture.load(current.number, cams).images
            images = dict(zip(cams, np.asarray(loaded), strict=True))
        if not self._recorder.show_within(
            current.number, current.step, params, images, self._is_asked_to_stop
        ):
            self._stop(current)

    def _stop(self, current: _Frame) -> NoReturn:
        self._save_partial(current)
        self._wait_for_writing()
        raise Stopped(
            f"stopped in frame {current.number} after step {current.step} of "
            f"{current.phase.steps}; the same command goes on from there"
        )

    def _is_asked_to_stop(self) -> bool:
        return self._devices.agree(self._should_stop())[0]

    def _advance(self, current: _Frame, frame: Frame, target: int, progress: Progress) -> None:
        """Trains up to a step, in dispatches that take about as long as they should."""
        while current.step < target:
            wanted = int(self._steps_per_second * self._settings.dispatch_seconds)
            count = min(max(wanted, 1), target - current.step)
            chunks = self._recorder.chunks_within(count / max(self._steps_per_second, 1e-9))
            stop, count, chunks = self._devices.agree(self._should_stop(), count, chunks)
            if stop:
                self._stop(current)
            start = time.perf_counter()
            self._recorder.render(chunks)
            current.costs["render_seconds"] += time.perf_counter() - start
            self._tracer.before_dispatch()
            start = time.perf_counter()
            if self._last_step_at is not None:
                current.costs["gap_seconds"] = start - self._last_step_at
                self._last_step_at = None
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
            stored = self._last_stored
            last = (
                "no frame is stored" if stored is None else f"frame {stored} is the last good one"
            )
            raise InvError(
                f"the loss or gradient of frame {current.number} is not finite at step {bad + 1} "
                f"of {current.phase.steps}; {last}: try a lower train.learning_rate or "
                "train.clip_norm, or train.reset_optimizer=True"
            )

    # What is handed over.

    def _save_partial(self, current: _Frame) -> None:
        if current.step == 0:
            return
        state: TrainState = jax.device_get(self._devices.first(current.state))
        self._recorder.save_partial(
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
        """Hands a trained frame over; its params and optimizer state, for the next one."""
        state: TrainState = jax.device_get(self._devices.first(current.state))
        phase, costs = current.phase, current.costs
        waited = self._recorder.wait_seconds
        costs["checkpoint_wait_seconds"], self._waited = waited - self._waited, waited
        steps_per_second = phase.steps / current.seconds
        metadata = {
            "frame": current.number,
            "phase": phase.name,
            "steps": phase.steps,
            "loss": float(state.means.loss),
            "train_psnr": _psnr(state.means.mse),
            "seconds": round(current.seconds, 3),
            "steps_per_second": round(steps_per_second, 3),
            "rays_per_second": round(steps_per_second * self._stepper.rays_per_step),
            **{name: round(seconds, 4) for name, seconds in costs.items()},
            "device_memory_bytes": self._devices.peak_memory_bytes(),
            "host_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        params = self._send(current.number, state.params, phase.roles)
        self._recorder.save(
            current.number,
            params,
            params_lib.flatten(state.opt_state),
            trained=phase.roles,
            metadata=metadata,
        )
        self._last_stored = current.number
        self._see_to_the_end()  # of the frame before, if frames are short
        self._recorder.show(current.number, params, current.shown, metadata)
        return params, state.opt_state

    def _send(self, number: int, params: Params, trained: tuple[str, ...]) -> Params:
        """Hands a frame over to be encoded; the params that training goes on from."""
        if not self._settings.from_decoded:
            self._recorder.send(number, params, trained)
            return params
        return self._devices.from_main(
            lambda: self._recorder.send_and_decode(number, params, trained)
        )

    def _see_to_the_end(self) -> None:
        """Renders what is left of the pending view.

        Raises:
          Stopped: If asked to; the frame is stored.
        """
        stops: list[bool] = []

        def should_stop() -> bool:
            stops.append(self._is_asked_to_stop())
            return stops[-1]

        self._recorder.finish(should_stop)
        if stops and stops[-1]:
            self._recorder.drop()
            self._wait_for_writing()
            raise Stopped(
                "stopped while rendering a frame that is stored; the same command goes on"
            )

    def _wait_for_writing(self) -> None:
        """All processes wait until the main one has written what was handed over, or fail as it."""
        self._devices.from_main(self._recorder.wait)

    def _catch_up(self, unseen: list[int]) -> None:
        """Makes rows and images of stored frames that a killed run did not get to."""
        store, cam = self._recorder.store, self._recorder.evaluator.cam
        for number in unseen:
            logging.info("evaluating frame %d, which was stored but not evaluated", number)
            params, metadata = self._devices.from_main(
                lambda number=number: (store.params(number), store.metadata(number))
            )
            metadata.pop("holds")
            truth = np.asarray(self._capture.load(number, (cam,)).images)[0]
            self._recorder.show(number, params, truth, metadata)
            self._see_to_the_end()


def _psnr(mse: Any) -> float:
    return float(-10.0 * np.log10(max(float(mse), 1e-20)))
