"""Leaves as blocks of nodes: what is next to what, and where its numbers lie.

A leaf's last axis are the channels of a node; the three axes before it are a grid of nodes, those
before them, if there are any, count grids that have nothing to do with each other. Axes that a leaf
lacks have length 1. So (X, Y, Z, C) is a grid, (P, 4, 4, 4, C) a pool of bricks, (in, out) a row.
Blocks are 4 x 4 x 4 nodes, fewer at the far sides. Blocks and nodes of a leaf are numbered as its
axes count.

Blocks and nodes have *places*, too: their numbers if every grid had one more of them on every side,
nodes after it was filled up with whole blocks. What is next to a place is a sum away.
"""

import dataclasses
import functools
import math

import numpy as np

from inv_jax.codec.base import Layout

SIDE = 4
NODES = SIDE**3  # of a block
WAVES = 2  # of blocks, and of nodes: neighbours along an axis are in different ones
LOCAL = np.indices((SIDE, SIDE, SIDE)).reshape(3, NODES).T.astype(np.int32)  # nodes in a block
_AROUND = np.concatenate([np.eye(3, dtype=np.int32), -np.eye(3, dtype=np.int32)])


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A leaf.

    Attributes:
      shape: (grids, X, Y, Z, channels).
      params: Its numbers among all.
      places: Of its blocks, (blocks,) int32, among those of all leaves.
      node_places: Of the first node of each, likewise.
      node_base: Where the leaf's own places of nodes begin.
      first_nodes: Number of the first node of each block in the leaf, (blocks,) int32.
      waves: Its blocks by wave, numbers among the leaf's.
      around: (6,) int32, from a block's place to those next to it.
      node_around: The same of nodes.
      local_places: (64,) int32 of the nodes of a block, from the first one's.
      local_nodes: (64,) int32, likewise their numbers in the leaf.
    """

    shape: tuple[int, int, int, int, int]
    params: slice
    places: np.ndarray
    node_places: np.ndarray
    node_base: int
    first_nodes: np.ndarray
    waves: tuple[np.ndarray, ...]
    around: np.ndarray
    node_around: np.ndarray
    local_places: np.ndarray
    local_nodes: np.ndarray
    _fits: np.ndarray | None  # (blocks, 64) bool, which nodes the leaf has; None: it has all

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def num_node_places(self) -> int:
        """How many there are of its own."""
        room = (SIDE * -(-nodes // SIDE) + 2 for nodes in self.shape[1:-1])
        return self.shape[0] * math.prod(room)

    @property
    def num_nodes(self) -> int:
        return math.prod(self.shape[:-1])

    def nodes(self, flat: np.ndarray) -> np.ndarray:
        """A view of all params, or what else there is of each: (nodes, channels) of this leaf."""
        return flat[self.params].reshape(-1, self.channels)

    def of_nodes(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of nodes, and the blocks that they are in, (n,) int each, of their numbers."""
        grids, *axes = np.unravel_index(nodes, self.shape[:-1])
        place = block = grids
        for at, length in zip(axes, self.shape[1:-1], strict=True):
            count = -(-length // SIDE)
            place = place * (SIDE * count + 2) + at + 1
            block = block * count + at // SIDE
        return place + self.node_base, block

    def inside(self, blocks: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Some nodes of some blocks, as far as the leaf goes: places, and numbers in the leaf.

        Args:
          blocks: (m,) numbers among the leaf's.
          local: Which nodes of each, of 64.

        Returns:
          (n,) int32 each, block by block.
        """
        places = self.node_places[blocks, None] + self.local_places[local]
        nodes = self.first_nodes[blocks, None] + self.local_nodes[local]
        if self._fits is None:
            return places.ravel(), nodes.ravel()
        fits = self._fits[blocks[:, None], local]
        return places[fits], nodes[fits]


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """A layout's leaves.

    Attributes:
      parts: The leaves, in order.
      groups: Numbers of the leaves that have as many channels, by that many.
      around: (leaves, 6) int32, see `Part.around`.
      node_around: The same of nodes.
      size: How many numbers they have.
      num_places: Of blocks.
      num_node_places: Of nodes.
    """

    parts: tuple[Part, ...]
    groups: dict[int, list[int]]
    around: np.ndarray
    node_around: np.ndarray
    size: int
    num_places: int
    num_node_places: int

    @classmethod
    @functools.lru_cache(maxsize=4)
    def of(cls, layout: Layout) -> "Blocks":
        """Those of a layout; made once, as long as few others are."""
        parts, place, node_place, param = [], 0, 0, 0
        for _, given in layout.shapes:
            *outer, x, y, z, channels = (1, 1, 1, 1, *given) if len(given) < 5 else given
            shape = (math.prod(outer), x, y, z, channels)
            counts = (shape[0], *(-(-nodes // SIDE) for nodes in (x, y, z)))
            room = (shape[0], *(count + 2 for count in counts[1:]))
            node_room = (shape[0], *(SIDE * count + 2 for count in counts[1:]))
            index = np.indices(counts).reshape(4, -1).astype(np.int32)
            first = index * np.int32([[1], [SIDE], [SIDE], [SIDE]])
            beside = np.int32([[0], [1], [1], [1]])
            wave = index[1:].sum(axis=0) % WAVES
            size = math.prod(shape)
            parts.append(
                Part(
                    shape=shape,
                    params=slice(param, param + size),
                    places=place + _number(index + beside, room),
                    node_places=node_place + _number(first + beside, node_room),
                    node_base=node_place,
                    first_nodes=_number(first, shape[:-1]),
                    waves=tuple(np.flatnonzero(wave == i) for i in range(WAVES)),
                    around=_AROUND @ _steps(room),
                    node_around=_AROUND @ _steps(node_room),
                    local_places=LOCAL @ _steps(node_room),
                    local_nodes=LOCAL @ _steps(shape[:-1]),
                    _fits=_fits(first[1:].T, shape[1:-1]),
                )
            )
            place += math.prod(room)
            node_place += math.prod(node_room)
            param += size
        groups: dict[int, list[int]] = {}
        for number, part in enumerate(parts):
            groups.setdefault(part.channels, []).append(number)
        around, node_around = (
            np.stack([getattr(part, name) for part in parts]) for name in ("around", "node_around")
        )
        return cls(tuple(parts), groups, around, node_around, param, place, node_place)


def _fits(first: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray | None:
    """Which nodes of blocks are inside, from the first one's coordinates (blocks, 3)."""
    if not any(length % SIDE for length in lengths):
        return None
    room = np.int32(lengths) - first
    return (room[:, None] > LOCAL).all(axis=-1)


def _steps(counts: tuple[int, ...]) -> np.ndarray:
    """Along x, y and z of a grid: numbers from one entry to the next, (3,) int32."""
    return np.array([counts[2] * counts[3], counts[3], 1], np.int32)


def _number(index: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
    """Numbers (n,) int32 of entries (4, n) of grids."""
    return np.ravel_multi_index(tuple(index), counts).astype(np.int32)
