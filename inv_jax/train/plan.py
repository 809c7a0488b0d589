"""A plan says, as data, which frames are trained, which roles, for how long, from where.

INV, INV with a long warm-up, the NeRF baseline, pre-trained shared colors and "never freeze" are
plans; the loop that carries them out has no branch for any of them.
"""

import dataclasses

from inv_jax import params as params_lib
from inv_jax.types import InvError

PREVIOUS = "previous"  # a frame starts from the params of the frame before
SCRATCH = "scratch"  # a frame starts from random params


@dataclasses.dataclass(frozen=True)
class Phase:
    """What happens in every frame from `first_frame` on, until the next phase begins.

    Attributes:
      name: For people and logs.
      first_frame: The first frame of the phase.
      steps: Training steps of each of its frames.
      roles: Roles of the params that train; all others stay equal to the bit.
      start: `PREVIOUS` or `SCRATCH`.
      keep_optimizer: Whether the optimizer state carries on from the frame before.
      is_shaped: Whether the stepper's shaper keeps updates near the params a frame starts from.
    """

    name: str
    first_frame: int
    steps: int
    roles: tuple[str, ...]
    start: str = PREVIOUS
    keep_optimizer: bool = True
    is_shaped: bool = False

    def __post_init__(self):
        if self.steps < 1:
            raise InvError(f"phase '{self.name}' has {self.steps} steps a frame; want 1 or more")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Phases in the order of their frames."""

    phases: tuple[Phase, ...]

    def __post_init__(self):
        firsts = [phase.first_frame for phase in self.phases]
        if not firsts or firsts != sorted(set(firsts)):
            raise ValueError(f"phases must begin at increasing frames, not at {firsts}")

    def phase(self, frame: int) -> Phase:
        """The phase that a frame belongs to.

        Raises:
          ValueError: If the frame lies before the first phase.
        """
        found = [phase for phase in self.phases if phase.first_frame <= frame]
        if not found:
            raise ValueError(f"frame {frame} is before the plan's first phase")
        return found[-1]


def incremental(
    *,
    first_frame: int,
    freeze_frame: int,
    warmup_steps: int,
    steps: int,
    keep_optimizer: bool = True,
    is_shaped: bool = False,
) -> Plan:
    """INV: Warm-Up trains everything, Structure Transfer the structure layers only.

    Args:
      first_frame: The first frame of the video.
      freeze_frame: First frame of Structure Transfer; 0 for never. At or before `first_frame`
        (with shared colors that come from another run) there is no Warm-Up.
      warmup_steps: Steps of a Warm-Up frame.
      steps: Steps of a Structure Transfer frame.
      keep_optimizer: Whether Adam's moments carry on from frame to frame.
      is_shaped: Whether the updates of Structure Transfer are shaped.
    """
    phases = []
    if freeze_frame == 0 or freeze_frame > first_frame:
        phases.append(
            Phase("warmup", first_frame, warmup_steps, params_lib.ROLES, PREVIOUS, keep_optimizer)
        )
    if freeze_frame != 0:
        start = max(first_frame, freeze_frame)
        structure = (params_lib.STRUCTURE,)
        phases.append(
            Phase("transfer", start, steps, structure, PREVIOUS, keep_optimizer, is_shaped)
        )
    return Plan(tuple(phases))


def from_scratch(*, first_frame: int, steps: int) -> Plan:
    """The NeRF baseline: every frame on its own, from random params."""
    return Plan(
        (Phase("scratch", first_frame, steps, params_lib.ROLES, SCRATCH, keep_optimizer=False),)
    )
