"""The container's bytes are those its module describes, written here by hand."""

import struct
import zlib

import pytest

from inv_jax.codec import bitstream, index
from inv_jax.codec.base import CorruptError, Packet
from inv_jax.codec.bitstream import COLOR, COLOR_DIFF, FRAME, INDEX, META, TAIL, Entry
from inv_jax.codec.source import BytesSource, FileSource

_SIGNATURE = b"\x89INV\r\n\x1a\n"


def _signature(major: int = 2, minor: int = 0) -> bytes:
    first = _SIGNATURE + struct.pack("<HH", major, minor)
    return first + struct.pack("<I", zlib.crc32(first))


def _part(kind: bytes, payload: bytes) -> bytes:
    head = kind + struct.pack("<II", len(payload), zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def _kinds(data: bytes) -> list:
    found = bitstream.parts(BytesSource(data), 16)
    return [part if isinstance(part, range) else part.kind for part in found]


def test_signature_and_parts_are_laid_out_as_described():
    assert bitstream.signature() == _signature()
    assert bitstream.part(b"META", b"text") == _part(b"META", b"text")
    assert bitstream.color_part(7, b"abc") == _part(b"COLR", struct.pack("<I", 7) + b"abc")
    difference = _part(b"CDIF", struct.pack("<II", 9, 7) + b"abc")
    assert bitstream.color_diff_part(9, 7, b"abc") == difference
    packet = Packet(first=5, count=3, is_key=True, payload=b"xyz")
    numbers = struct.pack("<III", 5, 3, 7) + b"\1\0\0\0"
    assert bitstream.packet_part(packet, 7) == _part(b"FRAM", numbers + b"xyz")


def test_index_and_tail_are_laid_out_as_described():
    colors = [Entry(100, COLOR, 7, 0, 0, False), Entry(150, COLOR_DIFF, 9, 0, 0, False)]
    entries = [*colors, Entry(200, FRAME, 5, 3, 7, True)]
    rows = struct.pack("<Q4sIIII", 100, b"COLR", 7, 0, 0, 0)
    rows += struct.pack("<Q4sIIII", 150, b"CDIF", 9, 0, 0, 0)
    rows += struct.pack("<Q4sIIII", 200, b"FRAM", 5, 3, 7, 1)
    tail = _part(b"TAIL", struct.pack("<QQ", 300, 3))
    assert index.closing(entries, 300) == _part(b"INDX", rows) + tail
    assert len(tail) == index.TAIL_BYTES == 32


def test_what_is_written_is_read_back():
    packet = Packet(5, 1, False, b"payload")
    data = bitstream.signature() + bitstream.packet_part(packet, 7)
    (found,) = bitstream.parts(BytesSource(data), 16)
    payload = bitstream.read_payload(BytesSource(data), found)
    assert bitstream.parse_packet(payload) == (packet, 7)
    assert bitstream.read_entry(BytesSource(data), found) == Entry(16, FRAME, 5, 1, 7, False)


def test_older_and_newer_minor_versions_are_read_and_a_newer_major_one_is_not():
    for major, minor in ((1, 0), (1, 999), (2, 999), (3, 999), (4, 999), (5, 999)):
        assert bitstream.check_signature(BytesSource(_signature(major, minor))) == major
    with pytest.raises(CorruptError, match=r"has version 6\.1.*up to 5\.x; use a newer"):
        bitstream.check_signature(BytesSource(_signature(6, 1)))
    with pytest.raises(CorruptError, match="not read any more"):
        bitstream.check_signature(BytesSource(_signature(0, 1)))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "not an .inv file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "not an .inv file"),
        (_signature().replace(b"\r\n", b"\n") + b"\0", "transfer in text mode"),
        (_signature()[:-1] + b"\0", "signature of the .inv file is damaged"),
    ],
)
def test_other_files_are_refused_by_name(data, reason):
    with pytest.raises(CorruptError, match=reason):
        bitstream.check_signature(BytesSource(data))


def test_unknown_kinds_are_parts_like_others():
    data = bitstream.signature() + _part(b"WHAT", b"ever") + _part(META, b"")
    assert _kinds(data) == [b"WHAT", META]


def test_kinds_are_letters():
    data = bitstream.signature() + _part(b"\x1b[2J", b"") + _part(FRAME, b"")
    assert _kinds(data) == [range(16, 32), FRAME]


def test_reading_goes_on_at_the_next_part_behind_damage():
    parts = [_part(FRAME, bytes([i]) * 50) for i in range(3)]
    spoilt = bytearray(b"".join(parts))
    spoilt[66 + 5] ^= 1  # in the second part's head
    assert _kinds(bitstream.signature() + spoilt) == [FRAME, range(16 + 66, 16 + 132), FRAME]


def test_a_part_is_found_wherever_it_begins():
    """Also over the edges of what is read at once when searching."""
    for gap in (1, 15, 16, 65_519, 65_520, 65_521, 65_535, 65_536, 131_056):
        data = bitstream.signature() + b"x" * gap + _part(FRAME, b"payload")
        assert _kinds(data) == [range(16, 16 + gap), FRAME], gap


def test_kinds_that_overlap_are_found():
    data = bitstream.signature() + b"ME" + _part(TAIL, b"")  # METAIL
    assert _kinds(data) == [range(16, 18), TAIL]


def test_bytes_that_may_not_be_there_yet_are_no_damage():
    whole = bitstream.signature() + _part(FRAME, b"payload")
    for size in range(16, len(whole)):
        assert _kinds(whole[:size]) == []
    assert _kinds(whole + b"some more bytes without a part") == [FRAME]


class _GrowsWhenAsked(BytesSource):
    """Half a part more each time its size is asked for."""

    def __init__(self, data: bytes, step: int):
        super().__init__(data)
        self._step, self._there = step, 0

    def size(self) -> int:
        self._there = min(super().size(), self._there + self._step)
        return self._there

    def read(self, offset: int, size: int) -> bytes:
        return super().read(offset, max(0, min(size, self._there - offset)))


def test_a_part_that_is_finished_while_one_looks_is_no_damage():
    data = bitstream.signature() + b"".join(_part(FRAME, bytes([i]) * 50) for i in range(6))
    for step in (1, 20, 33, 66, 67, 100):
        source, offset, seen = _GrowsWhenAsked(data, step), 16, 0
        while offset < len(data):
            for found in bitstream.parts(source, offset):
                assert not isinstance(found, range), (step, found)
                offset, seen = found.end, seen + 1
        assert seen == 6


def test_an_announced_size_is_not_believed():
    head = FRAME + struct.pack("<II", 0xFFFFFFFF, 0)
    data = bitstream.signature() + head + struct.pack("<I", zlib.crc32(head)) + bytes(100)
    assert _kinds(data) == []
    source = BytesSource(data)
    assert bitstream.read_head(source, 16) is None
    assert bitstream.read_head(source, 2**64 - 1) is None


def test_a_file_is_read_up_to_its_end_as_it_grows(tmp_path):
    path = tmp_path / "video"
    path.write_bytes(b"0123")
    source = FileSource(path)
    assert (source.size(), source.read(2, 10), source.read(9, 1)) == (4, b"23", b"")
    path.write_bytes(b"0123456789")
    assert (source.size(), source.read(2, 10)) == (10, b"23456789")
    source.close()


def test_payloads_with_another_checksum_are_named():
    data = bytearray(bitstream.signature() + _part(FRAME, b"payload"))
    data[-1] ^= 1
    source = BytesSource(bytes(data))
    with pytest.raises(CorruptError, match="7 bytes from byte 16 on are damaged"):
        bitstream.read_payload(source, bitstream.read_head(source, 16))


def _closed(entries: list[Entry], *, frames: int | None = None, end: int = 500) -> BytesSource:
    data = bitstream.signature().ljust(end, b"\0") + index.closing(entries, end)
    if frames is not None:
        data = data[:-32] + _part(TAIL, struct.pack("<QQ", end, frames))
    return BytesSource(data)


def test_index_is_found_from_the_end():
    colors = [Entry(100, COLOR, 7, 0, 0, False), Entry(150, COLOR_DIFF, 9, 0, 0, False)]
    entries = [*colors, Entry(200, FRAME, 5, 3, 7, True)]
    assert index.read(_closed(entries)) == (entries, 500)
    assert index.read(BytesSource(bitstream.signature())) is None


@pytest.mark.parametrize(
    "entries",
    [
        [Entry(200, FRAME, 1, 1, 7, True), Entry(200, FRAME, 2, 1, 7, True)],
        [Entry(300, FRAME, 1, 1, 7, True), Entry(200, FRAME, 2, 1, 7, True)],
        [Entry(500, FRAME, 1, 1, 7, True)],
        [Entry(2**64 - 1, FRAME, 1, 1, 7, True)],
        [Entry(0, FRAME, 1, 1, 7, True)],
        [Entry(200, META, 1, 1, 7, True)],
        [Entry(32 + i, FRAME, i, 1, 7, True) for i in range(100)],
    ],
)
def test_an_index_that_leads_nowhere_is_refused(entries):
    with pytest.raises(CorruptError, match="index"):
        index.read(_closed(entries))


def test_a_tail_that_contradicts_its_index_is_refused():
    entries = [Entry(200, FRAME, 5, 3, 7, True)]
    with pytest.raises(CorruptError, match="contradicts"):
        index.read(_closed(entries, frames=4))
    for offset in (0, 499, 2**63, 2**64 - 1):
        data = bytes(600) + _part(TAIL, struct.pack("<QQ", offset, 3))
        with pytest.raises(CorruptError, match="does not lead"):
            index.read(BytesSource(data))


@pytest.mark.parametrize("payload", [b"", b"\0" * 15, struct.pack("<IIII", 1, 0, 1, 1)])
def test_a_packet_of_nothing_is_refused(payload):
    with pytest.raises(CorruptError, match="packet of"):
        bitstream.parse_packet(payload)


def test_kinds_are_those_of_the_format():
    assert (META, COLOR, FRAME, INDEX, TAIL) == (b"META", b"COLR", b"FRAM", b"INDX", b"TAIL")
    assert COLOR_DIFF == b"CDIF"
