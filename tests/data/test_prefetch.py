"""Segments ahead of training: their own views, in order, with the times they were taken at."""

import numpy as np
import pytest
from PIL import Image

from inv_jax.data import segments
from inv_jax.data.masks import open_masks, pattern_in
from inv_jax.data.prefetch import Prepared, segments_ahead
from inv_jax.types import InvError

_FRAMES = range(1, 6)
_TRAINED = (1, 2)  # cameras; 0 is held out


@pytest.fixture
def capture(write_meta, open_meta):
    return open_meta(write_meta(frames=_FRAMES))


def _prepared(capture, length: int, **more) -> list[Prepared]:
    settings = {"shown_cam": capture.shown_cam, "place": lambda views: views} | more
    parts = segments.split(capture.span, length, **settings.pop("split", {}))
    return list(segments_ahead(capture, parts, **settings))


def test_a_frame_is_its_cameras_at_one_time(capture, pixels):
    found = _prepared(capture, 1)
    assert [one.segment.number for one in found] == list(_FRAMES)
    for frame, one in zip(_FRAMES, found, strict=True):
        views = one.on_device
        np.testing.assert_array_equal(views.images, [pixels(frame, cam) for cam in _TRAINED])
        assert (views.index, views.index.dtype) == (frame, np.int32)
        assert views.cams is views.times is views.regions is None  # one of each, at the beginning
        np.testing.assert_array_equal(one.truth(frame), pixels(frame, 0))


def test_a_clip_is_its_frames_each_of_all_cameras_with_its_time(capture, pixels):
    first, last = _prepared(capture, 3)
    for one, frames, length in ((first, (1, 2, 3), 3), (last, (4, 5), 2)):
        views = one.on_device
        expected = [pixels(frame, cam) for frame in frames for cam in _TRAINED]
        np.testing.assert_array_equal(views.images, expected)
        assert views.index == one.segment.number == frames[0]
        # Cameras are counted among those that are trained on.
        np.testing.assert_array_equal(views.cams, [0, 1] * length)
        np.testing.assert_allclose(views.times, np.repeat(np.arange(length) / length, 2))
        assert (views.cams.dtype, views.times.dtype) == (np.int32, np.float32)
        for frame in frames:
            np.testing.assert_array_equal(one.truth(frame), pixels(frame, 0))


def test_a_clip_keeps_the_times_of_its_frames_where_some_are_not_trained_on(capture, pixels):
    (clip,) = _prepared(capture, 0, split={"step": 2})
    assert len(clip.on_device.images) == 2 * 2
    np.testing.assert_allclose(clip.on_device.times[::2], [0.0, 0.4])
    np.testing.assert_array_equal(clip.truth(2), pixels(2, 0))


def test_regions_of_a_clip_are_those_of_its_views(capture, tmp_path):
    shape = (capture.cameras.height, capture.cameras.width)
    moves = {(frame, cam): (frame + cam, frame) for frame in _FRAMES for cam in _TRAINED}
    (tmp_path / "mask").mkdir()
    for (frame, cam), (row, col) in moves.items():
        mask = np.zeros(shape, np.uint8)
        mask[row % shape[0], col] = 255
        name = f"dynamic_mask_frame{frame:04d}cam{cam:02d}.png"
        Image.fromarray(mask).save(tmp_path / "mask" / name)
    masks = open_masks(pattern_in(tmp_path), capture.camera_names, *shape)
    for one in _prepared(capture, 2, masks=masks):
        regions, count = one.on_device.regions, 2 * len(one.segment.frames)
        assert regions.num_static == count * shape[0] * shape[1] - count
        views, rest = np.divmod(regions.order[-count:], shape[0] * shape[1])
        np.testing.assert_array_equal(views, np.arange(count))
        found = [tuple(place) for place in np.transpose(np.divmod(rest, shape[1]))]
        wanted = [moves[frame, cam] for frame in one.segment.frames for cam in _TRAINED]
        assert found == [(row % shape[0], col) for row, col in wanted]


@pytest.mark.parametrize("length", [1, 2])
def test_only_so_many_segments_are_placed_ahead_of_the_reader(capture, length):
    placed = []

    def place(views):
        placed.append(int(views.index))
        return views

    parts = segments.split(capture.span, length)
    ahead = segments_ahead(capture, parts, shown_cam=0, place=place)
    for count, one in enumerate(ahead, start=1):
        assert placed[count - 1] == one.segment.number
        assert len(placed) <= count + 1
    assert placed == [part.number for part in parts]


def test_a_clip_that_is_broken_fails_when_the_reader_gets_to_it(capture, tmp_path):
    (tmp_path / "frames_2" / "frame0004cam01.png").write_bytes(b"no picture")
    parts = segments.split(capture.span, 2)
    ahead = segments_ahead(capture, parts, shown_cam=0, place=lambda views: views)
    assert next(ahead).segment.number == 1
    with pytest.raises(InvError, match=r"frame0004cam01\.png"):
        next(ahead)
