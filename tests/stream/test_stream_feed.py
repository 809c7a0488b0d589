import itertools
import json

import jax
import numpy as np
import pytest

from inv_jax.codec.base import CorruptError
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.stream import choice, opening
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.feed import Wanted
from inv_jax.stream.levels import Level
from inv_jax.stream.publish import Publisher
from inv_jax.types import InvError


class _Link:
    """A player whose waiting makes a publisher publish."""

    def __init__(self, on_wait=lambda: None):
        self._on_wait = on_wait

    def buffered(self):
        return 1.0

    def full(self):
        return 1.0

    def wait_for_more(self, seconds):
        self._on_wait()


def _same(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _check_true(frames, *paths):
    """Each frame is what one of the files says."""
    sources = [NeuralVideo.open(path) for path in paths]
    for frame, params in frames.items():
        assert any(_same(params, source.params(frame)) for source in sources), frame


def _file_of(server, frame, level=0, folder="v"):
    made = manifest_lib.load((server.folder / folder / manifest_lib.NAME).read_bytes())
    segment = next(s for s in made.segments if s.first <= frame < s.end)
    return segment.files[level].ref.name


@pytest.mark.parametrize("segment_frames", [0, 1, 3])
def test_all_frames_come_exactly(server, publish, play, high, segment_frames):
    publish(high, segment_frames=segment_frames)
    for name in (f"{server.url}/v", f"{server.url}/v/manifest.json", str(server.folder / "v")):
        frames, report = play(name)
        assert list(frames) == list(range(1, 25)) and report.frames_lost == 0
        _check_true(frames, high)


def test_a_redirect_leads_to_the_files_beside_the_manifest(server, publish, play, high):
    publish(high)
    frames, report = play(f"{server.url}/moved/v")
    assert len(frames) == 24 and report.frames_lost == 0
    assert sum(path.startswith("/moved/") for path in server.asked) == 1


def test_nothing_is_fetched_twice(server, publish, play, high, low):
    publish(high, low)
    play(f"{server.url}/v")
    assert len(server.asked) == len(set(server.asked))


def test_seeking_begins_at_the_key_before(server, publish, play, high):
    publish(high, segment_frames=1)
    frames, _ = play(f"{server.url}/v", first=15, last=18)
    assert list(frames) == [15, 16, 17, 18]
    _check_true(frames, high)
    asked = {path.rpartition("/")[2] for path in server.asked}
    assert _file_of(server, 13) in asked and _file_of(server, 12) not in asked


def test_joining_late_begins_with_the_newest_key(server, publish, play, high):
    publish(high, segment_frames=1)
    frames, _ = play(f"{server.url}/v", live=True)
    assert list(frames) == [21, 22, 23, 24]


@pytest.mark.parametrize(
    "fault", ["500", "503", "429", "short", "long", "flip", "broken", "404", "silent"]
)
def test_a_fault_that_passes_loses_nothing(server, publish, play, high, fault):
    publish(high)
    name = _file_of(server, 10)
    server.fail(name, fault)
    frames, report = play(f"{server.url}/v", timeout=0.2)
    assert list(frames) == list(range(1, 25)) and report.frames_lost == 0
    _check_true(frames, high)
    assert report.traffic.retries + report.traffic.refetched == 1
    assert sum(path.endswith(name) for path in server.asked) == 2


@pytest.mark.parametrize("fault", ["500", "flip"])
def test_faults_of_description_color_and_manifest_pass_too(server, publish, play, high, fault):
    publish(high)
    made = manifest_lib.load((server.folder / "v" / manifest_lib.NAME).read_bytes())
    level = made.levels[0]
    for name in (level.meta.name, level.colors[0].name, manifest_lib.NAME):
        server.fail(name, fault)
    frames, report = play(f"{server.url}/v")
    assert len(frames) == 24 and report.frames_lost == 0
    assert report.traffic.retries + report.traffic.refetched == 3


def test_a_bad_copy_in_a_cache_is_passed_by(server, publish, play, high):
    publish(high)
    server.cached[f"/v/{_file_of(server, 10)}"] = b"what somebody else published"
    frames, report = play(f"{server.url}/v")
    assert len(frames) == 24 and report.traffic.refetched == 1
    _check_true(frames, high)


@pytest.mark.parametrize("fault", ["500", "404", "flip", "short"])
def test_a_file_that_stays_bad_is_replaced_by_another_level(
    server, publish, play, high, low, fault
):
    publish(high, low)
    server.fail(_file_of(server, 10), fault, times=100)
    frames, report = play(f"{server.url}/v", level="high")
    assert list(frames) == list(range(1, 25)) and report.frames_lost == 0
    assert report.frames_by_level == {"high": 20, "low": 4}
    assert report.switches == [(9, "high", "low"), (13, "low", "high")]
    _check_true({f: p for f, p in frames.items() if 9 <= f < 13}, low)
    _check_true({f: p for f, p in frames.items() if not 9 <= f < 13}, high)


def test_another_level_takes_over_within_a_group(server, publish, play, high, low):
    publish(high, low, segment_frames=1)
    server.fail(_file_of(server, 11), "flip", times=100)
    frames, report = play(f"{server.url}/v", level="high")
    assert report.frames_lost == 0 and report.switches == [(11, "high", "low"), (13, "low", "high")]
    _check_true({f: p for f, p in frames.items() if f in (11, 12)}, low)


@pytest.mark.parametrize("fault", ["500", "404", "flip", "short", "broken"])
@pytest.mark.parametrize("segment_frames, lost", [(0, (9, 12)), (1, (10, 12))])
def test_what_is_lost_is_named_and_nothing_wrong_is_shown(
    server, publish, play, high, fault, segment_frames, lost
):
    publish(high, segment_frames=segment_frames)
    server.fail(_file_of(server, 10), fault, times=100)
    frames, report = play(f"{server.url}/v")
    first, last = lost
    assert list(frames) == [f for f in range(1, 25) if not first <= f <= last]
    assert report.losses[0][0] == first and report.losses[-1][1] == last
    assert report.frames_lost == report.held_frames == last - first + 1
    assert all("high:" in reason for _, _, reason in report.losses)
    _check_true(frames, high)


def test_what_decodes_to_nothing_is_lost_even_if_its_checksum_is_right(
    server, publish, play, high, tmp_path, videos
):
    other = videos.write(tmp_path / "other.inv", range(1, 25), color_of=lambda t: 0)
    publish(high, folder="v")
    publish(other, folder="w")
    path = server.folder / "v" / manifest_lib.NAME
    text = json.loads(path.read_bytes())
    text["segments"][2], text["segments"][3] = (
        {**text["segments"][2], "files": text["segments"][3]["files"]},
        {**text["segments"][3], "files": text["segments"][2]["files"]},
    )
    made = manifest_lib.load(path.read_bytes())
    fields = text["segments"]
    swapped = manifest_lib.Manifest(
        made.sequence,
        True,
        made.frame_rate,
        made.levels,
        tuple(manifest_lib._segment(row, made.levels) for row in fields),
    )
    path.write_bytes(swapped.dump())
    frames, report = play(f"{server.url}/v")
    assert report.frames_lost == 8 and [loss[:2] for loss in report.losses] == [(9, 12), (13, 16)]
    _check_true(frames, high)


def test_a_level_of_another_run_is_not_used(server, publish, play, high, low, tmp_path, videos):
    publish(high, low)
    forged = videos.write(tmp_path / "forged.inv", range(1, 25), rig=videos.rig(3))
    publish(forged, folder="w")
    places = [server.folder / name / manifest_lib.NAME for name in ("v", "w")]
    good, bad = (manifest_lib.load(path.read_bytes()) for path in places)
    for path in (server.folder / "w").iterdir():
        if path.suffix == manifest_lib.SUFFIX:
            path.rename(server.folder / "v" / path.name)
    forged_level = manifest_lib.Level("low", 1, 1, bad.levels[0].meta, good.levels[1].colors)
    levels = (good.levels[0], forged_level)
    made = manifest_lib.Manifest(1, True, good.frame_rate, levels, good.segments)
    places[0].write_bytes(made.dump())
    feed = opening.open_feed(f"{server.url}/v", Wanted(level="high"))
    assert feed.header.rig.cameras.num_cams == 2
    with pytest.raises(CorruptError, match="cameras"):
        feed._reader(1)


def test_levels_change_by_the_network(server, publish, high, low, monkeypatch):
    monkeypatch.setattr(choice.Throughput, "bits_per_second", 1e12)
    publish(high, low)
    feed = opening.open_feed(f"{server.url}/v", Wanted())
    levels = [arrival.level for arrival in feed.arrivals(_Link())]
    assert levels[0] == "low" and levels[-1] == "high"
    assert [a for a, b in itertools.pairwise(levels) if a != b] == ["low"]


@pytest.mark.parametrize("segment_frames", [0, 1])
def test_a_live_video_is_followed_to_its_end(server, tmp_path, videos, segment_frames):
    path = tmp_path / "a.inv"
    writer, next_frame = videos.begin(path), iter(range(1, 30))

    def grow():
        frame = next(next_frame)
        if frame <= 18:
            writer.push(frame, videos.params(frame), 0)
        else:
            writer.close()
        publisher.update()

    writer.push(next(next_frame), videos.params(1), 0)
    publisher = Publisher(server.folder / "v", [Level(path)], segment_frames=segment_frames)
    for _ in range(9):
        grow()
    feed = opening.open_feed(f"{server.url}/v", Wanted(live=True))
    arrivals = list(feed.arrivals(_Link(grow)))
    newest_key = 9 if segment_frames else 5
    assert [arrival.first for arrival in arrivals] == list(range(newest_key, 19))
    _check_true({arrival.first: arrival.params for arrival in arrivals}, path)


def test_frames_that_left_the_window_are_lost(server, tmp_path, videos):
    path = tmp_path / "a.inv"
    writer = videos.begin(path)
    for frame in range(1, 10):
        writer.push(frame, videos.params(frame), 0)
    publisher = Publisher(server.folder / "v", [Level(path)], keep_frames=8)
    publisher.update()
    feed = opening.open_feed(f"{server.url}/v", Wanted())

    def grow():
        for frame in range(10, 41):
            writer.push(frame, videos.params(frame), 0)
        writer.close()
        publisher.update()

    arrivals = list(feed.arrivals(_Link(grow)))
    lost = [arrival for arrival in arrivals if arrival.params is None]
    assert [(arrival.first, arrival.count) for arrival in lost] == [(9, 24)]
    assert "no longer" in lost[0].reason


def test_a_publisher_that_stops_is_told(server, tmp_path, videos, play):
    writer = videos.begin(tmp_path / "a.inv")
    for frame in range(1, 10):
        writer.push(frame, videos.params(frame), 0)
    Publisher(server.folder / "v", [Level(tmp_path / "a.inv")]).update()
    frames, report = play(f"{server.url}/v", patience=0.05)
    assert list(frames) == list(range(1, 9))
    assert "publisher has stopped" in report.notes[0]


def test_an_older_manifest_from_a_cache_is_passed_by(server, tmp_path, videos):
    writer = videos.begin(tmp_path / "a.inv")
    manifest = server.folder / "v" / manifest_lib.NAME
    writer.push(1, videos.params(1), 0)
    publisher = Publisher(server.folder / "v", [Level(tmp_path / "a.inv")])
    for frame in range(2, 10):
        writer.push(frame, videos.params(frame), 0)
        if frame == 6:
            publisher.update()
            old = manifest.read_bytes()
    publisher.update()
    feed = opening.open_feed(f"{server.url}/v", Wanted(patience=0.05))
    server.cached["/v/manifest.json"] = old
    assert len(list(feed.arrivals(_Link()))) == 8


def test_a_manifest_that_turns_bad_is_waited_out(server, tmp_path, videos):
    writer = videos.begin(tmp_path / "a.inv")
    for frame in range(1, 10):
        writer.push(frame, videos.params(frame), 0)
    publisher = Publisher(server.folder / "v", [Level(tmp_path / "a.inv")], segment_frames=1)
    publisher.update()
    frames = iter(range(10, 20))
    faults = [("500", 4), ("flip", 2), ("404", 1), ("short", 2)]

    def trouble():
        if faults:
            fault, times = faults.pop(0)
            server.fail("manifest.json", fault, times=times)
        frame = next(frames)
        if frame < 15:
            writer.push(frame, videos.params(frame), 0)
        else:
            writer.close()
        publisher.update()

    feed = opening.open_feed(f"{server.url}/v", Wanted(patience=5.0))
    assert [arrival.first for arrival in feed.arrivals(_Link(trouble))] == list(range(1, 15))
    assert not faults


def test_a_manifest_of_another_video_ends_it(server, publish, tmp_path, videos, high):
    writer = videos.begin(tmp_path / "a.inv")
    writer.push(1, videos.params(1), 0)
    publisher = Publisher(server.folder / "v", [Level(tmp_path / "a.inv")], segment_frames=1)
    publisher.update()
    feed = opening.open_feed(f"{server.url}/v", Wanted())

    def replace():
        (server.folder / "v" / manifest_lib.NAME).unlink()
        publish(high)

    with pytest.raises(InvError, match="another video"):
        for _ in feed.arrivals(_Link(replace)):
            pass


@pytest.mark.parametrize(
    "forge, text",
    [
        (lambda m: m.update(version=9), "version 9"),
        (lambda m: m.update(format="hls"), "not the manifest"),
        (lambda m: m.pop("levels"), "damaged"),
    ],
)
def test_a_bad_manifest_is_one_line(server, publish, high, forge, text):
    publish(high)
    path = server.folder / "v" / manifest_lib.NAME
    fields = json.loads(path.read_bytes())
    forge(fields)
    path.write_text(json.dumps(fields))
    with pytest.raises(InvError, match=text) as error:
        opening.open_feed(f"{server.url}/v", Wanted())
    assert "\n" not in str(error.value)


def test_a_huge_manifest_is_not_read(server):
    (server.folder / "manifest.json").write_bytes(b" " * (manifest_lib.MOST_BYTES + 100))
    with pytest.raises(InvError, match="longer than"):
        opening.open_feed(server.url, Wanted())


def test_sizes_that_no_frame_has_are_not_fetched(server, publish, play, high):
    publish(high)
    path = server.folder / "v" / manifest_lib.NAME
    made = manifest_lib.load(path.read_bytes())
    huge = manifest_lib.FileRef("0" * 63 + "1", 1 << 29)
    segment = made.segments[1]
    files = (manifest_lib.SegmentFile(huge, segment.files[0].colors),)
    forged = manifest_lib.Segment(segment.first, segment.frames, True, files)
    segments = (made.segments[0], forged, *made.segments[2:])
    path.write_bytes(manifest_lib.Manifest(9, True, made.frame_rate, made.levels, segments).dump())
    frames, report = play(f"{server.url}/v")
    assert report.losses[0][:2] == (5, 8) and "bytes for" in report.losses[0][2]
    assert not any(huge.name in path for path in server.asked)
    assert len(frames) == 20


def test_what_is_not_there_is_one_line(server, publish, high):
    publish(high)
    url = server.url
    for name, settings, text in (
        (f"{url}/none", {}, "no published video"),
        ("ftp://127.0.0.1/v", {}, "no address"),
        ("http://127.0.0.1:9/v", {"timeout": 0.2}, "no connection"),
        (f"{url}/v", {"level": "best"}, "auto, high"),
        (f"{url}/v", {"first": 99}, "1 to 24"),
        (f"{url}/v", {"first": 9, "last": 3}, "1 to 24"),
        (str(server.folder), {}, "manifest.json"),
    ):
        with pytest.raises(InvError, match=text) as error:
            opening.open_feed(name, Wanted(**settings))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("still", [False, True])
def test_raw_frames_with_training_colors_come_exactly(
    server, publish, play, tmp_path, videos, still
):
    """Also where a part of the colors rests, so that the others go back to the first."""
    color_of = lambda frame: min(frame, 5)  # noqa: E731
    path = videos.write(tmp_path / "a.inv", range(1, 9), RawCodec(), color_of, still=still)
    publish(path)
    frames, _ = play(f"{server.url}/v")
    assert len(frames) == 8
    _check_true(frames, path)


def test_a_manifest_that_is_slow_to_fetch_is_asked_for_less_often(
    server, tmp_path, videos, monkeypatch
):
    monkeypatch.setattr("inv_jax.stream.stream_feed._POLL_SECONDS", (0.01, 2.0))
    writer = videos.begin(tmp_path / "a.inv")
    for frame in range(1, 10):
        writer.push(frame, videos.params(frame), 0)
    publisher = Publisher(server.folder / "v", [Level(tmp_path / "a.inv")])
    publisher.update()
    feed = opening.open_feed(f"{server.url}/v", Wanted())
    pauses = []

    def wait(seconds):
        pauses.append(seconds)
        feed._manifest_seconds = 0.03
        if len(pauses) == 2:
            writer.close()
            publisher.update()

    link = _Link()
    link.wait_for_more = wait
    monkeypatch.setattr(feed, "_refresh", lambda: len(pauses) == 2 and type(feed)._refresh(feed))
    assert len(list(feed.arrivals(link))) == 9
    assert pauses == [pytest.approx(0.01), pytest.approx(0.3)]
