"""Plays a feed against the clock, and keeps account of what went wrong.

A frame that is not there when it is due stalls the clock; that is a rebuffering. What the viewer's
machine delays by rendering slowly is counted apart, and moves the clock as well, so that it is
never taken for the network's fault.
"""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator

from inv_jax.data.segments import time_in
from inv_jax.stream.ahead import Ahead, Taken
from inv_jax.stream.clock import Clock
from inv_jax.stream.feed import Arrival, Feed
from inv_jax.stream.report import Report
from inv_jax.types import Params

_LONGEST_HOLD = 5.0  # s that a picture is held for lost frames; of a longer gap, the rest is jumped
_LEAST_STALL = 0.002  # s; less is the scheduling of threads
_NAP_SECONDS = 0.1  # between questions whether to stop


@dataclasses.dataclass(frozen=True)
class Shown:
    """What is on the screen for the time of a frame.

    Attributes:
      frame: Whose time it is.
      params: What is shown: the frame, or the last one that came.
      source_frame: The number of the frame that is shown.
      segment: The frames that have its params.
    """

    frame: int
    params: Params
    source_frame: int
    segment: range

    @property
    def is_held(self) -> bool:
        """Whether the frame is lost, and an earlier one stands in."""
        return self.frame != self.source_frame

    @property
    def time(self) -> float:
        """When the frame that is shown is, as a part of its segment."""
        return time_in(self.segment, self.source_frame)


class Session:
    """One playback of a feed."""

    def __init__(
        self,
        feed: Feed,
        *,
        began: float,
        is_paced: bool,
        buffer_seconds: float,
        start_seconds: float,
        should_stop: Callable[[], bool],
    ):
        """Starts downloading.

        Args:
          feed: What to play.
          began: When the viewer asked for it (`time.monotonic`).
          is_paced: Whether frames are given when they are due; else as soon as they are there.
          buffer_seconds: How much is downloaded ahead.
          start_seconds: How much of it must be there to begin, and to go on after a stall.
          should_stop: Asked at each frame, and while waiting for one.
        """
        self._feed, self._began = feed, began
        self._is_paced, self._start_seconds = is_paced, start_seconds
        self._should_stop = should_stop
        self._clock = Clock(feed.header.frame_rate)
        self._ahead = Ahead(feed, self._clock, buffer_seconds, should_stop)
        self._last: Shown | None = None
        self._level = ""
        self.report = Report(feed.header.frame_rate)

    def play(self) -> Generator[Shown, None, None]:
        """What is shown, frame by frame; `report` is whole when it ends."""
        try:
            yield from self._play()
        finally:
            self._ahead.close()
            self.report.finish(self._feed.traffic, self._feed.notes)

    def _play(self) -> Iterator[Shown]:
        self._ahead.wait_until_buffered(self._start_seconds)
        while not self._should_stop():
            asked = time.monotonic()
            taken = self._ahead.take()
            if taken is None:
                return
            if self._clock.is_running:
                self.report.slow_seconds += self._clock.late(taken.arrival.first, asked)
                self._count_stall(taken)
            if taken.arrival.params is None:
                yield from self._held(taken.arrival)
            else:
                yield self._good(taken.arrival)

    def _good(self, arrival: Arrival) -> Shown:
        frame = arrival.first
        if self._last is None:
            now = time.monotonic()
            self._clock.start(frame, now)
            self.report.startup_seconds = now - self._began
        if self._level not in ("", arrival.level):
            self.report.switches.append((frame, self._level, arrival.level))
        self._level = arrival.level
        self.report.played(frame, arrival.level)
        self._pace(frame)
        segment = arrival.alike or range(frame, frame + 1)
        self._last = Shown(frame, arrival.params, frame, segment)
        return self._last

    def _held(self, arrival: Arrival) -> Iterator[Shown]:
        """The last picture, for the time of the lost frames."""
        end = arrival.first + arrival.count
        self.report.lost(arrival.first, end, arrival.reason)
        if self._last is None:
            return
        rate = self._feed.header.frame_rate
        most = max(1, round(_LONGEST_HOLD * rate))
        for frame in range(arrival.first, min(end, arrival.first + most)):
            if self._should_stop():
                return
            self.report.slow_seconds += self._clock.late(frame, time.monotonic())
            self._pace(frame)
            self.report.held_frames += 1
            yield dataclasses.replace(self._last, frame=frame)
        self._clock.shift(-max(0, arrival.count - most) / rate)

    def _count_stall(self, taken: Taken) -> None:
        seconds = self._clock.late(taken.arrival.first, taken.at)
        if seconds < _LEAST_STALL:
            return
        if self._start_seconds:
            # Going on at once would stall again at the next frame.
            self._ahead.wait_until_buffered(self._start_seconds)
            seconds += self._clock.late(taken.arrival.first, time.monotonic())
        self.report.stalled(taken.arrival.first, seconds, by_publisher=taken.waited_for_publisher)

    def _pace(self, frame: int) -> None:
        while self._is_paced and (left := self._clock.left(frame)) and not self._should_stop():
            time.sleep(min(left, _NAP_SECONDS))
