"""The clock of a playback: when each frame is due, and what held it up."""

import time


class Clock:
    """Frames are due at the frame rate, from the first one on; what delays one delays the rest.

    Times are those of `time.monotonic`. One thread sets it, another may read it.
    """

    def __init__(self, rate: float):
        self._rate = rate
        self._origin: float | None = None  # when frame 0 would have been due

    @property
    def is_running(self) -> bool:
        return self._origin is not None

    def start(self, frame: int, at: float) -> None:
        """Begins: `frame` is due at `at`."""
        self._origin = at - frame / self._rate

    def due(self, frame: int) -> float | None:
        """When a frame is due; None before the start."""
        return None if self._origin is None else self._origin + frame / self._rate

    def late(self, frame: int, at: float) -> float:
        """By how many seconds `at` is too late for a frame; it is due then, and others follow."""
        due = self.due(frame)
        seconds = 0.0 if due is None else max(0.0, at - due)
        self.shift(seconds)
        return seconds

    def shift(self, seconds: float) -> None:
        """Makes all frames due later."""
        if self._origin is not None:
            self._origin += seconds

    def left(self, frame: int) -> float:
        """Seconds until a frame is due, if it is not."""
        due = self.due(frame)
        return 0.0 if due is None else max(0.0, due - time.monotonic())
