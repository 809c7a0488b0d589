"""A key frame of `bricks`, for both sides (`inv_jax/codec/bricks_codec.py`)."""

import numpy as np

from inv_jax.codec import both_ways, bricks_tables, bricks_walk
from inv_jax.codec.blocks import LOCAL, NODES, Blocks, Part
from inv_jax.codec.both_ways import Coder
from inv_jax.codec.bricks_state import Recent
from inv_jax.codec.bricks_tables import FrameTables, KeyTables
from inv_jax.codec.bricks_walk import Known

_CHUNK = 4096  # symbols between which tables learn
_LARGEST = 63  # larger sizes count as this where contexts are made
# Nodes by whether their coordinates are odd. What is expected of a node lies between those of its
# neighbours that were coded, the nearest ones: of each wave, where these are.
_WAVES = (
    *((0, 0, 0), (1, 1, 1), (1, 1, 0), (0, 0, 1)),
    *((1, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)),
)


def _nearest(wave: int) -> np.ndarray:
    """Where they are, (n, 3)."""
    around = np.indices((3, 3, 3)).reshape(3, 27).T - 1
    there = [_WAVES.index(tuple(row)) for row in (around + _WAVES[wave]) % 2]
    coded = around[np.array(there) < wave]
    far = np.abs(coded).sum(axis=1)
    return coded[far == far.min(initial=9)]


_NEAREST = tuple(_nearest(wave) for wave in range(len(_WAVES)))
_LOCAL = tuple(np.flatnonzero(np.equal(LOCAL % 2, wave).all(axis=1)) for wave in _WAVES)


def key(
    coder: Coder, grid: Blocks, known: tuple[list[np.ndarray], Known] | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Codes a key frame.

    Args:
      coder: Codes.
      grid: The leaves.
      known: Each leaf's exponents of steps, (channels,) int32, and the rest, if they are known.

    Returns:
      The exponents, and codes (size,) int32.
    """
    exponents = _exponents(coder, grid, None if known is None else known[0])
    rest = None if known is None else known[1]
    tables = FrameTables.fresh()
    occupied = bricks_walk.changed_blocks(coder, grid, tables, Recent.none(grid), rest)
    codes, symbols = np.zeros(grid.size, np.int32), KeyTables.fresh()
    for leaf, part in enumerate(grid.parts):
        own = occupied.numbers[occupied.leaves == leaf]
        given = None if rest is None else part.nodes(rest.symbols)
        part.nodes(codes)[...] = _codes(coder, part, own, symbols, given)
    return exponents, codes


def _exponents(coder: Coder, grid: Blocks, known: list[np.ndarray] | None) -> list[np.ndarray]:
    """Codes exponents: a channel's less those of the channel before; a leaf's first one alike."""
    ends = np.cumsum([part.channels for part in grid.parts])
    differences, is_first = None, np.zeros(ends[-1], bool)
    is_first[[0, *ends[:-1]]] = True
    if known is not None:
        flat = np.concatenate(known)
        differences = np.diff(flat, prepend=0)
        differences[is_first] = np.diff(flat[is_first], prepend=0)
    contexts = is_first.astype(np.uint8)
    found = coder.symbols(contexts, bricks_tables.exponent_tables(), differences)
    starts = np.cumsum(found[is_first], dtype=np.int64)
    parts = np.split(np.where(is_first, 0, found), ends[:-1])
    return [
        np.clip(start + np.cumsum(part, dtype=np.int64), -(2**20), 2**20).astype(np.int32)
        for start, part in zip(starts, parts, strict=True)
    ]


def _codes(
    coder: Coder, part: Part, blocks: np.ndarray, tables: KeyTables, known: np.ndarray | None
) -> np.ndarray:
    """Codes a leaf of a key frame, (nodes, channels) int32; `blocks` are not all 0."""
    codes = np.zeros((part.num_nodes, part.channels), np.int32)
    size, base = part.num_node_places, part.node_base
    room, spread = (np.zeros((size, part.channels), np.int32) for _ in range(2))
    active, there = np.zeros(size, np.int32), np.zeros(size, np.int32)
    there[part.inside(np.arange(part.places.size), np.arange(NODES))[0] - base] = 1
    for wave, local in enumerate(_LOCAL):
        places, nodes = part.inside(blocks, local)
        at, expected = places - base, np.zeros((nodes.size, part.channels), np.int32)
        if wave:
            near = [at + offset for offset in _NEAREST[wave] @ part.node_around[:3]]
            count = np.maximum(sum(there[one] for one in near), 1)
            total = sum(room[one] for one in near)
            expected = (2 * total + count[:, None]) // (2 * count[:, None])
            contexts = bricks_tables.key_contexts(
                total - expected * count[:, None],
                sum(spread[one] for one in near),
                sum(active[one] for one in near),
                count,
            )
        else:
            contexts = np.zeros(expected.shape, np.uint8)
        given = None if known is None else known[nodes] - expected
        found = _symbols(coder, contexts, tables, given)
        codes[nodes] = room[at] = found + expected
        spread[at] = np.minimum(np.abs(found), _LARGEST)
        active[at] = np.minimum(np.abs(room[at]), _LARGEST).sum(axis=1)
    return codes


def _symbols(
    coder: Coder, contexts: np.ndarray, tables: KeyTables, known: np.ndarray | None
) -> np.ndarray:
    """Codes symbols of contexts (nodes, channels), int32, some at a time; tables learn between."""
    found, flat = np.zeros(contexts.size, np.int32), contexts.ravel()
    for start in range(0, flat.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        given = None if known is None else known.ravel()[part]
        flags = None if given is None else (given != 0).astype(np.uint8)
        is_set = coder.tokens(flat[part], tables.flags, flags) > 0
        rest = None if given is None else given[is_set]
        own = flat[part][is_set]
        found[part][is_set] = both_ways.nonzero(coder, own, tables.small, tables.large, rest)
    return found.reshape(contexts.shape)
