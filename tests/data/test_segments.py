"""Which frames train as a unit: every frame is in one segment, of the length asked for."""

import hypothesis
import pytest
from hypothesis import strategies as st

from inv_jax.data import segments
from inv_jax.data.segments import Segment
from inv_jax.types import InvError

FRAMES = range(3, 14)  # 11 of them


def _all(frames: range) -> Segment:
    return Segment(frames, frames, frames)


def test_segments_of_a_frame_are_the_frames():
    assert segments.split(FRAMES, 1) == [_all(range(n, n + 1)) for n in FRAMES]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, [FRAMES]),
        (4, [range(3, 7), range(7, 11), range(11, 14)]),
        (11, [FRAMES]),
        (100, [FRAMES]),
    ],
)
def test_clips_have_the_length_asked_for_but_the_last(length, expected):
    assert segments.split(FRAMES, length) == [_all(frames) for frames in expected]


@hypothesis.given(
    first=st.integers(0, 1000),
    count=st.integers(1, 200),
    length=st.integers(0, 50),
    step=st.integers(1, 7),
    shown_step=st.integers(0, 7),
)
def test_every_frame_is_in_one_segment(first, count, length, step, shown_step):
    frames = range(first, first + count)
    found = segments.split(frames, length, step=step, shown_step=shown_step)
    wanted = frames[::step] if length == 1 else frames  # frames left out are segments left out
    assert [n for one in found for n in one.frames] == list(wanted)
    for one in found:
        assert one.number == one.frames[0] == one.trained[0] == one.shown[0]
        assert set(one.trained) | set(one.shown) <= set(one.frames)
        assert length in {0, 1} or len(one.frames) <= length
        for some, every in ((one.trained, step), (one.shown, shown_step or step)):
            assert len(some) == (1 if length == 1 else max(1, len(one.frames) // every))


def test_some_frames_of_a_clip_are_trained_on_and_some_are_shown():
    (clip,) = segments.split(FRAMES, 0, step=2)
    assert list(clip.trained) == list(clip.shown) == [3, 5, 7, 9, 11]  # 5 of 11, as in NeRV
    (clip,) = segments.split(FRAMES, 0, step=2, shown_step=1)
    assert (list(clip.trained), clip.shown) == ([3, 5, 7, 9, 11], FRAMES)
    (clip,) = segments.split(FRAMES, 0, shown_step=5)
    assert (clip.trained, list(clip.shown)) == (FRAMES, [3, 8])  # 11 // 5 of them


def test_each_clip_counts_its_steps_from_its_own_beginning():
    first, second, last = segments.split(FRAMES, 5, step=2)
    assert [list(one.trained) for one in (first, second, last)] == [[3, 5], [8, 10], [13]]


@pytest.mark.parametrize(("length", "shown_step"), [(-2, 0), (2, -3)])
def test_numbers_that_cannot_be_are_refused_by_name(length, shown_step):
    message = rf"train\.segment_frames={length}, data\.test_step={shown_step}; want 0 or more"
    with pytest.raises(InvError, match=message):
        segments.split(FRAMES, length, shown_step=shown_step)


def test_time_is_a_frames_part_of_its_segment():
    clip = _all(range(5, 9))
    assert [clip.time(n) for n in clip.frames] == [0.0, 0.25, 0.5, 0.75]
    assert [segments.time_in(clip.frames, n) for n in clip.frames] == [0.0, 0.25, 0.5, 0.75]
    assert segments.time_in(range(7, 8), 7) == 0.0
    clip, _ = segments.split(range(1, 9), 4, step=2)  # the time of a frame is that of its clip,
    assert [clip.time(n) for n in clip.trained] == [0.0, 0.5]  # whatever is trained on


def test_a_segment_is_called_by_its_frames():
    assert _all(range(7, 8)).name == segments.name_of(range(7, 8)) == "frame 7"
    assert _all(range(1, 25)).name == segments.name_of(range(1, 25)) == "frames 1 to 24"


def test_people_call_them_frames_or_clips():
    assert segments.unit(segments.split(FRAMES, 1)) == "frame"
    assert segments.unit(segments.split(FRAMES, 5)) == "clip"  # of which the last has one frame
    assert segments.unit(segments.split(range(1, 2), 0)) == "frame"


def test_frames_that_are_trained_on_are_those_of_all_segments():
    assert segments.trained_on(segments.split(FRAMES, 5, step=2)) == [3, 5, 8, 10, 13]
    assert segments.trained_on(segments.split(FRAMES, 1, step=5)) == [3, 8, 13]
