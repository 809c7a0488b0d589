"""Pictures made smaller: by a factor, and to a size."""

import numpy as np
import pytest

from inv_jax.data import images2d
from inv_jax.types import InvError

HEIGHT, WIDTH = 24, 36  # of `picture`


def test_a_factor_averages_squares(tmp_path, picture, write_pictures, open_video, image_of):
    path = write_pictures(tmp_path, ["1.png"]) / "1.png"
    found = image_of(open_video(path, factor=3), 1).astype(float)
    squares = picture(1).reshape(HEIGHT // 3, 3, WIDTH // 3, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found, squares, atol=0.5)


@pytest.mark.parametrize(
    ("size", "factor", "message"),
    [
        ((360, 640), 3, "does not divide 640x360; set data.factor to 1, 2, 4, 5, or .*642x363"),
        ((361, 641), 2, "set data.factor to 1, or cut or scale the images to 640x360"),
        ((360, 640), 0, "expected 1 or more"),
    ],
)
def test_a_factor_that_does_not_divide_is_refused_with_those_that_do(size, factor, message):
    with pytest.raises(InvError, match=message):
        images2d.reduced_size(*size, factor)


def pooled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over the bins of adaptive pooling, one by one, as its definition has them."""
    rows, cols = image.shape[:2]
    found = np.empty((height, width, 3))
    for i in range(height):
        top, bottom = i * rows // height, -(-(i + 1) * rows // height)
        for j in range(width):
            left, right = j * cols // width, -(-(j + 1) * cols // width)
            found[i, j] = image[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
    return found


@pytest.mark.parametrize(
    "size", [(24, 36), (12, 18), (24, 17), (7, 36), (7, 5), (23, 35), (1, 1), (13, 1)]
)
def test_pictures_are_averaged_to_any_smaller_size(size):
    image = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    smaller = images2d.Smaller.of(HEIGHT, WIDTH, 1, size)
    assert (smaller.height, smaller.width) == size
    found = smaller(image)
    assert found.dtype == np.uint8
    assert found.shape == (*size, 3)
    assert np.abs(found - pooled(image, *size)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_size_comes_behind_the_factor(tmp_path, clip, kind, write_pictures, open_video, image_of):
    path = clip if kind == "file" else write_pictures(tmp_path, ["1.png", "2.png"])
    capture = open_video(path, factor=2, size=(5, 7))
    assert (capture.cameras.height, capture.cameras.width) == (5, 7)
    np.testing.assert_array_equal(
        capture.cameras.intrinsics[0], [[7, 0, 3.5], [0, 7, 2.5], [0, 0, 1]]
    )
    squares = images2d.reduce(image_of(open_video(path), 2), 2)
    assert np.abs(image_of(capture, 2) - pooled(squares, 5, 7)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("size", [(25, 36), (24, 37), (12, 0), (0, 18), (-1, 18)])
def test_a_size_that_is_larger_or_half_given_is_refused(tmp_path, size, write_pictures, open_video):
    write_pictures(tmp_path, ["1.png"])
    message = rf"data\.height={size[0]}, data\.width={size[1]}: the images are 36x24"
    with pytest.raises(InvError, match=message):
        open_video(tmp_path, size=size)
