import numpy as np
import pytest

from inv_jax.codec import bitstream
from inv_jax.codec.bitstream import Part
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.writer import VideoWriter
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.levels import Level
from inv_jax.stream.publish import Publisher
from inv_jax.types import InvError


def _manifest(folder):
    return manifest_lib.load((folder / manifest_lib.NAME).read_bytes())


def _files(folder):
    return {path.name for path in folder.iterdir()} - {manifest_lib.NAME}


def _frames(manifest):
    return [(segment.first, segment.frames, segment.is_key) for segment in manifest.segments]


def _parts(data, kinds):
    found = bitstream.parts(BytesSource(data), 0 if data[:4] in kinds else 16)
    return [
        data[part.offset : part.end]
        for part in found
        if isinstance(part, Part) and part.kind in kinds
    ]


def test_files_hold_the_very_parts_of_the_container(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 11))
    folder = tmp_path / "out"
    Publisher(folder, [Level(path)]).update()
    made = _manifest(folder)
    read = lambda ref: (folder / ref.name).read_bytes()  # noqa: E731
    whole, level = path.read_bytes(), made.levels[0]
    assert read(level.meta) == _parts(whole, [bitstream.META])[0]
    assert [read(ref) for ref in level.colors.values()] == _parts(whole, [bitstream.COLOR])
    frames = b"".join(read(segment.files[0].ref) for segment in made.segments)
    assert frames == b"".join(_parts(whole, [bitstream.FRAME]))
    assert made.ended and made.frame_rate == videos.header(RawCodec()).frame_rate


def test_files_have_the_names_of_their_content(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 11))
    Publisher(tmp_path / "out", [Level(path)]).update()
    for name in _files(tmp_path / "out"):
        data = (tmp_path / "out" / name).read_bytes()
        assert manifest_lib.FileRef.of(data).name == name


def test_segments_are_groups(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 11))
    Publisher(tmp_path / "out", [Level(path)]).update()
    assert _frames(_manifest(tmp_path / "out")) == [(1, 4, True), (5, 4, True), (9, 2, True)]


def test_short_segments_say_whether_they_begin_with_a_key(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 8))
    Publisher(tmp_path / "out", [Level(path)], segment_frames=3).update()
    expected = [(1, 3, True), (4, 1, False), (5, 3, True)]
    assert _frames(_manifest(tmp_path / "out")) == expected


def test_levels_are_cut_where_all_have_a_key_and_share_their_color(tmp_path, videos):
    paths = [
        videos.write(tmp_path / "high.inv", range(1, 14), RawCodec()),
        videos.write(tmp_path / "mid.inv", range(1, 14), DeltaCodec(fidelity=60.0, key_every=4)),
        videos.write(tmp_path / "low.inv", range(1, 14), DeltaCodec(fidelity=20.0, key_every=6)),
    ]
    Publisher(tmp_path / "out", [Level(path) for path in paths]).update()
    made = _manifest(tmp_path / "out")
    assert _frames(made) == [(1, 12, True), (13, 1, True)]
    assert len({ref for level in made.levels for ref in level.colors.values()}) == 1
    assert [level.name for level in made.levels] == ["high", "mid", "low"]


def test_bandwidth_is_that_of_the_files(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 11))
    Publisher(tmp_path / "out", [Level(path)]).update()
    made = _manifest(tmp_path / "out")
    sizes = np.array([segment.files[0].ref.num_bytes for segment in made.segments])
    frames = np.array([segment.frames for segment in made.segments])
    level = made.levels[0]
    assert level.bandwidth == pytest.approx(8 * sizes.sum() * made.frame_rate / 10, abs=1)
    assert level.peak == pytest.approx((8 * sizes * made.frame_rate / frames).max(), abs=1)


def test_colors_that_train_are_counted_and_named(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 9), RawCodec(), lambda t: min(t, 5))
    Publisher(tmp_path / "out", [Level(path)]).update()
    made = _manifest(tmp_path / "out")
    assert list(made.levels[0].colors) == [1, 2, 3, 4, 5]
    assert [segment.files[0].colors for segment in made.segments[3:6]] == [(4,), (5,), (5,)]
    color = max(ref.num_bytes for id, ref in made.levels[0].colors.items() if id > 1)
    frame = made.segments[0].files[0].ref.num_bytes
    assert made.levels[0].peak == pytest.approx(8 * (frame + color) * made.frame_rate, abs=1)


def test_segments_name_the_bases_of_their_colors_and_keep_them(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 9), RawCodec(), lambda t: t, still=True)
    folder = tmp_path / "out"
    Publisher(folder, [Level(path)], keep_frames=3).update()
    made = _manifest(folder)
    assert [segment.files[0].colors for segment in made.segments] == [(1, 6), (1, 7), (1, 8)]
    assert list(made.levels[0].colors) == [1, 6, 7, 8]
    whole, *differences = _parts(path.read_bytes(), bitstream.COLORS)
    read = [(folder / ref.name).read_bytes() for ref in made.levels[0].colors.values()]
    assert read == [whole, *differences[-3:]]


@pytest.mark.parametrize("segment_frames", [0, 1, 3])
def test_a_growing_file_is_cut_as_one_that_is_whole(tmp_path, videos, segment_frames):
    writer = videos.begin(tmp_path / "a.inv")
    writer.push(1, videos.params(1), 0)
    settings = {"segment_frames": segment_frames}
    publisher = Publisher(tmp_path / "live", [Level(tmp_path / "a.inv")], **settings)
    new = []
    for frame in range(2, 11):
        writer.push(frame, videos.params(frame), 0)
        new.append(publisher.update())
        if publisher.end is not None:
            assert not _manifest(tmp_path / "live").ended
    writer.close()
    publisher.update()
    assert publisher.ended and sum(new) > 1
    Publisher(tmp_path / "whole", [Level(tmp_path / "a.inv")], **settings).update()
    assert _files(tmp_path / "live") == _files(tmp_path / "whole")
    assert _manifest(tmp_path / "live").segments == _manifest(tmp_path / "whole").segments


def test_a_frame_is_published_when_it_is_there(tmp_path, videos):
    writer = videos.begin(tmp_path / "a.inv")
    writer.push(1, videos.params(1), 0)
    publisher = Publisher(tmp_path / "out", [Level(tmp_path / "a.inv")], segment_frames=1)
    for frame in range(2, 7):
        writer.push(frame, videos.params(frame), 0)
        publisher.update()
        assert publisher.end == frame + 1


def test_a_publisher_goes_on_and_rewrites_nothing(tmp_path, videos):
    writer = videos.begin(tmp_path / "a.inv")
    folder, level = tmp_path / "out", lambda: Level(tmp_path / "a.inv")
    for frame in range(1, 8):
        writer.push(frame, videos.params(frame), 0)
    Publisher(folder, [level()]).update()
    before = {name: (folder / name).stat().st_mtime_ns for name in _files(folder)}
    first = _manifest(folder)
    for frame in range(8, 11):
        writer.push(frame, videos.params(frame), 0)
    writer.close()
    Publisher(folder, [level()]).update()
    after = {name: (folder / name).stat().st_mtime_ns for name in _files(folder)}
    assert {name: after[name] for name in before} == before
    again = _manifest(folder)
    assert again.segments[: len(first.segments)] == first.segments
    assert again.sequence > first.sequence and again.ended
    assert Publisher(folder, [level()]).update() == 0


def test_an_ended_stream_goes_on_behind_its_last_frame(tmp_path, videos):
    path, folder = tmp_path / "a.inv", tmp_path / "out"
    writer = videos.begin(path)
    for frame in range(1, 7):
        writer.push(frame, videos.params(frame), 0)
    Publisher(folder, [Level(path)]).update(final=True)
    for frame in range(7, 11):
        writer.push(frame, videos.params(frame), 0)
    writer.close()
    Publisher(folder, [Level(path)]).update()
    expected = [(1, 4, True), (5, 2, True), (7, 2, False), (9, 2, True)]
    assert _frames(_manifest(folder)) == expected


def _resume(path, videos, before, last, params=None):
    codec = DeltaCodec(fidelity=60.0, key_every=4)
    writer = VideoWriter(path, videos.header(codec), codec, go_on_before=before)
    for frame in range(writer.next_frame, last + 1):
        writer.push(frame, (params or videos.params)(frame), 0)
        yield
    writer.close()
    yield


def test_a_file_that_was_cut_and_goes_on_is_followed(tmp_path, videos):
    """What comes again as it was stays published; the file has other bytes behind it."""
    path, folder = tmp_path / "a.inv", tmp_path / "out"
    videos.write(path, range(1, 8))
    publisher = Publisher(folder, [Level(path)], segment_frames=1)
    publisher.update()
    assert publisher.ended and publisher.end == 8
    before = _manifest(folder).segments
    for _ in _resume(path, videos, 6, 12):
        publisher.update()
    assert publisher.ended and publisher.end == 13
    assert _manifest(folder).segments[: len(before)] == before
    Publisher(tmp_path / "whole", [Level(path)], segment_frames=1).update()
    assert _manifest(folder).segments == _manifest(tmp_path / "whole").segments


def test_published_frames_that_come_again_otherwise_are_named(tmp_path, videos):
    path, folder = tmp_path / "a.inv", tmp_path / "out"
    videos.write(path, range(1, 8))
    publisher = Publisher(folder, [Level(path)], segment_frames=1)
    publisher.update()
    before = _manifest(folder)
    steps = _resume(path, videos, 6, 9, lambda frame: videos.params(frame + 50))
    next(steps)
    for _ in range(2):
        with pytest.raises(InvError, match=r"holds frame 6 otherwise than it was published"):
            publisher.update()
    assert _manifest(folder) == before


def test_published_colors_that_come_again_otherwise_are_named(tmp_path, videos):
    path, codec = tmp_path / "a.inv", RawCodec()
    videos.write(path, range(1, 5), codec, lambda frame: min(frame, 3))
    publisher = Publisher(tmp_path / "out", [Level(path)])
    publisher.update()
    writer = VideoWriter(path, videos.header(codec), codec, go_on_before=3)
    writer.push(3, videos.params(3, 9), 3)
    with pytest.raises(InvError, match="holds the colors of frame 3 otherwise"):
        publisher.update()


def test_a_window_keeps_the_newest_frames_and_removes_old_files_later(tmp_path, videos):
    writer = videos.begin(tmp_path / "a.inv")
    writer.push(1, videos.params(1), 0)
    folder = tmp_path / "out"
    publisher = Publisher(folder, [Level(tmp_path / "a.inv")], keep_frames=8)
    had: set[str] = set()
    for frame in range(2, 61):
        writer.push(frame, videos.params(frame), 0)
        if not publisher.update():
            continue
        made = _manifest(folder)
        named = {file.ref.name for segment in made.segments for file in segment.files}
        assert made.segments[0].is_key and sum(s.frames for s in made.segments) <= 12
        # A viewer with the manifest before this one finds all its files.
        assert named | had <= _files(folder)
        had = named
    assert len(_files(folder)) < 10
    again = Publisher(folder, [Level(tmp_path / "a.inv")], keep_frames=8)
    assert again.update() == 0 and had <= _files(folder)


def test_other_files_in_the_folder_stay(tmp_path, videos):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("mine")
    path = videos.write(tmp_path / "a.inv", range(1, 41))
    Publisher(tmp_path / "out", [Level(path)], keep_frames=4).update()
    Publisher(tmp_path / "out", [Level(path)], keep_frames=4).update()
    assert (tmp_path / "out" / "index.html").read_text() == "mine"


def test_mistakes_are_named(tmp_path, videos):
    a = videos.write(tmp_path / "a.inv", range(1, 9))
    (tmp_path / "other").mkdir()
    cases = {
        "cameras": videos.write(tmp_path / "b.inv", range(1, 9), rig=videos.rig(3)),
        "frame rate": videos.write(tmp_path / "c.inv", range(1, 9), frame_rate=10.0),
        "model": videos.write(tmp_path / "d.inv", range(1, 9), config={"model": {"width": 3}}),
        "different": videos.write(tmp_path / "other" / "a.inv", range(1, 9)),
    }
    for text, path in cases.items():
        with pytest.raises(InvError, match=text):
            Publisher(tmp_path / "out", [Level(a), Level(path)])
    late = videos.write(tmp_path / "late.inv", range(2, 9))
    with pytest.raises(InvError, match="begin with one frame"):
        Publisher(tmp_path / "out", [Level(a), Level(late)]).update()
    uneven = DeltaCodec(fidelity=40.0, key_every=7)
    b = videos.write(tmp_path / "uneven.inv", range(1, 27), uneven)
    c = videos.write(tmp_path / "long.inv", range(1, 27))
    with pytest.raises(InvError, match="keys in different frames"):
        Publisher(tmp_path / "out", [Level(c), Level(b)]).update()


def test_a_folder_of_another_video_is_left_alone(tmp_path, videos):
    a = videos.write(tmp_path / "a.inv", range(1, 9))
    Publisher(tmp_path / "out", [Level(a)]).update()
    before = (tmp_path / "out" / manifest_lib.NAME).read_bytes()
    b = videos.write(tmp_path / "b.inv", range(1, 9))
    with pytest.raises(InvError, match="another video"):
        Publisher(tmp_path / "out", [Level(b)])
    a = videos.write(tmp_path / "a.inv", range(1, 9), color_of=lambda t: 1)
    with pytest.raises(InvError, match="no longer holds"):
        Publisher(tmp_path / "out", [Level(a)])
    assert (tmp_path / "out" / manifest_lib.NAME).read_bytes() == before


def test_a_damaged_file_is_not_published(tmp_path, videos):
    path = videos.write(tmp_path / "a.inv", range(1, 9))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvError):
        Publisher(tmp_path / "out", [Level(path)]).update()
