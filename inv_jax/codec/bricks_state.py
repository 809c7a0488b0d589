"""What encoder and decoder of `bricks` share (`inv_jax/codec/bricks_codec.py`)."""

import dataclasses
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from inv_jax.codec import history
from inv_jax.codec.base import CorruptError, Layout, Leaves
from inv_jax.codec.blocks import Blocks
from inv_jax.codec.bricks_tables import FrameTables

KEY, PREDICTED = 0xB0, 0xB1
HEAD = struct.Struct("<BI")
COUNT = struct.Struct("<I")
PARAMS_PER_BYTE = 64  # a key payload has a byte for so many params at least
LIMIT = 2**22 - 1  # of a code
_NEVER = -(2**20)


@dataclasses.dataclass(frozen=True)
class Items:
    """Some blocks, or nodes, of all leaves.

    Attributes:
      leaves: (n,) int64, the leaf that each is of.
      places: (n,) int32.
      numbers: (n,) int32, among the leaf's.
    """

    leaves: np.ndarray
    places: np.ndarray
    numbers: np.ndarray

    @classmethod
    def joined(cls, of_leaves: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> "Items":
        """From numbers of leaves, places and numbers."""
        none = np.zeros(0, np.int32)
        leaves = np.array([leaf for leaf, _, _ in of_leaves], np.int64)
        return cls(
            np.repeat(leaves, [places.size for _, places, _ in of_leaves]),
            np.concatenate([none, *(places for _, places, _ in of_leaves)]),
            np.concatenate([none, *(numbers for _, _, numbers in of_leaves)]),
        )

    @classmethod
    def none(cls) -> "Items":
        return cls.joined([])

    def take(self, which: np.ndarray) -> "Items":
        """Some of them: a mask, or which ones in which order."""
        at = np.flatnonzero(which) if which.dtype == bool else which
        return Items(self.leaves.take(at), self.places.take(at), self.numbers.take(at))

    def then(self, other: "Items") -> "Items":
        """These and others, leaf by leaf."""
        both = (
            np.concatenate([getattr(self, field.name), getattr(other, field.name)])
            for field in dataclasses.fields(Items)
        )
        joined = Items(*both)
        return joined.take(np.argsort(joined.leaves, kind="stable"))


@dataclasses.dataclass(frozen=True)
class Changed:
    """What changes in a predicted frame.

    Attributes:
      blocks: Which.
      nodes: Which.
      params: Of each group of leaves (`Blocks.groups`), in order: which params, (nodes, channels).
      symbols: Likewise by what their codes change, int32.
    """

    blocks: Items
    nodes: Items
    params: list[np.ndarray]
    symbols: list[np.ndarray]


@dataclasses.dataclass
class Recent:
    """When blocks and nodes changed last.

    Attributes:
      frame: The one that comes, in frames behind the key frame.
      block_last: (places,) int32, of each block the frame.
      node_last: (node places,) int32, of each node.
      blocks: Those that changed in the frame before.
      nodes: Likewise.
    """

    frame: int
    block_last: np.ndarray
    node_last: np.ndarray
    blocks: Items
    nodes: Items

    @classmethod
    def none(cls, grid: Blocks) -> "Recent":
        """As if nothing had ever changed."""
        last = (np.full(n, _NEVER, np.int32) for n in (grid.num_places, grid.num_node_places))
        return cls(1, *last, Items.none(), Items.none())

    def note(self, changed: Changed) -> None:
        """Takes a frame."""
        self.blocks, self.nodes = changed.blocks, changed.nodes
        self.block_last[changed.blocks.places] = self.frame
        self.node_last[changed.nodes.places] = self.frame
        self.frame += 1


@dataclasses.dataclass
class State:
    """What both sides have after a frame.

    Attributes:
      frame: The last one, of a segment.
      codes: (size,) int32, what stands for the params.
      decoded: (size,) float32, the params; it is never written to.
      steps: Of each leaf, (channels,) float32.
      tables: Of predicted frames.
      recent: What changed.
      indices: Leaves that say what rows of others are of.
      crc: Checksum of what was coded up to here.
    """

    frame: int
    codes: np.ndarray
    decoded: np.ndarray
    steps: list[np.ndarray]
    tables: FrameTables
    recent: Recent
    indices: Leaves
    crc: int

    @classmethod
    def of_key(
        cls,
        grid: Blocks,
        frame: int,
        codes: np.ndarray,
        steps: list[np.ndarray],
        indices: Leaves | None,
        crc: int,
    ) -> "State":
        """Behind a key frame; arguments as of the attributes."""
        decoded = values(grid, codes, steps)
        tables, recent = FrameTables.fresh(), Recent.none(grid)
        return cls(frame, codes, decoded, steps, tables, recent, dict(indices or {}), crc)

    def forget(self, layout: Layout, indices: Leaves) -> dict[int, np.ndarray]:
        """Rows that are of something else than in the frame before begin at 0.

        Args:
          layout: Of the leaves.
          indices: Of the frame that comes.

        Returns:
          What `advance` wants.
        """
        moved, grid = _moved(layout, self.indices, indices), Blocks.of(layout)
        for number, rows in moved.items():
            self.codes[grid.parts[number].params].reshape(rows.size, -1)[rows] = 0
        self.indices = indices
        return moved

    def advance(self, grid: Blocks, changed: Changed, moved: Mapping[int, np.ndarray]) -> None:
        """Takes what changes in a predicted frame.

        Raises:
          CorruptError: If a code becomes too large.
        """
        decoded = self.decoded.copy()
        for number, rows in moved.items():
            decoded[grid.parts[number].params].reshape(rows.size, -1)[rows] = 0.0
        leaves = changed.nodes.leaves
        for own, params, symbols in zip(
            grid.groups.values(), changed.params, changed.symbols, strict=True
        ):
            met = self.codes.take(params) + symbols
            check_codes(met)
            self.codes[params] = met
            steps = np.zeros((len(grid.parts), met.shape[1]), np.float32)
            steps[own] = np.stack([self.steps[i] for i in own])
            rows = leaves if len(grid.groups) == 1 else leaves[np.isin(leaves, own)]
            decoded[params] = met.astype(np.float32) * steps.take(rows, axis=0)
        self.recent.note(changed)
        self.decoded = decoded


def key_payload(crc: int, words: np.ndarray, size: int) -> bytes:
    """The payload of a key frame of so many params."""
    made = HEAD.pack(KEY, crc) + COUNT.pack(words.size) + words.tobytes()
    return made.ljust(-(-size // PARAMS_PER_BYTE), b"\0")


def values(grid: Blocks, codes: np.ndarray, steps: list[np.ndarray]) -> np.ndarray:
    """(size,) float32: each code times the step of its leaf and channel, one product."""
    made = codes.astype(np.float32)
    for part, step in zip(grid.parts, steps, strict=True):
        part.nodes(made)[...] *= step
    return made


def steps_of(exponents: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Steps 2^(e / 8), (channels,) float32 of each leaf."""
    return [history.step_of(one) for one in exponents]


def check_codes(codes: np.ndarray) -> None:
    """Refuses what no encoder makes.

    Raises:
      CorruptError: If a code is too large.
    """
    if codes.size and not -LIMIT <= codes.min() <= codes.max() <= LIMIT:
        raise CorruptError(f"codes from {codes.min()} to {codes.max()}")


def layout_checksum(layout: Layout) -> int:
    """With which that of a key frame begins."""
    return zlib.crc32(repr(layout.shapes).encode())


def _moved(layout: Layout, before: Leaves, here: Leaves) -> dict[int, np.ndarray]:
    """Rows of leaves that are of something else than in the frame before.

    An index leaf (P,) goes with the leaves of its network and layer whose first axis is P: where it
    changes, their row is another one, of which nothing is known.

    Returns:
      By number of the leaf in the layout, (P,) bool.
    """
    found = {}
    for path, index in here.items():
        rows = index != before[path]
        if index.ndim == 1 and rows.any():
            for number, (other, shape) in enumerate(layout.shapes):
                if _layer_of(other) == _layer_of(path) and shape[0] == rows.size:
                    found[number] = rows
    return found


def _layer_of(path: str) -> list[str]:
    """The path without the role and the leaf."""
    parts = path.split("/")
    return parts[:1] + parts[2:-1]
