"""The decoder of the predictive codec (`inv_jax/codec/delta_codec.py`): numpy and integers."""

import dataclasses

import numpy as np

from inv_jax.codec import delta_state, entropy
from inv_jax.codec import history as history_lib
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.delta_state import COUNT, HEAD, KEY, PARAMS_PER_BYTE, PREDICTED, State
from inv_jax.codec.entropy import Reader
from inv_jax.codec.history import MAX_EXPONENT, MAX_GAIN, NUM_CONTEXTS, Grid
from inv_jax.codec.predictive import PredictiveDecoder
from inv_jax.codec.symbols import checksum, pull_numbers, waves


class DeltaDecoder(PredictiveDecoder):
    """Decodes packets in order; work and memory are bounded by the layout.

    Attributes:
      state: What is known after the last packet; None before the first, and after a bad one.
    """

    def __init__(self, layout: Layout):
        """Waits for a key packet."""
        self._layout, self._grid = layout, Grid.of(layout)
        self.state: State | None = None

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """See `Decoder.decode`. After an error, only a key packet is decoded."""
        state, self.state = self.state, None
        try:
            self.state = self._decode(packet, state)
        except CorruptError as error:
            raise CorruptError(f"frame {packet.first}: {error}") from error
        return {packet.first: self._layout.unravel(self.state.history.decoded.copy())}

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
        grid, payload = self._grid, packet.payload
        least = max(
            -(-grid.size // PARAMS_PER_BYTE),
            HEAD.size + COUNT.size,
        )
        if len(payload) < least:
            raise CorruptError(f"a key frame of {len(payload)} bytes; want {least} at least")
        start = HEAD.size + COUNT.size
        end = start + 4 * COUNT.unpack_from(payload, HEAD.size)[0]
        if end > len(payload) or payload[end:].strip(b"\0"):
            raise CorruptError("a key frame whose length and contents do not agree")
        reader, most = Reader(payload[start:end]), MAX_EXPONENT
        common = int(pull_numbers(reader, 1, -most, most, "the common exponent")[0])
        num = len(grid.parts)
        leaf_exponents = pull_numbers(reader, num, 0, 127, "a leaf's exponent")
        lines = [
            pull_numbers(reader, sum(shape), -most, most, "a row's exponent")
            for shape in grid.shapes
        ]
        levels = pull_numbers(reader, num, -64, 64, "a leaf's level")
        contexts, tables = delta_state.key_contexts(grid, lines, levels), delta_state.key_tables()
        found = delta_state.layout_checksum(self._layout)
        symbols = np.empty(grid.size, np.int32)
        for wave in waves(grid.size):
            symbols[wave], *coded = entropy.pull_by_context(reader, contexts[wave], tables)
            found = checksum(*coded, found)
        _check_end(reader, found, crc)
        scale = history_lib.step_of(delta_state.base(grid, leaf_exponents, lines))
        with np.errstate(over="ignore"):
            decoded = symbols.astype(np.float32) * (scale * history_lib.step_of(common))
        return delta_state.key_state(grid, packet.end - 1, _finite(decoded), scale, common, crc)

    def _decode_predicted(self, state: State, packet: Packet, crc: int) -> State:
        num, reader = len(self._grid.parts), Reader(packet.payload[HEAD.size :])
        change = pull_numbers(reader, num, -2 * MAX_EXPONENT, 2 * MAX_EXPONENT, "an exponent")
        own = state.own + change
        if num and not -MAX_EXPONENT <= own.min() <= own.max() <= MAX_EXPONENT:
            raise CorruptError(f"exponents from {own.min()} to {own.max()}")
        gains = state.gains + pull_numbers(reader, num, -MAX_GAIN, MAX_GAIN, "a gain")
        if num and not 0 <= gains.min() <= gains.max() <= MAX_GAIN:
            raise CorruptError(f"gains from {gains.min()} to {gains.max()}")
        shifts = pull_numbers(reader, num, -NUM_CONTEXTS, NUM_CONTEXTS, "a shift")
        history = state.history.rescaled(change)
        contexts = history.contexts(shifts)
        symbols, *coded = entropy.pull_by_context(reader, contexts, state.tables)
        _check_end(reader, checksum(*coded, state.crc), crc)
        with np.errstate(over="ignore", invalid="ignore"):
            decoded = history.predict(gains)
            decoded += symbols.astype(np.float32) * state.step(self._grid, own)
        history.advance(_finite(decoded), symbols)
        return dataclasses.replace(
            state, frame=packet.end - 1, history=history, own=own, gains=gains, crc=crc
        )


def _check_end(reader: Reader, found: int, wanted: int) -> None:
    reader.finish()
    if found != wanted:
        raise CorruptError("the checksum does not match: damaged bytes, or another reference")


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise CorruptError("values that are not finite")
    return values
