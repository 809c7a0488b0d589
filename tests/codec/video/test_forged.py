"""A file that claims what is not so shows no wrong frame, and takes no more than it is worth."""

import struct

import numpy as np
import pytest

from inv_jax.codec import bitstream, index
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.frames import encode_color, least_bytes
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.params import flatten


def test_an_index_that_lies_shows_no_wrong_frame(videos, parts_of, open_video):
    data, _, _ = videos["raw"]
    *parts, index, _ = parts_of(data)
    rows = bytearray(data[index.offset + 16 : index.end])
    shown = [part for part in parts if part.kind in (bitstream.COLOR, bitstream.FRAME)]
    third = [i for i, part in enumerate(shown) if part.kind == bitstream.FRAME][2]
    for place, value in ((12, 4), (20, 1)):  # first frame 4 instead of 3; color 1 instead of 2
        forged = rows[:]
        struct.pack_into("<I", forged, 28 * third + place, value)
        made = data[: index.offset] + bitstream.part(bitstream.INDEX, bytes(forged))
        made += bitstream.part(bitstream.TAIL, struct.pack("<QQ", index.offset, 6))
        with pytest.raises(CorruptError, match="its packet"):
            open_video(made).params(value if place == 12 else 3)


def _forged(samples, layout: Layout, packets: list[bytes], color: bytes | None = None) -> bytes:
    head = samples.header(RawCodec(), layout=layout)
    if color is None:
        color = encode_color(head.color_layout, flatten(samples.Walk().params()))
    meta = bitstream.part(bitstream.META, head.dump())
    return bitstream.signature() + meta + bitstream.color_part(1, color) + b"".join(packets)


def test_a_small_file_cannot_claim_a_large_network(samples, open_video):
    layout = Layout((("fine/structure/layer_0/kernel", (30_000, 30_000)),))
    packet = bitstream.packet_part(Packet(1, 1, True, bytes(1000)), 1)
    found = open_video(_forged(samples, layout, [packet]))
    assert found.frames() == []
    assert "more than the file has bytes for" in found.damages[0].reason


def test_a_small_file_cannot_claim_many_frames(samples, open_video):
    payload = bytes(least_bytes(samples.STRUCTURE))
    for count in (2, 1000, 0xFFFFFFFF):
        packet = bitstream.packet_part(Packet(1, count, True, payload), 1)
        found = open_video(_forged(samples, samples.STRUCTURE, [packet]))
        for frame in found.frames()[:1]:
            with pytest.raises(CorruptError, match=r"cannot be|raw params"):
                found.params(frame)
        assert len(found.frames()) <= 100


def test_checksums_are_not_asked_for_again_and_again(samples, counting):
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
        source = counting(data)
        NeuralVideo(source, "the video")
        assert source.read_bytes < 8 * len(data)


def test_a_gap_of_millions_of_frames_is_refused(samples, open_video):
    payload = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(samples.Walk().params())).tobytes()
    packets = [bitstream.packet_part(Packet(n, 1, True, payload), 1) for n in (5, 2**32 - 1, 9)]
    found = open_video(_forged(samples, samples.STRUCTURE, packets))
    assert found.frames() == [5, 9]
    assert [list(damage.frames) for damage in found.damages] == [[], [6, 7, 8]]
    assert "a gap of 4294967289 frames" in found.damages[0].reason


def test_colors_that_are_not_finite_or_too_short_are_refused(samples, open_video):
    walk = samples.Walk()
    leaves = flatten(walk.params())
    leaves["fine/color/rgb/bias"][0] = np.inf
    payload = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(walk.params())).tobytes()
    packet = bitstream.packet_part(Packet(1, 1, True, payload), 1)
    for color, reason in [(encode_color(samples.COLOR, leaves), "finite"), (b"", "cannot be")]:
        with pytest.raises(CorruptError, match=reason):
            open_video(_forged(samples, samples.STRUCTURE, [packet], color)).params(1)


def test_structure_that_is_not_finite_is_refused(samples, open_video):
    flat = samples.STRUCTURE.ravel(samples.STRUCTURE.pick(samples.Walk().params()))
    flat[5] = np.nan
    packet = bitstream.packet_part(Packet(1, 1, True, flat.tobytes()), 1)
    with pytest.raises(CorruptError, match="frame 1 holds numbers that are not finite"):
        open_video(_forged(samples, samples.STRUCTURE, [packet])).params(1)
