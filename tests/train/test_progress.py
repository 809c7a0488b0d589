import io
import logging
import sys

import pytest
from rich.console import Console

from inv_jax.train import progress as progress_lib
from inv_jax.train.pace import Pace
from inv_jax.train.progress import Progress


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def batch_job(clock, caplog):
    """A `Progress` without a terminal; its log lines are in `caplog`."""
    caplog.set_level("INFO", logger="absl")
    with Progress(Console(file=io.StringIO(), force_terminal=False), clock) as progress:
        yield progress


def _train(pace: Pace, clock: Clock, frame: int, phase: str, steps: int, *, seconds: float):
    """A frame in dispatches of 100 steps, and then `seconds` in which it is stored."""
    pace.start_frame(frame, phase, steps)
    for _ in range(steps // 100):
        clock.now += 1.0
        pace.advance(100)
    clock.now += seconds
    pace.end_frame()


def test_time_left_is_unknown_until_two_dispatches_are_done(clock):
    pace = Pace(clock)
    pace.start_video(10_000)
    pace.start_frame(1, "warmup", 1000)
    clock.now += 60.0  # compiles
    pace.advance(1)
    assert (pace.steps_per_second, pace.frame_seconds_left, pace.video_seconds_left) == (
        None, None, None,
    )  # fmt: skip
    clock.now += 2.0
    pace.advance(99)
    assert pace.steps_per_second == pytest.approx(49.5)
    assert pace.frame_seconds_left == pytest.approx(900 / 49.5)
    assert pace.video_seconds_left == pytest.approx(9900 / 49.5)


def test_the_video_is_counted_in_planned_steps_and_not_in_frames(clock):
    pace = Pace(clock)
    # Two warm-up frames of 1000 steps, eight later ones of 100: after the two, most is done.
    pace.start_video(2 * 1000 + 8 * 100)
    _train(pace, clock, 1, "warmup", 1000, seconds=0.0)
    _train(pace, clock, 2, "warmup", 1000, seconds=0.0)
    assert pace.video_done == 2000
    assert pace.video_seconds_left == pytest.approx(8.0)


def test_time_between_frames_counts_for_the_video_but_not_for_the_frame(clock):
    pace = Pace(clock)
    pace.start_video(20 * 500)
    for frame in range(1, 11):
        _train(pace, clock, frame, "transfer", 500, seconds=5.0)
    pace.start_frame(11, "transfer", 500)
    assert pace.frame_seconds_left == pytest.approx(5.0)
    # Ten seconds a frame; the first dispatch and the last pause are not between two samples.
    assert pace.video_seconds_left == pytest.approx(100.0, rel=0.06)


def test_a_resumed_run_starts_from_what_is_stored(clock):
    pace = Pace(clock)
    pace.start_video(3000, 1000)
    pace.start_frame(2, "transfer", 1000, 400)
    assert pace.video_done == 1400
    for _ in range(2):
        clock.now += 1.0
        pace.advance(100)
    assert pace.frame_seconds_left == pytest.approx(4.0)
    assert pace.video_seconds_left == pytest.approx(14.0)


def test_the_speed_follows_the_last_seconds(clock):
    pace = Pace(clock)
    pace.start_video(100_000)
    pace.start_frame(1, "warmup", 100_000)
    for steps in [10] * 100 + [1000] * 40:
        clock.now += 1.0
        pace.advance(steps)
    assert pace.steps_per_second == pytest.approx(1000)


def test_a_new_phase_is_measured_anew(clock):
    pace = Pace(clock)
    pace.start_video(2000)
    _train(pace, clock, 1, "warmup", 1000, seconds=0.0)
    pace.start_frame(2, "transfer", 1000)
    assert pace.steps_per_second is None
    clock.now += 60.0  # compiles
    pace.advance(1)
    for _ in range(3):
        clock.now += 1.0
        pace.advance(200)
    assert pace.steps_per_second == pytest.approx(200)


def test_dispatches_longer_than_the_window_are_measured(clock):
    pace = Pace(clock)
    pace.start_frame(1, "warmup", 1000)
    for _ in range(3):
        clock.now += 120.0
        pace.advance(60)
    assert pace.steps_per_second == pytest.approx(0.5)


def test_a_batch_job_logs_every_30_seconds_and_at_the_end_of_a_frame(batch_job, clock, caplog):
    batch_job.start_video(2000, num_frames=2)
    batch_job.start_frame(1, "warmup", 1000)
    for _ in range(10):
        clock.now += 7.0
        batch_job.advance(100, loss=0.00123, psnr=29.1, rows_per_second=123456.0)
    # At 35 and 70 seconds.
    assert [record.getMessage() for record in caplog.records] == [
        "frame 1 (warmup): step 500/1000, 14.3 steps/s, 123k rays/s, PSNR 29.10 dB, "
        "loss 0.00123, 0:00:35 left; video 0/2, 25%, 0:01:45 left",
        "frame 1 (warmup): step 1000/1000, 14.3 steps/s, 123k rays/s, PSNR 29.10 dB, "
        "loss 0.00123, 0:00:00 left; video 0/2, 50%, 0:01:10 left",
    ]
    caplog.clear()
    batch_job.end_frame()
    row = {"frame": 1, "phase": "warmup", "psnr": 30.125, "ssim": None}
    batch_job.show_row({**row, "steps": 1000, "seconds": 70.4})
    assert [record.getMessage() for record in caplog.records] == [
        "frame 1 (warmup) is done: PSNR 30.12 dB, 1000 steps, 0:01:10 of training; "
        "video 1/2, 50%, 0:01:10 left",
    ]


@pytest.fixture
def terminal():
    """A stream that Python's root logger writes to."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)
    assert handler.stream is stream  # as it was found


def test_a_terminal_shows_both_bars_and_logs_above_them(clock, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")  # rich draws nothing on a dumb one
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(Console(file=terminal, force_terminal=True, width=120), clock) as progress:
        progress.start_video(2000, 1000, num_frames=2, done_frames=1)
        progress.start_frame(2, "transfer", 1000)
        for _ in range(5):
            clock.now += 1.0
            progress.advance(100, loss=0.5, psnr=10.0, rows_per_second=1e6)
        logging.error("a word [on the side]")
        shown = terminal.getvalue()
    # Above the bars: the line is erased, written, and the bars are drawn again below it.
    log_line = next(line for line in shown.split("\n") if "a word" in line)
    assert "\x1b[2K" in log_line
    assert log_line.rstrip("\r").endswith("a word [on the side]")
    final = terminal.getvalue()[terminal.getvalue().rindex("frame 2 transfer") :]
    for text in ("500/1000", "0:00:05", "100 steps/s, 1M rays/s", "PSNR 10.00 dB", "75%"):
        assert text in final


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.1234, "0.123"), (999.4, "999"), (999.7, "1k"), (1234.0, "1.23k"),
     (999_600.0, "1M"), (5.678e6, "5.68M")],
)  # fmt: skip
def test_speeds_have_three_digits(value, text):
    assert progress_lib._si(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.4, "0:00:00"),
        (59.6, "0:01:00"),
        (3725.0, "1:02:05"),
        (360_000.0, "100:00:00"),
    ],
)
def test_times_have_hours_minutes_and_seconds(seconds, text):
    assert progress_lib._clock_time(seconds) == text
