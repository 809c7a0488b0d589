r"""The container `.inv`, byte by byte: a signature, then parts, one behind the other.

All numbers are unsigned and little-endian; `crc` is CRC-32 as in zlib.

    signature, 16 bytes
        8   b"\x89INV\r\n\x1a\n"
        2   major version: a reader refuses those it does not know
        2   minor version: it may read those it does not know, and skip unknown parts
        4   crc of the 12 bytes before

    part = head, 16 bytes, and payload
        4   kind, four ASCII letters
        4   bytes of the payload
        4   crc of the payload
        4   crc of the 12 bytes before

    "META" once, first: JSON (UTF-8) through zlib, see `codec/header.py`
    "COLR" color params, which frames share:
                          4  their id: number of the frame in which they trained
                          .. fpzip streams, see `codec/fpzip_codec.py`: one per leaf
    "CDIF" the same, as what differs from a COLR part, its base (since version 2):
                          4  their id
                          4  id of the base, which stands before
                          .. one bit per leaf of the layout, 1 if it is here: the first one is the
                             lowest of the first byte; zeros fill the last byte
                          .. fpzip streams, one per leaf that is here; the others are the base's
    "CQNT" the same, quantised, as of a network that a whole video shares (since version 5):
                          4  their id
                          .. a payload of `codec/quant_codec.py`, and zeros
    "FRAM" a packet:      4  number of its first frame
                          4  how many frames
                          4  id of their color params, whose part (COLR, CDIF, CQNT) stands before
                          1  flags: 1 for a key, decoded without earlier packets; 2 for a segment,
                             whose frames share one set of params (since version 3)
                          3  how many zeros stand at its end
                          .. the codec's payload
                          .. the zeros: of a segment, as many as make the part's payload a byte
                             for each frame long; else none
    "INDX" the index:     28 bytes for each color and FRAM part before it:
                          8  where the part begins, from the file's first byte
                          4  its kind
                          4  first frame, or the color's id
                          4  how many frames; 0 for a color
                          4  the packet's color id; 0 for a color
                          4  flags, as of FRAM; 0 for a color
    "TAIL" the end:       8  where the newest index begins
                          8  how many frames there are up to here

A file of version 1 has no CDIF, and is otherwise the same; a writer goes on with it so. A file is
of version 3 only if its segments are longer than a frame; then all its packets are segments. It is
of version 4 only if its layout has whole numbers, be its segments longer or not, and of version 5
only if that has masks, or there may be a CQNT part.

Frames ascend from packet to packet, and so do offsets in an index. A packet has payload bytes for
each set of params, see `least_bytes` in `codec/frames.py`, and a byte for each frame: so no file
can claim more frames than it has bytes.

A group is a key packet and those behind it up to the next key: where one can tune in. A file grows
by parts, so it can be watched meanwhile. What a writer has written it never changes; one that goes
on with a file later cuts what is behind the last packet that it keeps (index and tail, an
incomplete last group, packets that its run has lost), and appends. A watcher knows that by the head
of the part it saw last, and reads anew. A closed file ends with INDX and TAIL, 32 bytes, by which
any frame is found without reading the others; an index in the middle of a file is skipped. A file
that is cut, or still growing, is read head by head from its beginning. Bytes that are no part are
skipped up to the next head whose crc is right, and count as damage.
"""

import dataclasses
import re
import struct
import zlib
from collections.abc import Iterator

from inv_jax.codec.base import CorruptError, Packet
from inv_jax.codec.source import Source

MAGIC = b"\x89INV\r\n\x1a\n"
VERSION = 5  # the newest major version
FRAMES_VERSION = 2  # of a file whose segments are frames
SEGMENTS_VERSION = 3  # of one whose segments are longer
INDICES_VERSION = 4  # of one with whole numbers, but no masks
META, FRAME, INDEX, TAIL = b"META", b"FRAM", b"INDX", b"TAIL"
COLOR, COLOR_DIFF, COLOR_QUANTISED = b"COLR", b"CDIF", b"CQNT"
WHOLE_COLORS = (COLOR, COLOR_QUANTISED)
COLORS = (*WHOLE_COLORS, COLOR_DIFF)  # parts of color params

_OLDEST = 1  # major version that is read
_MINOR = 0
IS_KEY, IS_SEGMENT = 1, 2  # flags
_FLAG_BITS = 8  # of a packet's last number; above them stands the number of zeros

_SIGNATURE = struct.Struct("<8sHH")
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<4sII")
_PACKET = struct.Struct("<IIII")
_COLOR = struct.Struct("<I")
_COLOR_DIFF = struct.Struct("<II")
SIGNATURE_BYTES = _SIGNATURE.size + _CRC.size
HEAD_BYTES = _HEAD.size + _CRC.size
_SEARCH_BYTES = 1 << 16  # read at once when looking for the next head
_ANY_KIND = re.compile(b"(?=%s)" % b"|".join((META, *COLORS, FRAME, INDEX, TAIL)))


@dataclasses.dataclass(frozen=True)
class Part:
    """Where a part is, and what its head says; its payload is not read yet."""

    offset: int
    kind: bytes
    size: int  # of the payload
    crc: int  # of the payload

    @property
    def end(self) -> int:
        return self.offset + HEAD_BYTES + self.size


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A color or a packet, as the index knows it."""

    offset: int
    kind: bytes
    first: int  # frame; a color's id
    count: int  # frames; 0 for a color
    color: int  # id of the packet's color
    is_key: bool
    is_segment: bool = False

    @classmethod
    def of(cls, offset: int, packet: Packet, color: int) -> "Entry":
        """That of a packet whose part begins there."""
        numbers = packet.first, packet.count, color
        return cls(offset, FRAME, *numbers, packet.is_key, packet.is_segment)

    @property
    def sets(self) -> int:
        """How many sets of params the packet holds."""
        return 1 if self.is_segment else self.count

    @property
    def end(self) -> int:
        """The frame behind the packet's last one."""
        return self.first + self.count


# Writing.


def signature(version: int = FRAMES_VERSION) -> bytes:
    """The first bytes of a file."""
    head = _SIGNATURE.pack(MAGIC, version, _MINOR)
    return head + _CRC.pack(zlib.crc32(head))


def part(kind: bytes, payload: bytes) -> bytes:
    """A part's bytes."""
    head = _HEAD.pack(kind, len(payload), zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head)) + payload


def color_part(color: int, payload: bytes, kind: bytes = COLOR) -> bytes:
    """The part of whole color params, of one of the kinds of these."""
    return part(kind, _COLOR.pack(color) + payload)


def color_diff_part(color: int, base: int, payload: bytes) -> bytes:
    """The part of color params that differ from a base."""
    return part(COLOR_DIFF, _COLOR_DIFF.pack(color, base) + payload)


def packet_part(packet: Packet, color: int) -> bytes:
    """The part of a packet whose frames have these color params."""
    zeros = max(0, packet.count - _PACKET.size - len(packet.payload)) if packet.is_segment else 0
    last = flags_of(packet) | zeros << _FLAG_BITS
    head = _PACKET.pack(packet.first, packet.count, color, last)
    return part(FRAME, head + packet.payload + bytes(zeros))


def flags_of(of: Packet | Entry) -> int:
    """Flags of a packet: whether it is a key, whether a segment."""
    return of.is_key * IS_KEY | of.is_segment * IS_SEGMENT


# Reading.


def check_signature(source: Source) -> int:
    """The major version; raises what is wrong with the first bytes.

    Raises:
      CorruptError: If this is no such file, or one of a version that is not known here.
    """
    data = source.read(0, SIGNATURE_BYTES)
    if len(data) < SIGNATURE_BYTES or data[: len(MAGIC)] != MAGIC:
        hint = "; it was damaged by a transfer in text mode" if data[1:4] == b"INV" else ""
        raise CorruptError(f"not an .inv file: it begins with {data[:8]!r}{hint}")
    if _CRC.unpack(data[_SIGNATURE.size :])[0] != zlib.crc32(data[: _SIGNATURE.size]):
        raise CorruptError("the signature of the .inv file is damaged")
    _, major, minor = _SIGNATURE.unpack(data[: _SIGNATURE.size])
    if not _OLDEST <= major <= VERSION:
        raise CorruptError(
            f"this .inv file has version {major}.{minor}, this program reads up to {VERSION}.x; "
            "use a newer inv_jax"
            if major > VERSION
            else f"this .inv file has version {major}.{minor}, which is not read any more"
        )
    return major


def read_head(source: Source, offset: int) -> Part | None:
    """The part that begins there; None if there is none, or it is not whole yet."""
    return _read_head(source, offset, source.size())


def _read_head(source: Source, offset: int, size: int) -> Part | None:
    """As `read_head`, among the first `size` bytes."""
    if offset + HEAD_BYTES > size:
        return None
    found = _parse_head(source.read(offset, HEAD_BYTES), offset)
    return found if found is not None and found.end <= size else None


def _parse_head(data: bytes, offset: int) -> Part | None:
    if len(data) < HEAD_BYTES:
        return None
    if _CRC.unpack_from(data, _HEAD.size)[0] != zlib.crc32(data[: _HEAD.size]):
        return None
    if not data[:4].isalpha():
        return None
    return Part(offset, *_HEAD.unpack_from(data))


def read_payload(source: Source, found: Part) -> bytes:
    """A part's payload.

    Raises:
      CorruptError: If its checksum is not right, or bytes are missing.
    """
    payload = source.read(found.offset + HEAD_BYTES, found.size)
    if len(payload) < found.size or zlib.crc32(payload) != found.crc:
        raise CorruptError(f"{found.size} bytes from byte {found.offset} on are damaged")
    return payload


def parts(source: Source, offset: int) -> Iterator[Part | range]:
    """Parts from an offset on, as far as they are whole; ranges of bytes that are none.

    A part that is still being written ends the iteration; so do bytes behind the last part, of
    which it cannot be known whether they are damaged or not there yet. All this is said of the
    bytes that there are at the beginning: what is finished meanwhile is for the next call.
    """
    size = source.size()
    while True:
        found = _read_head(source, offset, size)
        if found is None:
            found = _next_part(source, offset + 1, size)
            if found is None:
                return
            yield range(offset, found.offset)
        yield found
        offset = found.end


def _next_part(source: Source, offset: int, size: int) -> Part | None:
    """The first part at or behind an offset, among the first `size` bytes."""
    while size - offset >= HEAD_BYTES:
        data = source.read(offset, min(_SEARCH_BYTES, size - offset))
        if len(data) < HEAD_BYTES:
            return None
        for match in _ANY_KIND.finditer(data):
            start = match.start()
            found = _parse_head(data[start : start + HEAD_BYTES], offset + start)
            if found is not None and found.end <= size:
                return found
        offset += len(data) - HEAD_BYTES + 1
    return None


def parse_color(kind: bytes, payload: bytes) -> tuple[int, int | None, bytes]:
    """Id of a color part, id of its base if it has one, and what follows.

    Raises:
      CorruptError: If it is too short.
    """
    head = _COLOR_DIFF if kind == COLOR_DIFF else _COLOR
    if len(payload) < head.size:
        raise CorruptError(f"a color part of {len(payload)} bytes")
    color, *base = head.unpack(payload[: head.size])
    return color, base[0] if base else None, payload[head.size :]


def parse_packet(payload: bytes) -> tuple[Packet, int]:
    """The packet of a frame part, and the id of its color.

    Raises:
      CorruptError: If it is too short, or empty.
    """
    if len(payload) < _PACKET.size:
        raise CorruptError(f"a packet of {len(payload)} bytes")
    first, count, color, last = _PACKET.unpack(payload[: _PACKET.size])
    if not 0 < count <= len(payload):
        raise CorruptError(f"a packet of {count} frames in {len(payload)} bytes")
    end = len(payload) - (last >> _FLAG_BITS)
    if end < _PACKET.size or payload[end:].strip(b"\0"):
        raise CorruptError(f"a packet of {len(payload)} bytes that do not end in zeros")
    body = payload[_PACKET.size : end]
    return Packet(first, count, bool(last & IS_KEY), body, bool(last & IS_SEGMENT)), color


def read_entry(source: Source, found: Part) -> Entry:
    """What the index says of a color or a packet, from the part itself (not checked yet)."""
    data = source.read(found.offset + HEAD_BYTES, min(found.size, _PACKET.size))
    if found.kind in COLORS:
        return Entry(found.offset, found.kind, parse_color(found.kind, data)[0], 0, 0, False)
    if len(data) < _PACKET.size:
        raise CorruptError(f"a packet of {len(data)} bytes")
    first, count, color, last = _PACKET.unpack(data)
    flags = bool(last & IS_KEY), bool(last & IS_SEGMENT)
    return Entry(found.offset, FRAME, first, count, color, *flags)
