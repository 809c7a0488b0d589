import pathlib
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import base
from inv_jax.assembly import captures
from inv_jax.data import masks as masks_lib
from inv_jax.data.masks import open_masks, pattern_in
from inv_jax.types import InvError

_CAMS = ("cam00", "cam03")
_HEIGHT, _WIDTH = 12, 16


def _write(path: pathlib.Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def _mask(*pixels: tuple[int, int], value: int = 255, shape=(_HEIGHT, _WIDTH)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for y, x in pixels:
        mask[y, x] = value
    return mask


@pytest.fixture
def folder(tmp_path):
    """A capture's folder with the masks of two frames; camera 1's of frame 2 is empty."""
    for frame in (1, 2):
        for cam, name in enumerate(_CAMS):
            pixels = [] if (frame, cam) == (2, 1) else [(frame, cam + 5)]
            _write(tmp_path / f"mask/dynamic_mask_frame{frame:04d}{name}.png", _mask(*pixels))
    return tmp_path


def _open(place, **kwargs):
    return open_masks(place, _CAMS, _HEIGHT, _WIDTH, **kwargs)


# What is read.


def test_masks_are_true_where_the_original_has_non_zero(folder):
    found = _open(folder).load(1, [1, 0])
    assert found.dtype == bool
    assert found.shape == (2, _HEIGHT, _WIDTH)
    assert [tuple(map(int, place)) for place in np.argwhere(found)] == [(0, 1, 6), (1, 1, 5)]


def test_polarity_says_what_non_zero_means(folder):
    dynamic = _open(folder).load(1, [0, 1])
    np.testing.assert_array_equal(_open(folder, polarity="static").load(1, [0, 1]), ~dynamic)
    with pytest.raises(InvError, match=r"data\.mask_polarity is 'white'; expected one of dynamic"):
        _open(folder, polarity="white")


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_any_kind_of_picture_is_a_mask_however_dark(tmp_path, value, mode):
    image = Image.fromarray(_mask((3, 4), value=value))
    image = image.point(lambda x: 255 * (x > 0)).convert("1") if mode == "1" else image
    if mode == "P":
        image.putpalette([level for level in range(256) for _ in range(3)])
    (image.convert(mode) if mode == "RGB" else image).save(tmp_path / "1cam00.png")
    found = _open(f"{tmp_path}/{{frame}}{{cam}}.png").load(1, [0])[0]
    np.testing.assert_array_equal(found, _mask((3, 4)) > 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_any_value_of_16_bits_is_non_zero(tmp_path, channels):
    values = np.repeat(_mask((3, 4), value=1).astype(np.uint16)[..., None], channels, -1)
    cv2.imwrite(str(tmp_path / "1cam00.png"), values)
    found = _open(f"{tmp_path}/{{frame}}{{cam}}.png").load(1, [0])[0]
    np.testing.assert_array_equal(found, _mask((3, 4)) > 0)


def test_the_noise_of_a_jpeg_around_edges_does_not_count(tmp_path):
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    mask[3:9, 5:11] = 255
    Image.fromarray(mask).save(tmp_path / "1cam00.jpg", quality=60)
    raw = np.asarray(Image.open(tmp_path / "1cam00.jpg"))
    assert ((raw > 0) != (mask > 0)).any()
    found = _open(f"{tmp_path}/{{frame}}{{cam}}.jpg").load(1, [0])[0]
    np.testing.assert_array_equal(found, mask > 0)


@pytest.mark.parametrize("polarity", ["dynamic", "static"])
@pytest.mark.parametrize("factor", [2, 3])
def test_a_larger_mask_is_dynamic_wherever_it_covers_any_of_a_pixel(tmp_path, factor, polarity):
    large = _mask((factor * 3, factor * 4 + 1), shape=(factor * _HEIGHT, factor * _WIDTH))
    if polarity == "static":
        large = 255 - large
    _write(tmp_path / "mask/dynamic_mask_frame0001cam00.png", large)
    found = _open(tmp_path, polarity=polarity).load(1, [0])[0]
    np.testing.assert_array_equal(found, _mask((3, 4)) > 0)


def test_a_mask_of_its_images_size_rounded_down_fits(tmp_path):
    """Images of 12x16 from 25x33, as a factor of 2 leaves them."""
    _write(tmp_path / "mask/dynamic_mask_frame0001cam00.png", np.zeros((25, 33), np.uint8))
    assert _open(tmp_path).load(1, [0]).shape == (1, _HEIGHT, _WIDTH)


def test_masks_that_may_be_the_wrong_way_round_are_said_once(folder, caplog):
    masks = _open(folder, polarity="static")
    with pytest.raises(InvError, match=r"frame 2 .* all 1 training cameras .* data\.mask_polarity"):
        masks.to_train(2, [1])
    with caplog.at_level("WARNING"):
        np.testing.assert_array_equal(masks.to_train(1, [0, 1]), masks.load(1, [0, 1]))
        masks.to_train(2, [0, 1])
        _open(folder).to_train(1, [0, 1])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "frame 1 say that 99% of the pixels of all 2 training cameras move" in said[0]
    assert "data.mask_polarity" in said[0]


# Where they are.


def test_the_default_pattern_is_the_originals():
    name = masks_lib.DEFAULT.format(frame=7, cam="cam03")
    assert name == "mask/dynamic_mask_frame0007cam03.png"


def test_a_folder_may_hold_them_itself(folder):
    np.testing.assert_array_equal(_open(folder / "mask").load(1, [0]), _open(folder).load(1, [0]))


def test_a_pattern_is_relative_to_the_captures_folder_unless_absolute(tmp_path):
    braces = tmp_path / "a {strange} name"
    _write(braces / "fg/1_cam03.png", _mask((1, 2)))
    pattern = pattern_in(braces, "fg/{frame}_{cam}.png")
    assert _open(pattern).path(1, 1) == braces / "fg/1_cam03.png"
    assert _open(pattern_in(braces)).path(2, 0) == braces / "mask/dynamic_mask_frame0002cam00.png"
    assert _open(braces).path(2, 0) == _open(pattern_in(braces, str(braces))).path(2, 0)
    assert _open(pattern_in("/elsewhere", pattern)).path(1, 1) == braces / "fg/1_cam03.png"


def test_masks_of_a_video_file_are_beside_it(tmp_path):
    (tmp_path / "clip.mp4").touch()
    expected = tmp_path / "mask/dynamic_mask_frame0001cam00.png"
    assert _open(pattern_in(tmp_path / "clip.mp4")).path(1, 0) == expected
    assert _open(pattern_in(tmp_path / "frame*cam00.png")).path(1, 0) == expected


def test_one_camera_needs_no_name_in_the_pattern(tmp_path):
    masks = open_masks(f"{tmp_path}/{{frame:04d}}.png", _CAMS[:1], _HEIGHT, _WIDTH)
    assert masks.path(3, 0) == tmp_path / "0003.png"


@pytest.mark.parametrize(
    "pattern", ["{frame}.png", "{cam}.png", "{frame}{cam}{x}", "{frame:w}{cam}", "{frame}{cam"]
)
def test_a_pattern_that_cannot_be_right_is_refused(pattern):
    with pytest.raises(InvError, match=r"data\.masks="):
        _open(pattern)


# What is wrong with them.


def test_missing_masks_are_named_by_frame_and_camera(folder):
    (folder / "mask/dynamic_mask_frame0002cam03.png").unlink()
    masks = _open(folder)
    assert masks.missing([1, 2, 3], [0, 1]) == [(2, 1), (3, 0), (3, 1)]
    with pytest.raises(InvError, match=r"^mask of frame 2, cam03: .* is missing; make them"):
        masks.load(2, [0, 1])
    with pytest.raises(InvError, match=r"^mask of frame 2, cam03: .*, and 2 more are; make them"):
        masks.check([1, 2, 3], [0, 1])
    masks.check([1], [0, 1])


def test_a_misshapen_mask_is_named_before_and_when_it_is_read(folder):
    _write(folder / "mask/dynamic_mask_frame0002cam03.png", np.zeros((16, 12), np.uint8))
    masks = _open(folder)
    said = r"^mask of frame 2, cam03: .* is 12x16, the images 16x12; want masks of the same shape"
    with pytest.raises(InvError, match=said):
        masks.load(2, [0, 1])
    with pytest.raises(InvError, match=said):
        masks.check([1, 2], [0, 1])


def test_a_broken_mask_is_named(folder):
    path = folder / "mask/dynamic_mask_frame0002cam03.png"
    noise = np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH), np.uint8)
    _write(path, noise)
    path.write_bytes(path.read_bytes()[:100])
    masks = _open(folder)
    with pytest.raises(InvError, match=r"^mask of frame 2, cam03: .*cannot be decoded"):
        masks.load(2, [0, 1])
    path.write_bytes(b"no picture")
    with pytest.raises(InvError, match=r"^mask of frame 2, cam03: .*cannot be decoded"):
        masks.check([2], [1])


def test_the_settings_of_a_run_say_where_its_masks_are(folder, tmp_path):
    rig = types.SimpleNamespace(
        camera_names=_CAMS, cameras=types.SimpleNamespace(height=_HEIGHT, width=_WIDTH)
    )
    config = base.get_config()
    config.data.path = str(folder)
    exact = captures.masks_of(config, tmp_path, rig).load(1, [0])
    np.testing.assert_array_equal(exact, _open(folder).load(1, [0]))
    config.data.update(masks="fg/{frame}_{cam}.png", mask_polarity="static")
    _write(folder / "fg/1_cam00.png", _mask((1, 2)))
    other = captures.masks_of(config, tmp_path, rig).load(1, [0])[0]
    np.testing.assert_array_equal(other, _mask((1, 2)) == 0)
