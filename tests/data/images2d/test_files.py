"""Video files: each picture by its number, whatever the file is like."""

import numpy as np
import pytest

from inv_jax.data.video_file import VideoFile
from inv_jax.types import InvError


def test_pictures_are_found_in_any_order(clip, picture):
    file = VideoFile(clip)
    assert (file.num_frames, file.size) == (20, (24, 36))
    for number in [20, 1, 7, 8, 20, 3, 19, 12, 13, 2]:
        np.testing.assert_allclose(file.read(number), picture(number), atol=12)


def test_the_rate_of_a_changing_rate_is_its_mean(clip):
    assert VideoFile(clip).fps == pytest.approx(19 / 1.41, rel=0.02)


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_pictures_are_turned_as_the_file_says(tmp_path, rotation, turns, picture, write_video):
    file = VideoFile(write_video(tmp_path / "turned.mp4", 3, rotation=rotation, crf="4"))
    expected = np.rot90(picture(2), turns)
    assert file.size == expected.shape[:2]
    np.testing.assert_allclose(file.read(2), expected, atol=12)


@pytest.mark.parametrize("name", ["bare.h264", "clip.avi"])
def test_files_without_times_are_counted(tmp_path, name, write_video):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = write_video(tmp_path / name, 8, codec=codec, pix_fmt="yuv420p")
    file = VideoFile(path)
    assert file.num_frames == 8
    found = [file.read(number)[..., 2].mean() for number in (8, 2, 5)]
    np.testing.assert_allclose(found, [128, 32, 80], atol=12)


def test_odd_sizes_are_kept(tmp_path, picture, write_video, open_video, image_of):
    path = write_video(tmp_path / "odd.mkv", 2, size=(25, 37), codec="ffv1", pix_fmt="bgr0")
    capture = open_video(path)
    np.testing.assert_array_equal(image_of(capture, 2), picture(2, 25, 37))


def test_the_capture_is_one_camera_of_the_files_frames(clip, picture, open_video, image_of):
    capture = open_video(clip, first_frame=3, num_frames=4)
    assert capture.frames == range(3, 7)
    assert (capture.train_cams, capture.test_cams, capture.shown_cam) == ((0,), (), 0)
    assert capture.fps == pytest.approx(13.5, rel=0.02)
    np.testing.assert_allclose(image_of(capture, 5), picture(5), atol=12)


def test_what_is_no_video_is_refused(tmp_path, clip, open_video):
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with pytest.raises(InvError, match="cannot be read as a video"):
        open_video(text)
    with pytest.raises(InvError, match="does not exist"):
        open_video(tmp_path / "nothing.mp4")
    with pytest.raises(InvError, match="holds frames 1-20"):
        open_video(clip, first_frame=21)


def test_a_transparent_video_shows_the_background(
    tmp_path, picture, write_video, open_video, image_of
):
    path = write_video(tmp_path / "clear.mkv", 1, codec="ffv1", pix_fmt="bgra")
    np.testing.assert_array_equal(image_of(open_video(path), 1), picture(1))
    assert VideoFile(path).read(1).shape[-1] == 4


def test_a_single_video_is_not_packed(clip, open_video):
    with pytest.raises(InvError, match="single video"):
        open_video(clip).read_whole(1)
