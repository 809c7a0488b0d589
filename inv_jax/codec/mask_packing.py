"""Masks as the original codes them: several sessions in one integer, and a Huffman code of these.

Session j of a group is bit j of a weight's integer (Kang et al. 2022, WSN, and its published code).
Each tensor of each group has a Huffman code of its own. A group can only be coded when its last
session is known, and any of its sessions only be read with the others: `mask_coding.py` needs
neither. The original counts no table, and none can be read where all integers are one; here
there are whole bytes, and a single integer has a word of one bit.

A payload is one group:

| bytes | what |
| --- | --- |
| 1 | 0xA0 and the number of sessions, 1 to 8 |
| 4 | CRC-32 of the integers, tensor by tensor, uint32, little-endian |
| then, for each tensor | bits, high ones first, and zeros up to a whole byte: |
| ... 6 bits | how wide the next ones are, w |
| ... w bits for each of the 2^sessions integers | the bits of its word, 0 if it does not occur |
| ... a word for each weight | words are canonical: shorter ones first, then smaller integers |
"""

import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import huffman
from inv_jax.codec.base import CorruptError, Shapes
from inv_jax.codec.mask_coding import Masks
from inv_jax.types import InvError

MOST_SESSIONS = 8  # of a group
_MAGIC = 0xA0
_HEAD = struct.Struct("<BI")
_WIDTH_BITS = 6
_LONGEST = 48  # bits of a word; a longer one takes more weights than a tensor can have
_AT_ONCE = 2**18  # weights, or bits, that are looked at together


def pack(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Integers of one tensor, uint8, of the masks' shape: session j is bit j.

    Args:
      masks: One to eight of consecutive sessions, bool, of one shape.

    Raises:
      InvError: If there are none or too many, or one is no mask of that shape.

    Example:
      >>> pack([np.array([True, False]), np.array([True, True])])
      array([3, 2], dtype=uint8)
    """
    _check_sessions(len(masks))
    for session, mask in enumerate(masks):
        if mask.dtype != np.bool_ or mask.shape != masks[0].shape:
            raise InvError(
                f"mask {session} of a group is {mask.dtype} {mask.shape}; "
                f"want bool {masks[0].shape}, as the first one"
            )
    packed = np.zeros(masks[0].shape, np.uint8)
    for session, mask in enumerate(masks):
        packed |= mask.astype(np.uint8) << np.uint8(session)
    return packed


def unpack(packed: np.ndarray, sessions: int) -> list[np.ndarray]:
    """The inverse of `pack`: masks of so many sessions."""
    return [(packed >> np.uint8(session) & 1).astype(bool) for session in range(sessions)]


def bits(packed: np.ndarray, sessions: int) -> tuple[int, int]:
    """Bits that one tensor takes, without the zeros behind: of its words, and of its table."""
    counts = np.bincount(packed.ravel(), minlength=2**sessions)
    lengths = huffman.lengths(counts)
    return int(counts @ lengths), _WIDTH_BITS + _width(lengths) * lengths.size


def encode(group: Sequence[Masks]) -> bytes:
    """A payload of the masks of consecutive sessions.

    Args:
      group: One to eight of them, with the same paths, in the same order.

    Raises:
      InvError: If there are none or too many, or they do not go together.
    """
    _check_sessions(len(group))
    if any(list(masks) != list(group[0]) for masks in group):
        raise InvError("masks of a group have other tensors; want those of one network")
    crc, parts = 0, []
    for path in group[0]:
        packed = pack([masks[path] for masks in group]).ravel()
        crc = zlib.crc32(packed.tobytes(), crc)
        parts.append(_tensor(packed, len(group)))
    return _HEAD.pack(_MAGIC + len(group), crc) + b"".join(parts)


def decode(payload: bytes, shapes: Shapes) -> list[dict[str, np.ndarray]]:
    """The masks of a payload, session by session.

    Args:
      payload: As of `encode`.
      shapes: (path, shape) of the tensors, in order.

    Raises:
      CorruptError: If it is not one, or of other tensors.
    """
    sessions = payload[0] - _MAGIC if len(payload) >= _HEAD.size else 0
    if not 1 <= sessions <= MOST_SESSIONS:
        raise CorruptError(f"packed masks begin with {payload[:1]!r}; these are none, or cut")
    total = sum(math.prod(shape) for _, shape in shapes)
    if total > 8 * len(payload):
        raise CorruptError(
            f"packed masks of {total} weights in {len(payload)} bytes: cut, or of another network"
        )
    wanted, found, at, crc = _HEAD.unpack_from(payload)[1], {}, _HEAD.size, 0
    data = np.frombuffer(payload, np.uint8)
    for path, shape in shapes:
        packed, at = _read_tensor(data, at, math.prod(shape), sessions)
        crc = zlib.crc32(packed.tobytes(), crc)
        found[path] = unpack(packed.reshape(shape), sessions)
    if crc != wanted or at != len(payload):
        raise CorruptError(
            "packed masks do not have their checksum: damaged, or of another network"
        )
    return [{path: masks[i] for path, masks in found.items()} for i in range(sessions)]


def _check_sessions(count: int) -> None:
    if not 1 <= count <= MOST_SESSIONS:
        raise InvError(f"a group of {count} masks; want 1 to {MOST_SESSIONS}")


# Writing.


def _width(lengths: np.ndarray) -> int:
    return int(lengths.max()).bit_length()


def _words(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The canonical code: integers in the order of their words; these at the top of uint64."""
    order = np.lexsort((np.arange(lengths.size), lengths))
    order = order[lengths[order] > 0]
    parts = np.uint64(1) << (64 - lengths[order]).astype(np.uint64)
    return order, np.cumsum(parts, dtype=np.uint64) - parts


def _tensor(packed: np.ndarray, sessions: int) -> bytes:
    """Table and words of integers (n,) uint8."""
    lengths = huffman.lengths(np.bincount(packed, minlength=2**sessions))
    order, starts = _words(lengths)
    words = np.zeros(lengths.size, np.uint64)
    words[order] = starts
    width = _width(lengths)
    table = np.array([width, *lengths], np.uint64)
    table_bits = np.array([_WIDTH_BITS, *[width] * lengths.size])
    found = [_flat(table << (64 - np.maximum(table_bits, 1)).astype(np.uint64), table_bits)]
    for start in range(0, packed.size, _AT_ONCE):
        part = packed[start : start + _AT_ONCE]
        found.append(_flat(words[part], lengths[part]))
    return np.packbits(np.concatenate(found)).tobytes()


def _flat(words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Bits of words (n,), uint64 at the top, each of its length: (sum of lengths,) uint8."""
    ends = np.cumsum(lengths)
    place = np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - lengths, lengths)
    which = np.repeat(words, lengths) >> (63 - place).astype(np.uint64)
    return (which & np.uint64(1)).astype(np.uint8)


# Reading.


def _read_tensor(data: np.ndarray, at: int, count: int, sessions: int) -> tuple[np.ndarray, int]:
    """Integers (count,) uint8 of the tensor that begins at a byte, and the byte behind it."""
    head = np.unpackbits(data[at : at + 1 + 2**sessions * (2**_WIDTH_BITS - 1) // 8 + 1])
    width = _number(head[:_WIDTH_BITS])
    end = _WIDTH_BITS + width * 2**sessions
    if head.size < end:
        raise CorruptError("packed masks end in a table; they are cut")
    table = head[_WIDTH_BITS:end].reshape(2**sessions, width)
    lengths = np.array([_number(row) for row in table], np.int64)
    _check_code(lengths, count)
    packed, end = _follow(data, 8 * at + end, count, lengths)
    return packed, (end + 7) // 8


def _number(flat: np.ndarray) -> int:
    """Of bits, high ones first."""
    return int("".join(map(str, flat)) or "0", 2)


def _check_code(lengths: np.ndarray, count: int) -> None:
    """Refuses what is no code of all bits, but for a code of one word."""
    met = lengths[lengths > 0].tolist()
    parts = sum(1 << _LONGEST - length for length in met if length <= _LONGEST)
    if max(met, default=0) > _LONGEST or (met != [1] and parts != 1 << _LONGEST and count):
        raise CorruptError("packed masks have a table of words that no encoder makes")


def _follow(data: np.ndarray, at: int, count: int, lengths: np.ndarray) -> tuple[np.ndarray, int]:
    """Integers (count,) of the words from a bit on, and the bit behind them.

    What would be read is looked up for all bits at once; then only the way from each to the next
    is walked one by one.
    """
    order, starts = _words(lengths)
    found, size = [], 8 * data.size
    while count:
        if at >= size:
            raise CorruptError("packed masks end in front of their last weight; they are cut")
        first = at // 8
        windows = _windows(data[first : first + _AT_ONCE // 8 + 7])
        ranks = np.searchsorted(starts, windows, side="right") - 1
        steps, place, places = lengths[order][ranks].tolist(), at - 8 * first, []
        for _ in range(count):
            if place >= len(steps):
                break
            places.append(place)
            place += steps[place]
        found.append(order[ranks[places]].astype(np.uint8))
        count, at = count - len(places), 8 * first + place
    if at > size:
        raise CorruptError("packed masks end in their last word; they are cut")
    return np.concatenate([np.zeros(0, np.uint8), *found]), at


def _windows(data: np.ndarray) -> np.ndarray:
    """The bits from each bit on, at the top of uint64, 57 of them at least; zeros behind the end.

    Args:
      data: Bytes, and up to 7 more behind those that are wanted, `_AT_ONCE` bits at most.
    """
    padded = np.concatenate([data, np.zeros(7, np.uint8)])
    eight = np.lib.stride_tricks.sliding_window_view(padded, 8)[: _AT_ONCE // 8]
    numbers = np.ascontiguousarray(eight).view(">u8").astype(np.uint64)
    return (numbers << np.arange(8, dtype=np.uint64)).ravel()
