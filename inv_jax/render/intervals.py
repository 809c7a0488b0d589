"""Where samples lie along a ray: stratified, then by the weights of a first pass.

`distances` (*b, S) are sample positions along the ray, sorted. `keys` are one random key per ray
(*b,), or None for the deterministic placement that evaluation uses.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key


def per_ray(draw: Callable, keys: Key[Array, "*b"], num: int) -> Float[Array, "*b {num}"]:
    """Draws `num` numbers for every ray from its own key: `draw(key, (num,))` each."""
    flat = jax.vmap(lambda key: draw(key, (num,)))(keys.reshape(-1))
    return flat.reshape(*keys.shape, num)


def stratified(
    near: Float[Array, "*b 1"],
    far: Float[Array, "*b 1"],
    num: int,
    keys: Key[Array, "*b"] | None = None,
) -> Float[Array, "*b {num}"]:
    """Evenly spaced distances from near to far, both included.

    With `keys`, each is drawn uniformly from the cell around it, whose borders are the mid-points
    to its neighbours (NeRF, eq. 2, with half cells at both ends).
    """
    fraction = jnp.linspace(0.0, 1.0, num).reshape((1,) * (near.ndim - 1) + (num,))
    distances = near * (1.0 - fraction) + far * fraction
    if keys is None:
        return distances
    middles = 0.5 * (distances[..., 1:] + distances[..., :-1])
    lower = jnp.concatenate([distances[..., :1], middles], axis=-1)
    upper = jnp.concatenate([middles, distances[..., -1:]], axis=-1)
    return lower + (upper - lower) * per_ray(jax.random.uniform, keys, num)


def invert_cdf(
    bins: Float[Array, "*b M"], weights: Float[Array, "*b K"], u: Float[Array, "*b N"]
) -> Float[Array, "*b N"]:
    """Maps u in [0, 1] through the inverse of a piecewise linear cumulative distribution.

    Args:
      bins: Borders of the K bins, sorted, K + 1 of them.
      weights: Mass of each bin, not negative; 1e-5 is added, so that empty bins can be drawn.
      u: Numbers in [0, 1].

    Returns:
      Distances within `bins`, one for each `u`.

    Raises:
      ValueError: If there is not one border more than there are bins.
    """
    if bins.shape[-1] != weights.shape[-1] + 1:
        raise ValueError(f"{bins.shape[-1]} borders for {weights.shape[-1]} bins; want one more")
    weights = weights + 1e-5
    pdf = weights / jnp.sum(weights, axis=-1, keepdims=True)
    cdf = jnp.cumsum(pdf, axis=-1)
    cdf = jnp.concatenate([jnp.zeros_like(cdf[..., :1]), cdf], axis=-1)
    # Number of borders at or below u, by comparison: on a GPU this beats a search per ray.
    above = jnp.sum(cdf[..., None, :] <= u[..., :, None], axis=-1)
    low = jnp.maximum(above - 1, 0)
    high = jnp.minimum(above, cdf.shape[-1] - 1)
    cdf_low = jnp.take_along_axis(cdf, low, axis=-1)
    cdf_high = jnp.take_along_axis(cdf, high, axis=-1)
    bin_low = jnp.take_along_axis(bins, low, axis=-1)
    bin_high = jnp.take_along_axis(bins, high, axis=-1)
    mass = cdf_high - cdf_low
    mass = jnp.where(mass < 1e-5, jnp.ones_like(mass), mass)
    return bin_low + (u - cdf_low) / mass * (bin_high - bin_low)


def importance(
    distances: Float[Array, "*b S"],
    weights: Float[Array, "*b S"],
    num: int,
    keys: Key[Array, "*b"] | None = None,
) -> Float[Array, "*b {num}"]:
    """More distances where a first pass found something (NeRF, section 5.2).

    Args:
      distances: Samples of the first pass.
      weights: Their compositing weights.
      num: How many to draw.
      keys: One per ray, or None for evenly spaced u in [0, 1].

    Returns:
      New distances, unsorted; no gradient flows through them.
    """
    middles = 0.5 * (distances[..., 1:] + distances[..., :-1])
    if keys is None:
        shape = (*distances.shape[:-1], num)
        u = jnp.broadcast_to(
            jnp.linspace(0.0, 1.0, num).reshape((1,) * (len(shape) - 1) + (-1,)), shape
        )
    else:
        u = per_ray(jax.random.uniform, keys, num)
    return lax.stop_gradient(invert_cdf(middles, weights[..., 1:-1], u))
