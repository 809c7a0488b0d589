"""How segments lie on the devices: one on all of them, or several side by side.

Usually all devices share the rows of one segment's step. Frames that start from random params do
not depend on each other, and may train at once instead: each in a lane of its own, which is all
of one device or, vmapped, a part of it. A lane whose frame is done takes the next one, whatever
the others are at; so frames of different lengths leave no lane waiting but at the video's end.
Each frame meets the rays, keys and params that it meets alone, and comes out the same to rounding.
"""

import abc
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inv_jax.train import parallel
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Edit, Plan
from inv_jax.train.segment import SegmentInTraining
from inv_jax.train.state import TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Cameras, InvError, Views

_PIXELS = "the pixels: smaller pictures (data.factor, data.height), or fewer cameras or frames"


class Lanes(abc.ABC):
    """Where frames train, and how many at once.

    Attributes:
      num_frames: How many train at once. Of so many neighbours, no two share a lane.
    """

    num_frames: int

    @abc.abstractmethod
    def place(self, frame: Views) -> Any:
        """Sends a frame's views to where it will train."""

    @abc.abstractmethod
    def begin(self, number: int, state: TrainState) -> Any:
        """Sends the state there that the frame of this number starts from."""

    def run(self, frames: Sequence[SegmentInTraining], num_steps: int) -> None:
        """Takes so many steps of each of the frames, in one dispatch; their states are replaced.

        What the plan does to params in front of these steps is done first; not where there are no
        steps, so that a state is not edited twice.
        """
        for frame in frames:
            if num_steps and (edits := frame.edits()):
                self._edit(frame, edits)
        self._run_all(frames, num_steps)

    @abc.abstractmethod
    def _run_all(self, frames: Sequence[SegmentInTraining], num_steps: int) -> None:
        """See `run`."""

    @abc.abstractmethod
    def one(self, placed: Any) -> Any:
        """Arrays of a frame that are placed, or a part of them, as arrays of one device."""

    def _edit(self, frame: SegmentInTraining, edits: Sequence[Edit]) -> None:
        """Does the edits to a frame's params, on the host; its state is replaced."""
        state: TrainState = jax.device_get(self.one(frame.state))
        trainable, (is_free, inner) = state.trainable, state.opt_state
        for edit in edits:
            trainable, is_free = edit(trainable, is_free)
        state = state.replace(trainable=trainable, opt_state=type(state.opt_state)(is_free, inner))
        frame.state = self.begin(frame.number, state)


def frames_per_device(wanted: int, plan: Plan, devices: Devices) -> int:
    """Frames that train on each device at once; 1 also where all devices share one frame.

    Args:
      wanted: `train.frames_at_once`.
      plan: The plan.
      devices: The devices.

    Raises:
      InvError: If it does not divide over the devices, or frames of the plan need others first.
    """
    name = f"train.frames_at_once={wanted}"
    if wanted == 1:
        return 1
    if wanted < 1:
        raise InvError(f"{name}; want 1 or more")
    if chained := [phase.name for phase in plan.phases if phase.start != SCRATCH]:
        raise InvError(
            f"{name}: frames of '{chained[0]}' start from the params of the frame before, so they "
            "train one by one; only frames from scratch train at once (train.scratch=True)"
        )
    if devices.num_processes > 1:
        raise InvError(
            f"{name} in {devices.num_processes} processes: frames train at once on the devices of "
            "one process; start one, or set train.frames_at_once=1"
        )
    return devices.share(wanted, "train.frames_at_once")


def make(
    stepper: Stepper, devices: Devices, cameras: Cameras, frames: Sequence[int], num_frames: int
) -> Lanes:
    """Lanes for the frames, so many at once; the cameras are those that are trained on."""
    if num_frames == 1:
        return SharedLane(stepper, devices, cameras)
    return OwnLanes(stepper, devices, cameras, frames, num_frames)


class SharedLane(Lanes):
    """One frame; all devices share the rays of its steps."""

    num_frames = 1

    def __init__(self, stepper: Stepper, devices: Devices, cameras: Cameras):
        self._devices, self._cameras = devices, devices.replicate(cameras)
        self._run = devices.map(stepper.run, donate=(0,))

    def place(self, frame: Views) -> Any:
        """See `Lanes.place`."""
        with parallel.out_of_memory_as_error(_PIXELS):
            return self._devices.replicate(frame)

    def begin(self, number: int, state: TrainState) -> Any:
        """See `Lanes.begin`."""
        del number
        return self._devices.replicate(state)

    def _run_all(self, frames: Sequence[SegmentInTraining], num_steps: int) -> None:
        """See `Lanes.run`."""
        (frame,) = frames
        counts = self._devices.replicate(np.int32(num_steps))
        with parallel.out_of_memory_as_error("train.rows_per_pass or train.rows_per_step"):
            state = self._run(frame.state, frame.prepared.on_device, self._cameras, counts)
            frame.state = jax.block_until_ready(state)

    def one(self, placed: Any) -> Any:
        """See `Lanes.one`."""
        return self._devices.first(placed)


class OwnLanes(Lanes):
    """Several frames, each on one device with all its rays; the frames of a device are vmapped.

    All frames take the same number of steps in a dispatch. A device without a frame (the video
    ends) takes none. A lane without one, beside others on its device, keeps step with them on what
    was there last, and nobody looks at it: a select around every update would cost each frame that
    does train.
    """

    def __init__(
        self,
        stepper: Stepper,
        devices: Devices,
        cameras: Cameras,
        frames: Sequence[int],
        num_frames: int,
    ):
        """The stepper is one of a single device (`num_devices` 1, no `axis`)."""
        assert stepper.axis is None
        self.num_frames, self._frames = num_frames, frames
        self._devices, self._cameras = devices, devices.replicate(cameras)
        self._per_device = num_frames // devices.count
        self._idle: dict[int, tuple[Any, Any]] = {}  # by lane, a state and views

        def run(
            states: tuple[TrainState, ...],
            frames: tuple[Views, ...],
            cameras: Cameras,
            counts: tuple[jax.Array, ...],
        ) -> tuple[TrainState, ...]:
            if len(states) == 1:
                return (stepper.run(states[0], frames[0], cameras, counts[0]),)
            stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *zip(states, frames, strict=True))
            trained = jax.vmap(stepper.run, in_axes=(0, 0, None, None))(
                *stacked, cameras, jnp.max(jnp.stack(counts))
            )
            return tuple(jax.tree.map(lambda x, i=i: x[i], trained) for i in range(len(states)))

        self._run = devices.map(run, donate=(0,))

    def place(self, frame: Views) -> Any:
        """See `Lanes.place`."""
        with parallel.out_of_memory_as_error(f"train.frames_at_once, or {_PIXELS}"):
            return self._devices.put(frame, self._device(self._lane(int(frame.index))))

    def begin(self, number: int, state: TrainState) -> Any:
        """See `Lanes.begin`."""
        return self._devices.put(state, self._device(self._lane(number)))

    def _run_all(self, frames: Sequence[SegmentInTraining], num_steps: int) -> None:
        """See `Lanes.run`."""
        training = {self._lane(frame.number): frame for frame in frames}
        for lane in range(self.num_frames):
            if lane in training:
                self._idle.pop(lane, None)
            elif lane not in self._idle:
                self._idle[lane] = self._copies(frames[0], lane)
        placed = {lane: (*self._idle[lane], self._count(lane, 0)) for lane in self._idle}
        for lane, frame in training.items():
            placed[lane] = frame.state, frame.prepared.on_device, self._count(lane, num_steps)
        # Lane by lane, each of all devices.
        rows = np.arange(self.num_frames).reshape(self._per_device, self._devices.count)
        states, views, counts = (
            tuple(self._devices.join([placed[lane][part] for lane in row]) for row in rows)
            for part in (0, 1, 2)
        )
        with parallel.out_of_memory_as_error("train.frames_at_once or train.rows_per_pass"):
            trained = jax.block_until_ready(self._run(states, views, self._cameras, counts))
        for row, state in zip(rows, trained, strict=True):
            for lane, part in zip(row, self._devices.parts(state), strict=True):
                if lane in training:
                    training[lane].state = part
                else:
                    self._idle[lane] = part, placed[lane][1]

    def one(self, placed: Any) -> Any:
        """See `Lanes.one`."""
        return jax.tree.map(lambda x: x[0], placed)

    def _copies(self, frame: SegmentInTraining, lane: int) -> tuple[Any, Any]:
        """Something to fill a lane with, of its own: states are donated."""
        copied = jax.tree.map(lambda x: x.copy(), self.one((frame.state, frame.prepared.on_device)))
        return self._devices.put(copied, self._device(lane))

    def _count(self, lane: int, num_steps: int) -> Any:
        return self._devices.put(np.int32(num_steps), self._device(lane))

    def _lane(self, number: int) -> int:
        return self._frames.index(number) % self.num_frames

    def _device(self, lane: int) -> int:
        """Neighbours lie on different devices, so that few frames are on many of them."""
        return lane % self._devices.count
