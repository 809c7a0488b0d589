import numpy as np
import pytest
from PIL import Image

from configs import base
from inv_jax.eval import pictures

_WITHIN = base.get_config().eval.step_picture


@pytest.fixture
def picture():
    return np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)


def _luminance(rgb: np.ndarray) -> np.ndarray:
    return rgb @ np.array([0.2126, 0.7152, 0.0722])


def test_colors_are_clipped_and_rounded():
    values = np.array([-0.5, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 7.0, np.nan, np.inf])
    assert pictures.to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255, 255, 0, 255]


def test_every_8_bit_value_survives_the_way_to_float_and_back():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pictures.to_uint8(values.astype(np.float32) / 255), values)


def test_view_names_are_those_of_the_original(tmp_path):
    assert pictures.view_path(tmp_path, 0, 7, 31.25).name == "cam00_frame0007_31.250000.png"
    within = pictures.view_path(tmp_path, 12, 345, 8.1234567, step=5000, name=_WITHIN)
    assert within == tmp_path / "cam12_frame0345_iter005000_8.123457.png"


def test_a_png_reads_back_as_it_was_and_leaves_nothing_beside_it(tmp_path, picture):
    path = tmp_path / "new" / "a.png"
    pictures.write_png(path, picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    assert list(path.parent.iterdir()) == [path]


def test_a_png_that_cannot_be_written_leaves_the_old_one(tmp_path, picture):
    path = tmp_path / "a.png"
    pictures.write_png(path, picture)
    with pytest.raises(TypeError):
        pictures.write_png(path, picture.astype(np.complex64))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    assert list(tmp_path.iterdir()) == [path]


def test_older_views_of_one_frame_go_and_all_others_stay(tmp_path, picture):
    view_path = pictures.view_path
    others = [
        view_path(tmp_path, 1, 2, 30.0),
        view_path(tmp_path, 0, 21, 30.0),
        view_path(tmp_path, 0, 20002, 30.0),
        view_path(tmp_path, 0, 2, 30.0, step=100, name=_WITHIN),
        tmp_path / "cam00_frame0002_mask_1.png",
        tmp_path / "cam00_frame0002_400.png",
    ]
    old = [view_path(tmp_path, 0, 2, psnr) for psnr in (29.0, float("inf"), float("nan"), -1.5)]
    torn = tmp_path / f".{old[0].name}.tmp"
    new = view_path(tmp_path, 0, 2, 31.0)
    for path in [*others, *old, torn, new]:
        path.touch()
    pictures.remove_views(tmp_path, 0, 2, keep=new)
    assert set(tmp_path.iterdir()) == {*others, new}
    pictures.remove_views(tmp_path, 0, 2, step=100, name=_WITHIN)
    assert set(tmp_path.iterdir()) == {*others, new} - {others[3]}


@pytest.mark.parametrize(
    "name", ["a+{step}.png", "a+{step}_{psnr:.2f}.png", "{psnr:.1f}a+{step}.png"]
)
def test_views_of_other_names_go_alike(tmp_path, name):
    one, other = (pictures.view_path(tmp_path, 0, 1, 20.0, step, name) for step in (40, 400))
    torn = tmp_path / f".{one.name}.tmp"
    for path in (one, other, torn):
        path.touch()
    pictures.remove_views(tmp_path, 0, 1, 40, name=name)
    assert list(tmp_path.iterdir()) == [other]


def test_removing_views_from_a_missing_folder_does_nothing(tmp_path):
    pictures.remove_views(tmp_path / "none", 0, 1)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("shape", [(20, 30, 3), (72, 128, 3), (8, 300, 3), (300, 8, 3), (1, 1, 3)])
def test_a_comparison_shows_both_images_pixel_by_pixel(shape):
    rng = np.random.default_rng(0)
    rendered, truth = rng.integers(0, 256, (2, *shape), np.uint8)
    result = pictures.comparison(rendered, truth, "cam 00, frame 0001", 20.0, 0.5)
    assert result.dtype == np.uint8
    assert all(size % 2 == 0 for size in result.shape[:2])
    times = max(1, min(320 // shape[0], 576 // shape[1]))
    for image in (rendered, truth):
        block = image.repeat(times, axis=0).repeat(times, axis=1)
        assert _contains(result, block)


def _contains(picture: np.ndarray, block: np.ndarray) -> bool:
    height, width = block.shape[:2]
    corners = np.argwhere((picture == block[0, 0]).all(axis=-1))
    return any(np.array_equal(picture[y : y + height, x : x + width], block) for y, x in corners)


def test_the_error_panel_is_the_mean_absolute_error_on_the_stated_scale(picture):
    rendered = picture.astype(np.int64)
    truth = np.where(rendered < 128, rendered + 6, rendered - 6).astype(np.uint8)
    truth[0, 0] = rendered[0, 0]
    expected = np.full((20, 30), 6 / 255)
    expected[0, 0] = 0.0
    result = pictures.comparison(picture, truth, "", 30.0, error_scale=0.05)
    block = pictures.colorize(expected / 0.05).repeat(16, axis=0).repeat(16, axis=1)
    assert _contains(result, block)


def test_titles_and_scores_do_not_change_the_size_of_a_comparison(picture):
    large = picture.repeat(10, axis=0).repeat(10, axis=1)
    sizes = {
        pictures.comparison(large, large, title, psnr, ssim).shape
        for title, psnr, ssim in [("", 1.0, None), ("cam 00, frame 0012", float("inf"), 0.5)]
    }
    assert len(sizes) == 1


def test_images_of_different_sizes_are_not_compared(picture):
    with pytest.raises(ValueError, match="expected one shape"):
        pictures.comparison(picture, picture[1:], "", 30.0)


def test_numbers_get_brighter_from_black_on():
    colors = pictures.colorize(np.linspace(0.0, 1.0, 64)[None])[0]
    assert (np.diff(_luminance(colors)) > -0.5).all()  # up to rounding of the channels
    assert _luminance(colors[0]) < 2
    assert _luminance(colors[-1]) > 230
    ends = pictures.colorize(np.array([[-1.0, np.nan, 2.0]]))[0]
    np.testing.assert_array_equal(ends, colors[[0, 0, -1]])


def test_the_error_bar_has_the_colors_of_the_errors():
    bar = pictures.error_bar(0.2)
    assert (bar.top, bar.bottom) == ("0.2", "0")
    errors = np.full((1, 1, 3), [51], np.uint8)  # 0.2
    for error, color in ((errors, bar.colors[0]), (0 * errors, bar.colors[-1])):
        np.testing.assert_array_equal(pictures.error_map(error, 0 * errors, 0.2)[0, 0], color)
