"""Quantised networks: every packet stands alone, its weights rounded to 2^bits + 1 levels a slice.

The codec of clips, one network for many frames; NeRV's own. `quantise.py` says how weights become
codes, `symbols.py` how matrices of small numbers become few bytes. A code is coded as its distance
from an origin: its slice's level next to zero, around which trained weights lie, or the middle one,
which suits weights that are as random as at the beginning. Zeros, as pruning makes them, stay
zeros: they are a symbol of their own, or a mask before the codes of the others. Whatever takes
fewer bytes is taken.

A payload, numbers little-endian:

| bytes | what |
| --- | --- |
| 1 | 0xC0 |
| 1 | bits, 1 to 16 |
| 1 | axis of the slices: 0, 1, or 255 for -1 |
| 1 | zeros: 0 there are none; 1 a symbol; 2 a mask; and 4 more if the origin is the middle level |
| 4 | checksum: CRC-32 of all that is coded, in its order; tokens, plain bits as in `symbols.py` |
| 4 | number of words |
| 4 each | words, uint32: an ANS stack, from which comes, in this order, what is listed below |
| | zeros, as many as the container wants |

- The slices' least weights, float32, then their scales; of each list, slices in the order of
  leaves. First the upper 16 bits of all, as whole numbers: of a leaf's first slice less those of
  the leaf before (0 before the first), of others less those of the leaf's first; each of the two
  kinds in a table `geometric(64)` that learns. Then the lower 16 bits of all, plain.
- With a mask: matrices of 1 where a weight is not zero, else 0.
- Matrices of symbols: the code less its origin, but with zeros as a symbol 0 for them, and the
  others from 0 on one more. With a mask, only where it says so. The middle level is 2^(bits - 1).

A weight is `least + scale * code`, product and sum each rounded to float32.
"""

import dataclasses
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import entropy, quantise, symbols
from inv_jax.codec.base import Codec, CorruptError, Decoder, Encoder, Gauge, Layout, Leaves, Packet
from inv_jax.codec.entropy import Reader, Tables, Writer
from inv_jax.codec.history import Grid
from inv_jax.types import InvError

_KIND = 0xC0
_HEAD = struct.Struct("<BBBBII")
_AXES = {axis % 256: axis for axis in quantise.AXES}  # as stored: as meant
_NONE, _SYMBOL, _MASK = range(3)  # how zeros are coded
_MIDDLE = 4  # the origin is the middle level
_TABLE_MEAN, _TABLE_GAIN = 64.0, 2048


@dataclasses.dataclass(frozen=True)
class QuantCodec(Codec):
    """Weights in 2^bits + 1 levels.

    Attributes:
      bits: Of a code, 1 to 16.
      axis: Of the slices, of which each has its own levels, in the original's layouts: 0 (outputs),
        1 (inputs), or -1: a leaf is one slice.

    Raises:
      InvError: On construction, if one of them is out of range.
    """

    bits: int = 8
    axis: int = 0
    name = "quant"

    def __post_init__(self):
        if not 1 <= self.bits <= quantise.MOST_BITS:
            raise InvError(f"codec.bits={self.bits}; want 1 to {quantise.MOST_BITS}")
        if self.axis not in quantise.AXES:
            raise InvError(f"codec.axis={self.axis}; want one of {quantise.AXES}")

    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> "QuantEncoder":
        del gauge
        return QuantEncoder(self, layout)

    def decoder(self, layout: Layout) -> "QuantDecoder":
        return QuantDecoder(layout)


@dataclasses.dataclass(frozen=True)
class _Codes:
    """A quantised network, its leaves behind each other.

    Attributes:
      codes: (size,) float32, whole numbers.
      is_zero: (size,) bool; None: none is.
      minima: (slices,) float32, leaf by leaf.
      scales: (slices,) float32.
    """

    codes: np.ndarray
    is_zero: np.ndarray | None
    minima: np.ndarray
    scales: np.ndarray


class _Slices:
    """Where the slices of a layout's leaves are."""

    def __init__(self, layout: Layout, axis: int):
        self._layout, self._axis = layout, axis
        self.counts = [quantise.num_slices(shape, axis) for _, shape in layout.shapes]

    @property
    def firsts(self) -> np.ndarray:
        """The place of each leaf's first slice among all."""
        return np.cumsum([0, *self.counts[:-1]])

    def origins(self, found: _Codes, bits: int, how: int) -> np.ndarray:
        """(size,) or () float32, the level that each param's code is coded by."""
        if how & _MIDDLE:
            return np.float32(2 ** (bits - 1))
        nearest = quantise.code_of_zero(found.minima, found.scales, bits).astype(np.float32)
        parts = [
            np.broadcast_to(quantise.spread(part, shape, self._axis), shape).ravel()
            for part, (_, shape) in zip(self._split(nearest), self._layout.shapes, strict=True)
        ]
        return np.concatenate(parts)

    def weights(self, found: _Codes) -> np.ndarray:
        """(size,) float32; what is beyond float32 is not finite."""
        made = np.empty(found.codes.shape, np.float32)
        leaves, codes = self._layout.unravel(made), self._layout.unravel(found.codes)
        tables = zip(self._split(found.minima), self._split(found.scales), strict=True)
        with np.errstate(over="ignore", invalid="ignore"):
            for path, (minimum, scale) in zip(self._layout.paths, tables, strict=True):
                leaves[path][...] = quantise.dequantise(codes[path], minimum, scale, self._axis)
        if found.is_zero is not None:
            made[found.is_zero] = 0.0
        return made

    def _split(self, values: np.ndarray) -> list[np.ndarray]:
        return np.split(values, self.firsts[1:])


class QuantEncoder(Encoder):
    """See `QuantCodec`."""

    def __init__(self, codec: QuantCodec, layout: Layout):
        """Every packet begins anew."""
        self._codec, self._layout = codec, layout
        self._decoded: Leaves | None = None

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        """See `Encoder.push`; always one packet."""
        found = self._quantise(frame, leaves)
        slices = _Slices(self._layout, self._codec.axis)
        self._decoded = self._layout.unravel(slices.weights(found))
        ways = (_NONE,) if found.is_zero is None else (_SYMBOL, _MASK)
        hows = [way | origin for way in ways for origin in (0, _MIDDLE)]
        payloads = [_dump(self._layout, self._codec, found, how) for how in hows]
        return [Packet(frame, 1, True, min(payloads, key=len))]

    def resume(self, packets: Sequence[Packet]) -> None:
        """See `Encoder.resume`."""
        (self._decoded,) = QuantDecoder(self._layout).decode(packets[-1]).values()

    def decoded(self) -> Leaves:
        """See `Encoder.decoded`."""
        if self._decoded is None:
            raise InvError("nothing has been encoded yet")
        return self._decoded

    def _quantise(self, frame: int, leaves: Leaves) -> _Codes:
        bits, axis = self._codec.bits, self._codec.axis
        made = []
        for path in self._layout.paths:
            leaf = np.asarray(leaves[path], np.float32)
            if not np.isfinite(leaf).all():
                raise InvError(f"{path} of frame {frame} is not finite; train it again")
            made.append(quantise.quantise(leaf, bits, axis))
            if not np.isfinite(made[-1].scale).all():
                raise InvError(f"{path} of frame {frame} spans more than float32; train it again")
        is_zero = np.concatenate([one.is_zero.ravel() for one in made])
        return _Codes(
            codes=np.concatenate([one.codes.ravel() for one in made]),
            is_zero=is_zero if is_zero.any() else None,
            minima=np.concatenate([one.minimum for one in made]),
            scales=np.concatenate([one.scale for one in made]),
        )


def _dump(layout: Layout, codec: QuantCodec, found: _Codes, how: int) -> bytes:
    """A payload, coded in one of the ways."""
    grid, slices, writer, crc = Grid.of(layout), _Slices(layout, codec.axis), Writer(), 0
    for table in (found.minima, found.scales):
        crc = _push_table(writer, table, slices, crc)
    shifted = found.codes - slices.origins(found, codec.bits, how)
    way = how & ~_MIDDLE
    there = None if found.is_zero is None else ~found.is_zero
    if there is not None:
        shifted[found.is_zero] = 0.0
    made = shifted.astype(np.int32)
    if there is not None and way == _MASK:
        crc = symbols.push_matrices(writer, grid, there.astype(np.int32), None, crc)
    if there is not None and way == _SYMBOL:
        made += there & (made >= 0)
    crc = symbols.push_matrices(writer, grid, made, there if way == _MASK else None, crc)
    words = writer.words()
    head = _HEAD.pack(_KIND, codec.bits, codec.axis % 256, how, crc, words.size)
    return head + words.tobytes()


class QuantDecoder(Decoder):
    """Decodes any packet; work and memory are bounded by the layout."""

    def __init__(self, layout: Layout):
        """Allocates nothing yet."""
        self._layout = layout

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """See `Decoder.decode`."""
        found, slices = self._read(packet)
        weights = slices.weights(found)
        if not np.isfinite(weights).all():
            raise CorruptError(f"frame {packet.first}: levels beyond float32")
        return {packet.first: self._layout.unravel(weights)}

    def codes(self, packet: Packet) -> np.ndarray:
        """See `Decoder.codes`."""
        found, _ = self._read(packet)
        codes = found.codes if found.is_zero is None else found.codes[~found.is_zero]
        return codes.astype(np.int32)

    def _read(self, packet: Packet) -> tuple[_Codes, _Slices]:
        try:
            return self._parse(packet)
        except CorruptError as error:
            raise CorruptError(f"frame {packet.first}: {error}") from error

    def _parse(self, packet: Packet) -> tuple[_Codes, _Slices]:
        payload = packet.payload
        if packet.sets != 1 or len(payload) < _HEAD.size:
            raise CorruptError(f"{len(payload)} bytes for {packet.sets} quantised networks")
        kind, bits, axis, how, crc, words = _HEAD.unpack_from(payload)
        if kind != _KIND or not 1 <= bits <= quantise.MOST_BITS or axis not in _AXES:
            raise CorruptError(
                f"a packet of kind {kind:#x} with {bits} bits and axis {axis}, which is no "
                "quantised network"
            )
        way = how & ~_MIDDLE
        if way > _MASK:
            raise CorruptError(f"zeros coded in a way {how} that is not known")
        end = _HEAD.size + 4 * words
        if end > len(payload) or payload[end:].strip(b"\0"):
            raise CorruptError(f"{len(payload)} bytes, which {words} words do not fit")
        slices, reader = _Slices(self._layout, _AXES[axis]), Reader(payload[_HEAD.size : end])
        minima, checked = _pull_table(reader, slices, 0)
        scales, checked = _pull_table(reader, slices, checked)
        if not np.isfinite([minima, scales]).all() or scales.min() < 0:
            raise CorruptError("the tables of least weights and scales do not fit a network")
        grid, there = Grid.of(self._layout), None
        if way == _MASK:
            mask, checked = symbols.pull_matrices(reader, grid, None, checked)
            if mask.min() < 0 or mask.max() > 1:
                raise CorruptError("the mask of zeros holds other numbers than 0 and 1")
            there = mask.astype(bool)
        found, checked = symbols.pull_matrices(reader, grid, there, checked)
        reader.finish()
        if checked != crc:
            raise CorruptError("the checksum does not match: damaged bytes")
        if way == _SYMBOL:
            there = found != 0
            found -= found > 0
        read = _Codes(found.astype(np.float32), None if there is None else ~there, minima, scales)
        np.add(read.codes, slices.origins(read, bits, how), out=read.codes)
        met = read.codes if there is None else read.codes[there]
        if met.size and not 0 <= met.min() <= met.max() <= 2**bits:
            raise CorruptError(f"codes from {met.min():.0f} to {met.max():.0f} of {bits} bits")
        return read, slices


def _push_table(writer: Writer, table: np.ndarray, slices: _Slices, crc: int) -> int:
    """Codes (slices,) float32 to the bit; returns the checksum behind it."""
    raw = table.astype("<f4").view("<u4")
    upper, is_first = (raw >> 16).astype(np.int32), _is_first(slices)
    firsts = upper[is_first]
    differences = upper - np.repeat(firsts, slices.counts)
    differences[is_first] = np.diff(firsts, prepend=0)
    contexts = is_first.astype(np.uint8)
    coded = entropy.push_by_context(writer, differences, contexts, _table_tables())
    lower = (raw & 0xFFFF).astype(np.int32)
    writer.push_plain(lower, 16)
    return zlib.crc32(lower.astype("<u2").tobytes(), symbols.checksum(*coded, crc))


def _pull_table(reader: Reader, slices: _Slices, crc: int) -> tuple[np.ndarray, int]:
    """The inverse of `_push_table`; numbers may not be finite.

    Raises:
      CorruptError: If the bytes are no table.
    """
    is_first = _is_first(slices)
    contexts = is_first.astype(np.uint8)
    differences, *coded = entropy.pull_by_context(reader, contexts, _table_tables())
    firsts = np.cumsum(differences[is_first], dtype=np.int64)
    upper = np.repeat(firsts, slices.counts) + np.where(is_first, 0, differences)
    if upper.min() < 0 or upper.max() > 0xFFFF:
        raise CorruptError("the tables of least weights and scales do not fit a network")
    lower = reader.pull_plain(upper.size, 16)
    crc = zlib.crc32(lower.astype("<u2").tobytes(), symbols.checksum(*coded, crc))
    raw = (upper << 16 | lower).astype("<u4")
    return raw.view("<f4").astype(np.float32), crc


def _is_first(slices: _Slices) -> np.ndarray:
    """(slices,) bool, which ones are a leaf's first."""
    found = np.zeros(sum(slices.counts), bool)
    found[slices.firsts] = True
    return found


def _table_tables() -> Tables:
    return Tables.geometric([_TABLE_MEAN, _TABLE_MEAN], _TABLE_GAIN)
