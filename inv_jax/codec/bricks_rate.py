"""What `bricks` changes from frame to frame: as little as the wanted quality allows.

All params are rounded to a lattice, whose steps were chosen so that an error of a step shows alike
wherever it is (`rate.py`). Where a param lies off its code it may be set right, which saves a
squared error and costs bits: those of the symbol, those that say that its node changes if nothing
else of it does, and those of its block. With a price of a bit, in squared steps, a node is changed
if that pays, and only then (rate-distortion optimisation, as in video coders).
"""

import dataclasses

import numpy as np

from inv_jax.codec import bricks_tables, entropy
from inv_jax.codec.blocks import Blocks, Part
from inv_jax.codec.both_ways import ESCAPE
from inv_jax.codec.bricks_state import Recent
from inv_jax.codec.bricks_tables import FrameTables
from inv_jax.codec.bricks_walk import Known
from inv_jax.codec.whole_tables import WholeTables

_MET = np.int32(1)  # codes of a node, of channels before one's own, that are taken to change, too


@dataclasses.dataclass(frozen=True)
class Offers:
    """What could be changed.

    Attributes:
      params: (n,) which, of all.
      symbols: (n,) int32, by what.
      gains: (n,) squared steps that this saves.
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


def offers(
    grid: Blocks, off: np.ndarray, codes: np.ndarray, tables: FrameTables, recent: Recent
) -> Offers:
    """What could be changed of a frame.

    Args:
      grid: The leaves.
      off: (size,) float32, how many steps each param lies off its code.
      codes: (size,) int32, of the frame before.
      tables: Say what bits are.
      recent: What changed before.
    """
    made = [
        _offers(leaf, part, part.nodes(off), part.nodes(codes), tables, recent)
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
    tables: FrameTables,
    recent: Recent,
) -> Offers:
    """Those of a leaf; (nodes, channels) are what is off and the codes."""
    nearest = np.rint(off)
    nodes = np.flatnonzero(nearest.any(axis=1))
    symbols, old = nearest[nodes].astype(np.int32), codes[nodes]
    leaves = np.full(nodes.size, leaf)
    flags = [
        _bits(tables.flags_of(i).counts)[bricks_tables.code_contexts(leaves, old[:, i], _MET)]
        for i in range(part.channels)
    ]
    stays, changes = np.moveaxis(np.stack(flags, axis=1), -1, 0)
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
        gains=2.0 * far * size - np.square(size, dtype=np.float64),
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
