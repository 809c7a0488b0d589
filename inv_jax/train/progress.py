"""How far a run is, for people: two bars on a terminal, lines in the log elsewhere."""

import logging as std_logging
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from absl import logging
from rich import console as rich_console
from rich import progress as rich_progress

from inv_jax.train.pace import Pace

_LOG_EVERY = 30.0  # seconds between log lines without a terminal


class Progress:
    """Shows the pace of a run; a context manager, so that a terminal is left as it was found.

    On a terminal two bars stay below whatever is logged. Elsewhere a line is logged at most every
    30 seconds, and at the end of each frame.
    """

    def __init__(
        self,
        console: rich_console.Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        is_shown: bool = True,
        rows_name: str = "ray",
    ):
        """`console` is the standard error by default, `clock` tells seconds, a row has a name.

        Of a job of several processes one shows its progress; the others only keep count.
        """
        self._console = console or rich_console.Console(stderr=True)
        self._clock = clock
        self._pace = Pace(clock)
        self._num_frames = self._done_frames = 0
        self._speed = self._quality = ""  # of the last dispatch
        self._last_line = clock()
        self._moved: list[tuple[std_logging.StreamHandler, Any]] = []
        self._bars: rich_progress.Progress | None = None
        self._is_shown, self._rows_name = is_shown, rows_name
        if is_shown and self._console.is_terminal:
            self._bars = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(bar_width=None),
                rich_progress.TextColumn("{task.fields[count]}", justify="right"),
                rich_progress.TextColumn("{task.fields[left]}", justify="right"),
                rich_progress.TextColumn("{task.fields[measured]}", style="dim"),
                console=self._console,
                expand=True,
                refresh_per_second=4,
            )
            self._frame_bar, self._video_bar = (
                self._bars.add_task(name, total=None, count="", left="", measured="")
                for name in ("frame", "video")
            )

    def __enter__(self) -> "Progress":
        if self._bars is not None:
            self._moved = [(handler, sys.stderr) for handler in _log_handlers(sys.stderr)]
            self._bars.start()  # From now on `sys.stderr` prints above the bars; so shall logs.
            for handler, _ in self._moved:
                handler.setStream(sys.stderr)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            for handler, stream in self._moved:
                handler.setStream(stream)

    def start_video(
        self, total_steps: int, done_steps: int = 0, num_frames: int = 0, done_frames: int = 0
    ) -> None:
        """A run starts.

        Args:
          total_steps: Planned for all frames of the video together.
          done_steps: Those of the frames that are stored already.
          num_frames: Frames of the video; 0 shows no count of them.
          done_frames: Frames that are stored already.
        """
        self._pace.start_video(total_steps, done_steps)
        self._num_frames, self._done_frames = num_frames, done_frames
        self._show_video()

    def start_frame(self, frame: int, phase: str, steps: int, done: int = 0) -> None:
        """A frame starts, or goes on after `done` of its steps."""
        self._pace.start_frame(frame, phase, steps, done)
        self._show_frame()

    def advance(
        self,
        steps: int,
        *,
        loss: float,
        psnr: float,
        rows_per_second: float,
        beside: int = 0,
    ) -> None:
        """Some more steps of the frame are done.

        Args:
          steps: How many.
          loss: Of these steps, or a running mean.
          psnr: In dB, likewise; of the rays that were drawn, which of Split INV are not all alike.
          rows_per_second: Speed of these steps.
          beside: Steps done of the frames that train beside this one.
        """
        self._pace.advance(steps, beside)
        steps_per_second = _si(self._pace.steps_per_second)
        self._speed = f"{steps_per_second} steps/s, {_si(rows_per_second)} {self._rows_name}s/s"
        self._quality = f"PSNR {psnr:.2f} dB, loss {loss:.3g}"
        self._show_frame()
        self._show_video()
        if self._bars is None and self._clock() - self._last_line >= _LOG_EVERY:
            pace = self._pace
            self._log(
                f"frame {pace.frame} ({pace.phase}): step {pace.frame_done}/{pace.frame_steps}, "
                f"{self._speed}, {self._quality}, {_clock_time(pace.frame_seconds_left)} left"
            )

    def end_frame(self) -> None:
        """The frame is trained."""
        self._pace.end_frame()
        self._done_frames += 1
        self._show_video()

    def show_row(self, row: Mapping[str, Any]) -> None:
        """A segment is stored and evaluated; may be called from another thread.

        Args:
          row: Its row of the journal, with its `name`; `psnr`, `ssim`, `steps` and `seconds` are
            shown if present.
        """
        name = row.get("name", f"frame {row['frame']}")
        self._log(f"{name} ({row['phase']}) is done: {_scores(row)}")

    def _log(self, text: str) -> None:
        self._last_line = self._clock()
        if not self._is_shown:
            return
        left = _clock_time(self._pace.video_seconds_left)
        logging.info("%s; %s, %s, %s left", text, self._video_name(), self._percent(), left)

    def _video_name(self) -> str:
        return "video" + (f" {self._done_frames}/{self._num_frames}" if self._num_frames else "")

    def _percent(self) -> str:
        return f"{100 * self._pace.video_done // max(self._pace.total_steps, 1)}%"

    def _show_frame(self) -> None:
        if self._bars is not None:
            pace = self._pace
            self._bars.update(
                self._frame_bar,
                description=f"frame {pace.frame} {pace.phase}",
                total=pace.frame_steps,
                completed=pace.frame_done,
                count=f"{pace.frame_done}/{pace.frame_steps}",
                left=_clock_time(pace.frame_seconds_left),
                measured=self._speed,
            )

    def _show_video(self) -> None:
        if self._bars is not None:
            self._bars.update(
                self._video_bar,
                description=self._video_name(),
                total=self._pace.total_steps,
                completed=self._pace.video_done,
                count=self._percent(),
                left=_clock_time(self._pace.video_seconds_left),
                measured=self._quality,
            )


def _log_handlers(stream: Any) -> list[std_logging.StreamHandler]:
    """Handlers that write to a stream: absl's, and those of Python's root logger."""
    handlers = [logging.get_absl_handler().python_handler, *std_logging.getLogger().handlers]
    return [h for h in handlers if isinstance(h, std_logging.StreamHandler) and h.stream is stream]


def _scores(row: Mapping[str, Any]) -> str:
    formats = {"psnr": "PSNR {:.2f} dB", "ssim": "SSIM {:.4f}", "steps": "{} steps"}
    texts = [text.format(row[k]) for k, text in formats.items() if row.get(k) is not None]
    if row.get("seconds") is not None:
        texts.append(f"{_clock_time(row['seconds'])} of training")
    return ", ".join(texts) or "no numbers"


def _si(value: float | None) -> str:
    """Three digits and k or M: 1234567 is '1.23M'."""
    if value is None:
        return "-"
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # what would be rounded to 1000 of the smaller unit
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _clock_time(seconds: float | None) -> str:
    """Hours, minutes and seconds, '1:02:03'; '-' if unknown."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
