"""Losses on predictions. Each is a mean over rays, summed over the networks (coarse and fine)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from inv_jax.models import split
from inv_jax.types import Batch, Frame, InvError, Predictions

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


@dataclasses.dataclass(frozen=True)
class Emptiness:
    """Pushes the dynamic field of a blend to nothing where nothing moves (Split INV).

    Attributes:
      rgb: Weight of the mean of its colors on static pixels, as it shows them alone.
      acc: Weight of the mean of its opacity there.
    """

    rgb: float = 0.01
    acc: float = 0.003

    def __post_init__(self):
        if not (self.rgb >= 0.0 and self.acc >= 0.0):  # nor NaN
            raise InvError(
                f"split.empty_rgb={self.rgb}, split.empty_acc={self.acc}; want 0 or more"
            )

    def __call__(self, predictions: Predictions, batch: Batch, frame: Frame) -> Float[Array, ""]:
        """The sum over networks of both means; 0 without static rays, () float32.

        The sums are divided by the number of static rays to expect among rays drawn from all
        pixels, not by their number in this batch: so it is a mean over rays, which may be
        computed pass by pass and device by device.
        """
        assert batch.is_dynamic is not None, "only a frame with regions has static pixels"
        assert frame.regions is not None, "only a frame with regions has static pixels"
        share = frame.regions.num_static / frame.regions.order.shape[0]
        weights = ~batch.is_dynamic / jnp.maximum(share, 1e-6)  # their mean is 1
        shown = [picture.layers[split.DYNAMIC] for picture in predictions.values()]
        colors = sum(jnp.mean(weights[..., None] * layer.rgb) for layer in shown)
        opacity = sum(jnp.mean(weights * layer.acc) for layer in shown)
        return self.rgb * colors + self.acc * opacity


LOSSES: dict[str, Callable[..., Any]] = {"mse": mse, "huber": huber}


def get(name: str) -> LossFn:
    """The loss of that name.

    Raises:
      InvError: If there is none.
    """
    if name not in LOSSES:
        raise InvError(f"train.loss={name!r} is unknown; losses are {', '.join(sorted(LOSSES))}")
    return LOSSES[name]
