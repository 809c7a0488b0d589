"""By how much pixels change from frame to frame, wherever a run begins."""

import numpy as np
import pytest

from inv_jax.data import segments
from inv_jax.data.prefetch import segments_ahead

_FRAMES = range(1, 6)
_TRAINED = (1, 2)  # cameras; 0 is held out


@pytest.fixture
def write(write_meta):
    """The folder of a capture of noise in which a pixel stands still, and one changes a little."""
    return write_meta(frames=_FRAMES)


@pytest.fixture
def capture(write, open_meta):
    return open_meta(write)


def _changes(capture, *, skip: int = 0, length: int = 1, step: int = 1, wants: bool = True):
    """Of each segment behind the first ones, by number."""
    parts = segments.split(capture.span, length, step=step)[skip:]
    ahead = segments_ahead(
        capture, parts, shown_cam=0, place=lambda views: views, wants_changes=wants
    )
    return {one.segment.number: one.on_device.changes for one in ahead}


def _plain(pixels, frame: int, before: int) -> np.ndarray:
    """The mean over the colors, in whole levels."""
    gaps = [np.abs(pixels(frame, cam).astype(int) - pixels(before, cam)) for cam in _TRAINED]
    return np.rint(np.stack(gaps).mean(axis=-1)).astype(np.uint8)


def test_changes_are_the_mean_differences_from_the_frame_before(capture, pixels):
    found = _changes(capture)
    assert list(found) == list(_FRAMES)
    assert not found[1].any()
    for frame in range(2, 6):
        np.testing.assert_array_equal(found[frame], _plain(pixels, frame, frame - 1))
        assert found[frame].dtype == np.uint8
        assert found[frame].std() > 0


@pytest.mark.parametrize("skip", [1, 2, 4])
def test_a_run_that_starts_in_the_middle_knows_the_same_changes(capture, skip):
    whole, rest = _changes(capture), _changes(capture, skip=skip)
    assert list(rest) == list(_FRAMES)[skip:]
    for frame, changes in rest.items():
        np.testing.assert_array_equal(changes, whole[frame])


def test_the_frame_before_is_read_again_only_where_a_run_starts(capture, monkeypatch):
    asked, load = [], type(capture).load

    def note(self, frame, cams=None):
        asked.append(frame)
        return load(self, frame, cams)

    monkeypatch.setattr(type(capture), "load", note)
    _changes(capture, skip=2)
    assert sorted(asked) == [2, 3, 4, 5]


@pytest.mark.parametrize("skip", [0, 1])
def test_of_some_frames_each_differs_from_the_one_that_was_trained_before(
    write, open_meta, pixels, skip
):
    found = _changes(open_meta(write, frame_step=2), step=2, skip=skip)
    assert list(found) == [1, 3, 5][skip:]
    for frame, changes in found.items():
        expected = _plain(pixels, frame, frame - 2) if frame > 1 else np.zeros_like(changes)
        np.testing.assert_array_equal(changes, expected)


def test_clips_have_no_frame_before(capture):
    found = _changes(capture, length=2)
    assert {number: changes.shape[0] for number, changes in found.items()} == {1: 4, 3: 4, 5: 2}
    assert not any(changes.any() for number, changes in found.items() if number < 5)


def test_changes_that_nobody_wants_are_not_there(capture):
    assert set(_changes(capture, wants=False).values()) == {None}


@pytest.mark.parametrize(("length", "frames"), [(1, 1), (2, 2)])
def test_a_segment_says_how_many_pixels_it_has(capture, length, frames):
    parts = segments.split(capture.span, length)
    first = next(segments_ahead(capture, parts, shown_cam=0, place=lambda views: views))
    assert first.num_pixels == frames * 2 * 6 * 8
