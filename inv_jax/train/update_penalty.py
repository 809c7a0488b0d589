"""Trains updates that are cheap to send: params stay where the receiver has them, if they can.

A frame's update is what it changes with respect to an anchor, the decoded frame before. Most of
what Adam does to a param within a frame is noise of the gradients and costs bits for nothing. So
after each step every param is pulled back to its anchor, by a part of the longest step that Adam
takes: only a param whose gradients agree often enough leaves it. Like the decay of AdamW
(Loshchilov and Hutter 2019) the pull is kept out of the gradient, so Adam does not rescale it;
it is a proximal step for the size of the update (soft thresholding, Parikh and Boyd 2014, section
6.5.2), so params that lose come to rest exactly on their anchor.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array

from inv_jax import params as params_lib
from inv_jax.train.step import Shaper
from inv_jax.types import InvError, Params


@struct.dataclass
class Reference:
    """What the receiver has, and how finely it is told of changes; trees as the trainable ones."""

    anchor: Params  # decoded params of the frame before
    steps: Params  # quantisation steps

    @classmethod
    def of(cls, trainable: Params, anchor: dict[str, Any], steps: dict[str, Any]) -> "Reference":
        """From leaves by path, of the trainable ones all.

        Raises:
          InvError: If one is missing or has another shape.
        """
        placed = lambda leaves: jax.tree.map(jnp.asarray, params_lib.fill(trainable, leaves))  # noqa: E731
        return cls(placed(anchor), placed(steps))


@dataclasses.dataclass(frozen=True)
class UpdatePenalty(Shaper):
    """Pulls params to their anchor, `Reference.anchor`.

    Attributes:
      pull: Of the learning rate, how far each step pulls a param back; 0 not at all, 1 as far as
        Adam moves it when all gradients agree.
      reach: The pull of a param that has gone n quantisation steps is `1 / (1 + n / reach)` of
        the full one, as its further way costs ever fewer bits; infinite: the same for all.
    """

    pull: float = 0.1
    reach: float = float("inf")

    def __post_init__(self):
        if not 0.0 <= self.pull <= 10.0:
            raise InvError(f"train.update_pull={self.pull}; want 0 to 10, 0.1 as a rule")
        if not self.reach > 0.0:
            raise InvError(f"train.update_reach={self.reach}; want a number above 0")

    def begin(self, trainable: Params) -> Reference:
        """See `Shaper.begin`; where nothing is known of quantisation steps, they count as 1."""
        return Reference(trainable, jax.tree.map(jnp.ones_like, trainable))

    def after(self, trainable: Params, shaping: Any, rate: Array) -> Params:
        """See `Shaper.after`."""

        def one(param: Array, anchor: Array, width: Array) -> Array:
            change = param - anchor
            size = jnp.abs(change)
            pull = rate * self.pull
            if np.isfinite(self.reach):
                pull = pull / (1.0 + size / (width * self.reach))
            return anchor + jnp.sign(change) * jnp.maximum(size - pull, 0.0)

        return jax.tree.map(one, trainable, shaping.anchor, shaping.steps)
