"""Videos of clips are published, played, joined late and lost like others: clip by clip."""

import dataclasses
import time

import jax
import numpy as np
import pytest

from inv_jax.codec import bitstream
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.stream import ahead as ahead_lib
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream import opening
from inv_jax.stream.ahead import Ahead
from inv_jax.stream.clock import Clock
from inv_jax.stream.feed import Arrival, Wanted
from inv_jax.stream.levels import Level
from inv_jax.stream.publish import Publisher
from inv_jax.stream.session import Session
from inv_jax.types import InvError

_CLIPS = [*(range(first, first + 5) for first in range(1, 21, 5)), range(21, 24)]


def _write(videos, path, codec=None):
    writer = videos.begin(path, codec or QuantCodec(bits=8), segment_frames=5)
    for clip in _CLIPS:
        writer.push(clip, videos.params(clip[0]), 0)
    writer.close()
    return path


@pytest.fixture
def high(tmp_path, videos):
    return _write(videos, tmp_path / "high.inv")


def _play(name, **settings):
    """What is shown, and the report."""
    feed = opening.open_feed(str(name), Wanted(**{"timeout": 0.5, "patience": 0.2, **settings}))
    session = Session(
        *(feed,),
        began=time.monotonic(),
        is_paced=False,
        buffer_seconds=1.0,
        start_seconds=0.0,
        should_stop=lambda: False,
    )
    return list(session.play()), session.report


def _check_true(shown, path):
    source = NeuralVideo.open(path)
    for item in shown:
        wanted = source.params(item.source_frame)
        equal = zip(jax.tree.leaves(item.params), jax.tree.leaves(wanted), strict=True)
        assert all(np.array_equal(a, b) for a, b in equal)
        assert item.segment == source.segment(item.source_frame)
        assert item.time == (item.source_frame - item.segment[0]) / len(item.segment)


@pytest.mark.parametrize("codec", [QuantCodec(bits=8), DeltaCodec(fidelity=50.0, key_every=2)])
@pytest.mark.parametrize("segment_frames", [0, 1, 7])
def test_all_frames_come_exactly(server, publish, videos, tmp_path, codec, segment_frames):
    path = _write(videos, tmp_path / "a.inv", codec)
    publish(path, segment_frames=segment_frames)
    server.folder.joinpath("a.inv").write_bytes(path.read_bytes())
    for name in (f"{server.url}/v", server.folder / "v", f"{server.url}/a.inv", path):
        shown, report = _play(name)
        assert [item.frame for item in shown] == list(range(1, 24)) and not report.frames_lost
        _check_true(shown, path)


def test_one_may_begin_and_end_in_the_middle_of_a_clip(server, publish, high):
    publish(high)
    for name in (f"{server.url}/v", high):
        shown, _ = _play(name, first=8, last=12)
        assert [item.frame for item in shown] == [8, 9, 10, 11, 12]
        _check_true(shown, high)


def test_a_clip_has_one_set_of_params(server, publish, high):
    publish(high)
    for name in (f"{server.url}/v", high):
        shown, _ = _play(name)
        assert len({id(item.params) for item in shown}) == len(_CLIPS)


def test_who_joins_late_begins_with_the_newest_clip(server, publish, high):
    publish(high)
    for name in (f"{server.url}/v", high):
        shown, _ = _play(name, live=True)
        assert [item.frame for item in shown] == list(_CLIPS[-1])


def test_the_parts_are_those_of_the_file_and_the_manifest_says_its_version(publish, server, high):
    publish(high)
    folder = server.folder / "v"
    made = manifest_lib.load((folder / manifest_lib.NAME).read_bytes())
    assert made.version == 3
    spans = [range(segment.first, segment.end) for segment in made.segments]
    assert spans == _CLIPS and all(segment.is_key for segment in made.segments)
    data = high.read_bytes()
    for segment in made.segments:
        assert (folder / segment.files[0].ref.name).read_bytes() in data


def test_videos_of_frames_keep_their_manifests_version(publish, server, videos, tmp_path):
    publish(videos.write(tmp_path / "frames.inv", range(1, 5)))
    made = manifest_lib.load((server.folder / "v" / manifest_lib.NAME).read_bytes())
    assert made.version == 2


def test_a_clip_that_is_lost_is_named_with_all_its_frames(server, publish, high):
    publish(high)
    folder = server.folder / "v"
    made = manifest_lib.load((folder / manifest_lib.NAME).read_bytes())
    (folder / made.segments[2].files[0].ref.name).unlink()
    shown, report = _play(f"{server.url}/v")
    assert [(first, last) for first, last, _ in report.losses] == [(11, 15)]
    assert report.frames_played == 18 and report.frames_lost == 5
    held = [item for item in shown if item.is_held]
    assert [item.frame for item in held] == list(range(11, 16))
    assert {item.source_frame for item in held} == {10}
    assert {item.time for item in held} == {4 / 5}


def test_a_clip_that_is_damaged_in_a_file_is_named_with_all_its_frames(high):
    data = bytearray(high.read_bytes())
    with NeuralVideo.open(high) as video:
        offset = video.groups[1][0].offset
    data[offset + bitstream.HEAD_BYTES + 30] ^= 1
    high.write_bytes(data)
    shown, report = _play(high)
    assert [(first, last) for first, last, _ in report.losses] == [(6, 10)]
    assert sum(not item.is_held for item in shown) == 18


def test_clips_are_published_as_they_are_written(tmp_path, videos):
    path, folder = tmp_path / "a.inv", tmp_path / "out"
    writer = videos.begin(path, QuantCodec(), segment_frames=5)
    writer.push(_CLIPS[0], videos.params(1), 0)
    publisher = Publisher(folder, [Level(path)])
    for number, clip in enumerate(_CLIPS[1:], start=1):
        writer.push(clip, videos.params(clip[0]), 0)
        publisher.update()
        assert publisher.end == clip[0]  # up to the newest key
        made = manifest_lib.load((folder / manifest_lib.NAME).read_bytes())
        assert len(made.segments) == number
    writer.close()
    publisher.update()
    assert publisher.end == 24 and publisher.ended


def test_levels_of_one_run_have_clips_of_one_length(tmp_path, videos, high):
    frames = videos.write(tmp_path / "frames.inv", range(1, 24), QuantCodec())
    with pytest.raises(InvError, match="differ in their length of segments"):
        Publisher(tmp_path / "out", [Level(high), Level(frames)])
    low = _write(videos, tmp_path / "low.inv", QuantCodec(bits=4))
    publisher = Publisher(tmp_path / "both", [Level(high), Level(low)])
    publisher.update()
    assert publisher.end == 24
    shown, report = _play(tmp_path / "both", level="low")
    assert len(shown) == 23 and report.frames_by_level == {"low": 23}


class _Feed:
    """Gives the frames of clips; each clip has params of its own."""

    def __init__(self, header):
        self.header, self.given = header, 0

    def arrivals(self, link):
        for clip in _CLIPS:
            params = {"clip": clip}
            for frame in clip:
                yield Arrival(frame, 1, params, alike=clip)
                self.given += 1


def test_the_buffer_counts_sets_of_params(videos, monkeypatch):
    header = dataclasses.replace(videos.header(QuantCodec()), segment_frames=5)
    size = 4 * header.layout.size
    monkeypatch.setattr(ahead_lib, "_MOST_BYTES", 2 * size)
    feed = _Feed(header)
    ahead = Ahead(feed, Clock(header.frame_rate), 100.0)
    ahead.wait_until_buffered(100.0)  # it is full: two sets
    assert 6 <= feed.given + 1 <= 7
    assert ahead.full() == 10 / header.frame_rate
    found = []
    while (taken := ahead.take()) is not None:
        found.append(taken.arrival.first)
    assert found == list(range(1, 24))
    ahead.close()
