"""How far each layer moves from frame to frame: the finding INV rests on, seen in a run."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from inv_jax import params as params_lib
from inv_jax.report.runs import Run

_LEAST = 1e-4  # of the largest change: what is told apart in the color scale


@dataclasses.dataclass(frozen=True)
class Change:
    """Relative change of L layers over F frames.

    Attributes:
      network: The network looked at.
      layers: `0 layer_0`, ... in their order.
      frames: The frames that were moved to; each from the one stored before it.
      values: By layer and frame, as parts of the layer's norm before; 0 where it is the same.
    """

    network: str
    layers: list[str]
    frames: list[int]
    values: Float[np.ndarray, "L F"]


def scale(found: Sequence[Change]) -> tuple[float, float]:
    """The least and the largest change of all, for one scale of colors, not too narrow or wide."""
    moved = [value for one in found for value in one.values.ravel() if 0 < value < np.inf]
    top = max(moved, default=1.0)
    return max(min(min(moved, default=0.1), top / 10), _LEAST * top), top


def over_frames(run: Run, frames: list[int]) -> list[Change]:
    """The change between frames that follow each other, by network; none if there are no two.

    Of frames that share their params, as those of a clip do, the first one stands for all.

    Of a coarse and a fine network the fine one is shown.

    Raises:
      InvError: If a frame cannot be read.
    """
    moved = []
    with run.source() as source:
        frames = [n for at, n in enumerate(frames) if not at or n == source.segment(n)[0]]
        if len(frames) < 2:
            return []
        before = source.params(frames[0])
        rows = params_lib.layer_table(before)
        for frame in frames[1:]:
            after = source.params(frame)
            moved.append(params_lib.relative_change(before, after))
            before = after
    numbers = params_lib.layer_numbers(before)
    found = []
    for network in _shown({row.network for row in rows}):
        names = [name for name in moved[0] if name.startswith(f"{network}/")]
        labels = [f"{numbers[params_lib.layer_of(f'{n}/')]}  {_within(n)}" for n in names]
        values = [[step[name] for step in moved] for name in names]
        found.append(Change(network, labels, frames[1:], np.array(values)))
    return found


def _within(name: str) -> str:
    """A layer's name without that of its network."""
    return name.partition("/")[2]


def _shown(networks: set[str]) -> list[str]:
    """All but the coarse ones that have a fine one."""
    return sorted(
        name
        for name in networks
        if "coarse" not in name or name.replace("coarse", "fine") not in networks
    )
