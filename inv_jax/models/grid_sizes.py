"""How large a fast field is and how long it trains, by its capture and a budget of time.

Tried on captures of 144x80 to 304x168 with 7 to 22 training cameras; the levels' shapes are those
of BUILD_NOTES.md, "The fast field".
"""

import dataclasses
import math

from inv_jax.geometry.boxes import AXES
from inv_jax.models.bricks import SIDE
from inv_jax.models.grids import Shape
from inv_jax.types import InvError

_BASE = 10  # nodes of the coarsest level across the picture: coarser than anything that is seen
_FACTORS = (1, 2, 3, 6)  # of the levels that are as fine in depth as across
_DEEP = 0.8  # nodes in depth, in those across the picture
# With fewer cameras pictures cannot tell fine structure from the wrong depth.
_ENOUGH, _MANY = 7, 10
# Levels that are fine across the picture and coarse in depth: nodes across in pixels, and in depth.
_ACROSS = ((0.5, 12), (0.95, 3))
_MOST_FLAT = 200_000  # nodes of these; where there would be more, bricks are as good and cost less
# The finest level, in bricks: nodes across in pixels, in depth in those across, bricks in pixels.
_FINE, _FINE_DEEP, _BRICKS = 0.64, 0.6, 1 / 24


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
    bricks: tuple[int, int, int, int]
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
        bricks=bricks(height, width, num_cams, kind),
        guide=_shape(4 * _BASE, height / width, kind, _DEEP),
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
    """Nodes of each dense level."""
    found = [_shape(factor * _BASE, height / width, kind, _DEEP) for factor in _FACTORS]
    return (*found, *_flat(height, width, num_cams, kind))


def _flat(height: int, width: int, num_cams: int, kind: str) -> list[Shape]:
    """Levels that are fine across the picture alone; none where they would not do, or cost much."""
    if kind == AXES or num_cams < _MANY:
        return []
    across = [(max(2, round(a * width)), max(2, round(a * height)), z) for a, z in _ACROSS]
    found = [level for level in across if level[0] > max(_FACTORS) * _BASE]
    return found if sum(map(math.prod, found)) <= _MOST_FLAT else []


def bricks(height: int, width: int, num_cams: int, kind: str) -> tuple[int, int, int, int]:
    """Nodes of the level in bricks, and how many of these; zeros: none is wanted."""
    shape = _shape(round(_FINE * width), height / width, kind, _FINE_DEEP)
    x, y, z = (max(1, round(nodes / SIDE)) * SIDE for nodes in shape)
    is_coarse = x <= max(_FACTORS) * _BASE
    if kind == AXES or num_cams < _ENOUGH or is_coarse or _flat(height, width, num_cams, kind):
        return 0, 0, 0, 0
    return x, y, z, min(x * y * z // SIDE**3, max(1, round(_BRICKS * height * width)))


def _shape(across: int, aspect: float, kind: str, deep: float) -> Shape:
    """Nodes of a grid; a box of axes is a cube, whatever the pictures' shape."""
    if kind == AXES:
        return across, across, across
    return across, max(2, round(across * aspect)), max(2, round(across * deep))
