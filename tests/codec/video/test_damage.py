"""A file that is damaged in its middle: what is lost is named, and the rest plays."""

import itertools
import re

import pytest

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError
from inv_jax.codec.frames import encode_color
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.params import flatten
from inv_jax.types import InvError


def _spoil(data: bytes, part: bitstream.Part, place: int) -> bytes:
    spoilt = bytearray(data)
    spoilt[part.offset + place] ^= 4
    return bytes(spoilt)


@pytest.mark.parametrize("name", ["raw", "twc", "delta", "bricks"])
@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("place", [3, 9, 16, 20, 24, 28, 40])
def test_damage_in_the_middle_is_named_and_the_rest_plays(
    videos, name, with_index, place, assert_same, parts_of, open_video
):
    """A bit of a packet's head, of its numbers, or of its payload; frame 4 is a key of all."""
    data, _, decoded = videos[name]
    parts = [part for part in parts_of(data) if part.kind == bitstream.FRAME]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    for spoilt in (2, 4):
        found = open_video(
            _spoil(data[: None if with_index else index.offset], parts[spoilt - 1], place)
        )
        is_alone = name in ("raw", "twc")
        lost = {spoilt} if is_alone else ({2, 3} if spoilt == 2 else {4, 5, 6})
        for frame in set(decoded) - lost:
            assert_same(found.params(frame), decoded[frame])
        for frame in lost:
            with pytest.raises(InvError, match="the video"):
                found.params(frame)
        named = set(itertools.chain.from_iterable(damage.frames for damage in found.damages))
        assert spoilt in named
        assert named <= lost


def test_damage_of_a_color_takes_the_frames_that_have_it(videos, assert_same, parts_of, open_video):
    data, _, decoded = videos["raw"]
    first, second = (part for part in parts_of(data) if part.kind == bitstream.COLOR)
    for spoilt, place, lost in [(first, 30, {1}), (second, 30, {2, 3, 4, 5, 6}), (first, 16, {1})]:
        found = open_video(_spoil(data, spoilt, place))
        for frame in decoded:
            if frame in lost:
                with pytest.raises(CorruptError, match="the video: "):
                    found.params(frame)
            else:
                assert_same(found.params(frame), decoded[frame])


def test_of_two_colors_with_one_id_the_first_stays(
    videos, samples, assert_same, parts_of, open_video
):
    data, _, decoded = videos["raw"]
    second = [part for part in parts_of(data) if part.kind == bitstream.COLOR][1]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    same = data[second.offset : second.end]
    other = flatten(samples.Walk(seed=9).params())
    other = bitstream.color_part(2, encode_color(samples.COLOR, other))
    for extra, damages in [(same, 0), (other, 1), (same + 3 * other, 1)]:
        found = open_video(data[: index.offset] + extra)
        assert_same(found.params(4), decoded[4])
        assert len(found.damages) == damages
    assert "color params 2 come twice, and differ" in found.damages[0].reason


def test_of_two_colors_with_one_id_the_sound_one_is_taken(
    videos, assert_same, parts_of, open_video
):
    data, _, decoded = videos["raw"]
    second = [part for part in parts_of(data) if part.kind == bitstream.COLOR][1]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    sound = data[second.offset : second.end]
    spoilt = bytearray(sound)
    spoilt[:16] = bitstream.part(bitstream.COLOR, sound[16:-1] + b"?")[:16]  # another checksum
    head = data[: second.offset]
    for one, two in [(bytes(spoilt), sound), (sound, bytes(spoilt))]:
        found = open_video(head + one + data[second.end : index.offset] + two)
        assert_same(found.params(4), decoded[4])
        assert "are damaged" in found.damages[0].reason


def test_a_missing_color_is_named(videos, parts_of, open_video):
    data, _, _ = videos["raw"]
    second = [part for part in parts_of(data) if part.kind == bitstream.COLOR][1]
    with pytest.raises(CorruptError, match="the video: color params 2 are missing"):
        open_video(data[: second.offset] + data[second.end :]).params(5)


def test_a_spoilt_color_id_does_not_take_another_ones_place(
    videos, assert_same, parts_of, open_video
):
    """Without an index the ids come from the parts themselves, before their checksums are read."""
    data, _, decoded = videos["raw"]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    second = [part for part in parts_of(data) if part.kind == bitstream.COLOR][1]
    spoilt = bytearray(data[: index.offset])
    spoilt[second.offset + 16] = 1
    assert_same(open_video(bytes(spoilt)).params(1), decoded[1])


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
def test_what_was_read_badly_may_be_asked_for_again(videos, name, assert_same, parts_of):
    data, _, decoded = videos[name]
    source = _Flaky(data)
    found = NeuralVideo(source, "the video")
    assert_same(found.params(1), decoded[1])
    for kind, number, frame in ((bitstream.COLOR, 1, 2), (bitstream.FRAME, 2, 3)):
        source.place = [part for part in parts_of(data) if part.kind == kind][number].end - 1
        for _ in range(2):
            with pytest.raises(CorruptError, match=r"the video: .* are damaged"):
                found.params(frame)
        source.place = None
        assert_same(found.params(frame), decoded[frame])
    assert [list(damage.frames) for damage in found.damages] == [[3]]


def test_what_cannot_be_decoded_is_not_read_again(videos, parts_of):
    data, _, _ = videos["delta"]
    spoilt = [part for part in parts_of(data) if part.kind == bitstream.FRAME][1]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
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


def test_garbage_between_parts_is_named(videos, assert_same, parts_of, open_video):
    data, _, decoded = videos["delta"]
    at = parts_of(data)[3].offset
    found = open_video(data[:at] + b"garbage" * 9 + data[at:])
    for frame, params in decoded.items():
        assert_same(found.params(frame), params)
    reasons = [damage.reason for damage in found.damages]
    assert f"bytes {at} to {at + 62} are no part of a video" in reasons


def test_a_damaged_index_is_named_and_done_without(videos, assert_same, parts_of, open_video):
    data, _, decoded = videos["delta"]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    found = open_video(_spoil(data, index, 40))
    assert "read from its beginning" in found.damages[0].reason
    assert_same(found.params(6), decoded[6])


def test_many_damages_are_kept_up_to_a_number(videos, parts_of, open_video):
    data, _, _ = videos["raw"]
    index = next(part for part in parts_of(data) if part.kind == bitstream.INDEX)
    part = bitstream.part(bitstream.FRAME, b"short")
    many = b"".join(part + bytes(1 + i % 7) for i in range(3000))
    found = open_video(data[: index.offset] + many)
    assert found.frames() == list(range(1, 7))
    assert len(found.damages) == 1000
