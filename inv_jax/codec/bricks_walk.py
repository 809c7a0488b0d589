"""A predicted frame of `bricks`, for both sides (`inv_jax/codec/bricks_codec.py`)."""

import dataclasses

import numpy as np

from inv_jax.codec import both_ways, bricks_tables
from inv_jax.codec.blocks import LOCAL, WAVES, Blocks
from inv_jax.codec.both_ways import Coder
from inv_jax.codec.bricks_state import Changed, Items, Recent
from inv_jax.codec.bricks_tables import MASKED, FrameTables
from inv_jax.codec.whole_tables import WholeTables

_LOCAL_WAVES = tuple(np.flatnonzero(LOCAL.sum(axis=1) % WAVES == wave) for wave in range(WAVES))


@dataclasses.dataclass(frozen=True)
class Known:
    """What an encoder knows of a frame.

    Attributes:
      blocks: (places,) uint8, 1 for those that change.
      nodes: (node places,) uint8, likewise; of a key frame nobody asks.
      symbols: (size,) int32, what is added to the codes; of a key frame these themselves.
    """

    blocks: np.ndarray
    nodes: np.ndarray
    symbols: np.ndarray


def predicted(
    coder: Coder,
    grid: Blocks,
    codes: np.ndarray,
    tables: FrameTables,
    recent: Recent,
    known: Known | None,
) -> list[Changed]:
    """Codes what changes in a predicted frame.

    Args:
      coder: Codes.
      grid: The leaves.
      codes: (size,) int32, of the frame before.
      tables: They learn.
      recent: What changed before.
      known: What changes, if it is known.

    Returns:
      It, leaf by leaf.
    """
    blocks = changed_blocks(coder, grid, tables, recent, known)
    nodes = _changed_nodes(coder, grid, blocks, tables, recent, known)
    params, symbols = [], []
    for channels, leaves in grid.groups.items():
        own = nodes if len(grid.groups) == 1 else nodes.take(np.isin(nodes.leaves, leaves))
        starts = np.array([part.params.start for part in grid.parts]).take(own.leaves)
        which = (starts + own.numbers * channels)[:, None] + np.arange(channels)
        given = None if known is None else known.symbols[which]
        params.append(which)
        symbols.append(_changes(coder, own.leaves, codes.take(which), tables, given))
    return Changed(blocks, nodes, params, symbols)


def changed_blocks(
    coder: Coder, grid: Blocks, tables: FrameTables, recent: Recent, known: Known | None
) -> Items:
    """Codes which leaves change, and which of their blocks."""
    flags, given = None if known is None else known.blocks, None
    if flags is not None:
        given = np.array([flags[part.places].any() for part in grid.parts], np.uint8)
    contexts = bricks_tables.leaf_contexts(len(grid.parts))
    leaves = np.flatnonzero(coder.tokens(contexts, tables.leaves, given))
    parts = [(int(leaf), grid.parts[leaf]) for leaf in leaves]
    waves = [
        Items.joined([(i, part.places[part.waves[wave]], part.waves[wave]) for i, part in parts])
        for wave in range(WAVES)
    ]
    last = recent.frame, recent.block_last, recent.blocks
    found = _flagged(coder, waves, tables.blocks, grid.around, last, flags)
    return found.take(np.lexsort((found.numbers, found.leaves)))


def _changed_nodes(
    coder: Coder,
    grid: Blocks,
    blocks: Items,
    tables: FrameTables,
    recent: Recent,
    known: Known | None,
) -> Items:
    """Codes which nodes of these blocks change."""
    ends = np.searchsorted(blocks.leaves, np.arange(len(grid.parts) + 1))
    own = [
        (i, part, blocks.numbers[ends[i] : ends[i + 1]])
        for i, part in enumerate(grid.parts)
        if ends[i] < ends[i + 1]
    ]
    waves = [
        Items.joined([(i, *part.inside(numbers, local)) for i, part, numbers in own])
        for local in _LOCAL_WAVES
    ]
    last = recent.frame, recent.node_last, recent.nodes
    flags = None if known is None else known.nodes
    return _flagged(coder, waves, tables.nodes, grid.node_around, last, flags)


def _flagged(
    coder: Coder,
    waves: list[Items],
    tables: WholeTables,
    around: np.ndarray,
    recent: tuple[int, np.ndarray, Items],
    known: np.ndarray | None,
) -> Items:
    """Codes flags of blocks or of nodes.

    Args:
      coder: Codes.
      waves: What has a flag, wave by wave.
      tables: Theirs.
      around: (leaves, 6) from a place to those next to it.
      recent: The frame that comes, when each place changed last, what changed in the frame before.
      known: Flags by place, if they are known.

    Returns:
      What is flagged, leaf by leaf.
    """
    frame, last, before = recent
    found = Items.none()
    for wave, items in enumerate(waves):
        met = np.zeros(last.size, np.uint8)
        beside = before.places[:, None] + around.take(before.leaves, axis=0)
        np.add.at(met, beside.ravel(), np.uint8(1))
        at = items.places
        ages = frame - last.take(at)
        contexts = bricks_tables.flag_contexts(items.leaves, wave, ages, met.take(at))
        given = None if known is None else known.take(at)
        before = items.take(coder.tokens(contexts, tables, given) > 0)
        found = found.then(before)
    return found


def _changes(
    coder: Coder,
    leaves: np.ndarray,
    codes: np.ndarray,
    tables: FrameTables,
    known: np.ndarray | None,
) -> np.ndarray:
    """Codes by what codes change, (nodes, channels) int32.

    Args:
      coder: Codes.
      leaves: (nodes,) that each node is of.
      codes: (nodes, channels) int32, of the frame before.
      tables: They learn.
      known: What is to be coded, if it is known.
    """
    flags = np.zeros(codes.shape, bool)
    is_met = np.zeros(len(codes), bool)
    for channel in range(0, codes.shape[1], MASKED):
        four = slice(channel, channel + MASKED)
        contexts = bricks_tables.mask_contexts(leaves, codes[:, four], is_met)
        given = None if known is None else bricks_tables.masks(known[:, four] != 0)
        mask = coder.tokens(contexts, tables.masks_of(channel), given)
        flags[:, four] = bricks_tables.unmasked(mask, flags[:, four].shape[1])
        is_met |= mask > 0
    at = np.flatnonzero(flags)
    contexts = bricks_tables.change_contexts(leaves.take(at // codes.shape[1]), codes.take(at))
    given = None if known is None else known.take(at)
    found = np.zeros(codes.size, np.int32)
    found[at] = both_ways.nonzero(coder, contexts, tables.small, tables.large, given)
    return found.reshape(codes.shape)
