"""What a run of a config will take: memory, time and disk, counted, and measured if asked for."""

import dataclasses
import functools
import math
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

import jax

from inv_jax.assembly import build, captures, fitting, plans, record, sizing
from inv_jax.cost import count, disk, machine, trial, words
from inv_jax.data import capture, segments
from inv_jax.data.masks import Masks
from inv_jax.models.base import Model
from inv_jax.train import lanes
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import Phase
from inv_jax.types import InvError

Row = tuple[str, str]  # what it is, and what there is to say; a newline begins a new line

_TRIAL_SECONDS = 12.0  # once steps were tried for so long, the next phase's is scaled from them
_STEP_SECONDS = 2.0  # of a step's measurement


@dataclasses.dataclass(frozen=True)
class Rates:
    """What the machine reaches."""

    matrix: Mapping[str, float]  # floating-point operations a second, by precision
    memory: float  # bytes a second

    @classmethod
    def measure(cls, precisions: Iterable[str]) -> "Rates":
        matrix = {precision: machine.matrix_rate(precision) for precision in precisions}
        return cls(matrix, machine.memory_rate())


@dataclasses.dataclass(frozen=True)
class _PhaseCost:
    """What the frames of a phase take."""

    phase: Phase
    frames: int
    steps: int  # of all frames
    cost: count.Cost  # of a step, on one device
    seconds: float | None = None  # of a step
    is_scaled: bool = False  # from another phase's time, not measured


class Forecast:
    """A config, on these devices, with its capture if that is there."""

    def __init__(self, config: build.Config, devices: Devices, workdir: pathlib.Path):
        """Opens the capture.

        Raises:
          InvError: If the config cannot be right. That the capture is not there is no mistake,
            unless all its pixels make a step.
        """
        old = record.read(workdir)
        config = fitting.fitted(config, old, lambda: _opened(config, workdir), devices)
        self._model: Model = build.model(config)
        config = captures.completed(config, self._model, workdir, devices)
        self._config, self._devices, self._workdir = config, devices, workdir
        at_once = config.train.frames_at_once
        self._step = build.stepper(config, self._model, devices, frames_at_once=at_once)
        self._plan = plans.of(config)
        lanes.frames_per_device(at_once, self._plan, devices)
        self._side_by_side = devices.count if at_once > 1 else 1  # frames on devices of their own
        self._size = sizing.planned_segment(config)
        self._segments = segments.split(
            sizing.planned_frames(config),
            config.train.segment_frames,
            step=max(config.data.frame_step, 1),  # said where the capture is opened
        )
        self._missing = self._masks = ""
        try:
            shots = captures.of(config, workdir)
        except InvError as error:
            self._missing = str(error)
        else:
            self._segments = captures.segments_of(config, shots)
            self._size = captures.longest(self._segments, shots)
            rows_of = functools.partial(captures.rows_of, self._model, shots)
            self._plan = plans.by_clips(config, self._plan, self._segments, rows_of)
            if self._plan.wants_masks:
                masks = captures.masks_of(config, workdir, shots)
                self._masks = _found(masks, segments.trained_on(self._segments), shots.train_cams)

    @property
    def _unit(self) -> str:
        """What people call a segment."""
        return segments.unit(self._segments)

    @property
    def precision(self) -> str:
        """What the network computes in."""
        return self._model.precision

    def check(self) -> None:
        """Refuses what cannot fit.

        Raises:
          InvError: With the setting to change.
        """
        sizing.check_memory(
            self._config,
            self._plan,
            self._model,
            self._devices,
            self._step.rows_per_pass,
            self._size,
        )

    def config_rows(self) -> Iterable[Row]:
        """The capture, the network, the memory of a device."""
        views, height, width = self._size
        longest = max(len(one.frames) for one in self._segments)
        what = f"{len(self._segments)} frames of {views} training cameras, {width}x{height}"
        if longest > 1:
            frames = sum(len(one.frames) for one in self._segments)
            what = (
                f"{frames} frames in {len(self._segments)} segments of up to {views} training "
                f"views, {width}x{height}"
            )
        if self._missing:
            what = f"not opened: {self._missing}\ntaken instead: {what}"
        yield "capture", what
        if self._masks:
            yield "masks", self._masks
        for roles, whose in zip(
            (self._model.roles.own, self._model.roles.shared),
            (f"a {self._unit}'s own", "shared once they are frozen"),
            strict=True,
        ):
            if roles:
                yield roles[0], f"{count.num_params(self._model, roles):,} params, {whose}"
        told = self._model.describe()
        if self._missing:
            told.pop("box", None)  # it is fitted to the cameras
        yield from told.items()
        native = machine.is_native(self.precision, jax.local_devices()[0])
        yield "precision", self.precision + ("" if native else ", which the hardware lacks")
        step = self._step
        yield (
            f"{self._model.rows.name}s a step",
            f"{step.rows_per_step}; {step.rows_per_step // step.num_devices} a device, "
            f"{step.rows_per_pass} of them at once",
        )
        yield from self._memory_rows()

    def _memory_rows(self) -> Iterable[Row]:
        need = sizing.memory_need(
            self._config,
            self._plan,
            self._model,
            self._devices,
            self._step.rows_per_pass,
            self._size,
        )
        free = sizing.available_memory(self._devices)
        there = f", of {words.size(free)} that are free" if free else ""
        yield "memory", f"about {words.size(need.total)} a device{there}"
        yield "  of it", f"{words.size(need.state)} params, gradients and moments"
        yield "", f"{words.size(need.pixels)} pixels of {self._unit}s in training, and of the next"
        yield "", f"{words.size(need.activations)} a pass of {self._model.rows.name}s"
        yield "", f"{words.size(need.image)} a chunk of a view (not beside a pass)"

    def training_rows(self, rates: Rates | None) -> Iterable[Row]:
        """Operations and, with rates, time: of a step, a frame, and the whole video."""
        phases = self._phases()
        if rates is not None:
            phases = self._tried(phases)
        for one in phases:
            flops = words.quantity(one.cost.flops * self._step.num_devices, "FLOP")
            steps = round(one.steps / one.frames)
            about = "about " if one.phase.more_steps else ""
            yield (
                one.phase.name,
                f"{one.frames} {self._unit}s of {about}{steps:,} steps, {flops} a step",
            )
            if rates is None or one.seconds is None:
                continue
            floor, about = self._floor(one.cost, rates), "about " if one.is_scaled else ""
            frame = words.duration(steps * one.seconds)
            step = f"{about}{words.duration(one.seconds)} a step"
            yield "", f"{step}, {frame} a {self._unit} (floor: {words.duration(floor)} a step)"
        if rates is not None and phases:
            yield "video", self._video(phases)

    def _phases(self) -> list[_PhaseCost]:
        """The phases that have frames."""
        found = []
        for one in self._plan.phases:
            phases = [self._plan.phase(one.number) for one in self._segments]
            steps = [phase.steps for phase in phases if phase.first_frame == one.first_frame]
            if steps:
                cost = count.step(
                    self._model,
                    rows=self._step.rows_per_step // self._step.num_devices,
                    rows_per_pass=self._step.rows_per_pass,
                    roles=one.roles,
                    itemsize=count.itemsize(self.precision),
                    mixture=one.mixture,
                )
                found.append(_PhaseCost(one, len(steps), sum(steps), cost))
        return found

    def _tried(self, phases: Sequence[_PhaseCost]) -> list[_PhaseCost]:
        """Times the real step of each phase; later ones are scaled if the first takes long."""
        size, masks = self._size, self._plan.wants_masks
        placed = self._devices.replicate(trial.random_views(*size, has_regions=masks))
        timed: list[_PhaseCost] = []
        start = time.perf_counter()
        for one in phases:
            if timed and time.perf_counter() - start > _TRIAL_SECONDS:
                first = timed[0]
                seconds = (first.seconds or 0.0) * one.cost.flops / first.cost.flops
                timed.append(dataclasses.replace(one, seconds=seconds, is_scaled=True))
                continue
            phase = one.phase
            step = trial.Trial(self._step, self._devices, phase.roles, *placed, phase.mixture)
            step.seconds(1)
            kinds = len(phase.mixture.kinds)
            enough = max(1, min(1000, round(_STEP_SECONDS / kinds / step.mean_seconds(1))))
            timed.append(dataclasses.replace(one, seconds=step.mean_seconds(enough)))
        return timed

    def _floor(self, cost: count.Cost, rates: Rates) -> float:
        on_cpu = self._devices.platform == "cpu"
        one = cost.floor_seconds(rates.matrix[self.precision], rates.memory, in_cache=on_cpu)
        return one * (self._devices.count if on_cpu else 1)  # the rates are of all its cores

    def _video(self, phases: Sequence[_PhaseCost]) -> str:
        """Time of all frames; of the views, as if they were rendered at the rate of a step."""
        training = sum((one.seconds or 0.0) * one.steps for one in phases) / self._side_by_side
        last = phases[-1]
        view = count.image(
            build.shown_model(self._config),
            rows=self._model.rows.in_view(*self._size[1:]),
            rows_per_chunk=sizing.rows_per_chunk(self._config, self._model, self._devices),
            itemsize=count.itemsize(self.precision),
        )
        step_flops = last.cost.flops * self._devices.count  # of all devices, in the same time
        views = (
            sum(len(one.shown) for one in self._segments)
            * view.flops
            / step_flops
            * (last.seconds or 0.0)
        )
        return f"{words.duration(training)} of training, about {words.duration(views)} of views"

    def disk_rows(self) -> Iterable[Row]:
        """Bytes of a frame and of the run, and whether there is room."""
        trained = [self._plan.phase(one.number).roles for one in self._segments]
        stored = disk.of_run(
            self._model,
            trained=trained,
            view_pixels=self._size[1] * self._size[2],
            saves_within=self._config.train.save_every > 0,
            frames_at_once=self._config.train.frames_at_once,
        )
        own, shared = self._model.roles.own, set(self._model.roles.shared)
        coloring = 1 + sum(not shared.isdisjoint(roles) for roles in trained[1:])
        yield own[0], f"{words.size(stored.frame)} a {self._unit}"
        if shared:
            yield self._model.roles.shared[0], f"{words.size(stored.color)} in {coloring} frames"
        most = self._config.eval.pictures or math.inf
        views = sum(int(min(len(one.shown), most)) for one in self._segments)
        yield "pictures", f"about {words.size(stored.pictures)} a view, {views} views"
        clip = 3 * math.prod(self._size)  # of the longest segment, uint8
        if clip >= capture.LARGE and any(len(one.frames) > 1 for one in self._segments):
            room = free_bytes(pathlib.Path(tempfile.gettempdir()))
            where = f"in a temporary file, {words.size(room)} are free for it (see $TMPDIR)"
            yield "clip", f"{words.size(clip)} {where}"
        total, free = stored.run(len(self._segments), views), free_bytes(self._workdir)
        room = "there is room" if total <= free else f"NO ROOM for {words.size(total - free)}"
        yield "in all", f"about {words.size(total)}; {words.size(free)} are free: {room}"


def _opened(config: build.Config, workdir: pathlib.Path) -> capture.Capture | None:
    """The capture of a config, if it is there."""
    try:
        return captures.of(config, workdir)
    except InvError:
        return None


def _found(masks: Masks, frames: Sequence[int], cams: Sequence[int]) -> str:
    """Whether the masks that training asks for are there; no mistake if not, they can be made."""
    try:
        masks.check(frames, cams)
    except InvError as error:
        return f"NOT READY: {error}"
    return f"all there, as {masks.path(frames[0], cams[0])}"


def free_bytes(folder: pathlib.Path) -> int:
    """Free bytes on the disk where a folder is, or is going to be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
