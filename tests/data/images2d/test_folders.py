"""Folders of pictures: their numbers, which of them count, and what kinds there are."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from inv_jax.data import images2d
from inv_jax.types import InvError

HEIGHT, WIDTH = 24, 36  # of `picture`


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0003.png", "0004.png", "0005.png"], [3, 4, 5]),
        (["f1.png", "f2.png", "f10.png"], [1, 2, 10]),
        (["take2_7.png", "take2_8.png"], [7, 8]),
        (["b2.png", "b10.png", "Z.png", "a.png"], [3, 4, 1, 2]),
        (["a².png", "b10.png"], [1, 2]),
        (["portrait.png"], [1]),
        (["shot12.png"], [12]),
    ],
)
def test_pictures_are_numbered_by_their_names(tmp_path, names, numbers, write_pictures):
    found = images2d.find_pictures(write_pictures(tmp_path, names))
    assert {path.name: number for number, path in found.items()} == dict(
        zip(names, numbers, strict=True)
    )


def test_hidden_files_are_no_pictures(tmp_path, write_pictures, open_video):
    write_pictures(tmp_path, ["1.png", "2.png"])
    (tmp_path / "._1.png").write_bytes(b"notes of a file system")
    assert list(open_video(tmp_path).frames) == [1, 2]


def test_pictures_may_lie_in_frames(tmp_path, picture, write_pictures, open_video, image_of):
    write_pictures(tmp_path / "frames", ["0001.png", "0002.png"])
    np.testing.assert_array_equal(image_of(open_video(tmp_path), 2), picture(2))


def test_one_camera_of_a_capture_is_a_pattern(
    tmp_path, picture, write_pictures, open_video, image_of
):
    names = [f"frame{frame:04d}cam{cam:02d}.png" for frame in (5, 6) for cam in (0, 3)]
    write_pictures(tmp_path, names)
    with pytest.raises(InvError, match=r"2 cameras.*frame\*cam00\.png"):
        open_video(tmp_path, first_frame=5)
    capture = open_video(tmp_path / "frame*cam03.png", first_frame=5)
    np.testing.assert_array_equal(image_of(capture, 6), picture(4))


def test_missing_pictures_are_named(tmp_path, write_pictures, open_video):
    write_pictures(tmp_path, ["1.png", "2.png", "5.png"])
    with pytest.raises(InvError, match="frames 3-4 are missing"):
        open_video(tmp_path)


def test_two_pictures_of_one_number_are_refused(tmp_path, write_pictures, open_video):
    write_pictures(tmp_path, ["1.png", "01.png", "2.png"])
    with pytest.raises(InvError, match=r"both 01\.png and 1\.png"):
        open_video(tmp_path)


def test_grey_and_transparent_pictures_are_taken(tmp_path, picture, open_video, image_of):
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "1.png")
    alpha = np.full((HEIGHT, WIDTH, 1), 51, np.uint8)
    Image.fromarray(np.concatenate([picture(2), alpha], -1)).save(tmp_path / "2.png")
    capture = open_video(tmp_path, background=1.0)
    np.testing.assert_array_equal(image_of(capture, 1), np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_allclose(image_of(capture, 2), 0.2 * picture(2) + 0.8 * 255, atol=0.51)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_photos_are_turned_as_their_exif_data_say(
    tmp_path, orientation, turns, picture, open_video, image_of
):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture(1)).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(image_of(open_video(tmp_path), 1), np.rot90(picture(1), turns))
