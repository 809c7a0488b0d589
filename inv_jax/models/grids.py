"""Dense grids of features over the unit cube, read between their nodes, and summed.

A level has (X, Y, Z) nodes, the outermost on the faces of the cube, and C channels each. Levels
are finer and coarser versions of one field: what is read is their sum.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

Level = Float[Array, "X Y Z C"]
Shape = tuple[int, int, int]

_CORNERS = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)], np.int32)


def read(level: Level, points: Float[Array, "n 3"]) -> Float[Array, "n C"]:
    """Trilinear interpolation of a level; points outside of the cube are read at its faces."""
    shape = np.array(level.shape[:3], np.int32)
    rows, weights = _corners(points, shape)
    features = level.reshape(-1, level.shape[3]).at[rows].get(mode="promise_in_bounds")
    return jnp.einsum("nk,nkc->nc", weights, features)


def read_all(
    levels: Sequence[Float[Array, "_ _ _ C"]], points: Float[Array, "n 3"]
) -> Float[Array, "n C"]:
    """The sum of all levels."""
    return sum(read(level, points) for level in levels)


def _corners(points: Array, shape: np.ndarray) -> tuple[Array, Array]:
    """Rows of the eight nodes around each point, and their weights, (n, 8) each."""
    place = jnp.clip(points, 0.0, 1.0) * (shape - 1).astype(np.float32)[None]
    first = jnp.minimum(place.astype(jnp.int32), (shape - 2)[None])
    after = place - first
    strides = np.array([shape[1] * shape[2], shape[2], 1], np.int32)
    rows = jnp.sum(first * strides[None], axis=-1, keepdims=True) + (_CORNERS @ strides)[None]
    x, y, z = (jnp.stack([1.0 - after[:, i], after[:, i]], axis=1) for i in range(3))
    weights = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return rows, weights.reshape(-1, 8)


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


def add_roughness(weight: float, edge: float) -> optax.GradientTransformation:
    """Adds `weight` times `roughness_gradient` of every grid to its gradient.

    Grids are the leaves of four dimensions.
    """

    def add(gradient: Array, param: Array) -> Array:
        if param.ndim != 4 or not weight:
            return gradient
        return gradient + weight * roughness_gradient(param, edge)

    return optax.stateless(lambda grads, params: jax.tree.map(add, grads, params))
