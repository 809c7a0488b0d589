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
    "COLR" color params:  4  their id: number of the frame in which they trained
                          .. fpzip streams, see `codec/fpzip_codec.py`: one per leaf
    "FRAM" a packet:      4  number of its first frame
                          4  how many frames
                          4  id of their color params, whose part stands before
                          1  1 if it is a key, decoded without earlier packets, else 0
                          3  zeros
                          .. the codec's payload
    "INDX" the index:     28 bytes for each COLR and FRAM part before it:
                          8  where the part begins, from the file's first byte
                          4  its kind
                          4  first frame, or the color's id
                          4  how many frames; 0 for a color
                          4  the packet's color id; 0 for a color
                          4  1 for a key, else 0
    "TAIL" the end:       8  where the newest index begins
                          8  how many frames there are up to here

Frames ascend from packet to packet, and so do offsets in an index. A packet has payload bytes for
each frame, see `least_bytes` in `codec/frames.py`.

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
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Protocol

from inv_jax.codec.base import CorruptError, Packet

MAGIC = b"\x89INV\r\n\x1a\n"
VERSION = (1, 0)
META, COLOR, FRAME, INDEX, TAIL = b"META", b"COLR", b"FRAM", b"INDX", b"TAIL"

_SIGNATURE = struct.Struct("<8sHH")
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<4sII")
_PACKET = struct.Struct("<III?3x")
_COLOR = struct.Struct("<I")
_ENTRY = struct.Struct("<Q4sIIII")
_TAIL = struct.Struct("<QQ")
SIGNATURE_BYTES = _SIGNATURE.size + _CRC.size
HEAD_BYTES = _HEAD.size + _CRC.size
TAIL_BYTES = HEAD_BYTES + _TAIL.size
_SEARCH_BYTES = 1 << 16  # read at once when looking for the next head
_ANY_KIND = re.compile(b"(?=%s)" % b"|".join((META, COLOR, FRAME, INDEX, TAIL)))


class Source(Protocol):
    """Bytes that can be read anywhere: a file, a URL, a test's bytes."""

    def size(self) -> int:
        """How many there are now; it may grow."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer where they end."""
        ...

    def close(self) -> None:
        """Lets go of what they are read from; nothing is read afterwards."""
        ...


class FileSource:
    """A file on disk, that may be growing."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, closed by `close`

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        self._file.close()


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes):
        self._data = memoryview(data)

    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self._data[offset : offset + size])

    def close(self) -> None:
        pass


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


# Writing.


def signature() -> bytes:
    """The first bytes of a file."""
    head = _SIGNATURE.pack(MAGIC, *VERSION)
    return head + _CRC.pack(zlib.crc32(head))


def part(kind: bytes, payload: bytes) -> bytes:
    """A part's bytes."""
    head = _HEAD.pack(kind, len(payload), zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head)) + payload


def color_part(color: int, payload: bytes) -> bytes:
    """The part of color params."""
    return part(COLOR, _COLOR.pack(color) + payload)


def packet_part(packet: Packet, color: int) -> bytes:
    """The part of a packet whose frames have these color params."""
    head = _PACKET.pack(packet.first, packet.count, color, packet.is_key)
    return part(FRAME, head + packet.payload)


def closing(entries: list[Entry], end: int) -> bytes:
    """INDX and TAIL for a file that ends at `end` so far."""
    rows = [_ENTRY.pack(e.offset, e.kind, e.first, e.count, e.color, e.is_key) for e in entries]
    frames = sum(entry.count for entry in entries)
    return part(INDEX, b"".join(rows)) + part(TAIL, _TAIL.pack(end, frames))


# Reading.


def check_signature(source: Source) -> None:
    """Raises what is wrong with the first bytes.

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
    if major != VERSION[0]:
        raise CorruptError(
            f"this .inv file has version {major}.{minor}, this program reads {VERSION[0]}.x; "
            "use a newer inv_jax"
            if major > VERSION[0]
            else f"this .inv file has version {major}.{minor}, which is not read any more"
        )


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


def parse_color(payload: bytes) -> tuple[int, bytes]:
    """Id and streams of a color part.

    Raises:
      CorruptError: If it is too short.
    """
    if len(payload) < _COLOR.size:
        raise CorruptError(f"a color part of {len(payload)} bytes")
    return _COLOR.unpack(payload[: _COLOR.size])[0], payload[_COLOR.size :]


def parse_packet(payload: bytes) -> tuple[Packet, int]:
    """The packet of a frame part, and the id of its color.

    Raises:
      CorruptError: If it is too short, or empty.
    """
    if len(payload) < _PACKET.size:
        raise CorruptError(f"a packet of {len(payload)} bytes")
    first, count, color, is_key = _PACKET.unpack(payload[: _PACKET.size])
    if not 0 < count <= len(payload):
        raise CorruptError(f"a packet of {count} frames in {len(payload)} bytes")
    return Packet(first, count, is_key, payload[_PACKET.size :]), color


def read_entry(source: Source, found: Part) -> Entry:
    """What the index says of a color or a packet, from the part itself (not checked yet)."""
    data = source.read(found.offset + HEAD_BYTES, min(found.size, _PACKET.size))
    if found.kind == COLOR:
        return Entry(found.offset, COLOR, parse_color(data)[0], 0, 0, False)
    if len(data) < _PACKET.size:
        raise CorruptError(f"a packet of {len(data)} bytes")
    first, count, color, is_key = _PACKET.unpack(data)
    return Entry(found.offset, FRAME, first, count, color, is_key)


def read_index(source: Source) -> tuple[list[Entry], int] | None:
    """The entries of a closed file's index and where the index begins; None if it has none.

    Raises:
      CorruptError: If there is one and it is damaged.
    """
    size = source.size()
    tail = read_head(source, size - TAIL_BYTES) if size >= TAIL_BYTES else None
    if tail is None or tail.kind != TAIL or tail.size != _TAIL.size:
        return None
    offset, frames = _TAIL.unpack(read_payload(source, tail))
    found = read_head(source, offset)
    # So many entries have parts of their own to point to, at least.
    most = offset // (HEAD_BYTES + _COLOR.size) * _ENTRY.size
    if found is None or found.kind != INDEX or found.size % _ENTRY.size or found.size > most:
        raise CorruptError("the file's tail does not lead to its index")
    entries, end = [], SIGNATURE_BYTES + HEAD_BYTES
    for at, kind, *numbers, flags in _ENTRY.iter_unpack(read_payload(source, found)):
        entries.append(Entry(at, kind, *numbers, bool(flags & 1)))
        if kind not in (COLOR, FRAME) or not end <= at < offset:
            raise CorruptError(f"the file's index leads to byte {at}, where no packet can be")
        end = at + HEAD_BYTES
    if sum(entry.count for entry in entries) != frames:
        raise CorruptError("the file's index contradicts its tail")
    return entries, offset
