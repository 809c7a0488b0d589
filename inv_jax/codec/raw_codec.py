"""Params as they are: float32, nothing lost, every packet a key.

A payload is the leaves of the layout behind each other, little-endian float32.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from inv_jax.codec.base import Codec, CorruptError, Decoder, Encoder, Gauge, Layout, Leaves, Packet

_FLOAT = np.dtype("<f4")


@dataclasses.dataclass(frozen=True)
class RawCodec(Codec):
    """Stores every frame whole."""

    name = "raw"

    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> Encoder:
        del gauge
        return _RawEncoder(layout)

    def decoder(self, layout: Layout) -> Decoder:
        return _RawDecoder(layout)


class _RawEncoder(Encoder):
    def __init__(self, layout: Layout):
        self._layout = layout
        self._last: Leaves = {}

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        self._last = leaves
        return [Packet(frame, 1, True, self._layout.ravel(leaves).astype(_FLOAT).tobytes())]

    def resume(self, packets: Sequence[Packet]) -> None:
        self._last = _RawDecoder(self._layout).decode(packets[-1])[packets[-1].first]

    def decoded(self) -> Leaves:
        return self._last


class _RawDecoder(Decoder):
    def __init__(self, layout: Layout):
        self._layout = layout

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        wanted = self._layout.size * _FLOAT.itemsize
        if packet.sets != 1 or len(packet.payload) != wanted:
            raise CorruptError(
                f"frame {packet.first}: {len(packet.payload)} bytes of raw params for "
                f"{packet.sets} frames; want {wanted} for one"
            )
        flat = np.frombuffer(packet.payload, _FLOAT).astype(np.float32)
        return {packet.first: self._layout.unravel(flat)}
