import pathlib
import shutil

import jax
import numpy as np
import pytest

from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.stream import opening, ranges
from inv_jax.stream.feed import Wanted
from inv_jax.stream.web import Traffic, Web
from inv_jax.types import InvError


@pytest.fixture
def video(server, high):
    return pathlib.Path(shutil.copy(high, server.folder / "a.inv"))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(ranges, "_BLOCK", 512)


def _check_true(frames, path):
    source = NeuralVideo.open(path)
    for frame, params in frames.items():
        for a, b in zip(
            jax.tree.leaves(params), jax.tree.leaves(source.params(frame)), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_file_behind_an_address_is_played_exactly(server, play, video, has_ranges):
    server.has_ranges = has_ranges
    frames, report = play(f"{server.url}/a.inv?token=1")
    assert list(frames) == list(range(1, 25)) and report.frames_lost == 0
    _check_true(frames, video)


def test_a_late_frame_is_played_without_reading_the_whole_file(server, play, tmp_path, videos):
    path = videos.write(server.folder / "long.inv", range(1, 121))
    _, report = play(f"{server.url}/long.inv", first=100, last=101)
    assert report.frames_played == 2
    assert report.traffic.num_bytes < path.stat().st_size / 2


def test_nothing_is_behind_the_end(server):
    """Also of a file whose end is that of what is fetched at once."""
    data = bytes(range(256)) * 4
    (server.folder / "a.inv").write_bytes(data)
    source, _ = ranges.open_url(Web(f"{server.url}/a.inv", 1.0, Traffic()), f"{server.url}/a.inv")
    assert source.size() == 2 * ranges._BLOCK
    for offset in (1023, 1024, 1025, 1536, 2000, 1 << 40):
        assert source.read(offset, 16) == data[offset : offset + 16]
    assert source.read(10, 0) == b"" and source.read(500, 700) == data[500:1200]


def test_a_file_that_was_cut_is_fetched_anew(server):
    path, url = server.folder / "a.inv", f"{server.url}/a.inv"
    path.write_bytes(b"1" * 1500)
    source, growing = ranges.open_url(Web(url, 1.0, Traffic()), url)
    assert source.read(0, 1500) == b"1" * 1500
    for size in (200, 1400):
        path.write_bytes(b"1" * 600 + b"2" * size)
        growing.probe()
        assert source.read(0, 5000) == b"1" * 600 + b"2" * size


def test_a_large_file_without_ranges_is_refused(server, video, monkeypatch):
    server.has_ranges = False
    monkeypatch.setattr(ranges, "_MOST_WHOLE", 100)
    with pytest.raises(InvError, match="no Range requests"):
        opening.open_feed(f"{server.url}/a.inv", Wanted())


def test_a_missing_file_is_one_line(server):
    with pytest.raises(InvError, match="answers 404"):
        opening.open_feed(f"{server.url}/a.inv", Wanted())


@pytest.mark.parametrize("fault", ["500", "short", "broken", "silent"])
def test_a_fault_that_passes_loses_nothing(server, play, video, fault):
    feed_url = f"{server.url}/a.inv"
    play(feed_url)
    server.fail("a.inv", "", "", "", fault)
    frames, report = play(feed_url, timeout=0.2)
    assert len(frames) == 24 and report.frames_lost == 0
    assert report.traffic.retries + report.traffic.refetched == 1


def test_flipped_bits_are_fetched_again(server, play, video):
    data = bytearray(video.read_bytes())
    for group, place in ((1, 0), (2, 1), (4, 3)):
        data[NeuralVideo.open(video).groups[group][place].offset + 36] ^= 1
    server.cached["/a.inv"] = bytes(data)
    frames, report = play(f"{server.url}/a.inv")
    assert len(frames) == 24 and report.frames_lost == 0
    _check_true(frames, video)


def test_frames_behind_damage_are_lost_up_to_the_next_key(server, play, video, tmp_path):
    truth = tmp_path / "truth.inv"
    truth.write_bytes(video.read_bytes())
    groups = NeuralVideo.open(video).groups
    data = bytearray(video.read_bytes())
    data[groups[2][1].offset + 40] ^= 1
    video.write_bytes(data)
    for name in (f"{server.url}/a.inv", str(video)):
        frames, report = play(name)
        assert [loss[:2] for loss in report.losses] == [(10, 12)]
        assert len(frames) == 21
        _check_true(frames, truth)


def test_a_growing_file_is_followed(server, videos):
    path = server.folder / "grows.inv"
    writer = videos.begin(path)
    for frame in range(1, 7):
        writer.push(frame, videos.params(frame), 0)
    for name in (f"{server.url}/grows.inv", str(path)):
        feed = opening.open_feed(name, Wanted(live=True, patience=0.05))
        seen = [next(arrivals := feed.arrivals(_Waits())).first]
        seen += [arrival.first for arrival in arrivals]
        assert seen == [5, 6]
        assert "publisher has stopped" in feed.notes[0]
    feed = opening.open_feed(f"{server.url}/grows.inv", Wanted(live=True))
    steps = iter(range(7, 11))

    def grow():
        frame = next(steps, None)
        if frame is None:
            writer.close()
        else:
            writer.push(frame, videos.params(frame), 0)

    frames = {arrival.first: arrival.params for arrival in feed.arrivals(_Waits(grow))}
    assert list(frames) == [5, 6, 7, 8, 9, 10]
    _check_true(frames, path)


def test_a_file_that_its_writer_cuts_is_followed(server, videos):
    """A run was killed behind frame 7, goes on with frame 6, and trains it otherwise."""
    codec = DeltaCodec(fidelity=60.0, key_every=4)
    for prefix in (server.url, str(server.folder)):
        path = server.folder / "cut.inv"
        writer = videos.begin(path, codec)
        for frame in range(1, 8):
            writer.push(frame, videos.params(frame), 0)
        writer.abandon()

        def go_on(path):
            writer = VideoWriter(path, videos.header(codec), codec, go_on_before=6)
            for frame in range(6, 11):
                writer.push(frame, videos.params(frame + 40), 0)
                yield
            writer.close()
            yield

        steps = go_on(path)
        feed = opening.open_feed(f"{prefix}/cut.inv", Wanted(live=True, patience=5.0))
        arrivals = list(feed.arrivals(_Waits(lambda steps=steps: next(steps, None))))
        assert [arrival.first for arrival in arrivals] == [5, 6, 7, 8, 9, 10]
        _check_true({arrival.first: arrival.params for arrival in arrivals[3:]}, path)


class _Waits:
    def __init__(self, on_wait=lambda: None):
        self.wait_for_more = lambda seconds: on_wait()

    def buffered(self):
        return 0.0

    def full(self):
        return 1.0
