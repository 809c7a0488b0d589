"""From densities and colors along a ray to one color: alpha compositing.

`edges` (*b, S + 1) are the borders of S intervals along the ray; sample i speaks for
[edges[i], edges[i + 1]]. A NeRF's samples sit at the left edge of their interval, and its last
interval is endless (`open_edges`). `density` is per unit of distance; `unit` says how long one
unit of `edges` is, which for a ray whose direction is not normalised is the direction's length.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from inv_jax.types import Rendering

ENDLESS = 1e10  # length of the last interval, as in NeRF
LEAK = 1e-5  # keeps light going through an opaque sample, as in INV (NeRF: 1e-10)


def open_edges(distances: Float[Array, "*b S"]) -> Float[Array, "*b S1"]:
    """Edges of the intervals that begin at each distance; the last one never ends."""
    return jnp.concatenate([distances, distances[..., -1:] + ENDLESS], axis=-1)


def opacity(
    density: Float[Array, "*b S"], edges: Float[Array, "*b S1"], unit: Float[Array, "*b 1"]
) -> Float[Array, "*b S"]:
    """Opacity of each interval, 1 - exp(-density * length) (NeRF, eq. 3)."""
    return 1.0 - jnp.exp(-density * (edges[..., 1:] - edges[..., :-1]) * unit)


def composite(
    density: Float[Array, "*b S"],
    rgb: Float[Array, "*b S 3"],
    edges: Float[Array, "*b S1"],
    unit: Float[Array, "*b 1"],
    background: float = 0.0,
) -> Rendering:
    """Alpha-composites samples along rays (Mildenhall et al. 2020, NeRF, eq. 3).

    Args:
      density: Extinction, not negative.
      rgb: Colors in [0, 1].
      edges: Sorted interval ends, one more than samples.
      unit: Length of one unit of `edges`.
      background: Grey level behind the ray: 0 black, 1 white.

    Returns:
      A `Rendering`. Its `weights` sum to `acc`, which is at most 1 up to S * LEAK; `depth` is
      the weighted sum of left edges, `disparity` is 0 where nothing was hit.

    Raises:
      ValueError: If `edges` does not hold one entry more than `density`.
    """
    if edges.shape[-1] != density.shape[-1] + 1:
        raise ValueError(f"{edges.shape[-1]} edges for {density.shape[-1]} samples; want one more")
    alpha = opacity(density, edges, unit)
    through = jnp.cumprod(1.0 - alpha[..., :-1] + LEAK, axis=-1)
    transmittance = jnp.concatenate([jnp.ones_like(alpha[..., :1]), through], axis=-1)
    weights = alpha * transmittance
    acc = jnp.sum(weights, axis=-1)
    depth = jnp.sum(weights * edges[..., :-1], axis=-1)
    hit = acc > 0.0
    # The original divides 0 by 0 on an empty ray; a ray that hits nothing is infinitely far.
    expected = depth / jnp.where(hit, acc, jnp.ones_like(acc))
    disparity = jnp.where(hit, 1.0 / jnp.maximum(expected, 1e-10), jnp.zeros_like(acc))
    color = jnp.sum(weights[..., None] * rgb, axis=-2) + background * (1.0 - acc[..., None])
    return Rendering(rgb=color, acc=acc, depth=depth, disparity=disparity, weights=weights)
