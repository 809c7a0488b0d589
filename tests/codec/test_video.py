"""Any frame of a video file, also of one that is cut, growing, or damaged in its middle."""

import dataclasses
import gc
import itertools
import os
import pathlib
import re
import struct
import zlib

import numpy as np
import pytest

from inv_jax.codec import bitstream, index, video
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import encode_color, least_bytes
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.params import flatten
from inv_jax.types import InvError

CODECS = {
    "raw": RawCodec(),
    "twc": FpzipCodec(16, 1),
    "groups": FpzipCodec(16, 2),
    "all": FpzipCodec(32, 0),
    "delta": DeltaCodec(key_every=3),
}


def _parts(data: bytes) -> list[bitstream.Part]:
    return list(bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES))


@pytest.fixture(scope="module")
def videos(samples, tmp_path_factory):
    """Six frames by codec: the file's bytes, the params that went in, those that come out."""
    made = {}
    for name, codec in CODECS.items():
        path = tmp_path_factory.mktemp(name) / "video.inv"
        given = samples.write(path, codec)
        found = NeuralVideo.open(path)
        decoded = {frame: found.params(frame) for frame in found.frames()}
        made[name] = path.read_bytes(), given, decoded
    return made


def _open(data: bytes) -> NeuralVideo:
    return NeuralVideo(BytesSource(data), "the video")


@pytest.mark.parametrize("name", ["raw", "all"])
def test_what_loses_nothing_comes_back_bit_for_bit(videos, name, assert_same):
    _, given, decoded = videos[name]
    assert sorted(decoded) == list(range(1, 7))
    for frame, params in enumerate(given, start=1):
        assert_same(decoded[frame], params)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_colors_come_back_also_while_they_train(videos, name, assert_same):
    _, given, decoded = videos[name]
    for frame, params in enumerate(given, start=1):
        for network in ("coarse", "fine"):
            assert_same(decoded[frame][network]["color"], params[network]["color"])
    first, second, third = (decoded[frame]["fine"]["color"]["rgb"]["kernel"] for frame in (1, 2, 3))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(second, third)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_frames_are_the_same_in_any_order(videos, name, assert_same):
    data, _, decoded = videos[name]
    found = _open(data)
    for frame in (6, 1, 5, 2, 2, 3, 6, 4, 5, 1):
        assert_same(found.params(frame), decoded[frame])
    for frame in range(1, 7):
        assert_same(_open(data).params(frame), decoded[frame])


@pytest.mark.parametrize("name", sorted(CODECS))
def test_frames_are_the_same_with_and_without_index(videos, name, assert_same):
    data, _, decoded = videos[name]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    closed, cut = _open(data), _open(data[: index.offset])
    assert closed.is_closed and not cut.is_closed
    assert cut.groups == closed.groups
    assert cut.colors == closed.colors
    for frame in decoded:
        assert_same(cut.params(frame), decoded[frame])
    assert not cut.damages


class _Counting(BytesSource):
    read_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        data = super().read(offset, size)
        self.read_bytes += len(data)
        return data


def test_a_frame_is_read_without_the_others(samples, tmp_path):
    path = tmp_path / "long.inv"
    samples.write(path, CODECS["raw"], frames=60)
    source = _Counting(path.read_bytes())
    found = NeuralVideo(source, "video")
    found.params(50)
    assert source.read_bytes < source.size() / 4


def test_groups_begin_with_keys(videos):
    sizes = {name: [len(group) for group in _open(videos[name][0]).groups] for name in CODECS}
    assert sizes == {
        "raw": [1] * 6,
        "twc": [1] * 6,
        "groups": [1] * 4,  # of 1 (then the colors change), 2, 2 and 1 frames
        "all": [1] * 2,
        "delta": [3, 3],
    }


@pytest.mark.parametrize("name", ["raw", "groups", "delta"])
def test_a_file_that_is_cut_has_exactly_its_whole_frames(videos, name, assert_same):
    """At every byte around parts' ends, and at every 7th elsewhere."""
    data, _, decoded = videos[name]
    parts = _parts(data)
    ends = [part.end for part in parts]
    near = {end + d for end in ends for d in (-17, -16, -1, 0, 1, 15, 16)}
    frames = [(part, bitstream.read_entry(BytesSource(data), part)) for part in parts
              if part.kind == bitstream.FRAME]  # fmt: skip
    for size in sorted({*range(0, len(data), 7), *near}):
        cut = data[: max(0, size)]
        if size < parts[0].end:
            with pytest.raises(CorruptError, match=r"the video: (not an|its description)"):
                _open(cut)
            continue
        found = _open(cut)
        whole = [e for part, e in frames if part.end <= size]
        there = [n for e in whole for n in range(e.first, e.first + e.count)]
        assert found.frames() == there, size
        assert not found.damages, size
        if there and size in near:
            assert_same(found.params(there[-1]), decoded[there[-1]])


def test_a_file_is_watched_while_it_is_written(samples, tmp_path, assert_same):
    for name, codec in CODECS.items():
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


@pytest.mark.parametrize("name", ["raw", "groups", "delta"])
def test_a_file_that_grows_by_a_few_bytes_at_a_time_has_exactly_its_whole_frames(
    videos, name, assert_same
):
    data, _, decoded = videos[name]
    meta, *parts = _parts(data)
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


def test_a_closed_file_that_goes_on_is_read_over_its_old_index(samples, tmp_path, decode_all):
    path = tmp_path / "video.inv"
    samples.write(path, RawCodec())
    first = path.read_bytes()
    second = tmp_path / "second.inv"
    samples.write(second, RawCodec(), frames=8)
    more = second.read_bytes()
    added = [part for part in _parts(more) if part.kind == bitstream.FRAME][6:]
    path.write_bytes(first + b"".join(more[part.offset : part.end] for part in added))
    assert sorted(decode_all(path)) == list(range(1, 9))


def test_a_newer_minor_version_and_unknown_parts_are_no_hindrance(videos, assert_same):
    data, _, decoded = videos["raw"]
    parts = _parts(data)
    pieces = [data[part.offset : part.end] for part in parts if part.kind != bitstream.TAIL]
    unknown = bitstream.part(b"NEWS", b"of a later version")
    made = data[:16] + b"".join(piece + unknown for piece in pieces)
    head = made[:10] + struct.pack("<H", 9)
    newer = head + struct.pack("<I", zlib.crc32(head)) + made[16:]
    found = _open(newer)
    assert found.frames() == list(decoded)
    assert_same(found.params(4), decoded[4])
    assert not found.damages


def _spoil(data: bytes, part: bitstream.Part, place: int) -> bytes:
    spoilt = bytearray(data)
    spoilt[part.offset + place] ^= 4
    return bytes(spoilt)


@pytest.mark.parametrize("name", ["raw", "twc", "delta"])
@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("place", [3, 9, 16, 20, 24, 28, 40])
def test_damage_in_the_middle_is_named_and_the_rest_plays(
    videos, name, with_index, place, assert_same
):
    """A bit of a packet's head, of its numbers, or of its payload; frame 4 is a key of delta's."""
    data, _, decoded = videos[name]
    parts = [part for part in _parts(data) if part.kind == bitstream.FRAME]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    for spoilt in (2, 4):
        found = _open(
            _spoil(data[: None if with_index else index.offset], parts[spoilt - 1], place)
        )
        lost = {spoilt} if name != "delta" else ({2, 3} if spoilt == 2 else {4, 5, 6})
        for frame in set(decoded) - lost:
            assert_same(found.params(frame), decoded[frame])
        for frame in lost:
            with pytest.raises(InvError, match="the video"):
                found.params(frame)
        named = set(itertools.chain.from_iterable(damage.frames for damage in found.damages))
        assert spoilt in named
        assert named <= lost


def test_damage_of_a_color_takes_the_frames_that_have_it(videos, assert_same):
    data, _, decoded = videos["raw"]
    first, second = (part for part in _parts(data) if part.kind == bitstream.COLOR)
    for spoilt, place, lost in [(first, 30, {1}), (second, 30, {2, 3, 4, 5, 6}), (first, 16, {1})]:
        found = _open(_spoil(data, spoilt, place))
        for frame in decoded:
            if frame in lost:
                with pytest.raises(CorruptError, match="the video: "):
                    found.params(frame)
            else:
                assert_same(found.params(frame), decoded[frame])


def test_of_two_colors_with_one_id_the_first_stays(videos, samples, assert_same):
    data, _, decoded = videos["raw"]
    second = [part for part in _parts(data) if part.kind == bitstream.COLOR][1]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    same = data[second.offset : second.end]
    other = flatten(samples.Walk(seed=9).params())
    other = bitstream.color_part(2, encode_color(samples.COLOR, other))
    for extra, damages in [(same, 0), (other, 1), (same + 3 * other, 1)]:
        found = _open(data[: index.offset] + extra)
        assert_same(found.params(4), decoded[4])
        assert len(found.damages) == damages
    assert "color params 2 come twice, and differ" in found.damages[0].reason


def test_of_two_colors_with_one_id_the_sound_one_is_taken(videos, assert_same):
    data, _, decoded = videos["raw"]
    second = [part for part in _parts(data) if part.kind == bitstream.COLOR][1]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    sound = data[second.offset : second.end]
    spoilt = bytearray(sound)
    spoilt[:16] = bitstream.part(bitstream.COLOR, sound[16:-1] + b"?")[:16]  # another checksum
    head = data[: second.offset]
    for one, two in [(bytes(spoilt), sound), (sound, bytes(spoilt))]:
        found = _open(head + one + data[second.end : index.offset] + two)
        assert_same(found.params(4), decoded[4])
        assert "are damaged" in found.damages[0].reason


def test_a_missing_color_is_named(videos):
    data, _, _ = videos["raw"]
    second = [part for part in _parts(data) if part.kind == bitstream.COLOR][1]
    with pytest.raises(CorruptError, match="the video: color params 2 are missing"):
        _open(data[: second.offset] + data[second.end :]).params(5)


def test_a_spoilt_color_id_does_not_take_another_ones_place(videos, assert_same):
    """Without an index the ids come from the parts themselves, before their checksums are read."""
    data, _, decoded = videos["raw"]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    second = [part for part in _parts(data) if part.kind == bitstream.COLOR][1]
    spoilt = bytearray(data[: index.offset])
    spoilt[second.offset + 16] = 1
    assert_same(_open(bytes(spoilt)).params(1), decoded[1])


class _Flaky(BytesSource):
    """One bit is wrong as long as `place` is that of a byte."""

    place: int | None = None
    reads = 0

    def read(self, offset: int, size: int) -> bytes:
        self.reads += 1
        data = bytearray(super().read(offset, size))
        if self.place is not None and offset <= self.place < offset + len(data):
            data[self.place - offset] ^= 1
        return bytes(data)


@pytest.mark.parametrize("name", ["raw", "delta"])
def test_what_was_read_badly_may_be_asked_for_again(videos, name, assert_same):
    data, _, decoded = videos[name]
    source = _Flaky(data)
    found = NeuralVideo(source, "the video")
    assert_same(found.params(1), decoded[1])
    for kind, number, frame in ((bitstream.COLOR, 1, 2), (bitstream.FRAME, 2, 3)):
        source.place = [part for part in _parts(data) if part.kind == kind][number].end - 1
        for _ in range(2):
            with pytest.raises(CorruptError, match=r"the video: .* are damaged"):
                found.params(frame)
        source.place = None
        assert_same(found.params(frame), decoded[frame])
    assert [list(damage.frames) for damage in found.damages] == [[3]]


def test_what_cannot_be_decoded_is_not_read_again(videos):
    data, _, _ = videos["delta"]
    spoilt = [part for part in _parts(data) if part.kind == bitstream.FRAME][1]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    numbers = data[spoilt.offset + 16 : spoilt.offset + 32]
    forged = bitstream.part(bitstream.FRAME, numbers + bytes(200))
    source = _Flaky(data[: spoilt.offset] + forged + data[spoilt.end : index.offset])
    found = NeuralVideo(source, "the video")
    with pytest.raises(CorruptError) as first:
        found.params(2)
    before = source.reads
    for frame in (2, 3):
        with pytest.raises(CorruptError, match=re.escape(str(first.value))):
            found.params(frame)
    assert source.reads == before
    found.params(4)


@pytest.mark.parametrize("name", ["raw", "twc", "groups", "delta"])
@pytest.mark.parametrize("before", [1, 3, 5, 6])
def test_a_file_is_watched_while_its_writer_cuts_it_and_goes_on(
    samples, tmp_path, name, before, assert_same
):
    """The run forgets frames from `before` on, and trains them otherwise."""
    path, codec = tmp_path / "video.inv", CODECS[name]
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


def test_a_packet_that_is_written_anew_at_its_place_is_found(samples, tmp_path, assert_same):
    """Its file has the same size before and after, and nobody looks meanwhile."""
    path, codec = tmp_path / "video.inv", CODECS["raw"]
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


def test_another_video_at_the_same_place_is_named(samples, tmp_path):
    path, codec = tmp_path / "video.inv", CODECS["raw"]
    samples.write(path, codec)
    found = NeuralVideo.open(path)
    header = dataclasses.replace(samples.header(codec), frame_rate=7.0)
    VideoWriter(path, header, codec).close()
    for _ in range(2):
        with pytest.raises(CorruptError, match="another video was written in its place"):
            found.refresh()
    assert NeuralVideo.open(path).frames() == []


def _times_open(path: pathlib.Path) -> int:
    files = pathlib.Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(file) == str(path.resolve()) for file in files)


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").is_dir(), reason="counts files in /proc")
def test_a_video_is_closed_when_nobody_needs_it(samples, tmp_path):
    path = tmp_path / "video.inv"
    samples.write(path, CODECS["raw"])
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


def test_colors_asked_for_last_are_decoded_once(videos, monkeypatch):
    calls = []
    read = NeuralVideo._read_color
    monkeypatch.setattr(NeuralVideo, "_read_color", lambda v, id: calls.append(id) or read(v, id))
    found = _open(videos["raw"][0])
    for frame in (1, 2, 1, 2, 3):
        found.params(frame)
    assert calls == [1, 2]


def test_garbage_between_parts_is_named(videos, assert_same):
    data, _, decoded = videos["delta"]
    at = _parts(data)[3].offset
    found = _open(data[:at] + b"garbage" * 9 + data[at:])
    for frame, params in decoded.items():
        assert_same(found.params(frame), params)
    reasons = [damage.reason for damage in found.damages]
    assert f"bytes {at} to {at + 62} are no part of a video" in reasons


def test_a_damaged_index_is_named_and_done_without(videos, assert_same):
    data, _, decoded = videos["delta"]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    found = _open(_spoil(data, index, 40))
    assert "read from its beginning" in found.damages[0].reason
    assert_same(found.params(6), decoded[6])


def test_an_index_that_lies_shows_no_wrong_frame(videos):
    data, _, _ = videos["raw"]
    *parts, index, _ = _parts(data)
    rows = bytearray(data[index.offset + 16 : index.end])
    shown = [part for part in parts if part.kind in (bitstream.COLOR, bitstream.FRAME)]
    third = [i for i, part in enumerate(shown) if part.kind == bitstream.FRAME][2]
    for place, value in ((12, 4), (20, 1)):  # first frame 4 instead of 3; color 1 instead of 2
        forged = rows[:]
        struct.pack_into("<I", forged, 28 * third + place, value)
        made = data[: index.offset] + bitstream.part(bitstream.INDEX, bytes(forged))
        made += bitstream.part(bitstream.TAIL, struct.pack("<QQ", index.offset, 6))
        with pytest.raises(CorruptError, match="its packet"):
            _open(made).params(value if place == 12 else 3)


def _forged(samples, layout: Layout, packets: list[bytes], color: bytes | None = None) -> bytes:
    head = samples.header(RawCodec(), layout=layout)
    if color is None:
        color = encode_color(head.color_layout, flatten(samples.Walk().params()))
    meta = bitstream.part(bitstream.META, head.dump())
    return bitstream.signature() + meta + bitstream.color_part(1, color) + b"".join(packets)


def test_a_small_file_cannot_claim_a_large_network(samples):
    layout = Layout((("fine/structure/layer_0/kernel", (30_000, 30_000)),))
    packet = bitstream.packet_part(Packet(1, 1, True, bytes(1000)), 1)
    found = _open(_forged(samples, layout, [packet]))
    assert found.frames() == []
    assert "more than the file has bytes for" in found.damages[0].reason


def test_a_small_file_cannot_claim_many_frames(samples):
    payload = bytes(least_bytes(samples.STRUCTURE))
    for count in (2, 1000, 0xFFFFFFFF):
        packet = bitstream.packet_part(Packet(1, count, True, payload), 1)
        found = _open(_forged(samples, samples.STRUCTURE, [packet]))
        for frame in found.frames()[:1]:
            with pytest.raises(CorruptError, match=r"cannot be|raw params"):
                found.params(frame)
        assert len(found.frames()) <= 100


def test_checksums_are_not_asked_for_again_and_again(samples):
    """By a large packet before many small ones, or an index that leads into parts of parts."""
    payload = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(samples.Walk().params())).tobytes()
    large = bitstream.packet_part(Packet(5, 1, True, payload + bytes(100_000)), 1)
    small = bitstream.packet_part(Packet(1, 1, False, b""), 1)
    nested, places = b"", []
    for number in range(2000):
        nested = bitstream.packet_part(Packet(number % 2, 1, True, nested), 1)
        places = [0, *(place + 32 for place in places)]
    begin = _forged(samples, samples.STRUCTURE, [])
    at = [len(begin) + place for place in places]
    entries = [bitstream.Entry(place, bitstream.FRAME, i % 2, 1, 1, True)
               for i, place in enumerate(at)]  # fmt: skip
    nested = begin + nested
    for data in (begin + large + 2000 * small, nested + index.closing(entries, len(nested))):
        source = _Counting(data)
        NeuralVideo(source, "the video")
        assert source.read_bytes < 8 * len(data)


def test_a_gap_of_millions_of_frames_is_refused(samples):
    payload = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(samples.Walk().params())).tobytes()
    packets = [bitstream.packet_part(Packet(n, 1, True, payload), 1) for n in (5, 2**32 - 1, 9)]
    found = _open(_forged(samples, samples.STRUCTURE, packets))
    assert found.frames() == [5, 9]
    assert [list(damage.frames) for damage in found.damages] == [[], [6, 7, 8]]
    assert "a gap of 4294967289 frames" in found.damages[0].reason


def test_colors_that_are_not_finite_or_too_short_are_refused(samples):
    walk = samples.Walk()
    leaves = flatten(walk.params())
    leaves["fine/color/rgb/bias"][0] = np.inf
    payload = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(walk.params())).tobytes()
    packet = bitstream.packet_part(Packet(1, 1, True, payload), 1)
    for color, reason in [(encode_color(samples.COLOR, leaves), "finite"), (b"", "cannot be")]:
        with pytest.raises(CorruptError, match=reason):
            _open(_forged(samples, samples.STRUCTURE, [packet], color)).params(1)


def test_structure_that_is_not_finite_is_refused(samples):
    flat = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(samples.Walk().params()))
    flat[5] = np.nan
    packet = bitstream.packet_part(Packet(1, 1, True, flat.tobytes()), 1)
    with pytest.raises(CorruptError, match="frame 1 holds numbers that are not finite"):
        _open(_forged(samples, samples.STRUCTURE, [packet])).params(1)


def test_many_damages_are_kept_up_to_a_number(videos):
    data, _, _ = videos["raw"]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    part = bitstream.part(bitstream.FRAME, b"short")
    many = b"".join(part + bytes(1 + i % 7) for i in range(3000))
    found = _open(data[: index.offset] + many)
    assert found.frames() == list(range(1, 7))
    assert len(found.damages) == 1000


def test_an_unknown_codec_is_refused(samples):
    head = dataclasses.replace(samples.header(RawCodec()), codec="vp9")
    data = bitstream.signature() + bitstream.part(bitstream.META, head.dump())
    with pytest.raises(
        CorruptError, match=r"codec 'vp9' is not known here, only delta, quant, raw, twc"
    ):
        _open(data)


def test_paths_that_are_no_file_are_named(tmp_path):
    with pytest.raises(InvError, match=r"does not exist; expected an \.inv file"):
        NeuralVideo.open(tmp_path / "none.inv")


def test_a_frame_that_is_not_there_is_named(videos):
    with pytest.raises(InvError, match=re.escape("has no frame 7; its frames: 1 to 6")):
        _open(videos["raw"][0]).params(7)


def test_suffix():
    assert video.SUFFIX == ".inv"
