import numpy as np
import pytest
from PIL import Image

from inv_jax.data import pack
from inv_jax.data.recognise import open_footage
from inv_jax.player.video import write_video
from inv_jax.types import InvError


def test_a_meta_capture_is_known_by_its_poses(write_meta):
    capture = open_footage(write_meta(frames=range(5, 8)))
    assert capture.making.layout == "n3dv"
    assert capture.frames == range(5, 8)
    assert (capture.train_cams, capture.test_cams) == ((0, 1, 2), ())


def test_the_largest_images_are_taken_unless_said_otherwise(write_meta, pixels):
    path = write_meta()
    (path / "frames_4").mkdir()
    for frame in (1, 2):
        for cam in range(3):
            image = Image.fromarray(pixels(frame, cam, 3, 4))
            image.save(path / "frames_4" / f"frame{frame:04d}cam{cam:02d}.png")
    assert open_footage(path).making.factor == 2
    assert open_footage(path, factor=4).frames == range(1, 3)
    with pytest.raises(InvError, match=r"this capture has images for data\.factor 2, 4"):
        open_footage(path, factor=3)


def test_little_falls_is_known_by_its_calibration(write_little_falls):
    assert open_footage(write_little_falls()).making.layout == "little_falls"


def test_a_pack_says_what_it_is(write_meta, open_meta, tmp_path):
    original = open_meta(write_meta(), bd_factor=0.5)
    pack.pack(original, tmp_path / "packed")
    capture = open_footage(tmp_path / "packed")
    assert capture.making == original.making
    np.testing.assert_array_equal(capture.load(2, [1]).images, original.load(2, [1]).images)


def test_everything_else_is_the_video_of_one_camera(tmp_path, pixels):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for frame in (0, 1, 2):
        Image.fromarray(pixels(frame, 0, 16, 16)).save(folder / f"{frame:04d}.png")
    write_video(tmp_path / "clip.mp4", [pixels(frame, 0, 16, 16) for frame in range(4)], 10.0)
    assert open_footage(folder).frames == range(3)
    assert open_footage(folder / "*.png").frames == range(3)
    clip = open_footage(tmp_path / "clip.mp4")
    assert (clip.frames, clip.fps) == (range(1, 5), 10.0)
    with pytest.raises(InvError, match="nowhere does not exist; give a capture's folder"):
        open_footage(tmp_path / "nowhere")
