"""A video file that is cut, grows, or is written anew while it is watched."""

import dataclasses

import numpy as np
import pytest

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.params import flatten
from inv_jax.types import InvError


@pytest.mark.parametrize("name", ["raw", "groups", "delta", "bricks"])
def test_a_file_that_is_cut_has_exactly_its_whole_frames(
    videos, name, assert_same, parts_of, open_video
):
    """At every byte around parts' ends, and at every 7th elsewhere."""
    data, _, decoded = videos[name]
    parts = parts_of(data)
    ends = [part.end for part in parts]
    near = {end + d for end in ends for d in (-17, -16, -1, 0, 1, 15, 16)}
    frames = [(part, bitstream.read_entry(BytesSource(data), part)) for part in parts
              if part.kind == bitstream.FRAME]  # fmt: skip
    for size in sorted({*range(0, len(data), 7), *near}):
        cut = data[: max(0, size)]
        if size < parts[0].end:
            with pytest.raises(CorruptError, match=r"the video: (not an|its description)"):
                open_video(cut)
            continue
        found = open_video(cut)
        whole = [e for part, e in frames if part.end <= size]
        there = [n for e in whole for n in range(e.first, e.first + e.count)]
        assert found.frames() == there, size
        assert not found.damages, size
        if there and size in near:
            assert_same(found.params(there[-1]), decoded[there[-1]])


def test_a_file_is_watched_while_it_is_written(samples, tmp_path, assert_same, codecs):
    for name, codec in codecs.items():
        path = tmp_path / f"{name}.inv"
        walk = samples.Walk(seed=4)
        writer = VideoWriter(path, samples.header(codec), codec)
        found = NeuralVideo.open(path)
        assert found.frames() == []
        with pytest.raises(InvError, match="has no frame 1; its frames: none"):
            found.params(1)
        seen = {}
        for frame in range(1, 6):
            writer.push(frame, walk.step(with_color=frame < 3), min(frame, 2))
            found.refresh()
            seen.update({n: found.params(n) for n in found.frames() if n not in seen})
        writer.close()
        found.refresh()
        assert found.is_closed and not found.damages
        for frame in range(1, 6):
            assert_same(NeuralVideo.open(path).params(frame), found.params(frame))
            assert_same(seen.get(frame, found.params(frame)), found.params(frame))


class _Growing(BytesSource):
    there = 0

    def size(self) -> int:
        return self.there

    def read(self, offset: int, size: int) -> bytes:
        return super().read(offset, max(0, min(size, self.there - offset)))


@pytest.mark.parametrize("name", ["raw", "groups", "delta", "bricks"])
def test_a_file_that_grows_by_a_few_bytes_at_a_time_has_exactly_its_whole_frames(
    videos, name, assert_same, parts_of
):
    data, _, decoded = videos[name]
    meta, *parts = parts_of(data)
    source = _Growing(data)
    source.there = meta.end
    found = NeuralVideo(source, "the video")
    while source.there < len(data):
        source.there = min(len(data), source.there + 13)
        found.refresh()
        whole = [bitstream.read_entry(BytesSource(data), part) for part in parts
                 if part.kind == bitstream.FRAME and part.end <= source.there]  # fmt: skip
        assert len(found.frames()) == sum(entry.count for entry in whole)
    assert found.is_closed and not found.damages
    for frame, params in decoded.items():
        assert_same(found.params(frame), params)


def test_a_closed_file_that_goes_on_is_read_over_its_old_index(
    samples, tmp_path, decode_all, parts_of
):
    path = tmp_path / "video.inv"
    samples.write(path, RawCodec())
    first = path.read_bytes()
    second = tmp_path / "second.inv"
    samples.write(second, RawCodec(), frames=8)
    more = second.read_bytes()
    added = [part for part in parts_of(more) if part.kind == bitstream.FRAME][6:]
    path.write_bytes(first + b"".join(more[part.offset : part.end] for part in added))
    assert sorted(decode_all(path)) == list(range(1, 9))


@pytest.mark.parametrize("name", ["raw", "twc", "groups", "delta", "bricks"])
@pytest.mark.parametrize("before", [1, 3, 5, 6])
def test_a_file_is_watched_while_its_writer_cuts_it_and_goes_on(
    samples, tmp_path, name, before, assert_same, codecs
):
    """The run forgets frames from `before` on, and trains them otherwise."""
    path, codec = tmp_path / "video.inv", codecs[name]
    samples.write(path, codec)
    found = NeuralVideo.open(path)
    assert found.is_closed
    found.params(6)
    walk = samples.Walk(seed=5)
    writer = VideoWriter(path, samples.header(codec), codec, go_on_before=before)
    for frame in range(writer.next_frame or 1, 12):
        writer.push(frame, walk.step(), 2)
        found.refresh()
        fresh = NeuralVideo.open(path)
        assert found.frames() == fresh.frames() and found.is_closed == fresh.is_closed
        for number in found.frames()[-2:]:
            assert_same(found.params(number), fresh.params(number))
    writer.close()
    found.refresh()
    fresh = NeuralVideo.open(path)
    assert found.groups == fresh.groups and found.colors == fresh.colors
    assert found.is_closed and not found.damages and found.restarts == 1
    for frame in range(1, 12):
        assert_same(found.params(frame), fresh.params(frame))


def test_a_packet_that_is_written_anew_at_its_place_is_found(
    samples, tmp_path, assert_same, codecs
):
    """Its file has the same size before and after, and nobody looks meanwhile."""
    path, codec = tmp_path / "video.inv", codecs["raw"]
    walk = samples.Walk(seed=5)
    writer = VideoWriter(path, samples.header(codec), codec)
    writer.push(1, walk.params(), 1)
    writer.push(2, walk.step(), 1)
    writer.abandon()
    found = NeuralVideo.open(path)
    old, size = found.params(2), path.stat().st_size
    writer = VideoWriter(path, samples.header(codec), codec, go_on_before=2)
    new = walk.step()
    writer.push(2, new, 1)
    writer.abandon()
    assert path.stat().st_size == size
    found.refresh()
    leaf = "fine/structure/layer_0/kernel"
    assert not np.array_equal(flatten(found.params(2))[leaf], flatten(old)[leaf])
    assert_same(found.params(2), NeuralVideo.open(path).params(2))


def test_another_video_at_the_same_place_is_named(samples, tmp_path, codecs):
    path, codec = tmp_path / "video.inv", codecs["raw"]
    samples.write(path, codec)
    found = NeuralVideo.open(path)
    header = dataclasses.replace(samples.header(codec), frame_rate=7.0)
    VideoWriter(path, header, codec).close()
    for _ in range(2):
        with pytest.raises(CorruptError, match="another video was written in its place"):
            found.refresh()
    assert NeuralVideo.open(path).frames() == []
