"""Which layers are swapped, or trained, to see what each part of the network does."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

FIRST, LAST, RANDOM, ALL, NONE = "first", "last", "random", "all", "none"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Layers to swap or to train.

    Attributes:
      kind: One of the names above.
      count: How many layers.
      layers: Their numbers.
      draw: Which of several random choices.
    """

    kind: str
    count: int
    layers: tuple[int, ...]
    draw: int = 0


def in_order(num_layers: int) -> list[Choice]:
    """None; the first and the last n for every n; all."""
    everything = tuple(range(num_layers))
    choices = [Choice(NONE, 0, ())]
    for count in range(1, num_layers):
        choices += _ends(everything, count)
    return [*choices, Choice(ALL, num_layers, everything)]


def to_train(num_layers: int, counts: Sequence[int], draws: int, seed: int) -> list[Choice]:
    """None, all, and for every count the first, the last and random layers; the ends first.

    Args:
      num_layers: Of the model.
      counts: How many layers train; those that the model does not have are left out.
      draws: Random choices for each count.
      seed: Of them.
    """
    everything = tuple(range(num_layers))
    choices = [Choice(NONE, 0, ()), Choice(ALL, num_layers, everything)]
    counts = [count for count in counts if count < num_layers]
    for count in counts:
        choices += _ends(everything, count)
    for draw, count in itertools.product(range(draws), counts):
        generator = np.random.default_rng((seed, draw, count))
        layers = sorted(generator.choice(num_layers, count, replace=False).tolist())
        choices.append(Choice(RANDOM, count, tuple(layers), draw))
    return choices


def _ends(everything: tuple[int, ...], count: int) -> list[Choice]:
    return [Choice(FIRST, count, everything[:count]), Choice(LAST, count, everything[-count:])]
