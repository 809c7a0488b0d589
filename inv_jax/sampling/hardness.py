"""Rays where there is something to learn: pixels that were shown badly when they were last drawn.

Half of a batch, say, is drawn from all pixels alike; each of the others wins a tournament of some
random pixels by its last known error (as in prioritized experience replay, Schaul et al. 2016, with
a tournament in place of a sum tree: it needs no more than a look-up). What changes from frame to
frame is hard until it was looked at. Hard pixels alone would leave ghosts where nobody looks.

Errors are one byte a pixel: 255 times the root of the mean absolute error of its colors, so that
small ones can be told apart.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from inv_jax.types import InvError, Views

_UNKNOWN = 81  # ... of a pixel that nobody has looked at: an error of 0.1


@dataclasses.dataclass(frozen=True)
class HardRows:
    """How hard pixels are drawn.

    Attributes:
      share: Part of a batch that they get.
      candidates: Pixels of a tournament.
      change: Error that a pixel is expected to have, in its change since the frame before.
    """

    share: float = 0.5
    candidates: int = 6
    change: float = 4.0

    def __post_init__(self):
        if not 0.0 < self.share < 1.0:
            raise InvError(f"train.hard_share={self.share}; want 0.0 (none) to below 1.0")
        if self.candidates < 1 or not self.change >= 0.0:
            raise InvError(
                f"train.hard_candidates={self.candidates}, train.hard_change={self.change}; want 1 "
                "or more, and 0.0 or more"
            )

    def fresh(self, num_pixels: int) -> "Hardness":
        """Of pixels that nobody has looked at, in host memory."""
        return Hardness(np.full(num_pixels, np.uint8(_UNKNOWN)), self)


@struct.dataclass
class Hardness:
    """What is known of the pixels of a segment's views.

    Attributes:
      errors: Of every pixel, view by view, see above; (pixels,) uint8, of the host or a device.
      rows: How they are drawn.
    """

    errors: Any
    rows: HardRows = struct.field(pytree_node=False)

    def num_even(self, rows_per_step: int) -> int:
        """Rows of a batch that are drawn from all pixels alike: the first ones."""
        return max(1, round(rows_per_step * (1.0 - self.rows.share)))

    def draw(self, key: PRNGKeyArray, ids: Int[Array, "b"]) -> Int[Array, "b"]:
        """A hard pixel for each row, by its id alone."""
        keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(ids)
        drawn = lambda one: jax.random.randint(one, (self.rows.candidates,), 0, self.errors.size)  # noqa: E731
        candidates = jax.vmap(drawn)(keys)
        winner = jnp.argmax(self.errors[candidates], axis=1)
        return jnp.take_along_axis(candidates, winner[:, None], axis=1)[:, 0]

    def begun(self, views: Views) -> "Hardness":
        """What is expected when a segment begins: the errors there were, or what has changed."""
        if views.changes is None:
            return self
        changed = self.rows.change * views.changes.reshape(-1).astype(jnp.float32) / 255.0
        return self.replace(errors=jnp.maximum(self.errors, encode(changed)))

    def noted(self, pixels: Int[Array, "b"], errors: Float[Array, "b"]) -> "Hardness":
        """With the errors of some pixels that were shown; of one drawn twice, the larger."""
        # Cleared first: the result is the same in whichever order a device writes.
        cleared = self.errors.at[pixels].set(jnp.uint8(0))
        return self.replace(errors=cleared.at[pixels].max(encode(errors)))


def encode(errors: Float[Array, "*b"]) -> UInt8[Array, "*b"]:
    """Mean absolute errors of colors as bytes."""
    return jnp.round(255.0 * jnp.sqrt(jnp.clip(errors, 0.0, 1.0))).astype(jnp.uint8)
