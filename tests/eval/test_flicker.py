import pathlib

import numpy as np
import pytest
from PIL import Image

from inv_jax.data.capture import open_capture
from inv_jax.data.masks import Masks, open_masks
from inv_jax.eval import flicker
from inv_jax.eval.flicker import Flicker, Static
from inv_jax.types import InvError

_HEIGHT, _WIDTH, _FRAMES = 12, 16, (1, 2, 3)


def _static(pixels: np.ndarray | None = None) -> Static:
    return Static(np.ones((_HEIGHT, _WIDTH), bool) if pixels is None else pixels, "masks")


def _grey(level: int) -> np.ndarray:
    return np.full((_HEIGHT, _WIDTH, 3), level, np.uint8)


def _write(path: pathlib.Path, image: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)


def _mask_path(folder: pathlib.Path, frame: int, cam: int) -> pathlib.Path:
    return folder / "mask" / f"dynamic_mask_frame{frame:04d}cam{cam:02d}.png"


def _masks(folder: pathlib.Path) -> Masks:
    return open_masks(folder, ("cam00", "cam01"), _HEIGHT, _WIDTH)


@pytest.fixture
def capture(tmp_path):
    """Two still cameras; in camera 0 a corner moves, and a column is noisy by 5 levels."""
    rows = np.zeros((2, 17))
    for cam, row in enumerate(rows):
        row[:15] = np.ravel(
            [[0, 1, 0, 0.3 * cam, _HEIGHT], [-1, 0, 0, 0, _WIDTH], [0, 0, 1, 0, 40]]
        )
        row[15:] = 3.0, 20.0
        for place, frame in enumerate(_FRAMES):
            image = _grey(100)
            if cam == 0:
                image[:4, :4, 1] += np.uint8(40 * place)
                image[:, 8, 2] += np.uint8(5 * (place == 1))
            _write(tmp_path / "frames" / f"frame{frame:04d}cam{cam:02d}.png", image)
    np.save(tmp_path / "poses_bounds.npy", rows)
    return open_capture(
        "n3dv",
        tmp_path,
        factor=1,
        first_frame=1,
        num_frames=0,
        holdout=(),
        near=0.0,
        ndc=True,
        pixel_center=0.0,
    )


# The number.


def test_flicker_is_the_mean_change_between_frames_in_levels():
    one = Flicker(_static())
    assert one(_grey(100) / 255, _grey(10)) == {"flicker": None, "flicker_truth": None}
    assert one(_grey(103) / 255, _grey(8)) == pytest.approx({"flicker": 3, "flicker_truth": 2})
    # From the frame before, not from the first: up and down again is twice a change.
    assert one(_grey(100) / 255, _grey(10)) == pytest.approx({"flicker": 3, "flicker_truth": 2})


def test_flicker_averages_over_channels_and_pixels():
    one, changed = Flicker(_static()), _grey(50)
    changed[0, 0, 2] += 96  # of 12 * 16 * 3 = 576 values
    one(_grey(50) / 255, _grey(50))
    assert one(_grey(50) / 255, changed)["flicker_truth"] == pytest.approx(96 / 576)


def test_flicker_of_noise_is_its_mean_absolute_difference():
    rng = np.random.default_rng(0)
    one = Flicker(Static(np.ones((200, 300), bool), "truth"))
    rgb = [0.5 + rng.normal(0, 2 / 255, (200, 300, 3)).astype(np.float32) for _ in range(2)]
    one(rgb[0], np.zeros((200, 300, 3), np.uint8))
    # The difference of two normals of deviation 2 has deviation sqrt(8).
    expected = np.sqrt(8) * np.sqrt(2 / np.pi)
    found = one(rgb[1], np.zeros((200, 300, 3), np.uint8))
    assert found["flicker"] == pytest.approx(expected, rel=0.02)
    assert found["flicker_truth"] == 0.0


def test_what_moves_does_not_flicker():
    still = np.ones((_HEIGHT, _WIDTH), bool)
    still[2:6, 3:9] = False
    one, moved = Flicker(_static(still)), _grey(50)
    moved[2:6, 3:9] = 255
    one(_grey(50) / 255, _grey(50))
    assert one(moved / 255, moved) == {"flicker": 0.0, "flicker_truth": 0.0}


def test_rendered_colors_are_clipped_as_a_display_does():
    one, white = Flicker(_static()), np.ones((_HEIGHT, _WIDTH, 3), np.float32)
    one(white + 0.1, _grey(255))
    assert one(white + 0.3, _grey(255))["flicker"] == 0.0


def test_without_static_pixels_there_is_no_flicker():
    one = Flicker(_static(np.zeros((_HEIGHT, _WIDTH), bool)))
    one(_grey(1) / 255, _grey(1))
    assert one(_grey(9) / 255, _grey(9)) == {"flicker": None, "flicker_truth": None}


# Which pixels are static.


def test_without_masks_static_is_what_stays_within_a_few_true_levels(capture, tmp_path):
    found = flicker.static_pixels(capture, _masks(tmp_path), [1, 0], _FRAMES)
    assert list(found) == [1, 0]
    assert {one.origin for one in found.values()} == {"truth"}
    assert found[1].pixels.all()
    expected = np.ones((_HEIGHT, _WIDTH), bool)
    expected[:4, :4] = False
    np.testing.assert_array_equal(found[0].pixels, expected)
    expected[:, 8] = False
    strict = flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES, static_range=4)[0]
    np.testing.assert_array_equal(strict.pixels, expected)
    assert strict.count == expected.sum()
    # Of the frames that are measured alone: one frame does not move.
    assert flicker.static_pixels(capture, _masks(tmp_path), [0], [3])[0].pixels.all()


def test_masks_count_before_the_truth_and_mark_what_any_frame_moves(capture, tmp_path):
    for frame in _FRAMES:
        mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
        mask[frame, 1] = 1  # non-zero is dynamic, however dark
        _write(_mask_path(tmp_path, frame, 0), mask)
    found = flicker.static_pixels(capture, _masks(tmp_path), [0, 1], _FRAMES)
    assert (found[0].origin, found[1].origin) == ("masks", "truth")
    assert sorted(map(tuple, np.argwhere(~found[0].pixels))) == [(1, 1), (2, 1), (3, 1)]
    assert str(found[0]) == "189 of 192 pixels (98%), by the capture's masks"


def test_a_camera_without_masks_of_every_frame_goes_by_its_truth(capture, tmp_path):
    for frame in _FRAMES[:2]:
        _write(_mask_path(tmp_path, frame, 0), np.zeros((_HEIGHT, _WIDTH), np.uint8))
    assert flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES)[0].origin == "truth"
    assert flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES[:2])[0].origin == "masks"


@pytest.mark.parametrize("scale", [2, 0.5])
def test_a_mask_of_another_size_is_dynamic_wherever_it_covers(capture, tmp_path, scale):
    size = int(_HEIGHT * scale), int(_WIDTH * scale)
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 2, size[1] // 2] = 255
    for frame in _FRAMES:
        _write(_mask_path(tmp_path, frame, 0), mask)
    dynamic = ~flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES)[0].pixels
    y, x = np.nonzero(dynamic)
    assert dynamic[_HEIGHT // 2, _WIDTH // 2]
    assert 1 <= dynamic.sum() <= 16
    assert max(abs(y - _HEIGHT // 2)) <= 2
    assert max(abs(x - _WIDTH // 2)) <= 2


def test_a_mask_of_another_shape_or_a_broken_one_is_named(capture, tmp_path):
    for frame in _FRAMES:
        _write(_mask_path(tmp_path, frame, 0), np.zeros((_WIDTH, _HEIGHT * 4), np.uint8))
    with pytest.raises(InvError, match=r"cam00\.png is 48x16, the images 16x12"):
        flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES)
    _mask_path(tmp_path, 1, 0).write_bytes(b"not a picture")
    with pytest.raises(InvError, match=r"dynamic_mask_frame0001cam00\.png.*cannot be decoded"):
        flicker.static_pixels(capture, _masks(tmp_path), [0], _FRAMES)
