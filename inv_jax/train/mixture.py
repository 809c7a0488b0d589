"""What the steps of a frame are made of: several kinds, mixed by chance, as data.

Split INV trains one of two fields, or both, on rays of the moving foreground, of the background,
or on all. A kind says so; a mixture gives each kind its chance in each part of a frame. Kinds are
what a program is compiled for, all of a phase's in one; chances and the borders between parts are
traced.
"""

import dataclasses
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, PRNGKeyArray

from inv_jax.sampling.rows import ALL


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
      name: For people.
      region: Pixels that its rays go through (`sampling/rays.py`).
      part: The part of the model that is rendered, alone (`Model.part`); '': all of it.
      networks: Networks that train, of the phase's roles; none: all of them.
      empties: Whether the dynamic field is pushed to nothing on static pixels.
    """

    name: str = "plain"
    region: str = ALL
    part: str = ""
    networks: tuple[str, ...] = ()
    empties: bool = False

    @property
    def wants_masks(self) -> bool:
        """Whether it has to know which pixels are dynamic."""
        return self.region != ALL or self.empties

    def trains(self, networks: Collection[str]) -> bool:
        """Whether one of these networks trains in it."""
        return not self.networks or not set(networks).isdisjoint(self.networks)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Kinds of steps, and how often each is taken.

    Attributes:
      kinds: Some.
      chances: Parts of a frame in order, each as (its end, as a fraction of the frame's steps; the
        chance of each kind). The last one ends at 1.
    """

    kinds: tuple[Kind, ...] = (Kind(),)
    chances: tuple[tuple[float, tuple[float, ...]], ...] = ((1.0, (1.0,)),)

    def __post_init__(self):
        ends = [end for end, _ in self.chances]
        if not ends or ends != sorted(ends) or ends[-1] != 1.0 or ends[0] < 0.0:
            raise ValueError(f"parts of a frame end at {ends}; want growing fractions up to 1")
        for _, chances in self.chances:
            if len(chances) != len(self.kinds) or not np.isclose(sum(chances), 1.0):
                raise ValueError(f"chances {chances} of {len(self.kinds)} kinds; want a sum of 1")

    @property
    def wants_masks(self) -> bool:
        """Whether its steps have to know which pixels are dynamic."""
        return any(kind.wants_masks for kind in self.kinds)

    def shares(self) -> tuple[float, ...]:
        """How often each kind is taken, over a whole frame."""
        ends = np.array([end for end, _ in self.chances])
        lengths = np.diff(ends, prepend=0.0)
        return tuple(lengths @ np.array([chances for _, chances in self.chances]))

    def taken(self) -> "Mixture":
        """The same without empty parts and the kinds that no other part takes.

        Nothing is compiled for them then.
        """
        ends = [0.0, *(end for end, _ in self.chances)]
        parts = [part for before, part in zip(ends, self.chances, strict=False) if part[0] > before]
        kept = [i for i in range(len(self.kinds)) if any(chances[i] > 0 for _, chances in parts)]
        return Mixture(
            tuple(self.kinds[i] for i in kept),
            tuple((end, tuple(chances[i] for i in kept)) for end, chances in parts),
        )

    def even(self) -> "Mixture":
        """The same kinds, as often, but anywhere in a frame."""
        return Mixture(self.kinds, ((1.0, self.shares()),))

    def over(self, steps: int) -> "Mix":
        """The mixture of a frame of so many steps."""
        return Mix(
            ends=np.array([round(end * steps) for end, _ in self.chances], np.int32),
            chances=np.array([chances for _, chances in self.chances], np.float32),
            kinds=self.kinds,
        )


@struct.dataclass
class Mix:
    """A mixture over the steps of a frame, as a step takes it: K kinds, S parts of the frame."""

    ends: Int[Array, " S"]  # first step behind each part
    chances: Float[Array, "S K"]
    kinds: tuple[Kind, ...] = struct.field(pytree_node=False)

    def draw(self, key: PRNGKeyArray, step: Int[Array, ""]) -> Int[Array, ""]:
        """The kind of a step.

        Args:
          key: Names the draw, of this step alone.
          step: The step within the frame.

        Returns:
          A place in `kinds`; steps behind the last part have its chances.
        """
        part = jnp.minimum(jnp.sum(step >= self.ends), len(self.ends) - 1)
        below = jnp.cumsum(jnp.asarray(self.chances)[part])
        # Not the last one: its chance is the rest, whatever the rounding of the sum.
        return jnp.sum(jax.random.uniform(key) >= below[:-1], dtype=jnp.int32)


PLAIN = Mixture()
