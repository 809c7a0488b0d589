"""What is known of a weight before a session's mask is coded (`mask_coding.py`).

Three answers, by what a receiver must have decoded before:

| contexts | of a weight | what must be there |
| --- | --- | --- |
| `nothing` | 0 | nothing |
| `FirstUses` | which session was the first to use it | what each session took of the network |
| `Past` | whether the last session used it, and how many did | the masks of all earlier sessions |

A session's mask comes in two halves: bits of weights that are free, of which it takes those that
are set and has their values sent; and bits of weights that are taken. A receiver of the network
knows all first halves, so with the second half of one session it has this one's mask, without those
of the others:

    first = encode(masks, uses.contexts, uses.free())
    second = encode(masks, uses.contexts, uses.taken())

and what is set in one or the other is the mask.

`refined` tells weights of one context apart by something else that both sides know, such as the
random scores that training began with (`drawn.py`).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inv_jax.codec.base import Shapes
from inv_jax.codec.mask_coding import Contexts, Masks
from inv_jax.types import InvError

MOST_USES = 31  # that are told apart
MOST_SESSIONS = 255  # of which the first one is told


def nothing(shapes: Shapes) -> dict[str, np.ndarray]:
    """Contexts of weights of which nothing is known: zeros, uint8, by path."""
    return {path: np.zeros(shape, np.uint8) for path, shape in shapes}


@dataclasses.dataclass(frozen=True)
class Past:
    """The masks of earlier sessions, as far as contexts ask.

    Attributes:
      contexts: Twice how many sessions used a weight, `MOST_USES` at most, and 1 if the last one
        did; uint8, by path.

    Example:
      >>> past = Past.none((("kernel", (3,)),))
      >>> past = past.then({"kernel": np.array([True, True, False])})
      >>> past.then({"kernel": np.array([True, False, False])}).contexts
      {'kernel': array([5, 2, 0], dtype=uint8)}
    """

    contexts: Mapping[str, np.ndarray]

    @classmethod
    def none(cls, shapes: Shapes) -> "Past":
        """In front of the first session; `shapes` as (path, shape) of the tensors."""
        return cls(nothing(shapes))

    def then(self, masks: Masks) -> "Past":
        """Behind one more session."""

        def behind(before: np.ndarray, mask: np.ndarray) -> np.ndarray:
            uses = np.minimum((before >> 1) + mask, MOST_USES).astype(np.uint8)
            return 2 * uses + mask

        return Past({path: behind(before, masks[path]) for path, before in self.contexts.items()})


@dataclasses.dataclass(frozen=True)
class FirstUses:
    """Which session was the first to use a weight.

    Attributes:
      contexts: Its number and 1; 0 of a weight that none used. uint8, by path.
      sessions: How many there were.
    """

    contexts: Mapping[str, np.ndarray]
    sessions: int = 0

    @classmethod
    def none(cls, shapes: Shapes) -> "FirstUses":
        """In front of the first session; `shapes` as (path, shape) of the tensors."""
        return cls(nothing(shapes))

    def then(self, masks: Masks) -> "FirstUses":
        """Behind one more session.

        Raises:
          InvError: If there were `MOST_SESSIONS`.
        """
        if self.sessions == MOST_SESSIONS:
            raise InvError(f"a session behind {MOST_SESSIONS}; want no more in one network")
        number = np.uint8(self.sessions + 1)
        behind = {
            path: np.where((before == 0) & masks[path], number, before)
            for path, before in self.contexts.items()
        }
        return FirstUses(behind, self.sessions + 1)

    def free(self) -> dict[str, np.ndarray]:
        """Which weights no session used; bool, by path."""
        return {path: found == 0 for path, found in self.contexts.items()}

    def taken(self) -> dict[str, np.ndarray]:
        """Which weights some session used; bool, by path."""
        return {path: found > 0 for path, found in self.contexts.items()}


def refined(
    contexts: Contexts, classes: Mapping[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Contexts of which each is divided by classes that both sides know; uint16, by path.

    Args:
      contexts: What is divided, uint8.
      classes: Of the same paths and shapes, integers in [0, count).
      count: How many there are, 64 at most.
    """
    return {
        path: found.astype(np.uint16) * np.uint16(count) + classes[path].astype(np.uint16)
        for path, found in contexts.items()
    }
