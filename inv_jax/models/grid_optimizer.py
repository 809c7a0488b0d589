"""What a field on grids adds to an optimizer: total variation of levels, and learning rates."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array

from inv_jax.models import grids
from inv_jax.types import Params

# Of a pool of bricks and of the params that do not train: the gradient of its total variation.
OfPool = Callable[[Array, Params], Array]


def add_roughness(
    weight: float, edge: float, of_pool: OfPool | None = None
) -> optax.GradientTransformation:
    """Adds `weight` times the gradient of its total variation to that of every level.

    Grids are the leaves of four dimensions (`grids.roughness_gradient`), bricks those of five.
    """

    def update(
        grads: Params, state: optax.EmptyState, params: Params, *, frozen: Params = None, **_: Any
    ) -> tuple[Params, optax.EmptyState]:
        def add(gradient: Array, param: Array) -> Array:
            if param.ndim == 4:
                return gradient + weight * grids.roughness_gradient(param, edge)
            if param.ndim == 5:
                return gradient + weight * of_pool(param, frozen)
            return gradient

        return jax.tree.map(add, grads, params), state

    if not weight:
        return optax.identity()
    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def scale_rates(
    channels: int, density_rate: float, color_rate: float
) -> optax.GradientTransformation:
    """Learning rates in that of features, which come behind the density among the channels."""
    rates = np.ones(channels, np.float32)
    rates[0] = density_rate

    def one(update: Array) -> Array:
        if update.ndim < 4:
            return update * color_rate
        return update * rates.reshape(*[1] * (update.ndim - 1), channels)

    return optax.stateless(lambda updates, params: jax.tree.map(one, updates))
