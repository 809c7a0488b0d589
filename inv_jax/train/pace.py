"""How fast training goes and what is left of it: arithmetic on counts and a clock, no terminal."""

import collections
import time
from collections.abc import Callable

_FRAME_WINDOW = 30.0  # seconds of training over which the speed of steps is averaged
_VIDEO_WINDOW = 1800.0  # seconds over which the speed of the whole run is: several frames


class _Speed:
    """Steps per second, over the last `window` seconds."""

    def __init__(self, window: float):
        self._window = window
        self._samples: collections.deque[tuple[float, int]] = collections.deque()

    def add(self, seconds: float, steps: int) -> None:
        """Notes that by that time so many steps were done in all."""
        self._samples.append((seconds, steps))
        # Two samples are needed, also if a single dispatch takes longer than the window.
        while len(self._samples) > 2 and self._samples[1][0] <= seconds - self._window:
            self._samples.popleft()

    @property
    def value(self) -> float | None:
        """None until two samples tell."""
        if len(self._samples) < 2:
            return None
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else None


class Pace:
    """Steps done and left, in the frame and in the video, and the time that they take.

    Time left in the frame counts training alone; that of the video also what lies between the
    dispatches (rendering, storing). A phase's first dispatch is not measured: it compiles.

    Attributes:
      frame: The frame in training.
      phase: Its phase.
      frame_steps: Steps planned for it.
      frame_done: Steps of it that are done.
      total_steps: Steps planned for the video: frames may have different numbers of them.
      beside: Steps done of the frames that train beside this one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.frame, self.phase = 0, ""
        self.frame_steps = self.frame_done = self.total_steps = self.beside = 0
        self._clock = clock
        self._finished_steps = 0  # of frames that are done
        self._measured_steps = 0  # done and measured since this run started
        self._trained = 0.0  # seconds in dispatches
        self._since = clock()
        self._training, self._overall = _Speed(_FRAME_WINDOW), _Speed(_VIDEO_WINDOW)

    def start_video(self, total_steps: int, done_steps: int = 0) -> None:
        """A run starts; `done_steps` are those of the frames that are stored already."""
        self.total_steps, self._finished_steps = total_steps, done_steps

    def start_frame(self, frame: int, phase: str, steps: int, done: int = 0) -> None:
        """A frame starts, or goes on after `done` of its steps."""
        if phase != self.phase:
            self._training = _Speed(_FRAME_WINDOW)
        self.frame, self.phase, self.frame_steps, self.frame_done = frame, phase, steps, done
        self.beside = max(0, self.beside - done)  # it was one of them until now
        self._since = self._clock()

    def advance(self, steps: int, beside: int = 0) -> None:
        """Some more steps of the frame are done; `beside` as the attribute."""
        now = self._clock()
        self.frame_done += steps
        self.beside = beside
        self._measured_steps += steps
        self._trained += now - self._since
        self._since = now
        self._training.add(self._trained, self._measured_steps)
        self._overall.add(now, self.video_done)

    def end_frame(self) -> None:
        """The frame is trained, stored and evaluated."""
        self._finished_steps += self.frame_steps
        self.frame_steps = self.frame_done = 0

    @property
    def video_done(self) -> int:
        """Steps done in the video."""
        return self._finished_steps + self.frame_done + self.beside

    @property
    def steps_per_second(self) -> float | None:
        """Speed of training; None as long as it is unknown."""
        return self._training.value

    @property
    def frame_seconds_left(self) -> float | None:
        """Time until the frame is trained; None as long as it is unknown."""
        return _seconds(self.frame_steps - self.frame_done, self._training.value)

    @property
    def video_seconds_left(self) -> float | None:
        """Time until the whole video is; None as long as it is unknown."""
        return _seconds(self.total_steps - self.video_done, self._overall.value)


def _seconds(steps: int, steps_per_second: float | None) -> float | None:
    return steps / steps_per_second if steps_per_second else None
