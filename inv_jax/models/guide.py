"""Where along a ray to look: a coarse grid of densities, and samples drawn by it.

The grid (the guide) is made from the params now and then. A ray looks it up at even distances,
composites what it finds, and puts its few samples where light ends: the hierarchical sampling of
NeRF (section 5.2), with look-ups in place of the coarse network.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Key

from inv_jax.render import intervals

FLOOR = 1e-5  # weight of a probe that finds nothing


@struct.dataclass
class Guide:
    """What is made of the params now and then, and looked up many times; of arrays."""

    densities: Any  # (X, Y, Z), at the centers of its cells
    table: Any = None  # (B,) `Bricks.table`; None: there are no bricks


def look_up(densities: Float[Array, "X Y Z"], points: Float[Array, "*b 3"]) -> Float[Array, "*b"]:
    """The density of the cell that each point is in; points lie in [0, 1]."""
    rows = jnp.zeros(points.shape[:-1], jnp.int32)
    for axis, count in enumerate(densities.shape):
        cell = (points[..., axis] * count).astype(jnp.int32)
        rows = rows * count + jnp.clip(cell, 0, count - 1)
    return densities.reshape(-1).at[rows].get(mode="promise_in_bounds")


def probes(count: int, keys: Key[Array, "n"] | None) -> Float[Array, "_ P"]:
    """Where to look up, in [0, 1]: the middles of even parts; in training moved, all alike.

    Without keys they are the same for all rays, (1, P).
    """
    middles = (np.arange(count, dtype=np.float32) + 0.5)[None] / count
    if keys is None:
        return jnp.asarray(middles)
    return middles + (intervals.per_ray(jax.random.uniform, keys, 1) - 0.5) / count


def weights(density: Float[Array, "n P"]) -> Float[Array, "n P"]:
    """How much of a ray's light ends in each of its parts, blurred; density is for the whole ray.

    The blur makes sure that a part beside a surface is looked at, too.
    """
    thickness = density / density.shape[-1]
    before = jnp.cumsum(thickness, axis=-1) - thickness
    ends = jnp.exp(-before) * -jnp.expm1(-thickness)
    padded = jnp.pad(ends, ((0, 0), (1, 1)))
    return 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]


def edges(
    found: Float[Array, "n P"], count: int, even: float, keys: Key[Array, "n"] | None
) -> Float[Array, "n S1"]:
    """Ends of intervals that hold equal parts of the weights, in [0, 1], sorted.

    Args:
      found: Weights of P even parts.
      count: Intervals, S.
      even: Part of them that is spread evenly over the ray, whatever was found.
      keys: Of each ray, in training: each end is moved by up to half an interval's weight.
    """
    num_rays, num_parts = found.shape
    found = found + FLOOR
    share = (1.0 - even) * found / jnp.sum(found, axis=-1, keepdims=True) + even / num_parts
    wanted = np.arange(count + 1, dtype=np.float32)[None] / count
    if keys is not None:
        moved = intervals.per_ray(jax.random.uniform, keys, count + 1) - 0.5
        wanted = jnp.clip(wanted + moved / count, 0.0, 1.0)
    bins = np.linspace(0.0, 1.0, num_parts + 1, dtype=np.float32)
    return intervals.invert_cdf(
        jnp.broadcast_to(bins, (num_rays, num_parts + 1)),
        share,
        jnp.broadcast_to(wanted, (num_rays, count + 1)),
    )
