import dataclasses

import numpy as np
import pytest

from inv_jax.data import recognise
from inv_jax.data.masks import open_masks
from inv_jax.masks import segmentation
from inv_jax.masks.flow import DisFlow, FlowSource
from inv_jax.masks.segmentation import Segmenter, Settings
from inv_jax.masks.summary import Counts
from inv_jax.types import InvError

_PLAIN = Settings(close=0.0, specks=0.0, holes=0.0, dilate=0.0)


class _NoFlow(FlowSource):
    """Flow that counts what it is asked for."""

    def __init__(self, reach: int | None = None):
        self.reach, self.asked = reach, []

    def between(self, frame, other, cam, images):
        self.asked.append((frame, other))
        return np.ones((*images[0].shape, 2), np.float32)


def _score(masks, truths) -> dict[str, float]:
    counts = Counts()
    for mask, truth in zip(masks, truths, strict=True):
        counts.add(mask, truth)
    return counts.scores()


def _segmenter(scene, cam: int, settings: Settings, source: FlowSource | None = None) -> Segmenter:
    capture = scene.open()
    return Segmenter(
        lambda frame: np.asarray(capture.load(frame, [cam]).images)[0],
        capture.frames,
        cam,
        source or DisFlow(),
        settings,
    )


# The whole.


@pytest.mark.parametrize("cam", [0, 1])
def test_what_moves_is_found_and_what_stands_still_is_not(scene, cam):
    one = _segmenter(scene, cam, Settings(stride=1, close=0.02, dilate=0.0))
    found = _score([one.mask(f) for f in range(1, 7)], [scene.truth[f, cam] for f in range(1, 7)])
    assert found["recall"] > 0.97
    assert found["precision"] > 0.7  # a rim of one pixel takes a fifth


def test_flow_alone_moves_the_wall_beside_what_moves(scene):
    truth = scene.truth[3, 0]
    settings = Settings(stride=1, threshold=0.5, close=0.02, dilate=0.0)
    both = _segmenter(scene, 0, settings).mask(3)
    alone = _segmenter(scene, 0, dataclasses.replace(settings, color=0.0)).mask(3)
    assert _score([both], [truth])["precision"] > 1.5 * _score([alone], [truth])["precision"]


def test_where_a_thing_was_or_will_be_is_not_where_it_is(scene):
    """The square moves by 3 pixels, so each single neighbour moves 3 columns too many."""
    mask = _segmenter(scene, 0, dataclasses.replace(_PLAIN, stride=1)).mask(4)
    columns = np.flatnonzero(scene.truth[4, 0].any(0))
    outside = mask[20:36, [columns[0] - 3, columns[0] - 2, columns[-1] + 2, columns[-1] + 3]]
    assert outside.mean() < 0.2


def test_the_masks_of_real_footage_agree_with_its_foreground(real_data):
    folder = real_data / "multiview" / "basketball"
    capture = recognise.open_footage(folder, factor=4)
    truth = open_masks(
        folder / "foreground_2" / "frame{frame:04d}{cam}.png", capture.camera_names, 80, 144
    )
    masks, truths = [], []
    for cam in (1, 5):
        one = Segmenter(
            lambda frame, cam=cam: np.asarray(capture.load(frame, [cam]).images)[0],
            capture.frames,
            cam,
            DisFlow(),
            Settings(),
        )
        masks += [one.mask(frame) for frame in (5, 6)]
        truths += [truth.load(frame, [cam])[0] for frame in (5, 6)]
    found = _score(masks, truths)
    assert found["recall"] > 0.85
    assert found["precision"] > 0.7


# Frames around a frame.


@pytest.mark.parametrize(
    ("frame", "stride", "reach", "others"),
    [
        (3, 1, None, [2, 4]),
        (3, 2, None, [1, 5]),
        (2, 2, None, [4, 6]),  # no frame 0: two behind
        (1, 2, None, [3, 5]),
        (6, 1, None, [5, 4]),
        (6, 9, None, [1]),  # as far as there are frames
        (4, 9, None, [1]),
        (1, 1, 1, [2]),  # files of flow to the next frame do not reach further
        (3, 1, 1, [2, 4]),
    ],
)
def test_a_frame_is_compared_with_one_on_each_side(scene, frame, stride, reach, others):
    source = _NoFlow(reach)
    _segmenter(scene, 0, Settings(stride=stride), source).mask(frame)
    assert source.asked == [(frame, other) for other in others]


def test_masks_of_neighbours_are_added(scene):
    single = _segmenter(scene, 0, _PLAIN)
    union = _segmenter(scene, 0, dataclasses.replace(_PLAIN, union=1))
    np.testing.assert_array_equal(union.mask(3), single.mask(2) | single.mask(3) | single.mask(4))
    np.testing.assert_array_equal(union.mask(1), single.mask(1) | single.mask(2))


def test_no_image_is_read_twice_in_order_of_time():
    """So a camera's frames are read once, and few are held at a time."""
    read, rng = [], np.random.default_rng(0)

    def image(frame: int) -> np.ndarray:
        read.append(frame)
        return rng.integers(0, 256, (8, 10, 3), np.uint8)

    one = Segmenter(image, range(1, 21), 0, _NoFlow(), Settings(stride=2, union=1))
    for frame in range(1, 21):
        one.mask(frame)
    assert sorted(read) == list(range(1, 21))
    assert one._image.cache_info().maxsize < 12


def test_one_frame_has_no_flow():
    with pytest.raises(InvError, match="only frame 7 is open"):
        Segmenter(lambda frame: None, range(7, 8), 0, DisFlow(), Settings())


def test_files_of_flow_to_the_next_frame_serve_a_stride_of_one():
    with pytest.raises(InvError, match="--stride=2, but the flow files reach over 1 frame"):
        Segmenter(lambda frame: None, range(1, 9), 0, _NoFlow(reach=1), Settings())


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("stride", 0, "1 or more"), ("close", -1.0, "0 or more"), ("window", 4, "an odd number")],
)
def test_a_setting_out_of_range_is_named(setting, value, said):
    with pytest.raises(InvError, match=f"--{setting}={value}: expected {said}"):
        Settings(**{setting: value})


# Its parts.


def test_change_is_the_largest_over_channels_averaged_over_squares():
    image = np.full((7, 7, 3), 100, np.uint8)
    other = image.copy()
    other[3, 3] = 100, 118, 91
    change = segmentation.color_change(image, other, 3)
    np.testing.assert_allclose(change[2:5, 2:5], 2, rtol=1e-6)
    assert np.count_nonzero(change) == 9


def test_the_limit_is_above_noise_and_below_what_moves():
    rng = np.random.default_rng(0)
    images = np.clip(rng.normal(120, 4, (2, 200, 200, 3)), 0, 255).astype(np.uint8)
    images[1, 50:80, 50:80] += 40
    change = segmentation.color_change(*images, 3)
    limit = segmentation.noise_limit(change, 3.0)
    assert (change[53:77, 53:77] > limit).all()
    change[45:85, 45:85] = 0
    assert (change > limit).mean() < 0.01


def test_without_noise_rounding_does_not_count_as_change():
    assert segmentation.noise_limit(np.zeros((5, 5), np.float32), 3.0) == 2.0


def test_growing_takes_what_is_within_the_distance():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    y, x = np.mgrid[:9, :9]
    for radius in (1.0, 1.5, 2.0, 3.2):
        expected = np.hypot(y - 4, x - 4) <= radius
        np.testing.assert_array_equal(segmentation.grow(mask, radius), expected)
    assert not segmentation.grow(np.zeros((9, 9), bool), 3.0).any()


def test_shrinking_undoes_growing_of_a_disk_and_keeps_the_borders():
    y, x = np.mgrid[:40, :40]
    disk = np.hypot(y - 20, x - 20) <= 8
    np.testing.assert_array_equal(segmentation.shrink(segmentation.grow(disk, 4.0), 4.0), disk)
    half = x < 10
    np.testing.assert_array_equal(segmentation.shrink(half, 2.0), x < 8)
    assert segmentation.shrink(np.ones((9, 9), bool), 3.0).all()


def test_gaps_are_closed_thin_parts_opened_specks_removed_and_holes_filled():
    mask = np.zeros((100, 100), bool)
    mask[20:60, 20:40] = mask[20:60, 44:64] = True  # a gap of 4
    mask[30:34, 24:28] = False  # a hole
    mask[80:83, 80:83] = True  # a speck
    mask[70, :50] = True  # thin
    settings = Settings(open=0.0, close=0.0, specks=0.0, holes=0.0)
    assert not segmentation.clean(mask, dataclasses.replace(settings, specks=0.001))[81, 81]
    assert segmentation.clean(mask, dataclasses.replace(settings, holes=0.002))[32, 26]
    assert segmentation.clean(mask, dataclasses.replace(settings, close=0.02))[40, 40:44].all()
    opened = segmentation.clean(mask, dataclasses.replace(settings, open=0.01))
    assert not opened[70].any()
    assert opened[40, 30]
    np.testing.assert_array_equal(segmentation.clean(mask, settings), mask)


def test_one_setting_serves_every_size():
    mask = np.zeros((50, 60), bool)
    mask[10:30, 10:20] = mask[10:30, 22:40] = True
    mask[40, 50] = True
    settings = Settings(specks=0.002, holes=0.01, close=0.04)
    large = segmentation.clean(mask.repeat(4, 0).repeat(4, 1), settings)
    share = (large[2::4, 2::4] != segmentation.clean(mask, settings)).mean()
    assert share < 0.01
