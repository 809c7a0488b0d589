"""A fine grid of features kept where it is wanted: bricks of nodes in a pool of fixed size.

The nodes of a level come in bricks of 4x4x4. Of all its bricks a pool holds as many as its capacity
says, each in a slot; `cells` names the brick that is in a slot. A node in no slot has features of
zero, so what a brick adds fades out towards neighbours that are not there, and a brick may come and
go without a seam.

What a step costs goes by the capacity, not by the volume of the level: gradients, the optimizer's
moments and the total variation are those of the pool.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from inv_jax.models import grids
from inv_jax.types import InvError

SIDE = 4  # nodes of a brick along each axis
NONE = -1  # in place of a brick, or of a slot
_KEEP = 1.5  # how much more a brick counts that is there: nothing comes and goes for noise

Pool = Float[Array, "P 4 4 4 C"]
Cells = Int[Array, "P"]
Table = Int[Array, "B"]  # of all bricks of a level, each one's slot


@dataclasses.dataclass(frozen=True)
class Bricks:
    """A level in bricks.

    Attributes:
      shape: Nodes of the level, (x, y, z), multiples of `SIDE`, the outermost on the faces of the
        unit cube.
      capacity: Bricks that the pool has slots for.
    """

    shape: grids.Shape
    capacity: int

    def __post_init__(self):
        if any(nodes < SIDE or nodes % SIDE for nodes in self.shape):
            raise InvError(
                f"model.bricks: {self.shape} nodes; want multiples of {SIDE}, for example "
                f"{','.join(str(max(1, round(nodes / SIDE)) * SIDE) for nodes in self.shape)}"
            )
        if not 1 <= self.capacity <= self.count:
            raise InvError(
                f"model.bricks: {self.capacity} of them; want 1 to {self.count}, all bricks of "
                f"{'x'.join(map(str, self.shape))} nodes"
            )

    @property
    def counts(self) -> grids.Shape:
        """Bricks of the level along each axis."""
        x, y, z = (nodes // SIDE for nodes in self.shape)
        return x, y, z

    @property
    def count(self) -> int:
        """All of them."""
        return math.prod(self.counts)

    def table(self, cells: Cells) -> Table:
        """The slot of every brick; `NONE` where there is none."""
        empty = jnp.full(self.count, NONE, jnp.int32)
        rows = jnp.where(cells >= 0, cells, self.count)
        return empty.at[rows].set(jnp.arange(self.capacity, dtype=jnp.int32), mode="drop")

    def read(self, pool: Pool, table: Table, points: Float[Array, "n 3"]) -> Float[Array, "n C"]:
        """Trilinear interpolation, as `grids.read` of the level with zeros where no brick is."""
        first, after = grids.place(points, self.shape)
        corners = first[:, None] + grids.CORNERS[None]
        return self._sum(pool, table, corners, grids.corner_weights(after))

    def read_cells(self, pool: Pool, table: Table, shape: grids.Shape) -> Float[Array, "I J K C"]:
        """The same at the centers of the cells of another grid, see `grids.read_cells`.

        What is known of their nodes is worked out here: XLA would take seconds for it.
        """
        axes = [grids.place_cells(*pair) for pair in zip(shape, self.shape, strict=True)]
        first = np.stack(np.meshgrid(*(first for first, _ in axes), indexing="ij"), axis=-1)
        corners = first.reshape(-1, 1, 3) + grids.CORNERS
        pairs = [np.stack([1.0 - after, after]).astype(np.float32) for _, after in axes]
        weights = np.einsum("ax,by,cz->xyzabc", *pairs).reshape(-1, 8)
        return self._sum(pool, table, corners, weights).reshape(*shape, -1)

    def _sum(
        self, pool: Pool, table: Table, corners: Int[Any, "n 8 3"], weights: Float[Any, "n 8"]
    ) -> Float[Array, "n C"]:
        """What the nodes around some points have, by their weights."""
        slots = table.at[self._flat(corners // SIDE)].get(mode="promise_in_bounds")
        local = corners % SIDE
        inner = (local[..., 0] * SIDE + local[..., 1]) * SIDE + local[..., 2]
        rows = jnp.maximum(slots, 0) * SIDE**3 + inner
        weights = jnp.where(slots >= 0, weights, 0.0)
        features = pool.reshape(-1, pool.shape[-1]).at[rows].get(mode="promise_in_bounds")
        return jnp.einsum("nk,nkc->nc", weights, features)

    def brick_of(self, points: Float[Array, "n 3"]) -> Int[Array, "n"]:
        """The brick that the node below each point is in."""
        return self._flat(grids.place(points, self.shape)[0] // SIDE)

    def _flat(self, brick: Int[Any, "*b 3"]) -> Int[Any, "*b"]:
        _, y, z = self.counts
        return (brick[..., 0] * y + brick[..., 1]) * z + brick[..., 2]

    def roughness_gradient(self, pool: Pool, cells: Cells, edge: float) -> Pool:
        """See `grids.roughness_gradient`: of the level with zeros, at the nodes of the pool."""
        table, total = self.table(cells), jnp.zeros_like(pool)
        for axis in range(3):
            ends = [self._face(pool, cells, table, axis, side) for side in (-1, 1)]
            lined = jnp.concatenate([ends[0], pool, ends[1]], axis=axis + 1)
            slope = jnp.clip(jnp.diff(lined, axis=axis + 1), -edge, edge)
            first, last = (jax.lax.slice_in_dim(slope, i, i + SIDE, axis=axis + 1) for i in (0, 1))
            total = total + first - last
        return jnp.where((cells >= 0)[:, None, None, None, None], total, 0.0)

    def _face(self, pool: Pool, cells: Cells, table: Table, axis: int, side: int) -> Array:
        """The nodes beside each brick's own, of one side: one layer along the axis."""
        counts = self.counts
        place = jnp.stack(jnp.unravel_index(jnp.maximum(cells, 0), counts), axis=-1)
        beside = place[:, axis] + side
        is_inside = (beside >= 0) & (beside < counts[axis])
        brick = place.at[:, axis].set(jnp.clip(beside, 0, counts[axis] - 1))
        slot = table[self._flat(brick)]
        own, other = (0, SIDE - 1) if side < 0 else (SIDE - 1, 0)
        layer = lambda at: jax.lax.slice_in_dim(pool, at, at + 1, axis=axis + 1)  # noqa: E731
        found = layer(other)[jnp.maximum(slot, 0)]
        found = jnp.where((slot >= 0)[:, None, None, None, None], found, 0.0)
        # Behind the faces of the cube nothing differs.
        return jnp.where(is_inside[:, None, None, None, None], found, layer(own))

    def rearranged(self, cells: Cells, wanted: Float[Array, "B"]) -> tuple[Cells, Bool[Array, "P"]]:
        """Gives slots to the bricks that are wanted most.

        A brick keeps its slot while it is among them, or nobody else wants the slot.

        Args:
          cells: The brick of each slot.
          wanted: How much each brick is wanted, 0 or more; one of 0 gets no slot.

        Returns:
          The brick of each slot, and whether it is another one than before.
        """
        has_slot = self.table(cells) >= 0
        rank, best = jax.lax.top_k(wanted * jnp.where(has_slot, _KEEP, 1.0), self.capacity)
        is_best = jnp.zeros(self.count, bool).at[best].set(rank > 0.0)
        stays = (cells >= 0) & is_best[jnp.maximum(cells, 0)]
        (coming,) = jnp.nonzero(is_best & ~has_slot, size=self.capacity, fill_value=NONE)
        # Who comes first gets an empty slot, then that of the brick that is wanted least; there are
        # never more who come than slots of those who do not stay.
        hold = jnp.where(cells >= 0, wanted[jnp.maximum(cells, 0)], -1.0)
        order = jnp.argsort(jnp.where(stays, jnp.inf, hold))
        new = jnp.zeros_like(cells).at[order].set(coming.astype(jnp.int32))
        is_new = new >= 0
        return jnp.where(is_new, new, cells).astype(jnp.int32), is_new

    def dense(self, pool: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """The whole level, (X, Y, Z, C), zeros where no brick is; on the host."""
        x, y, z = self.counts
        level = np.zeros((self.count, SIDE, SIDE, SIDE, pool.shape[-1]), pool.dtype)
        used = np.asarray(cells) >= 0
        level[np.asarray(cells)[used]] = np.asarray(pool)[used]
        level = level.reshape(x, y, z, SIDE, SIDE, SIDE, -1).transpose(0, 3, 1, 4, 2, 5, 6)
        return level.reshape(*self.shape, -1)
