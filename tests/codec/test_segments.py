"""Videos whose frames share params clip by clip: the same container, one packet a clip."""

import dataclasses
import itertools
import json
import struct
import zlib

import numpy as np
import pytest

from inv_jax.codec import bitstream, index
from inv_jax.codec import header as header_lib
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.bitstream import Entry
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import least_bytes
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.types import InvError

CODECS = {
    "raw": RawCodec(),
    "twc": FpzipCodec(16, 1),
    "delta": DeltaCodec(key_every=3),
    "quant": QuantCodec(bits=6),
}
_FRAMES, _CLIP = 26, 5  # five clips and one of a single frame
_SEGMENTS = [*(range(first, first + 5) for first in range(1, 26, 5)), range(26, 27)]


@pytest.fixture(scope="module")
def videos(samples, tmp_path_factory):
    """Clips by codec: the file's bytes, the params that went in, those that come out."""
    made = {}
    for name, codec in CODECS.items():
        path = tmp_path_factory.mktemp(name) / "video.inv"
        given = samples.write(path, codec, frames=_FRAMES, segment_frames=_CLIP)
        found = NeuralVideo.open(path)
        decoded = {frame: found.params(frame) for frame in found.frames()}
        made[name] = path.read_bytes(), given, decoded
    return made


def _open(data: bytes) -> NeuralVideo:
    return NeuralVideo(BytesSource(data), "the video")


def _parts(data: bytes) -> list[bitstream.Part]:
    return list(bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES))


def test_a_packet_of_a_segment_is_laid_out_as_described():
    def part(payload: bytes) -> bytes:
        head = b"FRAM" + struct.pack("<II", len(payload), zlib.crc32(payload))
        return head + struct.pack("<I", zlib.crc32(head)) + payload

    packet = Packet(first=5, count=3, is_key=True, payload=b"xyz", is_segment=True)
    numbers = struct.pack("<III", 5, 3, 7)
    assert bitstream.packet_part(packet, 7) == part(numbers + b"\3\0\0\0xyz")
    packet = dataclasses.replace(packet, count=1000, is_key=False)  # a byte for each frame
    numbers = struct.pack("<III", 5, 1000, 7)
    zeros = 1000 - 16 - 3
    wanted = part(numbers + b"\2" + struct.pack("<I", zeros)[:3] + b"xyz" + bytes(zeros))
    assert bitstream.packet_part(packet, 7) == wanted
    (found,) = bitstream.parts(BytesSource(wanted), 0)
    payload = bitstream.read_payload(BytesSource(wanted), found)
    assert bitstream.parse_packet(payload) == (packet, 7)
    entry = bitstream.read_entry(BytesSource(wanted), found)
    assert entry == Entry.of(0, packet, 7)
    assert (entry.sets, entry.end) == (packet.sets, packet.end) == (1, 1005)
    row = index.closing([entry], 300)[16:44]
    assert row == struct.pack("<Q4sIIII", 0, b"FRAM", 5, 1000, 7, 2)
    assert bitstream.signature(3)[8:12] == b"\3\0\0\0"


@pytest.mark.parametrize("zeros", [4, 2**24 - 1])
def test_zeros_that_are_not_there_are_refused(zeros):
    payload = struct.pack("<IIII", 5, 3, 7, 3 | zeros << 8) + b"xyz"
    with pytest.raises(CorruptError, match="do not end in zeros"):
        bitstream.parse_packet(payload)


def test_only_videos_of_clips_have_the_new_version(videos, samples, tmp_path):
    assert {_open(data).version for data, _, _ in videos.values()} == {3}
    samples.write(tmp_path / "frames.inv", RawCodec())
    found = NeuralVideo.open(tmp_path / "frames.inv")
    assert found.version == 2
    assert found.segments() == [range(frame, frame + 1) for frame in range(1, 7)]


@pytest.mark.parametrize("name", sorted(CODECS))
def test_all_frames_of_a_clip_have_its_params(videos, name, assert_same):
    data, given, decoded = videos[name]
    found = _open(data)
    assert found.frames() == list(range(1, _FRAMES + 1))
    assert found.segments() == _SEGMENTS
    for segment, params in zip(_SEGMENTS, given, strict=True):
        for frame in segment:
            assert found.segment(frame) == segment
            assert_same(decoded[frame], decoded[segment[0]])
            if name == "raw":
                assert_same(decoded[frame], params)
    with pytest.raises(InvError, match="has no frame 27; its frames: 1 to 26"):
        found.segment(27)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_frames_are_the_same_in_any_order(videos, name, assert_same):
    data, _, decoded = videos[name]
    found = _open(data)
    for frame in (26, 3, 14, 15, 16, 4, 1, 25, 9):
        assert_same(found.params(frame), decoded[frame])
        assert_same(_open(data).params(frame), decoded[frame])


@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_clip_is_decoded_once(videos, name, monkeypatch):
    found, calls = _open(videos[name][0]), []
    decode = NeuralVideo._decode
    monkeypatch.setattr(NeuralVideo, "_decode", lambda v, *at: calls.append(at) or decode(v, *at))
    for frame in found.frames():
        found.params(frame)
    assert len(calls) == len(_SEGMENTS)


def test_keys_come_every_so_many_clips(videos):
    groups = {name: [len(group) for group in _open(videos[name][0]).groups] for name in CODECS}
    assert groups == {"raw": [1] * 6, "twc": [1] * 6, "quant": [1] * 6, "delta": [3, 3]}
    raw, delta = (len(videos[name][0]) for name in ("raw", "delta"))
    assert delta < raw / 2


@pytest.mark.parametrize("name", sorted(CODECS))
def test_a_file_that_is_cut_has_exactly_its_whole_clips(videos, name, assert_same):
    data, _, decoded = videos[name]
    parts = _parts(data)
    source = BytesSource(data)
    packets = [(part, bitstream.read_entry(source, part)) for part in parts
               if part.kind == bitstream.FRAME]  # fmt: skip
    near = {part.end + d for part in parts for d in (-1, 0, 1)}
    for size in sorted({*range(parts[0].end, len(data), 301), *near} - {parts[0].end - 1}):
        found = _open(data[:size])
        whole = [entry for part, entry in packets if part.end <= size]
        assert found.frames() == [f for e in whole for f in range(e.first, e.end)], size
        assert not found.damages
        if whole:
            assert_same(found.params(whole[-1].end - 1), decoded[whole[-1].first])


@pytest.mark.parametrize("name", ["raw", "delta", "quant"])
@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("place", [3, 16, 20, 28, 60])
def test_damage_takes_all_frames_of_a_clip_and_they_are_named(
    videos, name, with_index, place, assert_same
):
    data, _, decoded = videos[name]
    parts = [part for part in _parts(data) if part.kind == bitstream.FRAME]
    index = next(part for part in _parts(data) if part.kind == bitstream.INDEX)
    spoilt = bytearray(data[: None if with_index else index.offset])
    spoilt[parts[1].offset + place] ^= 4
    found = _open(bytes(spoilt))
    lost = set(range(6, 11)) if name != "delta" else set(range(6, 16))
    for frame in set(decoded) - lost:
        assert_same(found.params(frame), decoded[frame])
    for frame in sorted(lost):
        with pytest.raises(InvError, match="the video"):
            found.params(frame)
    named = set(itertools.chain.from_iterable(damage.frames for damage in found.damages))
    assert set(range(6, 11)) <= named <= lost


def _write(path, samples, codec, segments, walk_seed=3, **settings):
    walk = samples.Walk(seed=walk_seed)
    writer = VideoWriter(path, samples.header(codec, segment_frames=_CLIP), codec, **settings)
    for number, segment in enumerate(segments):
        params = walk.step(with_color=number < 2)
        if writer.next_frame is None or segment[0] >= writer.next_frame:
            writer.push(segment, params, segments[min(number, 1)][0])
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted(CODECS))
def test_going_on_gives_the_bytes_of_not_stopping(tmp_path, samples, name):
    codec = CODECS[name]
    whole = _write(tmp_path / "whole.inv", samples, codec, _SEGMENTS)
    path = tmp_path / "video.inv"
    for done in range(len(_SEGMENTS) + 1):
        _write(path, samples, codec, _SEGMENTS[:done])
        before = _SEGMENTS[done - 1].stop if done else 1
        assert _write(path, samples, codec, _SEGMENTS, go_on_before=before) == whole
        assert _write(path, samples, codec, _SEGMENTS, go_on_before=before) == whole


def test_a_clip_that_ends_behind_the_place_is_written_anew(tmp_path, samples):
    path = tmp_path / "video.inv"
    whole = _write(path, samples, CODECS["delta"], _SEGMENTS)
    header = samples.header(CODECS["delta"], segment_frames=_CLIP)
    for before, there in ((13, 11), (16, 16), (26, 26), (27, 27)):
        path.write_bytes(whole)
        writer = VideoWriter(path, header, CODECS["delta"], go_on_before=before)
        assert writer.next_frame == there
        writer.close()


def test_a_writer_knows_what_receivers_have(tmp_path, samples, assert_same):
    for name, codec in CODECS.items():
        path, walk = tmp_path / f"{name}.inv", samples.Walk(seed=2)
        writer = VideoWriter(path, samples.header(codec, segment_frames=_CLIP), codec)
        for segment in _SEGMENTS:
            writer.push(segment, walk.step(), 1)
            assert_same(writer.decoded(), NeuralVideo.open(path).params(segment[-1]))


def test_clips_are_watched_while_they_are_written(tmp_path, samples, assert_same):
    path, walk = tmp_path / "video.inv", samples.Walk(seed=2)
    codec = CODECS["delta"]
    writer = VideoWriter(path, samples.header(codec, segment_frames=_CLIP), codec)
    found = NeuralVideo.open(path)
    for number, segment in enumerate(_SEGMENTS):
        writer.push(segment, walk.step(), 1)
        found.refresh()
        assert found.segments() == _SEGMENTS[: number + 1]
        assert_same(found.params(segment[-1]), writer.decoded())


def test_groups_of_sets_and_clips_exclude_each_other(tmp_path, samples):
    for group in (0, 3):
        codec = FpzipCodec(16, group)
        with pytest.raises(InvError, match=r"segment of 5 frames .* set codec\.group=1"):
            VideoWriter(tmp_path / "video.inv", samples.header(codec, segment_frames=_CLIP), codec)
    assert not (tmp_path / "video.inv").exists()


def test_clips_out_of_place_are_refused(tmp_path, samples):
    codec, params = RawCodec(), samples.Walk().params()
    writer = VideoWriter(tmp_path / "a.inv", samples.header(codec, segment_frames=_CLIP), codec)
    with pytest.raises(InvError, match="frames 1 to 6 are 6; its segments have 5 at most"):
        writer.push(range(1, 7), params, 1)
    writer.push(range(1, 6), params, 1)
    with pytest.raises(InvError, match="frame 6 comes next, not 7"):
        writer.push(range(7, 9), params, 1)
    writer.push(6, params, 1)  # a clip of one
    writer.close()
    frames = VideoWriter(tmp_path / "b.inv", samples.header(codec), codec)
    with pytest.raises(InvError, match="segments have 1 at most"):
        frames.push(range(1, 3), params, 1)
    frames.push(range(1, 2), params, 1)
    frames.close()
    with pytest.raises(InvError, match="begun with another segment_frames"):
        VideoWriter(
            *(tmp_path / "b.inv", samples.header(codec, segment_frames=2), codec), go_on_before=2
        )


def test_a_network_that_shares_nothing_has_one_empty_color_part(tmp_path, samples, assert_same):
    """Whatever ids the caller gives: nothing trains that they could name."""
    path, codec = tmp_path / "video.inv", QuantCodec(bits=8)
    header = samples.header(codec, color_layout=Layout(()), segment_frames=_CLIP)
    walk = samples.Walk(color_layout=Layout(()))
    writer = VideoWriter(path, header, codec)
    for segment in _SEGMENTS[:3]:
        writer.push(segment, walk.step(), segment[0])
    writer.close()
    writer = VideoWriter(path, header, codec, go_on_before=16)
    for segment in _SEGMENTS[3:]:
        writer.push(segment, walk.step(), segment[0])
    writer.close()
    found = NeuralVideo.open(path)
    assert list(found.colors) == [1] and not found.damages
    assert found.segments() == _SEGMENTS
    assert found.params(26).keys() == {"coarse", "fine"}
    kinds = [part.kind for part in _parts(path.read_bytes())]
    assert kinds.count(bitstream.COLOR) == 1 and bitstream.COLOR_DIFF not in kinds


def test_a_file_cannot_claim_more_frames_than_it_has_bytes(samples):
    layout = Layout((("net/own/layer_0/bias", (1,)),))
    header = samples.header(RawCodec(), layout=layout, color_layout=Layout(()), segment_frames=999)
    begin = bitstream.signature(3) + bitstream.part(bitstream.META, header.dump())
    begin += bitstream.color_part(1, b"")
    payload = bytes(least_bytes(layout))

    def packet(first: int, count: int) -> bytes:
        head = struct.pack("<IIII", first, count, 1, 3)
        return bitstream.part(bitstream.FRAME, head + payload)

    many = b"".join(packet(1 + 10**6 * i, 10**6) for i in range(1000))
    found = _open(begin + many)
    assert len(found.frames()) <= len(begin + many)
    found = _open(begin + packet(1, 16) + packet(17, 2**32 - 1))
    assert found.frames() == list(range(1, 17))
    np.testing.assert_array_equal(found.params(16)["net"]["own"]["layer_0"]["bias"], [0.0])


@pytest.mark.parametrize("value", [0, -1, 2**40, "5", True, 1.5, None])
def test_a_forged_length_of_segments_is_refused(samples, value):
    fields = json.loads(zlib.decompress(samples.header(RawCodec(), segment_frames=7).dump()))
    assert fields["segment_frames"] == 7
    fields["segment_frames"] = value
    with pytest.raises(CorruptError, match="description is damaged"):
        header_lib.load(zlib.compress(json.dumps(fields).encode()))


def test_videos_of_frames_do_not_speak_of_segments(samples):
    assert b"segment_frames" not in zlib.decompress(samples.header(RawCodec()).dump())
