"""Losses on predictions. Each is a mean over rays, summed over the networks (coarse and fine)."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from inv_jax.types import Batch, InvError, Predictions

LossFn = Callable[[Predictions, Batch], Float[Array, ""]]


def mse(predictions: Predictions, batch: Batch) -> Float[Array, ""]:
    """Mean squared error of the color, over rays and channels (NeRF, eq. 6)."""
    return sum(jnp.mean(jnp.square(p.rgb - batch.target)) for p in predictions.values())


def huber(predictions: Predictions, batch: Batch, delta: float = 1e-3) -> Float[Array, ""]:
    """Huber loss of the color: quadratic within `delta`, then linear (Huber 1964)."""
    losses = (
        optax.losses.huber_loss(p.rgb, batch.target, delta=delta) for p in predictions.values()
    )
    return sum(jnp.mean(loss) for loss in losses)


LOSSES: dict[str, Callable[..., Any]] = {"mse": mse, "huber": huber}


def get(name: str) -> LossFn:
    """The loss of that name.

    Raises:
      InvError: If there is none.
    """
    if name not in LOSSES:
        raise InvError(f"train.loss={name!r} is unknown; losses are {', '.join(sorted(LOSSES))}")
    return LOSSES[name]
