"""The codec of grids: whole numbers on a lattice, of which few blocks change from frame to frame.

Each param is a code times the step of its leaf and channel: one product of float32, a power of
2^(1/8) and a whole number. A key frame says the steps and all codes; a predicted one by what codes
change: first which leaves, then which blocks of 4x4x4 nodes of these, then which of their nodes,
then what is added to the codes of these (`blocks.py` says how leaves are cut). Nothing else is
touched. Decoding is whole numbers up to that product (`whole_tables.py`), so it gives the same bits
wherever it is done.

A payload, numbers little-endian:

| bytes | what |
| --- | --- |
| 1 | 0xB0: a key frame; 0xB1: a predicted frame |
| 4 | checksum, uint32, see below |
| 4, key frames only | number of words, uint32 |
| 4 each | words, uint32: an ANS stack, from which comes, in this order, what is listed below |
| key frames only | zeros, as many as make the payload a byte for each 64 params long |

Predicted frames: a flag for each leaf; a flag for each block of the leaves whose flag is set, in
two waves, first those whose coordinates have an even sum; a flag for each node of the blocks whose
flag is set, likewise. Then the codes of the nodes whose flag is set, in the order of these flags,
but leaf by leaf; leaves with as many channels as the first one first, and so on. Of them masks of
which change, four channels of all nodes after four; then what is added to those, node by node.

Key frames: exponents of steps, a step being 2^(e / 8): of each leaf the first channel's less that
of the leaf before, the others' less that of the channel before. Flags of leaves and of blocks as
above, for those that are not all 0. Then, leaf by leaf, the symbols of all nodes of these blocks,
block by block, in eight waves by whether x, y and z are odd: 000, 111, 110, 001, 101, 010, 011,
100; 4,096 symbols at a time, of these a flag for each that is not 0, then these symbols. A code is
its symbol and what is expected: of the neighbours in earlier waves, the nearest of all that there
may be, and among them those inside the leaf, the mean, rounded, halves up; 0 in the first wave.

Flags and numbers are tokens in contexts (`bricks_tables.py`), each in a table of whole numbers
(`whole_tables.py`). Numbers that are not 0 have 15 tokens for -1, 1, -2 ... 7, -8 and one for all
others; these follow behind all tokens that were coded together, as `entropy.py` has them: their
tokens, then their plain bits, fewer before more. Exponents are coded so, too. Tables learn
whenever something was coded together: flags of leaves, of a wave; masks of four channels; numbers;
a key frame's exponents, and each of the portions that its symbols come in. They begin anew with
each key frame, and behind it.

Rows of a leaf whose index changed (`codec/indexed.py`) have codes of 0 before the frame.

The checksum is the CRC-32 of all that was coded, in its order: tokens (bytes), and behind tokens of
`entropy.py` the plain bits of all of them (int32, 0 if there are none). It begins with the checksum
of the frame before, for a key frame with the CRC-32 of the layout. So it also shows a reference
that is not the one that was meant.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from inv_jax.codec import bricks_key, bricks_rate, bricks_state, bricks_walk, history, rate
from inv_jax.codec.base import Gauge, Layout, Leaves
from inv_jax.codec.blocks import Blocks
from inv_jax.codec.both_ways import Pushing
from inv_jax.codec.bricks_decoder import BricksDecoder
from inv_jax.codec.bricks_state import LIMIT, State
from inv_jax.codec.entropy import Writer
from inv_jax.codec.history import MAX_EXPONENT, PER_OCTAVE
from inv_jax.codec.predictive import PredictiveCodec, PredictiveEncoder

_HEADROOM = 0.5  # dB that a key frame is better than asked for: what follows needs not touch all
_PRICES = (0.1, 0.05, 0.025, 0.0125)  # of a bit, in squared steps; others cost more than they bring
_SHORT = 1.0  # dB that a predicted frame may miss; else it becomes a key frame


@dataclasses.dataclass(frozen=True)
class BricksCodec(PredictiveCodec):
    """Grids, whose blocks change here and there; see `PredictiveCodec`."""

    name = "bricks"
    params_per_byte = bricks_state.PARAMS_PER_BYTE

    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> "BricksEncoder":
        return BricksEncoder(self, layout, gauge)

    def decoder(self, layout: Layout) -> BricksDecoder:
        return BricksDecoder(layout)


class BricksEncoder(PredictiveEncoder):
    """Chooses steps, and what changes; see `BricksCodec`."""

    _state: State | None

    def _decoded(self) -> np.ndarray:
        assert self._state is not None, "a frame has been encoded"
        return self._state.decoded

    def _push_key(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes:
        layout, grid, leaves = self._layout, Blocks.of(self._layout), self._layout.unravel(true)
        target = self._target * 10.0 ** (-_HEADROOM / 10.0)
        weights = rate.importance(layout, leaves, self._gauge, target, part_of=str)
        base = _exponents(grid, weights)
        tried: dict[int, tuple] = {}

        def error(common: int) -> float:
            exponents = [np.clip(one + common, -MAX_EXPONENT, MAX_EXPONENT) for one in base]
            steps = bricks_state.steps_of(exponents)
            codes = np.rint(_over(grid, true, steps)).astype(np.int32)
            tried[common] = exponents, steps, codes
            return self._gauge.mse(leaves, layout.unravel(bricks_state.values(grid, codes, steps)))

        spread = _spread(grid, base)
        floor = rate.finest(true, history.step_of(spread))
        start = max(rate.steps_for(weights, spread, target), floor)
        common = rate.coarsest(error, start, target, (floor, MAX_EXPONENT))
        exponents, steps, codes = tried[common]
        writer = Writer()
        coder = Pushing(writer, bricks_state.layout_checksum(layout))
        known = bricks_rate.known(grid, np.arange(grid.size), codes)
        bricks_key.key(coder, grid, (exponents, known))
        self._state = State.of_key(grid, frame, codes, steps, indices, coder.crc)
        return bricks_state.key_payload(coder.crc, writer.words(), grid.size)

    def _push_predicted(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes | None:
        state, layout, grid = self._state, self._layout, Blocks.of(self._layout)
        assert state is not None, "a key frame comes first"
        leaves, moved = layout.unravel(true), state.forget(layout, indices)
        scaled = _over(grid, true, state.steps)
        if np.abs(scaled).max() >= LIMIT:
            return None
        off = scaled - state.codes
        keen = bricks_rate.keenness(grid, layout, self._gauge, leaves)
        offers = bricks_rate.offers(grid, off, state.codes, keen, state.tables, state.recent)

        def error(price: float) -> float:
            codes = state.codes.copy()
            params, symbols = offers.take(price)
            codes[params] += symbols
            decoded = bricks_state.values(grid, codes, state.steps)
            return self._gauge.mse(leaves, layout.unravel(decoded))

        price = _dearest(error, self._target)
        if price is None:
            return None
        known = bricks_rate.known(grid, *offers.take(price))
        writer = Writer()
        coder = Pushing(writer, state.crc)
        changed = bricks_walk.predicted(coder, grid, state.codes, state.tables, state.recent, known)
        state.advance(grid, changed, moved)
        state.frame, state.crc = frame, coder.crc
        return bricks_state.HEAD.pack(bricks_state.PREDICTED, coder.crc) + writer.words().tobytes()


def _exponents(grid: Blocks, weights: np.ndarray) -> list[np.ndarray]:
    """Of each leaf's channels (channels,) int32: steps with which all errors show alike.

    Args:
      grid: The leaves.
      weights: (size,) how much squared errors show.
    """
    means = [np.maximum(part.nodes(weights).mean(axis=0), 1e-30) for part in grid.parts]
    finest = max(mean.max() for mean in means)
    exponents = [np.rint(-0.5 * PER_OCTAVE * np.log2(mean / finest)) for mean in means]
    return [np.minimum(one, MAX_EXPONENT).astype(np.int32) for one in exponents]


def _spread(grid: Blocks, exponents: list[np.ndarray]) -> np.ndarray:
    """Exponents of all params, (size,) int32."""
    spread = np.empty(grid.size, np.int32)
    for part, one in zip(grid.parts, exponents, strict=True):
        part.nodes(spread)[...] = one
    return spread


def _over(grid: Blocks, true: np.ndarray, steps: list[np.ndarray]) -> np.ndarray:
    """Params (size,) in steps, float32."""
    scaled = np.empty(grid.size, np.float32)
    for part, step in zip(grid.parts, steps, strict=True):
        np.divide(part.nodes(true), step, out=part.nodes(scaled))
    return scaled


def _dearest(error: Callable[[float], float], target: float) -> float | None:
    """The highest price of a bit with which the target is held.

    Args:
      error: That of a price.
      target: Wanted error.

    Returns:
      A price; None if even the lowest one leaves the error far from the target.
    """
    found = math.inf
    for price in _PRICES:
        found = error(price)
        if found <= target * rate.TOLERANCE:
            return price
    return _PRICES[-1] if found <= target * 10.0 ** (_SHORT / 10.0) else None
