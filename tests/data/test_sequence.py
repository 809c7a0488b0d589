"""A sequence of clips: found, put in order, counted through; or refused with its name."""

import logging as std_logging
import pathlib

import numpy as np
import pytest
import scenes
from absl import logging

from inv_jax.data import capture as capture_lib
from inv_jax.data import images2d, segments, sequence
from inv_jax.data.capture import Capture
from inv_jax.types import InvError

_LENGTHS = {"b10": 3, "a2": 2, "a10": 4}  # of clips, in frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("clips")
    for name, length in _LENGTHS.items():
        (made / name).mkdir()
        scenes.write_clip(made / name, length, 12, 16, phase=length)
    return made


def opened(path: pathlib.Path, num_frames: int = 0, **more) -> Capture:
    return capture_lib.open_capture(
        sequence.LAYOUT, path, factor=1, first_frame=1, num_frames=num_frames, holdout=(),
        near=0.0, ndc=False, pixel_center=0.0, **more,
    )  # fmt: skip


def pictures(capture: Capture) -> list[np.ndarray]:
    return [np.asarray(capture.load(frame).images[0]) for frame in capture.frames]


def of_clip(path: pathlib.Path) -> list[np.ndarray]:
    clip = capture_lib.open_capture(
        images2d.LAYOUT, path, factor=1, first_frame=1, num_frames=0, holdout=(), near=0.0,
        ndc=False, pixel_center=0.0,
    )  # fmt: skip
    return pictures(clip)


def test_a_folder_is_taken_in_natural_order(folder):
    capture = opened(folder)
    assert capture.clip_names == ("a2", "a10", "b10")
    assert capture.clips == (2, 4, 3)
    expected = [image for name in ("a2", "a10", "b10") for image in of_clip(folder / name)]
    np.testing.assert_array_equal(pictures(capture), expected)


def test_a_list_has_an_order_of_its_own_and_notes(folder, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"# mine\n{folder / 'b10'}  # the last\n\n{folder / 'a2'}\n")
    capture = opened(listed)
    assert capture.clip_names == ("b10", "a2")
    np.testing.assert_array_equal(
        pictures(capture), of_clip(folder / "b10") + of_clip(folder / "a2")
    )


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/one.mp4", "b/two.mp4"], ["one", "two"]),
        (["a/clip.mp4", "b/clip.mp4"], ["a/clip", "b/clip"]),
        (["ball/images", "bunny/frames"], ["ball", "bunny"]),
        (["hall/frames_2/frame*cam00.png", "ball/images"], ["hall/frame*cam00", "ball"]),
        (["same", "same"], ["same", "same"]),
    ],
)
def test_clips_are_called_by_what_tells_them_apart(paths, expected):
    assert sequence.names_of([pathlib.Path("top") / path for path in paths]) == expected


def test_names_choose_and_order(folder):
    assert opened(folder, clips=("b10", "a10")).clip_names == ("b10", "a10")
    with pytest.raises(InvError, match=r"'c',.*a10, a2, b10"):
        opened(folder, clips=("c",))


def test_each_clip_may_be_cut(folder):
    capture = opened(folder, num_frames=3)
    assert capture.clips == (2, 3, 3)
    np.testing.assert_array_equal(pictures(capture)[2:5], of_clip(folder / "a10")[:3])


def test_each_clip_is_a_segment_with_times_of_its_own(folder):
    capture = opened(folder)
    parts = segments.split(capture.span, 0, clips=capture.clips)
    assert [part.frames for part in parts] == [range(1, 3), range(3, 7), range(7, 10)]
    assert [parts[1].time(frame) for frame in (3, 4)] == [0.0, 0.25]
    assert segments.split(capture.span, segments.ALL, clips=capture.clips)[0].frames == range(1, 10)
    with pytest.raises(InvError, match="says where clips begin"):
        segments.split(capture.span, 2, clips=capture.clips)


def test_a_longer_list_is_the_same_capture_and_another_order_is_not(folder):
    short, long, other = (opened(folder, clips=c) for c in (("a2",), ("a2", "b10"), ("b10", "a2")))
    assert long.fingerprint.startswith(short.fingerprint)
    assert not other.fingerprint.startswith(short.fingerprint)


def test_clips_of_other_sizes_are_named(folder, tmp_path):
    (tmp_path / "wide").mkdir()
    scenes.write_clip(tmp_path / "wide", 2, 12, 18)
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder / 'a2'}\nwide\n")
    with pytest.raises(InvError, match=r"a2 has 16x12, .*wide has 18x12; .*data\.height"):
        opened(listed)
    assert opened(listed, size=(10, 14)).cameras.width == 14  # as the message says


def test_the_same_clip_twice_is_said(folder, tmp_path, caplog):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder / 'a2'}\n{folder / 'b10'}\n{folder / 'a2'}\n")
    logger = std_logging.getLogger("absl")
    before, logger.propagate = logger.propagate, True
    try:
        with caplog.at_level(logging.WARNING, "absl"):
            opened(listed)
    finally:
        logger.propagate = before
    assert "is it there twice?" in caplog.text


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_list_is_refused(text, tmp_path):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InvError, match="names no clips"):
        opened(tmp_path / "list.txt")


def test_an_empty_folder_and_none_at_all_are_refused(tmp_path):
    with pytest.raises(InvError, match="holds no clips"):
        opened(tmp_path)
    with pytest.raises(InvError, match="does not exist"):
        opened(tmp_path / "none")
