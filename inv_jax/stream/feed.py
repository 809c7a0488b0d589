"""Where a player's frames come from: anything that gives arrivals, one after another."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from inv_jax.codec.base import CorruptError
from inv_jax.codec.header import Header
from inv_jax.stream.web import FetchError, Traffic
from inv_jax.types import InvError, Params

_POLL_SECONDS = 0.5  # between looks at a growing file


class Closed(Exception):
    """The player wants no more frames."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What to play.

    Attributes:
      first: The first frame; None: the first there is.
      last: The last frame; None: the last there is.
      live: Begin with the newest key instead, and go on with what is added.
      level: Name of the quality level; empty: as the network allows.
      patience: Seconds without anything new, after which a publisher counts as stopped.
      timeout: Seconds without a byte, after which a request counts as failed.
    """

    first: int | None = None
    last: int | None = None
    live: bool = False
    level: str = ""
    patience: float = 30.0
    timeout: float = 10.0


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A frame, or frames that are lost.

    Attributes:
      first: Its number, or that of the first one.
      count: How many.
      params: All of the frame's; None: lost.
      level: Where it is from, if there are several.
      reason: Of a loss.
      alike: The frames that have the same params, the frame among them; empty: it alone.
    """

    first: int
    count: int
    params: Params | None
    level: str = ""
    reason: str = ""
    alike: range = range(0)

    @classmethod
    def lost(cls, first: int, end: int, reason: str) -> "Arrival":
        """Frames from `first` to the one before `end`, which will not come."""
        return cls(first, end - first, None, reason=reason)


class Link(Protocol):
    """The player's side, as a feed sees it."""

    def buffered(self) -> float:
        """Seconds that can be played without the feed."""
        ...

    def full(self) -> float:
        """Seconds that the player's buffer holds."""
        ...

    def wait_for_more(self, seconds: float) -> None:
        """Waits, since there is nothing new.

        Raises:
          Closed: If the player has no use for more.
        """
        ...


class Feed(Protocol):
    """Frames in order.

    Attributes:
      header: What the video says of itself.
      traffic: What was fetched for it.
      notes: What a viewer should know, besides the frames.
    """

    header: Header
    traffic: Traffic
    notes: list[str]

    def arrivals(self, link: Link) -> Iterator[Arrival]:
        """Each wanted frame once, in order: itself, or among those that are lost."""
        ...


class Key(Protocol):
    """The frame that a group of them begins with; it needs no other one."""

    @property
    def first(self) -> int:
        """Its number."""
        ...


class Video(Protocol):
    """Frames that may grow in number: `NeuralVideo`, or anything with the same calls.

    Attributes:
      header: What the video says of itself.
    """

    header: Header

    @property
    def groups(self) -> Sequence[Sequence[Key]]:
        """Frames from key to key."""
        ...

    @property
    def end(self) -> int:
        """Grows with what is added."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether nothing follows."""
        ...

    def frames(self) -> list[int]:
        """Numbers of the frames there are, in order."""
        ...

    def segment(self, frame: int) -> range:
        """The frames that have a frame's params."""
        ...

    def params(self, frame: int) -> Params:
        """All params of a frame."""
        ...

    def refresh(self) -> None:
        """Looks for what was added."""
        ...


class VideoFeed:
    """Frames of one `.inv` file, wherever its bytes are, or of a run."""

    def __init__(
        self,
        video: Video,
        wanted: Wanted,
        traffic: Traffic,
        *,
        probe: Callable[[], None] = lambda: None,
        forget: Callable[[], None] = lambda: None,
    ):
        """Reads nothing yet.

        Args:
          video: The file, or the run.
          wanted: What to play.
          traffic: Counts what the file's source fetches.
          probe: Asks how long the file is by now.
          forget: Throws away what was read of it, since it was wrong.

        Raises:
          InvError: If the file does not have the frames.
        """
        if wanted.level:
            raise InvError(f"--level={wanted.level}: a file has no levels, only what is published")
        self.header, self.traffic, self.notes = video.header, traffic, list[str]()
        self._video, self._wanted = video, wanted
        self._decoded: tuple[range, Params] | None = None  # the segment that is being played
        self._probe, self._forget = probe, forget
        self._at = begin(wanted, [group[0].first for group in video.groups], video.frames())

    def arrivals(self, link: Link) -> Iterator[Arrival]:
        news = time.monotonic()
        while True:
            before = self._at
            for frame in self._video.frames():
                if frame >= self._at and not self._is_done():
                    yield from self._frame(frame)
            if not self._wanted.live or self._is_done() or self._is_closed():
                return
            now = time.monotonic()
            news = now if self._at > before else news
            if now - news > self._wanted.patience:
                self.notes.append(stopped_note(self._at, now - news))
                return
            link.wait_for_more(_POLL_SECONDS)

    def _frame(self, frame: int) -> Iterator[Arrival]:
        if frame > self._at:
            yield Arrival.lost(self._at, frame, "the file has no such frames")
        try:
            alike = self._video.segment(frame)
            if self._decoded is None or self._decoded[0] != alike:
                self._decoded = alike, self._params(frame)
            yield Arrival(frame, 1, self._decoded[1], alike=alike)
            self._at = frame + 1
        except (CorruptError, FetchError) as error:
            # Up to the next key, frames are differences from this one.
            later = [group[0].first for group in self._video.groups if group[0].first > frame]
            self._at = min(later, default=self._video.frames()[-1] + 1)
            yield Arrival.lost(frame, self._at, str(error))

    def _params(self, frame: int) -> Params:
        try:
            return self._video.params(frame)
        except CorruptError:
            self._forget()
            return self._video.params(frame)

    def _is_done(self) -> bool:
        return self._wanted.last is not None and self._at > self._wanted.last

    def _is_closed(self) -> bool:
        """Whether nothing follows; what was appended is found before."""
        try:
            before = self._video.end
            self._probe()
            self._video.refresh()
            return self._video.is_closed and self._video.end == before
        except (CorruptError, FetchError):
            return False  # it is asked again, until patience ends


def begin(wanted: Wanted, keys: list[int], frames: list[int]) -> int:
    """The first frame to play.

    Raises:
      InvError: If there is no such frame.
    """
    if not frames:
        raise InvError("the video has no frames yet; try again later")
    if wanted.live:
        return keys[-1]
    first = frames[0] if wanted.first is None else wanted.first
    last = first if wanted.last is None else wanted.last
    if not frames[0] <= first <= frames[-1] or last < first:
        raise InvError(
            f"frames {first} to {last} are not there; the video has {frames[0]} to {frames[-1]}"
        )
    return first


def stopped_note(at: int, seconds: float) -> str:
    """What is said of a publisher that has fallen silent."""
    return (
        f"nothing came behind frame {at - 1} for {seconds:.0f} s, and the video is not marked as "
        "ended: its publisher has stopped"
    )
