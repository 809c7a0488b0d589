"""From the devices to the recorder: states, pictures on the way, params at the end.

All processes of a job call the same methods in the same order; see `recorder.py`.
"""

import resource
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import logging

from inv_jax import params as params_lib
from inv_jax.data.capture import Capture
from inv_jax.data.prefetch import reader
from inv_jax.data.segments import Segment
from inv_jax.train import resume
from inv_jax.train.lanes import Lanes
from inv_jax.train.parallel import Devices
from inv_jax.train.recorder import Recorder
from inv_jax.train.segment import SegmentInTraining
from inv_jax.train.settings import Settings
from inv_jax.train.state import Means, TrainState
from inv_jax.types import Params


class HandOver:
    """Takes from the devices what is to be kept of the frames in training."""

    def __init__(
        self,
        recorder: Recorder,
        devices: Devices,
        lanes: Lanes,
        capture: Capture,
        settings: Settings,
        rows_per_step: int,
    ):
        """Takes the parts of a run.

        Args:
          recorder: Who keeps it.
          devices: Who trains.
          lanes: Where on them the frames lie.
          capture: What they are trained on.
          settings: Of these, `images`, `image_cams` and `from_decoded`.
          rows_per_step: Of each frame.
        """
        self._recorder, self._devices, self._lanes = recorder, devices, lanes
        self._capture, self._settings, self._rows_per_step = capture, settings, rows_per_step
        self._waited = 0.0  # what earlier frames reported of the recorder's waiting

    def wait(self) -> None:
        """All processes wait until the main one has written what was handed over, or fail as it."""
        self._devices.from_main(self._recorder.wait)

    # Within a frame.

    def finite_means(
        self, frames: Sequence[SegmentInTraining], last_stored: int | None
    ) -> list[Means]:
        """Loss and error of all frames in training.

        Raises:
          InvError: If numbers of one are none; the states of the others are stored.
        """
        means = [self._lanes.one(frame.state.means) for frame in frames]
        is_bad = [int(found.bad_step) >= 0 for found in means]
        if any(is_bad) and not all(is_bad):
            self.save_all_within([f for f, bad in zip(frames, is_bad, strict=True) if not bad])
        for frame, found in zip(frames, means, strict=True):
            frame.check_finite(found, last_stored)
        return means

    def save_within(self, frame: SegmentInTraining) -> None:
        """Stores the state that a frame is in."""
        if frame.step == 0:
            return
        state: TrainState = jax.device_get(self._lanes.one(frame.state))
        self._recorder.save_partial(
            frame.number,
            frame.step,
            state.params,
            resume.together(state.opt_state, state.memory),
            frame.notes_within(state),
        )

    def save_all_within(self, frames: Sequence[SegmentInTraining]) -> None:
        """Stores the states that frames are in, and waits until they are on disk."""
        for frame in frames:
            self.save_within(frame)
        self.wait()

    def is_shown_within(self, frame: SegmentInTraining) -> bool:
        """Whether the images of this very step are there, from before the run was stopped."""
        if frame.step not in self._settings.images:
            return False
        return self._devices.from_main(
            lambda: self._recorder.is_shown_within(frame.number, frame.step)
        )

    def show_within(self, frame: SegmentInTraining, should_stop: Callable[[], bool]) -> bool:
        """Makes the images that are due at this step, if any are.

        Args:
          frame: The frame.
          should_stop: Asked between parts of an image.

        Returns:
          Whether that was done; if asked to stop, all of it is left out.
        """
        if frame.step not in self._settings.images:
            return True
        params = jax.device_get(self._lanes.one(frame.state).params)
        truths = {self._recorder.evaluator.cam: frame.prepared.truth}
        if self._settings.image_cams:
            truths = {cam: reader(self._capture, cam) for cam in self._settings.image_cams}
        return self._recorder.show_within(frame.segment, frame.step, params, truths, should_stop)

    # At its end.

    def store(self, frame: SegmentInTraining) -> tuple[TrainState, dict[str, Any]]:
        """Hands a trained frame over to be encoded and stored.

        Returns:
          The state that training goes on from, on the host, and what was noted. Its params are
          those of the video, if training goes on from these.
        """
        state: TrainState = jax.device_get(self._lanes.one(frame.state))
        own = {"guide": None, "best": None}  # the next segment has its own
        state = state.replace(memory=state.memory.replace(**own))
        waited = self._recorder.wait_seconds
        frame.checkpoint_wait_seconds, self._waited = waited - self._waited, waited
        metadata = {
            **frame.notes(state, self._rows_per_step),
            "frames_at_once": self._lanes.num_frames,
            "device_memory_bytes": self._devices.peak_memory_bytes(),
            "host_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        params = self._send(frame.segment, state.params, frame.phase.roles)
        self._recorder.save(
            frame.segment,
            params,
            resume.together(state.opt_state, state.memory),
            trained=frame.phase.roles,
            metadata=metadata,
        )
        trainable, frozen = params_lib.halves(params, frame.phase.roles)
        return state.replace(trainable=trainable, frozen=frozen), metadata

    def _send(self, segment: Segment, params: Params, trained: tuple[str, ...]) -> Params:
        """Hands a segment over to be encoded; the params that training goes on from."""
        if not self._settings.from_decoded:
            self._recorder.send(segment.frames, params, trained)
            return params
        return self._devices.from_main(
            lambda: self._recorder.send_and_decode(segment.frames, params, trained)
        )

    def show_stored(self, segment: Segment) -> None:
        """Begins the views of a stored segment that a killed run did not get to."""
        logging.info("evaluating %s, which was stored but not evaluated", segment.name)
        store, cam = self._recorder.store, self._recorder.evaluator.cam
        params, metadata = self._devices.from_main(
            lambda: (store.params(segment.number), store.notes(segment.number))
        )
        self._recorder.show(segment, params, reader(self._capture, cam), metadata)
