"""What a step changes, and what shapes it: the state of a segment in training."""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array

from inv_jax import params as params_lib
from inv_jax.sampling.hardness import Hardness
from inv_jax.train.best import Best
from inv_jax.train.mixture import Mix
from inv_jax.types import Params

WINDOW = 100  # steps that the running means look back over, about


@struct.dataclass
class Means:
    """Running means over the last steps, and the first step that went wrong."""

    loss: Array  # () running mean of the loss, over kinds of step if there are several
    # () running mean of the picture's mean squared error, on the rows that the steps drew: with
    # several kinds of steps, on other pixels than all, so not to be compared with other mixtures
    mse: Array
    bad_step: Array  # () int32, first step whose loss or gradient was not finite; -1 if none

    @classmethod
    def start(cls) -> "Means":
        return cls(jnp.float32(0), jnp.float32(0), jnp.int32(-1))

    def update(self, step: Array, loss: Array, mse: Array, is_finite: Array) -> "Means":
        """A plain mean over the first `WINDOW` steps, then an exponential one."""
        rate = 1.0 / jnp.minimum(step + 1, WINDOW).astype(jnp.float32)
        is_first_bad = (self.bad_step < 0) & ~is_finite
        return Means(
            loss=self.loss + rate * (loss - self.loss),
            mse=self.mse + rate * (mse - self.mse),
            bad_step=jnp.where(is_first_bad, step, self.bad_step),
        )


@struct.dataclass
class Memory:
    """What steps know of those before them, besides params and the optimizer's state."""

    guide: Any = None  # `Model.guide` of the params some steps ago; None: the model has none
    hardness: Hardness | None = None  # of the pixels; None: all are drawn alike
    best: Best | None = None  # of this segment's params; None: the last ones count


@struct.dataclass
class TrainState:
    """What training one segment changes."""

    trainable: Params  # leaves of the phase's roles; `optax.MaskedNode` elsewhere
    frozen: Params  # the other leaves
    opt_state: optax.OptState  # of `trainable` alone
    key: Array  # the segment's random key
    step: Array  # () int32, steps done in this segment
    means: Means
    total: Array  # () int32, steps that it is to have
    shaping: Any = None  # arrays of the stepper's shaper, of this segment; None: it shapes nothing
    mix: Mix | None = None  # of the segment's steps; None: all are plain
    memory: Memory = dataclasses.field(default_factory=Memory)

    @property
    def params(self) -> Params:
        return params_lib.merge(self.trainable, self.frozen)


class Shaper(abc.ABC):
    """Shapes what a frame's training does to the params, besides the loss.

    Its arrays (a reference to stay near, say) are those of one frame and travel in the state as
    `shaping`; it holds none itself.
    """

    @abc.abstractmethod
    def begin(self, trainable: Params) -> Any:
        """The arrays of a frame whose trainable params start from these."""

    def moved(self, shaping: Any, is_new: Params, trainable: Params) -> Any:
        """The arrays after some params became others, which start from these."""
        del is_new, trainable
        return shaping

    def after(self, trainable: Params, shaping: Any, rate: Array) -> Params:
        """The params after an update.

        Args:
          trainable: Updated params.
          shaping: This frame's arrays.
          rate: The update's learning rate; Adam moved no param by much more.
        """
        del shaping, rate
        return trainable
