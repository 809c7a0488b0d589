"""The clock is the test's: time passes only where something takes time."""

import itertools

import pytest

from inv_jax.codec.raw_codec import RawCodec
from inv_jax.stream import session as session_lib
from inv_jax.stream.ahead import Ahead, Taken
from inv_jax.stream.clock import Clock
from inv_jax.stream.feed import Arrival, Closed
from inv_jax.stream.session import Session
from inv_jax.stream.web import Traffic
from inv_jax.types import InvError

RATE = 10.0


class _Time:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class _Feed:
    def __init__(self, header, arrivals=()):
        self.header, self.traffic, self.notes = header, Traffic(), []
        self._arrivals = arrivals

    def arrivals(self, link):
        yield from self._arrivals


class _Scripted:
    """In place of `Ahead`: arrivals at given times."""

    def __init__(self, time, script):
        self._time, self._script = time, list(script)

    def __call__(self, feed, clock, seconds, should_stop):
        return self

    def take(self):
        if not self._script:
            return None
        taken = self._script.pop(0)
        self._time.now = max(self._time.now, taken.at)
        return taken

    def wait_until_buffered(self, seconds):
        ready = self._script[: round(seconds * RATE)]
        self._time.now = max([self._time.now, *(taken.at for taken in ready)])

    def close(self):
        pass


@pytest.fixture
def time(monkeypatch):
    made = _Time()
    monkeypatch.setattr(session_lib, "time", made)
    monkeypatch.setattr("inv_jax.stream.clock.time", made)
    return made


@pytest.fixture
def run(monkeypatch, time, videos):
    def played(script, *, render_seconds=0.0, is_paced=True, start_seconds=0.0):
        monkeypatch.setattr(session_lib, "Ahead", _Scripted(time, script))
        session = Session(
            _Feed(videos.header(RawCodec(), frame_rate=RATE)),
            began=time.now,
            is_paced=is_paced,
            buffer_seconds=1.0,
            start_seconds=start_seconds,
            should_stop=lambda: False,
        )
        shown = []
        for item in session.play():
            shown.append((item.frame, item.source_frame, round(time.now - 100.0, 3)))
            time.now += render_seconds
        return shown, session.report

    return played


def _frames(at, first=1, *, by_publisher=()):
    return [
        Taken(Arrival(frame, 1, {"frame": frame}, "a"), 100.0 + seconds, frame in by_publisher)
        for frame, seconds in enumerate(at, first)
    ]


def test_frames_are_shown_at_the_frame_rate(run):
    shown, report = run(_frames([0.0] * 5))
    assert shown == [(n + 1, n + 1, round(0.1 * n, 3)) for n in range(5)]
    assert report.stalls == 0 and report.slow_seconds == pytest.approx(0.0)


def test_start_up_ends_with_the_first_frame(run):
    _, report = run(_frames([0.75, 0.8, 0.85]))
    assert report.startup_seconds == pytest.approx(0.75)
    assert report.stalls == 0


@pytest.mark.parametrize("is_paced", [True, False])
def test_a_frame_that_comes_late_stalls_the_clock_once(run, is_paced):
    _, report = run(_frames([0.0, 0.0, 0.5, 0.5, 0.5, 0.9]), is_paced=is_paced)
    assert report.stalls == 2
    # Frame 3 was due at 0.2 and came at 0.5; so frame 6 is due at 0.8 and comes at 0.9.
    assert report.stall_list == [
        (3, pytest.approx(0.3), "network"),
        (6, pytest.approx(0.1), "network"),
    ]
    assert report.stall_seconds == pytest.approx(0.4)


def test_frames_that_come_early_enough_stall_nothing_when_rendered_unpaced(run):
    _, report = run(_frames([0.0, 0.09, 0.19, 0.29]), is_paced=False)
    assert report.stalls == 0


def test_after_a_stall_the_buffer_is_filled_first(run):
    _, report = run(_frames([0.0, 0.0, 1.0, 1.2, 1.4, 1.5]), start_seconds=0.2)
    assert report.stall_list == [(3, pytest.approx(1.2), "network")]


def test_slow_rendering_is_not_the_network(run):
    shown, report = run(_frames([0.0] * 5), render_seconds=0.4)
    assert report.stalls == 0
    assert report.slow_seconds == pytest.approx(4 * 0.3)
    assert [when for *_, when in shown] == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6])


def test_waiting_for_the_publisher_is_counted_apart(run):
    _, report = run(_frames([0.0, 0.4, 0.9], by_publisher=(2,)))
    assert (report.publisher_stalls, report.stalls) == (1, 1)
    assert report.publisher_stall_seconds == pytest.approx(0.3)
    assert report.stall_seconds == pytest.approx(0.4)


def test_the_last_picture_is_held_for_lost_frames_and_says_so(run):
    lost = Taken(Arrival.lost(3, 6, "gone"), 100.0, False)
    shown, report = run([*_frames([0.0, 0.0]), lost, *_frames([0.0], first=6)])
    assert [item[:2] for item in shown] == [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2), (6, 6)]
    assert [when for *_, when in shown] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert report.losses == [(3, 5, "gone")] and report.held_frames == 3


def test_nothing_is_shown_before_the_first_good_frame(run):
    lost = Taken(Arrival.lost(1, 4, "gone"), 100.0, False)
    shown, report = run([lost, *_frames([0.3], first=4)])
    assert [item[:2] for item in shown] == [(4, 4)]
    assert report.frames_lost == 3 and report.held_frames == 0


def test_a_gap_without_end_is_jumped(run):
    lost = Taken(Arrival.lost(2, 4_000_000_000, "forged"), 100.0, False)
    shown, report = run([*_frames([0.0]), lost, *_frames([0.0], first=4_000_000_000)])
    assert len(shown) == 2 + session_lib._LONGEST_HOLD * RATE
    assert shown[-1][2] < 10.0 and report.stalls == 0


def test_switches_are_counted(run):
    script = _frames([0.0] * 4)
    script[2] = Taken(Arrival(3, 1, {}, "b"), 100.0, False)
    _, report = run(script)
    assert report.switches == [(3, "a", "b"), (4, "b", "a")]
    assert report.frames_by_level == {"a": 3, "b": 1}


# The thread that runs ahead.


@pytest.fixture
def header(videos):
    return videos.header(RawCodec(), frame_rate=RATE)


def test_running_ahead_keeps_order_and_ends(header):
    ahead = Ahead(_Feed(header, [Arrival(n, 1, {}) for n in range(50)]), Clock(RATE), 1.0)
    taken = [ahead.take().arrival.first for _ in range(50)]
    assert taken == list(range(50)) and ahead.take() is None
    ahead.close()


def test_running_ahead_is_bounded(header):
    made = []

    def endless():
        for n in itertools.count():
            made.append(n)
            yield Arrival(n, 1, {})

    ahead = Ahead(_Feed(header, endless()), Clock(RATE), 0.5)
    ahead.wait_until_buffered(0.5)
    assert ahead.take().arrival.first == 0
    ahead.wait_until_buffered(0.5)
    ahead.close()
    assert not ahead._thread.is_alive() and len(made) <= 8


def test_an_error_of_the_feed_comes_behind_its_frames(header):
    def broken():
        yield Arrival(1, 1, {})
        raise InvError("the stream was begun anew")

    ahead = Ahead(_Feed(header, broken()), Clock(RATE), 1.0)
    assert ahead.take().arrival.first == 1
    with pytest.raises(InvError, match="begun anew"):
        ahead.take()
    ahead.close()


def test_a_player_that_waits_can_be_stopped(header):
    class Silent(_Feed):
        def arrivals(self, link):
            yield Arrival(1, 1, {})
            link.wait_for_more(60.0)

    asked = iter([False, False, True])
    ahead = Ahead(Silent(header), Clock(RATE), 1.0, lambda: next(asked, True))
    assert ahead.take().arrival.first == 1
    assert ahead.take() is None
    ahead.close()


def test_closing_wakes_a_feed_that_waits(header):
    ended = []

    class Waiting(_Feed):
        def arrivals(self, link):
            yield Arrival(1, 1, {})
            try:
                link.wait_for_more(60.0)
            except Closed:
                ended.append(True)
                raise

    ahead = Ahead(Waiting(header), Clock(RATE), 1.0)
    ahead.wait_until_buffered(1.0)  # there is no more to wait for
    ahead.close()
    assert ended == [True] and not ahead._thread.is_alive()


def test_a_wait_for_the_publisher_marks_the_next_frame(header):
    class Waiting(_Feed):
        def arrivals(self, link):
            yield Arrival(1, 1, {})
            link.wait_for_more(0.001)
            yield Arrival(2, 1, {})
            yield Arrival(3, 1, {})

    ahead = Ahead(Waiting(header), Clock(RATE), 1.0)
    assert [ahead.take().waited_for_publisher for _ in range(3)] == [False, True, False]
    ahead.close()
