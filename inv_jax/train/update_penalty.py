"""Trains updates that are cheap to send: params stay where the receiver has them, if they can.

A frame's update is what it changes with respect to an anchor, the params that it starts from:
what a receiver has of the frame before, with `codec.from_decoded`. Most of what Adam does to a
param within a frame is noise of the gradients and costs bits for nothing. So after each step every
param is pulled back to its anchor, by a part of the longest step that Adam takes: only a param
whose gradients agree often enough leaves it. Like the decay of AdamW (Loshchilov and Hutter 2019)
the pull is kept out of the gradient, so Adam does not rescale it; it is a proximal step for the
size of the update (soft thresholding, Parikh and Boyd 2014, section 6.5.2), so params that lose
come to rest exactly on their anchor.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array

from inv_jax.train.state import Shaper
from inv_jax.types import InvError, Params


@dataclasses.dataclass(frozen=True)
class UpdatePenalty(Shaper):
    """Pulls params to where their frame started.

    Attributes:
      pull: Of the learning rate, how far each step pulls a param back; 0 not at all, 1 as far as
        Adam moves it when all gradients agree.
    """

    pull: float

    def __post_init__(self):
        if not 0.0 <= self.pull <= 10.0:
            raise InvError(f"train.update_pull={self.pull}; want 0 to 10, 0.02 to begin with")

    def begin(self, trainable: Params) -> Params:
        """See `Shaper.begin`: the anchor."""
        return trainable

    def moved(self, shaping: Params, is_new: Params, trainable: Params) -> Params:
        """See `Shaper.moved`."""
        return jax.tree.map(jnp.where, is_new, trainable, shaping)

    def after(self, trainable: Params, shaping: Params, rate: Array) -> Params:
        """See `Shaper.after`; `shaping` is the anchor."""

        def one(param: Array, anchor: Array) -> Array:
            change = param - anchor
            left = jnp.maximum(jnp.abs(change) - rate * self.pull, 0.0)
            return anchor + jnp.sign(change) * left

        return jax.tree.map(one, trainable, shaping)
