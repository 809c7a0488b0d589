"""What a playback says at its end: a table for people, JSON for programs."""

import dataclasses
import json
import pathlib
from typing import Any

from inv_jax.data import files
from inv_jax.stream.web import Traffic

_MOST_LINES = 30  # of a kind, in the table; JSON has all


@dataclasses.dataclass
class Report:
    """The account of one playback; times in seconds."""

    frame_rate: float
    frames_played: int = 0
    first_frame: int | None = None
    last_frame: int | None = None
    startup_seconds: float | None = None  # from the request to the first frame
    stalls: int = 0  # frames that were not there when they were due
    stall_seconds: float = 0.0
    publisher_stalls: int = 0  # ... since the publisher had not made them yet
    publisher_stall_seconds: float = 0.0
    slow_seconds: float = 0.0  # by which rendering held the clock up
    held_frames: int = 0  # lost frames for which an earlier picture was shown
    losses: list[tuple[int, int, str]] = dataclasses.field(default_factory=list)  # first, last, why
    stall_list: list[tuple[int, float, str]] = dataclasses.field(default_factory=list)
    switches: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)
    frames_by_level: dict[str, int] = dataclasses.field(default_factory=dict)
    traffic: Traffic = dataclasses.field(default_factory=Traffic)
    notes: list[str] = dataclasses.field(default_factory=list)

    def played(self, frame: int, level: str) -> None:
        self.frames_played += 1
        self.first_frame = frame if self.first_frame is None else self.first_frame
        self.last_frame = frame
        self.frames_by_level[level] = self.frames_by_level.get(level, 0) + 1

    def lost(self, first: int, end: int, reason: str) -> None:
        self.losses.append((first, end - 1, reason))

    def stalled(self, frame: int, seconds: float, *, by_publisher: bool) -> None:
        if by_publisher:
            self.publisher_stalls += 1
            self.publisher_stall_seconds += seconds
        else:
            self.stalls += 1
            self.stall_seconds += seconds
        cause = "publisher" if by_publisher else "network"
        self.stall_list.append((frame, round(seconds, 3), cause))

    def finish(self, traffic: Traffic, notes: list[str]) -> None:
        self.traffic, self.notes = dataclasses.replace(traffic), list(notes)

    @property
    def frames_lost(self) -> int:
        return sum(last - first + 1 for first, last, _ in self.losses)

    @property
    def bits_per_second(self) -> float:
        """Mean bandwidth, while something was fetched."""
        return 8 * self.traffic.num_bytes / self.traffic.seconds if self.traffic.seconds else 0.0

    def table(self) -> str:
        """Lines for people."""
        rows = [
            ("frames played", _of(self.frames_played, self.first_frame, self.last_frame)),
            ("frames lost", f"{self.frames_lost}, an earlier picture shown for {self.held_frames}"),
            ("start-up", "-" if self.startup_seconds is None else f"{self.startup_seconds:.2f} s"),
            ("rebuffering", f"{self.stalls} times, {self.stall_seconds:.2f} s"),
            (
                "waiting for the publisher",
                f"{self.publisher_stalls} times, {self.publisher_stall_seconds:.2f} s",
            ),
            ("slow rendering", f"{self.slow_seconds:.2f} s"),
            (
                "fetched",
                f"{self.traffic.num_bytes:,} bytes, {self.bits_per_second / 1e6:.3g} Mbit/s",
            ),
            (
                "requests",
                f"{self.traffic.requests}, {self.traffic.retries} retries, "
                f"{self.traffic.refetched} files fetched again",
            ),
        ]
        levels = ", ".join(
            f"{name} {count}" for name, count in self.frames_by_level.items() if name
        )
        if levels:
            rows.append(("frames by level", levels))
        rows += [("switch", f"frame {at}: {a} to {b}") for at, a, b in self.switches]
        rows += [("lost", f"{_span(a, b)}: {why}") for a, b, why in self.losses[:_MOST_LINES]]
        if len(self.losses) > _MOST_LINES:
            rows.append(("lost", f"... and {len(self.losses) - _MOST_LINES} times more"))
        rows += [("note", note) for note in self.notes]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {text}" for name, text in rows)

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        fields = dataclasses.asdict(self)
        fields.update(frames_lost=self.frames_lost, bits_per_second=self.bits_per_second)
        return fields

    def write(self, path: pathlib.Path) -> None:
        """Writes it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")


def _of(count: int, first: int | None, last: int | None) -> str:
    return f"{count}" if first is None or last is None else f"{count}, {first} to {last}"


def _span(first: int, last: int) -> str:
    return f"frame {first}" if first == last else f"frames {first} to {last}"
