"""The best params of a segment, kept while it trains: measured now and then, taken in the end.

What is measured is the mean PSNR of the segment's training views, as they are shown (no noise).
It happens within steps, so that a run that is stopped in between goes on with the same bits.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array

from inv_jax.models.base import Model
from inv_jax.types import Cameras, InvError, Params, Places, Views


@struct.dataclass
class Best:
    """The best so far."""

    params: Params  # all of them, one consistent set
    psnr: Array  # () mean over the views, dB; -inf if nothing was measured yet


@dataclasses.dataclass(frozen=True)
class Moments:
    """When params are measured, by epochs that are done.

    Attributes:
      every: Behind every so many epochs.
      last: ... and behind each of the last so many.
    """

    every: int
    last: int

    def __post_init__(self):
        if self.every < 0 or self.last < 0 or not self.every + self.last:
            raise InvError(
                f"train.best_every={self.every}, train.best_last={self.last}; want epochs, 0 or "
                "more, and one of them above 0"
            )

    def are_at(self, step: Array, total: Array, steps_per_epoch: int) -> Array:
        """Whether it is one, () bool, after so many steps of all; the last step always is."""
        epoch, epochs = step // steps_per_epoch, total // steps_per_epoch
        is_due = epoch > epochs - self.last
        if self.every:
            is_due |= epoch % self.every == 0
        return (step % steps_per_epoch == 0) & is_due | (step == total)


def nothing(model: Model) -> Best:
    """Before anything was measured; of host arrays."""
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return Best(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), np.float32(-np.inf))


def better(
    best: Best,
    model: Model,
    params: Params,
    views: Views,
    cameras: Cameras,
    axis: str | None = None,
) -> Best:
    """The better one of what is known and of these params; devices of an axis agree on it."""
    found = psnr(model, params, views, cameras)
    if axis is not None:
        found = lax.pmean(found, axis)
    return lax.cond(found > best.psnr, lambda: Best(params, found), lambda: best)


def psnr(model: Model, params: Params, views: Views, cameras: Cameras) -> Array:
    """Mean PSNR of views, () dB; each is made at once."""
    num_views, height, width = views.shape
    rows = jnp.arange(model.rows.in_view(height, width))
    guide = model.guide(params)
    cams = jnp.arange(num_views) if views.cams is None else views.cams
    times = jnp.zeros(num_views) if views.times is None else views.times

    def one(view: tuple[Any, Array, Array]) -> Array:
        image, cam, time = view
        places: Places = model.rows.places(cameras, cam, time, rows)
        predictions = model.guided(params, model.inputs(cameras, places), guide)
        shown = list(predictions.values())[-1].rgb.reshape(image.shape)
        error = jnp.mean(jnp.square(shown - image.astype(jnp.float32) / 255.0))
        return -10.0 * jnp.log10(jnp.maximum(error, 1e-10))

    return jnp.mean(lax.map(one, (views.images, cams, times)))
