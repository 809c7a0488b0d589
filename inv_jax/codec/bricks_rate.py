"""What `bricks` changes from frame to frame: as little as the wanted quality allows.

All params are rounded to a lattice, whose steps were chosen so that an error of a step shows alike
in whatever channel it is (`rate.py`), on average over the nodes. Where a param lies off its code it
may be set right, which saves a squared error, by how much its node shows, and costs bits: those of
the symbol, those that say that its node changes if nothing else of it does, and those of its block.
With a price of a bit, in squared steps, a node is changed if that pays, and only then
(rate-distortion optimisation, as in video coders).
"""

import dataclasses

import numpy as np

from inv_jax.codec import bricks_tables, entropy
from inv_jax.codec.base import Gauge, Layout, Leaves
from inv_jax.codec.blocks import Blocks, Part
from inv_jax.codec.both_ways import ESCAPE
from inv_jax.codec.bricks_state import Recent
from inv_jax.codec.bricks_tables import MASKED, FrameTables
from inv_jax.codec.bricks_walk import Known
from inv_jax.codec.gauge import KeenGauge
from inv_jax.codec.whole_tables import WholeTables

_LEAST = 0.1  # that a node shows, of the mean
_TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Offers:
    """What could be changed.

    Attributes:
      params: (n,) which, of all.
      symbols: (n,) int32, by what.
      gains: (n,) squared steps that this saves, by how much they show.
      bits: (n,) what it costs, less what no change of it costs where its node changes.
      nodes: (n,) of each the number of its node, among those below.
      blocks: (nodes,) of each node the number of its block, among those below.
      node_bits: (nodes,) what it costs that a node changes, with no change of any of its codes.
      block_bits: (blocks,) what it costs that a block does.
    """

    params: np.ndarray
    symbols: np.ndarray
    gains: np.ndarray
    bits: np.ndarray
    nodes: np.ndarray
    blocks: np.ndarray
    node_bits: np.ndarray
    block_bits: np.ndarray

    def take(self, price: float) -> tuple[np.ndarray, np.ndarray]:
        """What pays at a price of a bit: params (m,), and their symbols (m,) int32."""
        net = np.maximum(self.gains - price * self.bits, 0.0)
        of_nodes = np.bincount(self.nodes, net, self.node_bits.size) - price * self.node_bits
        of_nodes = np.maximum(of_nodes, 0.0)
        of_blocks = np.bincount(self.blocks, of_nodes, self.block_bits.size)
        pays = (of_blocks > price * self.block_bits)[self.blocks] & (of_nodes > 0.0)
        taken = (net > 0.0) & pays[self.nodes]
        return self.params[taken], self.symbols[taken]


def keenness(grid: Blocks, layout: Layout, gauge: Gauge, leaves: Leaves) -> list[np.ndarray]:
    """How much the nodes of each leaf show, 1 on average: (nodes,) float32 each.

    Steps make the channels of a leaf show alike on average, but most nodes lie where no ray sees
    them, and a change of theirs is not worth its bits. A gauge looks at some rays alone: what it
    says of a node is spread over those next to it, and none is nothing.

    Args:
      grid: The leaves.
      layout: Likewise.
      gauge: One that does not know which params matter says that all do.
      leaves: Of the frame.
    """
    if not isinstance(gauge, KeenGauge):
        return [np.ones(part.num_nodes, np.float32) for part in grid.parts]
    found, flat = [], layout.ravel(gauge.keenness(leaves))
    for part in grid.parts:
        squares = part.nodes(flat)
        shown = (squares / np.maximum(squares.mean(axis=0), _TINY)).mean(axis=1)
        shown = _spread(shown.reshape(part.shape[:-1])).ravel()
        found.append(np.maximum(shown, _LEAST).astype(np.float32))
    return found


def _spread(nodes: np.ndarray) -> np.ndarray:
    """Nodes (grids, x, y, z), each by half and its neighbours along an axis by a quarter."""
    for axis, length in enumerate(nodes.shape[1:], 1):
        at = np.arange(length)
        before = nodes.take(np.maximum(at - 1, 0), axis=axis)
        behind = nodes.take(np.minimum(at + 1, length - 1), axis=axis)
        nodes = 0.5 * nodes + 0.25 * (before + behind)
    return nodes


def offers(
    grid: Blocks,
    off: np.ndarray,
    codes: np.ndarray,
    keen: list[np.ndarray],
    tables: FrameTables,
    recent: Recent,
) -> Offers:
    """What could be changed of a frame.

    Args:
      grid: The leaves.
      off: (size,) float32, how many steps each param lies off its code.
      codes: (size,) int32, of the frame before.
      keen: Of each leaf (nodes,), how much its nodes show.
      tables: Say what bits are.
      recent: What changed before.
    """
    made = [
        _offers(leaf, part, part.nodes(off), part.nodes(codes), keen[leaf], tables, recent)
        for leaf, part in enumerate(grid.parts)
    ]
    nodes, blocks = 0, 0
    for one in made:  # numbers among those of all leaves
        one.nodes[...] += nodes
        one.blocks[...] += blocks
        nodes, blocks = nodes + one.node_bits.size, blocks + one.block_bits.size
    fields = [field.name for field in dataclasses.fields(Offers)]
    return Offers(*(np.concatenate([getattr(one, name) for one in made]) for name in fields))


def _offers(
    leaf: int,
    part: Part,
    off: np.ndarray,
    codes: np.ndarray,
    keen: np.ndarray,
    tables: FrameTables,
    recent: Recent,
) -> Offers:
    """Those of a leaf; (nodes, channels) are what is off and the codes, (nodes,) what shows."""
    nearest = np.rint(off)
    nodes = np.flatnonzero(nearest.any(axis=1))
    symbols, old = nearest[nodes].astype(np.int32), codes[nodes]
    leaves = np.full(nodes.size, leaf)
    stays, changes = _mask_bits(tables, leaves, old)
    own, channels = np.nonzero(symbols)
    met, before = symbols[own, channels], old[own, channels]
    size, far = np.abs(met), np.abs(off[nodes[own], channels].astype(np.float64))
    tokens = np.minimum(entropy.zigzag(met) - 1, ESCAPE)
    bits = _bits(tables.small.counts)[bricks_tables.change_contexts(leaves[own], before), tokens]
    bits += np.where(tokens == ESCAPE, 2.0 * np.log2(size), 0.0)
    places, blocks = part.of_nodes(nodes)
    blocks, block_of = np.unique(blocks, return_inverse=True)
    block_places = part.places[blocks]
    return Offers(
        params=part.params.start + nodes[own] * part.channels + channels,
        symbols=met,
        gains=keen[nodes[own]] * (2.0 * far * size - np.square(size, dtype=np.float64)),
        bits=bits + (changes - stays)[own, channels],
        nodes=own,
        blocks=block_of,
        node_bits=_flag_bits(tables.nodes, leaf, recent.frame - recent.node_last[places])
        + stays.sum(axis=1),
        block_bits=_flag_bits(tables.blocks, leaf, recent.frame - recent.block_last[block_places]),
    )


def known(grid: Blocks, params: np.ndarray, symbols: np.ndarray) -> Known:
    """What is coded if these params (n,) change by these symbols (n,); of a key frame all codes."""
    flags = np.zeros(grid.num_places, np.uint8), np.zeros(grid.num_node_places, np.uint8)
    dense = np.zeros(grid.size, np.int32)
    dense[params] = symbols
    for part in grid.parts:
        places, blocks = part.of_nodes(np.flatnonzero(part.nodes(dense).any(axis=1)))
        flags[0][part.places[blocks]] = 1
        flags[1][places] = 1
    return Known(*flags, dense)


def _bits(counts: np.ndarray) -> np.ndarray:
    """What each token costs in each context, (contexts, tokens) float64."""
    return np.log2(counts.sum(axis=1, keepdims=True) / counts)


def _mask_bits(
    tables: FrameTables, leaves: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What it costs that a code stays, and that it changes, (nodes, channels) float64 each.

    As if each code were on its own, and one of a channel before changed.

    Args:
      tables: Of masks.
      leaves: (nodes,) that they are of.
      codes: (nodes, channels) int32, in the frame before.
    """
    is_set = bricks_tables.unmasked(np.arange(2**MASKED, dtype=np.uint8), MASKED)
    found = []
    for channel in range(0, codes.shape[1], MASKED):
        four = codes[:, channel : channel + MASKED]
        counts = tables.masks_of(channel).counts
        part = (counts @ is_set) / counts.sum(axis=1, keepdims=True)
        rows = bricks_tables.mask_contexts(leaves, four, np.ones(len(four), bool))
        found.append(part[rows, : four.shape[1]])
    changes = np.concatenate(found, axis=1)
    return -np.log2(1.0 - changes), -np.log2(changes)


def _flag_bits(tables: WholeTables, leaf: int, ages: np.ndarray) -> np.ndarray:
    """What setting flags costs more than not setting them, 0 at least, as if a neighbour were set.

    Args:
      tables: Of blocks or of nodes.
      leaf: Theirs.
      ages: (n,) frames since each changed last.
    """
    one = np.ones(ages.shape, np.int32)
    contexts = bricks_tables.flag_contexts(leaf * one, 1, ages, one)
    stays, changes = _bits(tables.counts)[contexts].T
    return np.maximum(changes - stays, 0.0)
