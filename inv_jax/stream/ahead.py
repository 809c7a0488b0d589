"""Runs a feed ahead of the player, in a thread, into a buffer that does not grow without end."""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable

from inv_jax.stream.clock import Clock
from inv_jax.stream.feed import Arrival, Closed, Feed

_MOST_BYTES = 1 << 28  # of decoded params in the buffer
_NAP_SECONDS = 0.05  # between questions whether to stop
_JOIN_SECONDS = 1.0  # for a request under way; the thread does not keep the process alive


@dataclasses.dataclass(frozen=True)
class Taken:
    """What the player gets.

    Attributes:
      arrival: The frame, or the loss.
      at: When it was there, on the clock `time.monotonic`.
      waited_for_publisher: Whether there was nothing to fetch for some of the time since the one
        before it.
    """

    arrival: Arrival
    at: float
    waited_for_publisher: bool


class Ahead:
    """A feed's arrivals, downloaded and decoded before they are asked for; a `Link` too."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        seconds: float,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Starts the thread.

        Args:
          feed: Where arrivals come from; only the thread uses it until `close`.
          clock: The player's.
          seconds: Frames of so much time are in memory at most; fewer, if their params are large.
          should_stop: Asked by the player's thread while it waits.
        """
        rate, size = feed.header.frame_rate, 4 * feed.header.layout.size
        self._most, self._most_sets = max(2, round(seconds * rate)), max(2, _MOST_BYTES // size)
        self._set_frames = feed.header.segment_frames
        self._feed, self._clock, self._rate = feed, clock, rate
        self._should_stop = should_stop
        self._queue: collections.deque[Taken] = collections.deque()
        self._changed = threading.Condition()
        self._closed = self._done = self._is_idle = self._was_idle = False
        self._end: int | None = None  # the frame behind the newest
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)
        self._thread.start()

    # The player's side.

    def take(self) -> Taken | None:
        """The next arrival, when it is there; None at the end, or when asked to stop.

        Raises:
          InvError: If the feed cannot go on.
        """
        with self._changed:
            self._wait_for(lambda: bool(self._queue) or self._done)
            if self._queue:
                self._changed.notify_all()
                return self._queue.popleft()
            if self._error is not None:
                raise self._error
            return None

    def wait_until_buffered(self, seconds: float) -> float:
        """Waits for frames of so much time, or as many as there can be; when that was."""
        wanted = seconds * self._rate
        with self._changed:
            self._wait_for(
                lambda: len(self._queue) >= wanted or self._is_full() or self._done or self._is_idle
            )
        return time.monotonic()

    def _wait_for(self, is_so: Callable[[], bool]) -> None:
        while not is_so() and not self._should_stop():
            self._changed.wait(_NAP_SECONDS)

    def close(self) -> None:
        """Ends the thread, when it is done with what it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_JOIN_SECONDS)

    # The feed's side.

    def buffered(self) -> float:
        with self._changed:
            queued = len(self._queue) / self._rate
        if self._end is None or not self._clock.is_running:
            return queued
        return self._clock.left(self._end)

    def full(self) -> float:
        return min(self._most, self._most_sets * self._set_frames) / self._rate

    def _is_full(self) -> bool:
        """Whether no more frames, or no more sets of params, are to be in memory."""
        sets = {id(taken.arrival.params) for taken in self._queue}
        return len(self._queue) >= self._most or len(sets) >= self._most_sets

    def wait_for_more(self, seconds: float) -> None:
        with self._changed:
            self._is_idle = self._was_idle = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, seconds)
            self._is_idle = False
            if self._closed:
                raise Closed

    def _run(self) -> None:
        try:
            for arrival in self._feed.arrivals(self):
                self._put(arrival)
        except Closed:
            pass
        except BaseException as error:  # the player's thread raises it
            self._error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def _put(self, arrival: Arrival) -> None:
        at = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: not self._is_full() or self._closed)
            if self._closed:
                raise Closed
            self._queue.append(Taken(arrival, at, self._was_idle))
            self._was_idle = False
            self._end = arrival.first + arrival.count
            self._changed.notify_all()
