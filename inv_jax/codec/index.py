"""The index of a closed neural video, by which any frame is found: INDX and TAIL of `bitstream`."""

import struct

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError
from inv_jax.codec.bitstream import HEAD_BYTES, INDEX, TAIL, Entry
from inv_jax.codec.source import Source

_ENTRY = struct.Struct("<Q4sIIII")
_TAIL = struct.Struct("<QQ")
TAIL_BYTES = HEAD_BYTES + _TAIL.size
_LEAST_BYTES = HEAD_BYTES + 4  # of a part that an entry points to


def closing(entries: list[Entry], end: int) -> bytes:
    """INDX and TAIL for a file that ends at `end` so far."""
    rows = [
        _ENTRY.pack(e.offset, e.kind, e.first, e.count, e.color, bitstream.flags_of(e))
        for e in entries
    ]
    frames = sum(entry.count for entry in entries)
    return bitstream.part(INDEX, b"".join(rows)) + bitstream.part(TAIL, _TAIL.pack(end, frames))


def read(source: Source) -> tuple[list[Entry], int] | None:
    """The entries of a closed file's index and where the index begins; None if it has none.

    Raises:
      CorruptError: If there is one and it is damaged.
    """
    size = source.size()
    tail = bitstream.read_head(source, size - TAIL_BYTES) if size >= TAIL_BYTES else None
    if tail is None or tail.kind != TAIL or tail.size != _TAIL.size:
        return None
    offset, frames = _TAIL.unpack(bitstream.read_payload(source, tail))
    found = bitstream.read_head(source, offset)
    # So many entries have parts of their own to point to, at least.
    most = offset // _LEAST_BYTES * _ENTRY.size
    if found is None or found.kind != INDEX or found.size % _ENTRY.size or found.size > most:
        raise CorruptError("the file's tail does not lead to its index")
    entries, end = [], bitstream.SIGNATURE_BYTES + HEAD_BYTES
    for at, kind, *numbers, flags in _ENTRY.iter_unpack(bitstream.read_payload(source, found)):
        is_key, is_segment = flags & bitstream.IS_KEY, flags & bitstream.IS_SEGMENT
        entries.append(Entry(at, kind, *numbers, bool(is_key), bool(is_segment)))
        if kind not in (*bitstream.COLORS, bitstream.FRAME) or not end <= at < offset:
            raise CorruptError(f"the file's index leads to byte {at}, where no packet can be")
        end = at + HEAD_BYTES
    if sum(entry.count for entry in entries) != frames:
        raise CorruptError("the file's index contradicts its tail")
    return entries, offset
