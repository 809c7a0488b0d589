"""Masks, to the bit, in front of what any codec makes of the other leaves.

A leaf of `Layout.masks` says which of the shared weights a set of params uses. No codec rounds it:
it is coded by `mask_coding.py`, a bit in the context of how often its weight was used since the
last key (`Past` of `mask_contexts.py`); in a key packet, of nothing. Indices and float leaves are
stored behind as if there were no masks (`indexed.py`).

A payload of a layout with masks, numbers little-endian:

| bytes | what |
| --- | --- |
| 1 | 1 if what the codec made is a key, else 0: then the packet is none either |
| 4 | bytes of what the codec made |
| 4 each | of each set, bytes of its coded masks |
| | coded masks of each set |
| | what the codec made |
| | zeros, as many as the container wants |
"""

import dataclasses
import struct
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import indexed, mask_coding
from inv_jax.codec.base import Codec, CorruptError, Decoder, Encoder, Gauge, Layout, Leaves, Packet
from inv_jax.codec.mask_coding import Masks
from inv_jax.codec.mask_contexts import Past
from inv_jax.types import InvError

_HEAD = struct.Struct("<BI")
_SIZE = struct.Struct("<I")


def encoder(
    codec: Codec, layout: Layout, gauge: Gauge | None = None, key_every: int = 1
) -> Encoder:
    """A codec's encoder, for layouts with and without masks and indices.

    Args:
      codec: Stores the float leaves.
      layout: Of all.
      gauge: For the codec's choices.
      key_every: Packets from one whose masks stand alone to the next; a codec with fewer keys
        makes it more.
    """
    made = indexed.encoder(codec, layout, gauge)
    return MaskedEncoder(made, layout, key_every) if layout.masks else made


def decoder(codec: Codec, layout: Layout) -> Decoder:
    """A codec's decoder, likewise."""
    made = indexed.decoder(codec, layout)
    return MaskedDecoder(made, layout) if layout.masks else made


def mask_bytes(packet: Packet) -> int:
    """How many of a packet's bytes are coded masks; of a layout that has some.

    Raises:
      CorruptError: If the bytes are no such packet.
    """
    parts, _ = _split(packet)
    return sum(map(len, parts))


@dataclasses.dataclass(frozen=True)
class _Known:
    """What a mask is coded by, and what was coded: all of the next one's contexts."""

    past: Past
    masks: Masks

    def next(self) -> Past:
        return self.past.then(self.masks)


class MaskedEncoder(Encoder):
    """Codes masks, and has another encoder code the rest."""

    def __init__(self, inner: Encoder, layout: Layout, key_every: int):
        """`inner` is given all leaves, and codes those that are no masks.

        Raises:
          InvError: If keys come never.
        """
        if key_every < 1:
            raise InvError(f"codec.key_every={key_every}; want sets of params, 1 or more")
        self._inner, self._layout, self._key_every = inner, layout, key_every
        self._waiting: list[Masks] = []  # of sets that are in no packet yet
        self._known: _Known | None = None  # behind the last set in a packet
        self._since = 0  # packets from the last key on

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        """See `Encoder.push`."""
        packets = self._inner.push(frame, leaves)
        self._waiting.append({path: np.asarray(leaves[path]) for path, _ in self._layout.masks})
        return [self._wrapped(packet) for packet in packets]

    def finish(self) -> list[Packet]:
        """See `Encoder.finish`."""
        return [self._wrapped(packet) for packet in self._inner.finish()]

    def resume(self, packets: Sequence[Packet]) -> None:
        """See `Encoder.resume`.

        Raises:
          CorruptError: If they are not such packets.
        """
        inner: list[Packet] = []
        for packet in packets:
            self._known, bare = _parse(self._layout, packet, self._known)
            inner = [*([] if bare.is_key else inner), bare]
        self._since = len(packets)
        self._inner.resume(inner)

    def decoded(self) -> Leaves:
        """See `Encoder.decoded`."""
        others = self._inner.decoded()
        assert self._known is not None, "a codec gave back what it was not given"
        return {**others, **self._known.masks}

    def _wrapped(self, packet: Packet) -> Packet:
        sets, self._waiting = self._waiting[: packet.sets], self._waiting[packet.sets :]
        is_key = packet.is_key and (self._known is None or self._since >= self._key_every)
        self._since = 1 if is_key else self._since + 1
        known, parts = None if is_key else self._known, []
        for masks in sets:
            past = Past.none(self._layout.masks) if known is None else known.next()
            parts.append(mask_coding.encode(masks, past.contexts))
            known = _Known(past, masks)
        self._known = known
        head = _HEAD.pack(packet.is_key, len(packet.payload))
        sizes = b"".join(_SIZE.pack(len(part)) for part in parts)
        payload = head + sizes + b"".join(parts) + packet.payload
        return dataclasses.replace(packet, is_key=is_key, payload=payload)


class MaskedDecoder(Decoder):
    """Decodes masks, and has another decoder decode the rest."""

    def __init__(self, inner: Decoder, layout: Layout):
        """Allocates nothing yet."""
        self._inner, self._layout, self.is_finite = inner, layout, inner.is_finite
        self._known: _Known | None = None

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """See `Decoder.decode`. After an error, only a key packet is decoded."""
        known, self._known = self._known, None
        found: list[Masks] = []
        known, bare = _parse(self._layout, packet, known, found)
        frames = self._inner.decode(bare)
        self._known = known
        return {
            frame: {**leaves, **masks}
            for (frame, leaves), masks in zip(frames.items(), found, strict=True)
        }

    def codes(self, packet: Packet) -> np.ndarray | None:
        """See `Decoder.codes`; masks are not looked at."""
        return self._inner.codes(_split(packet)[1])


def _parse(
    layout: Layout, packet: Packet, known: _Known | None, found: list[Masks] | None = None
) -> tuple[_Known, Packet]:
    """What is known behind a packet, and the packet as its codec made it.

    Args:
      layout: With masks.
      packet: As a `MaskedEncoder` makes it.
      known: Before it; a key needs none.
      found: Gets the masks of each set.

    Raises:
      CorruptError: If the bytes are not what it makes, or the frame before is missing.
    """
    parts, bare = _split(packet)
    if packet.is_key:
        known = None
    elif known is None:
        raise CorruptError(f"frame {packet.first}: the masks of the frame before are missing")
    for part in parts:
        past = Past.none(layout.masks) if known is None else known.next()
        try:
            masks = mask_coding.decode(part, past.contexts)
        except CorruptError as error:
            raise CorruptError(f"frame {packet.first}: {error}") from error
        known = _Known(past, masks)
        if found is not None:
            found.append(masks)
    assert known is not None, "a packet has a set"
    return known, bare


def _split(packet: Packet) -> tuple[list[bytes], Packet]:
    """The coded masks of each set, and the packet as its codec made it.

    Raises:
      CorruptError: If the bytes are too few, or more than they say.
    """
    name, payload = f"frame {packet.first}", packet.payload
    begin = _HEAD.size + _SIZE.size * packet.sets
    if len(payload) < begin or not packet.sets:
        raise CorruptError(f"{name}: {len(payload)} bytes cannot hold masks of {packet.sets} sets")
    is_key, size = _HEAD.unpack_from(payload)
    sizes = [one for (one,) in _SIZE.iter_unpack(payload[_HEAD.size : begin])]
    end = begin + sum(sizes) + size
    if end > len(payload) or payload[end:].strip(b"\0"):
        raise CorruptError(
            f"{name}: {len(payload)} bytes are not {sum(sizes)} of masks and {size} behind them"
        )
    if is_key > 1 or packet.is_key > is_key:
        raise CorruptError(f"{name}: a packet with masks that says {is_key} where 1 is a key")
    parts, at = [], begin
    for one in sizes:
        parts.append(payload[at : at + one])
        at += one
    return parts, dataclasses.replace(packet, is_key=bool(is_key), payload=payload[at:end])
