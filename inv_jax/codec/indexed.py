"""Integer leaves, to the bit, in front of what any codec makes of the others.

A leaf of `Layout.indices` says where params lie, such as which brick is in which slot. No codec
rounds it: it is coded here, as a difference, and the codec stores the float leaves behind it as if
there were no others. Params of a layout without such leaves are the codec's alone, byte for byte.

A payload of a layout with indices, numbers little-endian:

| bytes | what |
| --- | --- |
| 4 | CRC-32 of all indices of the packet, int32 behind each other, set by set |
| 4 | number of words, uint32 |
| 4 each | words, uint32: an ANS stack (`whole_tables.py`), from which comes what is listed below |
| | the codec's payload |

Of each set of params, its indices behind each other, less what was expected, modulo 2^32: in the
first set of a key packet the entry before, the first one 0; in other sets the same entry of the set
before. The stack holds how many of these differences are not 0, as 32 plain bits in two halves, the
lower first; if it is neither none nor all, a flag for each, in a table of the two counts; then of
those that are not 0 their lengths and their bits. A difference d, as -2^31 <= d < 2^31, is
z = 2 d, or -2 d - 1 if it is below 0; its length is how often z is halved until it is 0, less 1.
Lengths are in a table that begins with a count of 16 for each of the 32 and learns, 16 for one that
was met, from the waves of `symbols.py`. Bits are those below the leading one: of each length from 1
on, of all differences that have it, the lower 16 first, then those above.
"""

import dataclasses
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import whole_tables
from inv_jax.codec.base import Codec, CorruptError, Decoder, Encoder, Gauge, Layout, Leaves, Packet
from inv_jax.codec.entropy import Reader, Writer
from inv_jax.codec.symbols import waves
from inv_jax.codec.whole_tables import WholeTables

_HEAD = struct.Struct("<II")
_HALF = 16
_LENGTHS, _GAIN = 32, 16


def encoder(codec: Codec, layout: Layout, gauge: Gauge | None = None) -> Encoder:
    """A codec's encoder, for layouts with and without indices."""
    made = codec.encoder(layout, gauge)
    return IndexedEncoder(made, layout) if layout.indices else made


def decoder(codec: Codec, layout: Layout) -> Decoder:
    """A codec's decoder, likewise."""
    made = codec.decoder(layout)
    return IndexedDecoder(made, layout) if layout.indices else made


class IndexedEncoder(Encoder):
    """Codes indices, and has another encoder code the rest."""

    def __init__(self, inner: Encoder, layout: Layout):
        """`inner` is given all leaves, and codes the float ones."""
        self._inner, self._layout = inner, layout
        self._waiting: list[np.ndarray] = []  # of sets that are in no packet yet
        self._last: np.ndarray | None = None  # of the last set in a packet

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        """See `Encoder.push`."""
        packets = self._inner.push(frame, leaves)
        self._waiting.append(_ravel(self._layout, leaves))
        return self._wrapped(packets)

    def finish(self) -> list[Packet]:
        """See `Encoder.finish`."""
        return self._wrapped(self._inner.finish())

    def resume(self, packets: Sequence[Packet]) -> None:
        """See `Encoder.resume`.

        Raises:
          CorruptError: If they are not such packets.
        """
        inner = []
        for packet in packets:
            sets, bare = _parse(self._layout, packet, self._last)
            self._last = sets[-1]
            inner.append(bare)
        self._inner.resume(inner)

    def decoded(self) -> Leaves:
        """See `Encoder.decoded`."""
        floats = self._inner.decoded()
        assert self._last is not None, "a codec gave back what it was not given"
        return {**floats, **_unravel(self._layout, self._last)}

    def _wrapped(self, packets: list[Packet]) -> list[Packet]:
        made = []
        for packet in packets:
            sets, self._waiting = self._waiting[: packet.sets], self._waiting[packet.sets :]
            before = None if packet.is_key else self._last
            made.append(dataclasses.replace(packet, payload=_dump(sets, before) + packet.payload))
            self._last = sets[-1]
        return made


class IndexedDecoder(Decoder):
    """Decodes indices, and has another decoder decode the rest."""

    def __init__(self, inner: Decoder, layout: Layout):
        """`inner` is told the indices of each packet."""
        self._inner, self._layout, self.is_finite = inner, layout, inner.is_finite
        self._last: np.ndarray | None = None

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """See `Decoder.decode`. After an error, only a key packet is decoded."""
        last, self._last = self._last, None
        sets, bare = _parse(self._layout, packet, last)
        frames = self._inner.decode(bare)
        self._last = sets[-1]
        return {
            frame: {**leaves, **_unravel(self._layout, indices)}
            for (frame, leaves), indices in zip(frames.items(), sets, strict=True)
        }

    def codes(self, packet: Packet) -> np.ndarray | None:
        """See `Decoder.codes`."""
        sets, bare = _parse(self._layout, packet, self._last)
        self._last = sets[-1]
        return self._inner.codes(bare)


def _ravel(layout: Layout, leaves: Leaves) -> np.ndarray:
    """All indices behind each other, (n,) int32."""
    leaves = {path: np.asarray(leaves[path], np.int32) for path, _ in layout.indices}
    return np.concatenate([leaf.ravel() for leaf in leaves.values()])


def _unravel(layout: Layout, flat: np.ndarray) -> dict[str, np.ndarray]:
    ends = np.cumsum([math.prod(shape) for _, shape in layout.indices])
    parts = np.split(flat, ends[:-1])
    return {
        path: part.reshape(shape) for (path, shape), part in zip(layout.indices, parts, strict=True)
    }


def _dump(sets: Sequence[np.ndarray], before: np.ndarray | None) -> bytes:
    """The section of a packet."""
    writer, crc = Writer(), 0
    for here in sets:
        expected = np.concatenate([[np.int32(0)], here[:-1]]) if before is None else before
        _push(writer, here - expected)
        before, crc = here, zlib.crc32(here.astype("<i4").tobytes(), crc)
    words = writer.words()
    return _HEAD.pack(crc, words.size) + words.tobytes()


def _parse(
    layout: Layout, packet: Packet, before: np.ndarray | None
) -> tuple[list[np.ndarray], Packet]:
    """The indices of each of a packet's sets, and the packet as its codec made it.

    Raises:
      CorruptError: If the bytes are not what `_dump` makes, or the frame before is missing.
    """
    name, payload, sets, crc = f"frame {packet.first}", packet.payload, [], 0
    if not packet.is_key and before is None:
        raise CorruptError(f"{name}: the indices of the frame before are missing")
    if len(payload) < _HEAD.size:
        raise CorruptError(f"{name}: {len(payload)} bytes cannot hold indices")
    wanted, words = _HEAD.unpack_from(payload)
    end = _HEAD.size + 4 * words
    if end > len(payload):
        raise CorruptError(f"{name}: {len(payload)} bytes cannot hold {words} words of indices")
    try:
        reader = Reader(payload[_HEAD.size : end])
        for number in range(packet.sets):
            found = _pull(reader, layout.num_indices)
            if packet.is_key and not number:
                here = np.cumsum(found, dtype=np.int32)
            else:
                here = sets[-1] + found if sets else before + found
            sets.append(here)
            crc = zlib.crc32(here.astype("<i4").tobytes(), crc)
        reader.finish()
    except CorruptError as error:
        raise CorruptError(f"{name}: its indices: {error}") from error
    if crc != wanted:
        raise CorruptError(f"{name}: the checksum of its indices does not match")
    indices = _unravel(layout, sets[0])
    return sets, dataclasses.replace(packet, payload=payload[end:], indices=indices)


def _push(writer: Writer, differences: np.ndarray) -> None:
    """Codes differences (n,) int32."""
    zigzag = (differences << 1 ^ differences >> 31).view(np.uint32)
    flags = zigzag != 0
    count, met = int(flags.sum()), zigzag[flags]
    for part in (count & 0xFFFF, count >> _HALF):
        writer.push_plain(np.array([part]), _HALF)
    if 0 < count < flags.size:
        writer.push(flags.astype(np.uint8), _odds(count, flags.size)[0])
    lengths, tables = (np.frexp(met.astype(np.float64))[1] - 1).astype(np.uint8), _tables()
    for wave in waves(count):
        whole_tables.push_tokens(writer, lengths[wave], np.zeros(wave.size, np.uint8), tables)
    for length in range(1, _LENGTHS):
        rest = met[lengths == length].astype(np.int64) & (1 << length) - 1
        writer.push_plain(rest & 0xFFFF, min(length, _HALF))
        if length > _HALF:
            writer.push_plain(rest >> _HALF, length - _HALF)


def _pull(reader: Reader, size: int) -> np.ndarray:
    """The inverse of `_push`, (size,) int32.

    Raises:
      CorruptError: If there are more differences than entries.
    """
    low, high = (int(reader.pull_plain(1, _HALF)[0]) for _ in range(2))
    count = high << _HALF | low
    if count > size:
        raise CorruptError(f"{count} of {size} entries changed")
    flags = np.full(size, count > 0)
    if 0 < count < size:
        flags = reader.pull(size, _odds(count, size)[0]).astype(bool)
        if flags.sum() != count:
            raise CorruptError(f"{flags.sum()} entries changed where {count} were announced")
    lengths, tables = np.empty(count, np.uint8), _tables()
    for wave in waves(count):
        contexts = np.zeros(wave.size, np.uint8)
        lengths[wave] = whole_tables.pull_tokens(reader, contexts, tables)
    met = np.left_shift(np.int64(1), lengths.astype(np.int64))
    for length in range(1, _LENGTHS):
        places = np.flatnonzero(lengths == length)
        met[places] += reader.pull_plain(places.size, min(length, _HALF))
        if length > _HALF:
            met[places] += reader.pull_plain(places.size, length - _HALF).astype(np.int64) << _HALF
    zigzag, found = met.astype(np.uint32), np.zeros(size, np.int32)
    found[flags] = (zigzag >> 1).view(np.int32) ^ -(zigzag & 1).view(np.int32)
    return found


def _odds(count: int, size: int) -> np.ndarray:
    """The table of flags of which so many are set."""
    return whole_tables.weights(np.array([[size - count, count]], np.int64))


def _tables() -> WholeTables:
    return WholeTables(np.full((1, _LENGTHS), _GAIN, np.int64), _GAIN)
