"""The predictive codec: each frame as its difference from what the receiver expects.

No frame waits for later ones. A key frame stands alone; any other one is predicted from the
decoded frames before it (so errors do not add up), and what the prediction lacks is rounded to
steps and entropy coded. Steps and symbols are chosen by what they do to the picture (`rate.py`),
contexts come from the past (`history.py`), bytes from an ANS coder (`entropy.py`).

A payload, numbers little-endian:

| bytes | what |
| --- | --- |
| 1 | 0xD0: a key frame; 0xD1: a predicted frame |
| 4 | checksum, uint32, see below |
| 4, key frames only | number of words, uint32 |
| 4 each | words, uint32: an ANS stack, from which comes, in this order, what is listed below |
| key frames only | zeros, as many as make the payload an eighth of the number of params long |

Key frames, from the stack: the common exponent; each leaf's exponent; each leaf's exponents of
its rows, then of its columns (a bias is one row); each leaf's level; the symbols. The step of a
param is 2^(e / 8) * 2^(c / 8), with the common exponent c and the sum e of its leaf's, its row's
and its column's, each power and the product rounded to float32. The value is symbol * step.

Predicted frames: each leaf's own exponent, less that of the frame before (that of a key frame:
the common one); each leaf's gain, less that of the frame before (0 behind a key frame), in
eighths; each leaf's shift; the symbols. Its own exponent stands for the common one. The value is
(decoded + gain * velocity) + symbol * step, each operation rounded to float32.

All numbers are symbols as `entropy.py` codes them, those of a list in one table that is
`geometric(4)` and does not learn. A frame's symbols are coded context by context, from the lowest,
and within a context in the order of the layout; the plain bits follow, fewer before more, in the
order in which their tokens were coded. Contexts of a key frame: `level + (-row - column) // 4` of
the exponents, less -4, clipped to [0, 32]; two contexts are an octave of the symbols' mean size.
Its symbols come in waves (of each 16 places in the flat frame those from 0 to 1, 1 to 2, 2 to 4,
4 to 8, 8 to 16), and its tables learn from each. Contexts of predicted frames are in `history.py`;
their tables begin anew behind a key frame and learn from each frame.

The checksum is the CRC-32 of the tokens (bytes) and of the plain bits that are not 0 (int32), in
the order in which they were coded, begun with the checksum of the frame before, for a key frame
with the CRC-32 of the layout. So it also shows a reference that is not the one that was meant.
"""

import dataclasses
import math

import numpy as np

from inv_jax.codec import delta_state, entropy, rate
from inv_jax.codec import history as history_lib
from inv_jax.codec.base import Gauge, Layout, Leaves
from inv_jax.codec.delta_decoder import DeltaDecoder
from inv_jax.codec.entropy import Writer
from inv_jax.codec.history import (
    CONTEXT_MEANS,
    GAIN_ONE,
    MAX_EXPONENT,
    MAX_GAIN,
    NUM_CONTEXTS,
    PER_OCTAVE,
    Grid,
    History,
)
from inv_jax.codec.predictive import PredictiveCodec, PredictiveEncoder
from inv_jax.codec.symbols import checksum, push_numbers, waves
from inv_jax.types import InvError

_LARGEST_COSTED = 64  # symbols up to this are chosen by their cost
_MOST_COARSER = 64  # eighths of an octave that steps may grow from one frame to the next


@dataclasses.dataclass(frozen=True)
class DeltaCodec(PredictiveCodec):
    """Every param by itself, in contexts of its past; see `PredictiveCodec`."""

    name = "delta"

    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> "DeltaEncoder":
        return DeltaEncoder(self, layout, gauge)

    def decoder(self, layout: Layout) -> DeltaDecoder:
        return DeltaDecoder(layout)


class DeltaEncoder(PredictiveEncoder):
    """Chooses steps and symbols; see `DeltaCodec`."""

    _state: delta_state.State | None

    def __init__(self, codec: DeltaCodec, layout: Layout, gauge: Gauge | None):
        """Begins with a key frame."""
        super().__init__(codec, layout, gauge)
        self._grid = Grid.of(layout)

    def _decoded(self) -> np.ndarray:
        return self._state.history.decoded

    def steps(self) -> Leaves:
        """The steps of the frame pushed last, for training that knows what will be rounded."""
        if self._state is None:
            raise InvError("no frame has been encoded yet")
        return self._layout.unravel(self._state.step(self._grid, self._state.own))

    def _push_key(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes:
        del indices
        grid, leaves = self._grid, self._layout.unravel(true)
        weights = rate.importance(self._layout, leaves, self._gauge, self._target)
        leaf_exponents, lines = rate.exponents(grid, weights)
        base = delta_state.base(grid, leaf_exponents, lines)
        scale = history_lib.step_of(base)
        floor = rate.finest(true, scale)
        tried: dict[int, tuple[np.ndarray, np.ndarray]] = {}

        def error(common: int) -> float:
            step = scale * history_lib.step_of(common)
            symbols = np.rint(true / step).astype(np.int32)
            tried[common] = symbols, symbols.astype(np.float32) * step
            return self._gauge.mse(leaves, self._layout.unravel(tried[common][1]))

        start = max(rate.steps_for(weights, base, self._target), floor)
        common = rate.coarsest(error, start, self._target, (floor, MAX_EXPONENT))
        symbols, decoded = tried[common]
        levels = [
            round(2 * math.log2(max(_mean_size(matrix, line), 1e-3)))
            for matrix, line in zip(grid.matrices(symbols), lines, strict=True)
        ]
        writer, tables = Writer(), delta_state.key_tables()
        push_numbers(writer, [common])
        push_numbers(writer, leaf_exponents)
        for line in lines:
            push_numbers(writer, line)
        push_numbers(writer, levels)
        contexts = delta_state.key_contexts(grid, lines, levels)
        crc = delta_state.layout_checksum(self._layout)
        for wave in waves(grid.size):
            coded = entropy.push_by_context(writer, symbols[wave], contexts[wave], tables)
            crc = checksum(*coded, crc)
        self._state = delta_state.key_state(grid, frame, decoded, scale, common, crc)
        words = writer.words()
        head = delta_state.HEAD.pack(delta_state.KEY, crc) + delta_state.COUNT.pack(words.size)
        payload = head + words.tobytes()
        return payload.ljust(-(-grid.size // delta_state.PARAMS_PER_BYTE), b"\0")

    def _push_predicted(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes:
        del indices
        state, leaves = self._state, self._layout.unravel(true)
        gains = self._best_gains(true)
        predicted = state.history.predict(gains)
        residual = true - predicted
        tried: dict[int, tuple] = {}

        def error(common: int) -> float:
            own = np.clip(common + worth, -MAX_EXPONENT, MAX_EXPONENT).astype(np.int32)
            step = state.step(self._grid, own)
            history = state.history.rescaled(own - state.own)
            scaled = residual / step
            shifts = self._best_shifts(history, scaled)
            contexts = history.contexts(shifts)
            bits = state.tables.bits(_LARGEST_COSTED)
            symbols = rate.cheapest(scaled, bits, contexts)
            decoded = predicted + symbols.astype(np.float32) * step
            tried[common] = own, history, shifts, contexts, symbols, decoded
            return self._gauge.mse(leaves, self._layout.unravel(decoded))

        # Around what is worth the same everywhere, one number is left to choose.
        worth = rate.worth(
            self._grid, self._layout, true, state.history.decoded, state.scale, self._gauge
        )
        middle = round(float(np.mean(state.own)))
        finest = rate.finest(residual, state.scale) - int(worth.min())
        limits = finest, min(max(finest, middle + _MOST_COARSER), MAX_EXPONENT)
        common = rate.coarsest(error, middle, self._target, limits)
        own, history, shifts, contexts, symbols, decoded = tried[common]
        writer = Writer()
        push_numbers(writer, own - state.own)
        push_numbers(writer, gains - state.gains)
        push_numbers(writer, shifts)
        coded = entropy.push_by_context(writer, symbols, contexts, state.tables)
        history.advance(decoded, symbols)
        crc = checksum(*coded, state.crc)
        self._state = dataclasses.replace(
            state, frame=frame, history=history, own=own, gains=gains, crc=crc
        )
        return delta_state.HEAD.pack(delta_state.PREDICTED, crc) + writer.words().tobytes()

    def _best_gains(self, true: np.ndarray) -> np.ndarray:
        """Least squares of each leaf's change on its velocity, in eighths."""
        history, gains = self._state.history, []
        change = (true - history.decoded).astype(np.float64)
        for part in self._grid.parts:
            velocity = history.velocity[part].astype(np.float64)
            power = float(velocity @ velocity)
            best = float(change[part] @ velocity) / power if power > 0.0 else 0.0
            gains.append(min(max(round(GAIN_ONE * best), 0), MAX_GAIN))
        return np.array(gains, np.int32)

    def _best_shifts(self, history: History, scaled: np.ndarray) -> np.ndarray:
        """How much larger than expected each leaf's symbols are, in contexts."""
        grid = self._grid
        expected = np.array(CONTEXT_MEANS)[history.contexts(np.zeros(len(grid.parts), np.int32))]
        met = np.where(np.abs(scaled) > 0.65, np.abs(np.rint(scaled)), 0.0)
        shifts = []
        for part in grid.parts:
            ratio = (met[part].sum() + 0.05) / (expected[part].sum() + 0.05)
            shifts.append(min(max(round(2 * math.log2(ratio)), -NUM_CONTEXTS), NUM_CONTEXTS))
        return np.array(shifts, np.int32)


def _mean_size(symbols: np.ndarray, line: np.ndarray) -> float:
    """Mean size of a leaf's symbols, had all rows and columns the same step."""
    rows = symbols.shape[0]
    scale = np.exp2((line[:rows, None] + line[None, rows:]) / PER_OCTAVE)
    return float(np.mean(np.abs(symbols) * scale)) if symbols.size else 0.0
