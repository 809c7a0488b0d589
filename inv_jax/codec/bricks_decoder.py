"""The decoder of `bricks` (`inv_jax/codec/bricks_codec.py`): numpy and whole numbers."""

import numpy as np

from inv_jax.codec import bricks_key, bricks_state, bricks_walk
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.blocks import Blocks
from inv_jax.codec.both_ways import Pulling
from inv_jax.codec.bricks_state import COUNT, HEAD, KEY, PARAMS_PER_BYTE, PREDICTED, State
from inv_jax.codec.entropy import Reader
from inv_jax.codec.history import MAX_EXPONENT
from inv_jax.codec.predictive import PredictiveDecoder


class BricksDecoder(PredictiveDecoder):
    """Decodes packets in order; work and memory are bounded by the layout.

    Attributes:
      state: What is known after the last packet; None before the first, and after a bad one.
    """

    is_finite = True  # codes and steps have bounds

    def __init__(self, layout: Layout):
        """Waits for a key packet."""
        self._layout = layout
        self.state: State | None = None

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """See `Decoder.decode`. After an error, only a key packet is decoded.

        The leaves are not to be written to.
        """
        state, self.state = self.state, None
        try:
            self.state = self._decode(packet, state)
        except CorruptError as error:
            raise CorruptError(f"frame {packet.first}: {error}") from error
        return {packet.first: self._layout.unravel(self.state.decoded)}

    def _decode(self, packet: Packet, state: State | None) -> State:
        payload = packet.payload
        if packet.sets != 1:
            raise CorruptError(f"a packet of {packet.sets} frames; this codec has one in each")
        if len(payload) < HEAD.size:
            raise CorruptError(f"a packet of {len(payload)} bytes; want {HEAD.size} at least")
        kind, crc = HEAD.unpack_from(payload)
        if kind != (KEY if packet.is_key else PREDICTED):
            wanted = "a key frame" if packet.is_key else "a predicted frame"
            raise CorruptError(f"a packet of kind {kind:#x} where {wanted} belongs")
        if packet.is_key:
            return self._decode_key(packet, crc)
        if state is None or packet.first != state.frame + 1:
            have = "none" if state is None else f"frame {state.frame}"
            raise CorruptError(f"it is predicted from the frame before, but {have} was decoded")
        return self._decode_predicted(state, packet, crc)

    def _decode_key(self, packet: Packet, crc: int) -> State:
        payload, start = packet.payload, HEAD.size + COUNT.size
        least = max(start, -(-self._layout.size // PARAMS_PER_BYTE))
        if len(payload) < least:
            raise CorruptError(f"a key frame of {len(payload)} bytes; want {least} at least")
        end = start + 4 * COUNT.unpack_from(payload, HEAD.size)[0]
        if end > len(payload) or payload[end:].strip(b"\0"):
            raise CorruptError("a key frame whose length and contents do not agree")
        reader = Reader(payload[start:end])
        coder = Pulling(reader, bricks_state.layout_checksum(self._layout))
        grid = Blocks.of(self._layout)
        exponents, codes = bricks_key.key(coder, grid, None)
        _check_end(reader, coder.crc, crc)
        largest = max(int(np.abs(one).max()) for one in exponents)
        if largest > MAX_EXPONENT:
            raise CorruptError(f"an exponent of size {largest}")
        bricks_state.check_codes(codes)
        steps = bricks_state.steps_of(exponents)
        return State.of_key(grid, packet.end - 1, codes, steps, packet.indices, crc)

    def _decode_predicted(self, state: State, packet: Packet, crc: int) -> State:
        grid, reader = Blocks.of(self._layout), Reader(packet.payload[HEAD.size :])
        moved = state.forget(self._layout, packet.indices or {})
        coder = Pulling(reader, state.crc)
        changed = bricks_walk.predicted(coder, grid, state.codes, state.tables, state.recent, None)
        _check_end(reader, coder.crc, crc)
        state.advance(grid, changed, moved)
        state.frame, state.crc = packet.end - 1, crc
        return state


def _check_end(reader: Reader, found: int, wanted: int) -> None:
    reader.finish()
    if found != wanted:
        raise CorruptError("the checksum does not match: damaged bytes, or another reference")
