"""How large a fast field is and how long it trains, by its capture and a budget of time.

Tried on captures of 144x80 to 304x168 with 7 to 22 training cameras; the levels' shapes are those
of BUILD_NOTES.md, "The fast field".
"""

import dataclasses
import math

from inv_jax.geometry.boxes import AXES
from inv_jax.models.grids import Shape
from inv_jax.types import InvError

_BASE = 10  # nodes of the coarsest level across the picture: coarser than anything that is seen
_FACTORS = (1, 2, 3, 6)  # of the levels that are as fine in depth as across
_DEEP = 0.8  # nodes in depth, in those across the picture
_FEW_CAMERAS = 10  # with fewer, pictures cannot tell fine structure from the wrong depth
# Levels that are fine across the picture and coarse in depth: nodes across in pixels, and in depth.
_ACROSS = ((0.5, 12), (0.95, 3))


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a frame may cost.

    Attributes:
      rays: Of a step.
      steps: Of a frame, in Structure Transfer.
      warmup: Of each frame of Warm-Up, in the first of all twice as many.
    """

    rays: int
    steps: int
    warmup: int


BUDGETS = {
    "realtime": Budget(1024, 20, 300),
    "second": Budget(1024, 50, 300),
    "best": Budget(2048, 200, 600),
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What follows."""

    levels: tuple[Shape, ...]
    guide: Shape
    rows_per_step: int
    steps: int
    warmup_steps: int
    first_steps: int


def of(height: int, width: int, num_cams: int, kind: str, budget: str) -> Sizes:
    """Sizes for pictures of `num_cams` training cameras, in a box of a kind.

    Raises:
      InvError: If there is no such budget.
    """
    check(budget)
    one = BUDGETS[budget]
    # Epochs take longer with more pixels; the root, since neighbours say much the same.
    growth = max(1.0, math.sqrt(num_cams * height * width / (7 * 144 * 80)))
    warmup = round(one.warmup * growth)
    return Sizes(
        levels=levels(height, width, num_cams, kind),
        guide=_shape(4 * _BASE, height / width, kind),
        rows_per_step=one.rays,
        steps=one.steps,
        warmup_steps=warmup,
        first_steps=2 * warmup,
    )


def check(budget: str) -> None:
    """Refuses a budget that there is not.

    Raises:
      InvError: Naming the choices.
    """
    if budget not in BUDGETS:
        raise InvError(f"fast.budget={budget!r}; choose one of {', '.join(BUDGETS)}")


def levels(height: int, width: int, num_cams: int, kind: str) -> tuple[Shape, ...]:
    """Nodes of each level."""
    found = [_shape(factor * _BASE, height / width, kind) for factor in _FACTORS]
    if kind != AXES and num_cams >= _FEW_CAMERAS:
        finest = found[-1][0]
        for share, deep in _ACROSS:
            across = max(2, round(share * width)), max(2, round(share * height))
            if across[0] > finest:
                found.append((*across, deep))
    return tuple(found)


def _shape(across: int, aspect: float, kind: str) -> Shape:
    """Nodes of a grid; a box of axes is a cube, whatever the pictures' shape."""
    if kind == AXES:
        return across, across, across
    return across, max(2, round(across * aspect)), max(2, round(across * _DEEP))
