"""Any frame of a video file, in any order; what a file may be, and when it is closed."""

import dataclasses
import gc
import os
import pathlib
import re
import struct
import zlib

import numpy as np
import pytest

from inv_jax.codec import bitstream, video
from inv_jax.codec.base import CorruptError
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.types import InvError

_NAMES = ("all", "delta", "groups", "raw", "twc")  # of `codecs`


@pytest.mark.parametrize("name", ["raw", "all"])
def test_what_loses_nothing_comes_back_bit_for_bit(videos, name, assert_same):
    _, given, decoded = videos[name]
    assert sorted(decoded) == list(range(1, 7))
    for frame, params in enumerate(given, start=1):
        assert_same(decoded[frame], params)


@pytest.mark.parametrize("name", _NAMES)
def test_colors_come_back_also_while_they_train(videos, name, assert_same):
    _, given, decoded = videos[name]
    for frame, params in enumerate(given, start=1):
        for network in ("coarse", "fine"):
            assert_same(decoded[frame][network]["color"], params[network]["color"])
    first, second, third = (decoded[frame]["fine"]["color"]["rgb"]["kernel"] for frame in (1, 2, 3))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, third)


@pytest.mark.parametrize("name", _NAMES)
def test_frames_are_the_same_in_any_order(videos, name, assert_same, open_video):
    data, _, decoded = videos[name]
    found = open_video(data)
    for frame in (6, 1, 5, 2, 2, 3, 6, 4, 5, 1):
        assert_same(found.params(frame), decoded[frame])
    for frame in range(1, 7):
        assert_same(open_video(data).params(frame), decoded[frame])


@pytest.mark.parametrize("name", _NAMES)
def test_frames_are_the_same_with_and_without_index(
    videos, name, assert_same, parts_of, open_video
):
    data, _, decoded = videos[name]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    closed, cut = open_video(data), open_video(data[: index.offset])
    assert closed.is_closed and not cut.is_closed
    assert cut.groups == closed.groups
    assert cut.colors == closed.colors
    for frame in decoded:
        assert_same(cut.params(frame), decoded[frame])
    assert not cut.damages


def test_a_frame_is_read_without_the_others(samples, tmp_path, codecs, counting):
    path = tmp_path / "long.inv"
    samples.write(path, codecs["raw"], frames=60)
    source = counting(path.read_bytes())
    found = NeuralVideo(source, "video")
    found.params(50)
    assert source.read_bytes < source.size() / 4


def test_groups_begin_with_keys(videos, open_video):
    sizes = {name: [len(group) for group in open_video(videos[name][0]).groups] for name in videos}
    assert sizes == {
        "raw": [1] * 6,
        "twc": [1] * 6,
        "groups": [1] * 4,  # of 1 (then the colors change), 2, 2 and 1 frames
        "all": [1] * 2,
        "delta": [3, 3],
        "bricks": [3, 3],
    }


def test_a_newer_minor_version_and_unknown_parts_are_no_hindrance(
    videos, assert_same, parts_of, open_video
):
    data, _, decoded = videos["raw"]
    parts = parts_of(data)
    pieces = [data[part.offset : part.end] for part in parts if part.kind != bitstream.TAIL]
    unknown = bitstream.part(b"NEWS", b"of a later version")
    made = data[:16] + b"".join(piece + unknown for piece in pieces)
    head = made[:10] + struct.pack("<H", 9)
    newer = head + struct.pack("<I", zlib.crc32(head)) + made[16:]
    found = open_video(newer)
    assert found.frames() == list(decoded)
    assert_same(found.params(4), decoded[4])
    assert not found.damages


def _times_open(path: pathlib.Path) -> int:
    files = pathlib.Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(file) == str(path.resolve()) for file in files)


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").is_dir(), reason="counts files in /proc")
def test_a_video_is_closed_when_nobody_needs_it(samples, tmp_path, codecs):
    path = tmp_path / "video.inv"
    samples.write(path, codecs["raw"])
    with NeuralVideo.open(path) as found:
        found.params(3)
        assert _times_open(path) == 1
    assert _times_open(path) == 0
    gc.disable()
    try:
        NeuralVideo.open(path).params(3)
        assert _times_open(path) == 0  # without a collection of cycles
    finally:
        gc.enable()
    path.write_bytes(b"something else")
    with pytest.raises(CorruptError) as caught:
        NeuralVideo.open(path)
    assert _times_open(path) == 0 and caught


def test_colors_asked_for_last_are_decoded_once(videos, monkeypatch, open_video):
    calls = []
    read = NeuralVideo._read_color
    monkeypatch.setattr(NeuralVideo, "_read_color", lambda v, id: calls.append(id) or read(v, id))
    found = open_video(videos["raw"][0])
    for frame in (1, 2, 1, 2, 3):
        found.params(frame)
    assert calls == [1, 2]


def test_an_unknown_codec_is_refused(samples, open_video):
    head = dataclasses.replace(samples.header(RawCodec()), codec="vp9")
    data = bitstream.signature() + bitstream.part(bitstream.META, head.dump())
    with pytest.raises(
        CorruptError, match=r"codec 'vp9' is not known here, only bricks, delta, quant, raw, twc"
    ):
        open_video(data)


def test_paths_that_are_no_file_are_named(tmp_path):
    with pytest.raises(InvError, match=r"does not exist; expected an \.inv file"):
        NeuralVideo.open(tmp_path / "none.inv")


def test_a_frame_that_is_not_there_is_named(videos, open_video):
    with pytest.raises(InvError, match=re.escape("has no frame 7; its frames: 1 to 6")):
        open_video(videos["raw"][0]).params(7)


def test_suffix():
    assert video.SUFFIX == ".inv"
