"""The loop that carries out a plan: segment by segment, resumable at any moment.

For each segment: params and optimizer state from where the plan says, steps in dispatches of about
a second, a state within each now and then. What becomes of a trained one is the recorder's
business, and the next one's images are there already: between segments devices hardly pause.

As many are in training as there are lanes (`lanes.py`), usually one. They begin and are
handed over in the order of the video, each at its own time.

Several processes run this loop side by side. What they do next has to be the same, so it is
agreed before each dispatch: whether to stop, how many steps, how much of a picture.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import jax
import numpy as np
from absl import logging

from inv_jax import params as params_lib
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.data.prefetch import Prepared, segments_ahead
from inv_jax.data.segments import Segment, unit
from inv_jax.models.base import Model
from inv_jax.train import lanes, resume
from inv_jax.train.hand_over import HandOver
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Plan
from inv_jax.train.progress import Progress
from inv_jax.train.recorder import Recorder
from inv_jax.train.segment import SegmentInTraining, psnr, where
from inv_jax.train.settings import Settings
from inv_jax.train.step import Stepper
from inv_jax.train.tracer import Tracer
from inv_jax.types import InvError, Params, Stopped


class Trainer:
    """Trains the segments of a capture after a plan."""

    def __init__(
        self,
        *,
        capture: Capture,
        segments: Sequence[Segment],
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
        masks: Masks | None = None,
        trace_folder: pathlib.Path | None = None,
    ):
        """Takes parts that know nothing of each other; `assembly` makes them from a config.

        `segments` are the capture's, in order; `initial` the params that the first starts from
        (unless its phase starts from scratch), `should_stop` is asked between dispatches, `masks`
        say what moves, for plans that ask, `trace_folder` gets a trace of some dispatches.
        """
        self._capture, self._model, self._plan = capture, model, plan
        self._segments = {segment.number: segment for segment in segments}
        self._stepper, self._devices, self._recorder = stepper, devices, recorder
        self._initial, self._workdir, self._settings = initial, workdir, settings
        self._should_stop, self._masks = should_stop, masks
        self._tracer = Tracer(trace_folder)
        self._key_init, self._key = jax.random.split(jax.random.key(seed))
        cameras = capture.cameras.take(np.array(capture.train_cams))
        self._lanes = lanes.make(
            stepper, devices, cameras, list(self._segments), settings.frames_at_once
        )
        self._hand_over = HandOver(
            recorder, devices, self._lanes, capture, settings, stepper.rows_per_step
        )
        self._current: list[SegmentInTraining] = []  # in the order of the video
        self._previous: resume.Handed = initial, None, {}  # of the last segment
        self._steps_per_second = 0.0  # of each frame
        self._compiled: set[tuple[Any, ...]] = set()  # roles and kinds of steps
        self._last_step_at: float | None = None  # when the frame before had its last step
        self._last_stored: int | None = None

    def train(self) -> None:
        """Trains every segment that is not stored yet.

        Raises:
          InvError: If something is wrong with the capture, the disk or the numbers; frames
            stored so far stay.
          Stopped: After a request to stop; the state within the frame is stored.
        """
        segments, recorder = list(self._segments.values()), self._recorder
        standing = self._devices.from_main(
            lambda: resume.find(
                *(recorder.store, recorder.journal, segments, self._plan, self._workdir),
                remembers=self._stepper.hard is not None,
            )
        )
        self._devices.from_main(lambda: recorder.begin(segments[0].number))
        with Progress(is_shown=self._devices.is_main, rows_name=self._model.rows.name) as progress:
            recorder.on_row = progress.show_row
            total = [self._plan.phase(number).steps for number in self._segments]
            num_done = len(standing.done)
            progress.start_video(sum(total), sum(total[:num_done]), len(segments), num_done)
            try:
                self._catch_up(standing.unseen)
                self._train_frames(standing, progress)
                self._see_to_the_end()
                recorder.finish_video()
                self._hand_over.wait()
            finally:
                self._tracer.close()

    def _train_frames(self, standing: resume.Standing, progress: Progress) -> None:
        segments, done = list(self._segments.values()), standing.done
        left = segments[len(done) :]
        if not left:
            logging.info("all %d %ss are trained already", len(segments), unit(segments))
            return
        self._last_stored = done[-1] if done else None
        optimizer = self._stepper.optimizer
        self._previous = resume.last_state(standing, self._initial, self._plan, optimizer)
        ahead = segments_ahead(
            self._capture,
            left,
            shown_cam=self._recorder.evaluator.cam,
            place=self._lanes.place,
            masks=self._masks,
            rows_per_step=self._stepper.rows_per_step,
            ahead=self._lanes.num_frames,
            wants_changes=self._stepper.hard is not None and not self._plan.is_from_scratch,
        )
        with contextlib.closing(ahead):
            while (prepared := self._next(ahead, progress)) is not None:
                self._begin(prepared, standing.partials.pop(prepared.segment.number, None))
                if len(self._current) == self._lanes.num_frames:
                    self._train_first(progress)
            self._train_all(progress)

    def _next(self, ahead: Iterator[Prepared], progress: Progress) -> Prepared | None:
        """The next segment's views, None behind the last; an error waits for those in training."""
        try:
            return next(ahead, None)
        except InvError:
            self._train_all(progress)
            raise

    # Segments in training.

    def _begin(self, prepared: Prepared, partial: resume.Partial | None) -> None:
        """Puts a segment into its lane, at the state it starts from or goes on from."""
        number, (params, opt_state, known) = prepared.segment.number, self._previous
        phase = self._plan.phase(number)
        key = jax.random.fold_in(self._key_init, number)
        if phase.start == SCRATCH:
            params, known = self._model.init(key), {}
        elif number != next(iter(self._segments)):
            params = self._model.next_segment(params, key)
        state, step, seconds = resume.begin(
            params,
            opt_state if phase.keep_optimizer else None,
            partial,
            phase=phase,
            optimizer=self._stepper.optimizer,
            key=jax.random.fold_in(self._key, number),
            memory=resume.carried(known, self._stepper.memory(prepared.num_pixels)),
        )
        if step:
            logging.info("%s goes on after step %d", prepared.segment.name, step)
        if phase.is_shaped:
            anchor, _ = params_lib.halves(params, phase.roles)
            state = state.replace(shaping=self._stepper.shaper.begin(anchor))
        frame = SegmentInTraining(prepared, phase, self._lanes.begin(number, state), step, seconds)
        self._current.append(frame)
        if not self._hand_over.is_shown_within(frame):
            self._show_within(frame)

    def _train_all(self, progress: Progress) -> None:
        while self._current:
            self._train_first(progress)

    def _train_first(self, progress: Progress) -> None:
        """Trains until the first frame in training is done, the others beside it; hands it over."""
        first = self._current[0]
        progress.start_frame(first.number, first.phase.name, first.phase.steps, first.step)
        self._compile()
        while not first.is_done:
            self._advance(progress)
        self._last_step_at = self._last_step_at or time.perf_counter()
        self._previous = self._finish(self._current.pop(0))
        progress.end_frame()

    def _compile(self) -> None:
        """Compiles the phase's step by running none of it, so that no frame's time holds it."""
        phase = self._current[0].phase
        # Clips of other lengths are programs of their own.
        program = phase.roles, phase.mixture.kinds, self._current[0].prepared.num_pixels
        if program not in self._compiled:
            start = time.perf_counter()
            self._lanes.run(self._current, 0)
            self._compiled.add(program)
            seconds = time.perf_counter() - start
            logging.info("compiled the step of %s in %.1f s", phase.name, seconds)
            if self._last_step_at is not None:
                self._last_step_at += seconds

    def _advance(self, progress: Progress) -> None:
        """One dispatch, of about as long as it should take, and what is due around it."""
        saves, images = self._settings.saves, self._settings.images
        frames, newest = [f for f in self._current if not f.is_done], self._current[-1]
        wanted = int(self._steps_per_second * self._settings.dispatch_seconds)
        count = min(max(wanted, 1), *(frame.steps_to_stop(saves, images) for frame in frames))
        chunks = self._recorder.chunks_within(count / max(self._steps_per_second, 1e-9))
        stop, count, chunks = self._devices.agree(self._should_stop(), count, chunks)
        if stop:
            self._stop()
        start = time.perf_counter()
        self._recorder.render(chunks)
        newest.render_seconds += time.perf_counter() - start
        self._tracer.before_dispatch()
        start = time.perf_counter()
        if self._last_step_at is not None:
            newest.gap_seconds += start - self._last_step_at
            self._last_step_at = None
        self._lanes.run(frames, count)
        seconds = time.perf_counter() - start
        self._steps_per_second = count / seconds
        for frame in frames:
            frame.step += count
            frame.seconds += seconds / len(frames)
        self._look_at(len(frames), count, seconds, progress)
        for frame in frames:
            # The pictures first: a run that is killed in between makes them again.
            self._show_within(frame)
            if frame.step in saves and not frame.is_done:
                self._hand_over.save_within(frame)

    def _look_at(self, num_frames: int, count: int, seconds: float, progress: Progress) -> None:
        """Checks and shows what the last steps brought, of so many frames."""
        means = self._hand_over.finite_means(self._current, self._last_stored)[0]
        progress.advance(
            count,
            loss=float(means.loss),
            psnr=psnr(means.mse),
            rows_per_second=num_frames * count * self._stepper.rows_per_step / seconds,
            beside=sum(frame.step for frame in self._current[1:]),
        )

    def _stop(self) -> NoReturn:
        self._stop_as(f"stopped in {where(self._current)}; the same command goes on from there")

    def _stop_as(self, text: str) -> NoReturn:
        """Stores the states of all frames in training, and ends the run."""
        self._hand_over.save_all_within(self._current)
        raise Stopped(text)

    def _is_asked_to_stop(self) -> bool:
        return self._devices.agree(self._should_stop())[0]

    # What is handed over.

    def _show_within(self, frame: SegmentInTraining) -> None:
        if not self._hand_over.show_within(frame, self._is_asked_to_stop):
            self._stop()

    def _finish(self, frame: SegmentInTraining) -> resume.Handed:
        """Hands a trained segment over; what the next one starts from."""
        state, metadata = self._hand_over.store(frame)
        self._last_stored = frame.number
        self._see_to_the_end()  # of the frame before, if frames are short
        self._recorder.show(frame.segment, state.params, frame.prepared.truth, metadata)
        return state.params, state.opt_state, params_lib.flatten(state.memory)

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
            self._stop_as(
                "stopped while rendering a frame that is stored; the same command goes on"
            )

    def _catch_up(self, unseen: list[int]) -> None:
        """Makes rows and images of stored frames that a killed run did not get to."""
        for number in unseen:
            self._hand_over.show_stored(self._segments[number])
            self._see_to_the_end()
