"""Some or all pictures of a video, of a file as of a folder, and what tells it from another."""

import pathlib
import threading

import numpy as np
import pytest
from PIL import Image

from inv_jax.data.rig import may_be_same
from inv_jax.player.video import write_video as write_mp4
from inv_jax.types import InvError


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_chosen_pictures_are_the_frames_from_1_on(
    tmp_path, clip, kind, picture, write_pictures, open_video, image_of
):
    """In the order asked for, whatever lies between them."""
    path = clip
    if kind == "folder":
        path = write_pictures(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
        path.joinpath("2.png").unlink()  # nobody asks for it
    capture = open_video(path, frame_ids=(4, 1, 3))
    assert capture.frames == capture.span == range(1, 4)
    for frame, number in ((1, 4), (2, 1), (3, 3)):
        np.testing.assert_allclose(image_of(capture, frame), picture(number), atol=12)
    some = open_video(path, frame_ids=(4, 1, 3), first_frame=2, num_frames=1)
    assert some.frames == range(2, 3)
    np.testing.assert_array_equal(image_of(some, 2), image_of(capture, 2))
    name = "(frame 4)" if kind == "file" else "4.png"
    assert name in capture.source.name(1, 0)


def test_chosen_pictures_that_are_not_there_are_named(tmp_path, clip, write_pictures, open_video):
    with pytest.raises(InvError, match=r"data\.frame_ids names 21, but .* holds frames 1-20"):
        open_video(clip, frame_ids=(3, 21))
    write_pictures(tmp_path, ["3.png", "4.png"])
    with pytest.raises(InvError, match=r"data\.frame_ids names 1, but .* holds frames 3-4"):
        open_video(tmp_path, frame_ids=(1,))


def test_a_clip_is_all_its_pictures_in_order(tmp_path, clip, write_pictures, open_video, image_of):
    for path in (clip, write_pictures(tmp_path, [f"{n}.png" for n in range(1, 8)])):
        capture = open_video(path, first_frame=2, frame_step=2)
        found = capture.load_clip((2, 3, 6), capture.train_cams)  # also those between the steps
        np.testing.assert_array_equal(found, [image_of(capture, frame) for frame in (2, 3, 6)])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_clip_of_pictures_is_read_side_by_side_and_of_a_file_in_order(
    tmp_path, clip, monkeypatch, kind, write_pictures, open_video
):
    path = clip
    if kind == "folder":
        path = write_pictures(tmp_path, [f"{n}.png" for n in range(1, 21)])
    capture, seen = open_video(path), []
    together = threading.Barrier(2, timeout=20)  # two are at work at once
    load = type(capture.source).load

    def noted(source, frame, cam):
        seen.append((threading.current_thread().name, frame))
        if kind == "folder" and frame < 3:
            together.wait()
        return load(source, frame, cam)

    monkeypatch.setattr(type(capture.source), "load", noted)
    capture.load_clip(capture.frames, (0,))
    if kind == "file":
        assert seen == [(threading.current_thread().name, frame) for frame in range(1, 21)]
    else:
        assert sorted(frame for _, frame in seen) == list(range(1, 21))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_video_is_told_from_another_of_its_size_wherever_it_lies(
    tmp_path, kind, picture, open_video
):
    def made(folder: pathlib.Path, first: int) -> str:
        folder.mkdir()
        if kind == "file":
            path = folder / "clip.mp4"
            pictures = [picture(number) for number in (first, 3)]
            write_mp4(path, pictures, 10.0)
        else:
            path = folder
            for number, shown in ((1, first), (2, 3)):
                Image.fromarray(picture(shown)).save(folder / f"{number}.png")
        return open_video(path).fingerprint

    ones = [made(tmp_path / name, first) for name, first in (("a", 1), ("moved", 1), ("b", 9))]
    assert ones[0] == ones[1]
    assert may_be_same(ones[0], ones[0].split("-")[0])  # of a run that did not note it
    assert not may_be_same(ones[0], ones[2])
