"""A level in bricks, as textures."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from inv_jax import params as params_lib
from inv_jax.codec.base import CorruptError
from inv_jax.models import grid_field
from inv_jax.models.bricks import NONE, SIDE
from inv_jax.models.grids import Shape
from inv_jax.textures.parts import Leaves, Part, Texture, in_fours, split

_ABREAST = 64  # slots along x, and along y: 256 texels


@dataclasses.dataclass(frozen=True)
class Pool(Part):
    """A level in bricks (`models/bricks.py`): a table of its bricks' slots, and the slots.

    A texel of the table is the slot of a brick and 1, little-endian; 0: there is no such brick.

    Attributes:
      slots: How many there are.
    """

    kind = "bricks"
    slots: int = 1

    @property
    def _paths(self) -> tuple[str, str]:
        """Of the numbers, and of the brick of each slot."""
        network, name = grid_field.NETWORK, self.name
        return (
            f"{network}/{params_lib.STRUCTURE}/{name}/kernel",
            f"{network}/{params_lib.INDEX}/{name}/cells",
        )

    @property
    def _counts(self) -> Shape:
        """Bricks of the level along x, y and z."""
        x, y, z = (nodes // SIDE for nodes in self.size)
        return x, y, z

    @property
    def _places(self) -> Shape:
        """Slots along x, y and z; the last ones may be too many."""
        x = min(self.slots, _ABREAST)
        y = min(-(-self.slots // x), _ABREAST)
        return x, y, -(-self.slots // (x * y))

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        pool, cells = self._paths
        return {pool: (self.slots, SIDE, SIDE, SIDE, self.steps.channels), cells: (self.slots,)}

    @property
    def textures(self) -> tuple[Texture, ...]:
        x, y, z = (SIDE * count for count in self._places)
        table = Texture(f"{self.name}.table", self._counts)
        return (table, *in_fours(self.name, (x, y, z), self.steps))

    def numbers(self, leaves: Leaves) -> np.ndarray:
        pool, cells = (leaves[path] for path in self._paths)
        # What is left in a slot that no brick has is not read.
        return np.where((cells == NONE)[:, None, None, None, None], np.float32(0.0), pool)

    def pack(self, leaves: Leaves) -> list[np.ndarray]:
        codes = self.steps.codes(self.numbers(leaves))
        x, y, z = self._places
        codes = np.pad(codes, [(0, x * y * z - self.slots)] + [(0, 0)] * 4)
        codes = codes.reshape(z, y, x, SIDE, SIDE, SIDE, -1).transpose(0, 5, 1, 4, 2, 3, 6)
        table, cells = np.zeros(math.prod(self._counts), "<u4"), leaves[self._paths[1]]
        (used,) = np.nonzero(cells != NONE)
        table[cells[used]] = used + 1
        table = table.reshape(self._counts).transpose(2, 1, 0).copy().view(np.uint8)
        atlas = codes.reshape(z * SIDE, y * SIDE, x * SIDE, -1)
        return [table.reshape(self.textures[0].shape), *split(atlas)]

    def unpack(self, textures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        x, y, z = self._places
        codes = np.concatenate(textures[1:], axis=-1)
        codes = codes.reshape(z, SIDE, y, SIDE, x, SIDE, -1).transpose(0, 2, 4, 5, 3, 1, 6)
        pool = self.steps.numbers(codes.reshape(-1, SIDE, SIDE, SIDE, codes.shape[-1]))
        table = np.ascontiguousarray(textures[0]).view("<u4")[..., 0].transpose(2, 1, 0).reshape(-1)
        (bricks,) = np.nonzero(table)
        slots = table[bricks].astype(np.int64) - 1
        if len(set(slots.tolist())) < slots.size or (slots.size and slots.max() >= self.slots):
            raise CorruptError(
                f"{self.name}: a table of slots that are not {self.slots}, once each"
            )
        cells = np.full(self.slots, NONE, np.int32)
        cells[slots] = bricks
        return dict(zip(self._paths, (pool[: self.slots], cells), strict=True))

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "slots": self.slots}

    @classmethod
    def load(cls, name: str, fields: Mapping[str, Any]) -> Self:
        made = super().load(name, fields)
        slots = fields["slots"]
        if type(slots) is not int or not 1 <= slots <= math.prod(made._counts):
            raise ValueError(f"{str(slots)[:50]} slots of {math.prod(made._counts)} bricks")
        if any(nodes % SIDE for nodes in made.size):
            raise ValueError(f"a level of {made.size} nodes in bricks of {SIDE}")
        return dataclasses.replace(made, slots=slots)
