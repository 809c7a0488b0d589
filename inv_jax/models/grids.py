"""Dense grids of features over the unit cube, read between their nodes, and summed.

A level has (X, Y, Z) nodes, the outermost on the faces of the cube, and C channels each. Levels
are finer and coarser versions of one field: what is read is their sum.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Level = Float[Array, "X Y Z C"]
Shape = tuple[int, int, int]

CORNERS = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)], np.int32)


def read(level: Level, points: Float[Array, "n 3"]) -> Float[Array, "n C"]:
    """Trilinear interpolation of a level; points outside of the cube are read at its faces."""
    _, y, z, channels = level.shape
    first, after = place(points, level.shape[:3])
    strides = np.array([y * z, z, 1], np.int32)
    rows = jnp.sum(first * strides[None], axis=-1, keepdims=True) + (CORNERS @ strides)[None]
    features = level.reshape(-1, channels).at[rows].get(mode="promise_in_bounds")
    return jnp.einsum("nk,nkc->nc", corner_weights(after), features)


def read_all(
    levels: Sequence[Float[Array, "_ _ _ C"]], points: Float[Array, "n 3"]
) -> Float[Array, "n C"]:
    """The sum of all levels."""
    return sum(read(level, points) for level in levels)


def read_cells(level: Level, shape: Shape) -> Float[Array, "I J K C"]:
    """The same as `read` at the centers of the cells of another grid, so many along each axis.

    Places that lie in rows need no eight nodes each: one axis is read after the other.
    """
    for axis, count in enumerate(shape):
        first, after = place_cells(count, level.shape[axis])
        after = after.reshape(*[-1 if i == axis else 1 for i in range(4)])
        below, above = (jnp.take(level, first + side, axis=axis) for side in (0, 1))
        level = (1.0 - after) * below + after * above
    return level


def place_cells(
    count: int, nodes: int
) -> tuple[Int[np.ndarray, "{count}"], Float[np.ndarray, "{count}"]]:
    """`place` of the centers of so many cells along an axis of so many nodes, on the host."""
    at = (np.arange(count, dtype=np.float32) + 0.5) / count * (nodes - 1)
    first = np.minimum(at.astype(np.int32), nodes - 2)
    return first, (at - first).astype(np.float32)


def place(
    points: Float[Array, "n 3"], shape: Sequence[int]
) -> tuple[Int[Array, "n 3"], Float[Array, "n 3"]]:
    """The node below each point on a grid of so many nodes, and how far behind it, in [0, 1]."""
    nodes = np.array(shape, np.int32)
    at = jnp.clip(points, 0.0, 1.0) * (nodes - 1).astype(np.float32)[None]
    first = jnp.minimum(at.astype(jnp.int32), (nodes - 2)[None])
    return first, at - first


def corner_weights(after: Float[Array, "n 3"]) -> Float[Array, "n 8"]:
    """How much each of the eight nodes around a point counts, in the order of `CORNERS`."""
    x, y, z = (jnp.stack([1.0 - after[:, i], after[:, i]], axis=1) for i in range(3))
    weights = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return weights.reshape(-1, 8)


def roughness_gradient(level: Level, edge: float) -> Level:
    """The gradient of the total variation of a level, each node with its six neighbours.

    Of Huber's penalty: the square of a difference, halved, up to `edge`, and no faster than the
    difference beyond, so that edges stay. (The Charbonnier penalty does about the same, with a root
    for each difference: 12 to 25 times the time.)
    """
    total = jnp.zeros_like(level)
    for axis in range(3):
        slope = jnp.clip(jnp.diff(level, axis=axis), -edge, edge)
        before, after = [(0, 0)] * 4, [(0, 0)] * 4
        before[axis], after[axis] = (1, 0), (0, 1)
        total = total + jnp.pad(slope, before) - jnp.pad(slope, after)
    return total
