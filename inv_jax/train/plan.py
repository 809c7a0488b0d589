"""A plan says, as data, which segments are trained, which roles, for how long, from where.

INV, INV with a long warm-up, the NeRF baseline, pre-trained shared colors, color transfer and
"never freeze" are plans; the loop that carries them out has no branch for any of them.
"""

import dataclasses
from collections.abc import Callable, Mapping

from inv_jax.params import Roles
from inv_jax.train.mixture import PLAIN, Mixture
from inv_jax.types import InvError, Params

PREVIOUS = "previous"  # a frame starts from the params of the frame before
SCRATCH = "scratch"  # a frame starts from random params

WARMUP, TRANSFER = "warmup", "transfer"  # names of the phases of INV
WHOLE = "training"  # ... and of the only one, where segments share nothing


@dataclasses.dataclass(frozen=True)
class Moments:
    """Steps within a frame at which something is due, counted in steps that are done.

    Attributes:
      name: Of the settings, `train.{name}_every` and `train.{name}_steps`, for errors.
      every: At every multiple of this, but not at 0; 0 for none.
      steps: At these as well; 0 is before any training of the frame.
    """

    name: str
    every: int = 0
    steps: tuple[int, ...] = ()

    def __post_init__(self):
        if self.every < 0:
            raise InvError(
                f"train.{self.name}_every={self.every}; want steps, 1 or more, or 0 for none"
            )
        if any(not isinstance(step, int) or step < 0 for step in self.steps):
            raise InvError(f"train.{self.name}_steps={self.steps}; want steps, 0 or more, as 0,400")

    def __contains__(self, step: int) -> bool:
        return step in self.steps or (self.every > 0 and step > 0 and step % self.every == 0)

    def behind(self, step: int) -> int | None:
        """The next one behind a step; None if there is none."""
        following = [moment for moment in self.steps if moment > step]
        if self.every:
            following.append(step - step % self.every + self.every)
        return min(following, default=None)


# Changes params, and which of them may move (a tree of booleans); on the host, of numpy arrays.
Edit = Callable[[Params, Params], tuple[Params, Params]]


@dataclasses.dataclass(frozen=True)
class Phase:
    """What happens in every segment from `first_frame` on, until the next phase begins.

    Segments go by their first frames; where one is called a frame, it is a segment of one.

    Attributes:
      name: For people and logs.
      first_frame: The first frame of the phase.
      steps: Training steps of each of its segments.
      roles: Roles of the params that train; all others stay equal to the bit.
      start: `PREVIOUS` or `SCRATCH`.
      keep_optimizer: Whether the optimizer state carries on from the frame before.
      is_shaped: Whether the stepper's shaper keeps updates near the params a frame starts from.
      more_steps: Steps that each of its frames has more than the one before.
      mixture: What its steps are made of.
      edits: What is done to the params within a segment, each as (the step before which, the edit).
    """

    name: str
    first_frame: int
    steps: int
    roles: tuple[str, ...]
    start: str = PREVIOUS
    keep_optimizer: bool = True
    is_shaped: bool = False
    more_steps: int = 0
    mixture: Mixture = PLAIN
    edits: tuple[tuple[int, Edit], ...] = ()

    def __post_init__(self):
        if self.steps < 1:
            raise InvError(f"phase '{self.name}' has {self.steps} steps a frame; want 1 or more")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Phases in the order of their frames.

    Attributes:
      phases: See `Phase`.
      steps_of: Steps of single segments, by number, which go before those of their phase.
    """

    phases: tuple[Phase, ...]
    steps_of: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        firsts = [phase.first_frame for phase in self.phases]
        if not firsts or firsts != sorted(set(firsts)):
            raise ValueError(f"phases must begin at increasing frames, not at {firsts}")

    def phase(self, frame: int) -> Phase:
        """The phase that a frame belongs to, with the steps of that frame.

        Raises:
          ValueError: If the frame lies before the first phase.
        """
        found = [phase for phase in self.phases if phase.first_frame <= frame]
        if not found:
            raise ValueError(f"frame {frame} is before the plan's first phase")
        phase = found[-1]
        usual = phase.steps + phase.more_steps * (frame - phase.first_frame)
        steps = self.steps_of.get(frame, usual)
        return phase if steps == phase.steps else dataclasses.replace(phase, steps=steps)

    @property
    def has_edits(self) -> bool:
        """Whether params are changed within a segment, so that some of them may not move on."""
        return any(phase.edits for phase in self.phases)

    @property
    def is_from_scratch(self) -> bool:
        """Whether no segment goes on from the one before."""
        return all(phase.start == SCRATCH for phase in self.phases)

    @property
    def wants_masks(self) -> bool:
        """Whether training has to know which pixels are dynamic."""
        return any(phase.mixture.wants_masks for phase in self.phases)

    def most_steps(self, last_frame: int | None) -> int | None:
        """Steps of the longest frame up to the last one; None if it is not known, and they grow."""
        most = 0
        for phase, end in zip(self.phases, [*self.phases[1:], None], strict=True):
            last = last_frame if end is None else end.first_frame - 1
            if phase.more_steps and last is None:
                return None
            most = max(most, self.phase(last or phase.first_frame).steps)
        return max(most, *self.steps_of.values(), 0)


def incremental(
    roles: Roles,
    *,
    first_frame: int,
    freeze_frame: int,
    warmup_steps: int,
    steps: int,
    keep_optimizer: bool = True,
    is_shaped: bool = False,
    first_steps: int = 0,
) -> Plan:
    """INV: Warm-Up trains everything, Structure Transfer what a segment owns only.

    Args:
      roles: The model's.
      first_frame: The first frame of the video.
      freeze_frame: First frame of Structure Transfer; 0 for never. At or before `first_frame`
        (color transfer, and all that takes its colors from another run) there is no Warm-Up.
      warmup_steps: Steps of a Warm-Up frame.
      steps: Steps of a Structure Transfer frame.
      keep_optimizer: Whether Adam's moments carry on from frame to frame.
      is_shaped: Whether the updates of Structure Transfer are shaped.
      first_steps: Steps of the first frame of all, which starts from nothing; 0: as the others.
    """
    phases = []
    if freeze_frame == 0 or freeze_frame > first_frame:
        name = WARMUP if roles.shared else WHOLE
        phases.append(Phase(name, first_frame, warmup_steps, roles.all, PREVIOUS, keep_optimizer))
    if freeze_frame != 0:
        start = max(first_frame, freeze_frame)
        phases.append(Phase(TRANSFER, start, steps, roles.own, PREVIOUS, keep_optimizer, is_shaped))
    if first_steps and first_steps != phases[0].steps:
        first, second = dataclasses.replace(phases[0], steps=first_steps), first_frame + 1
        others = [dataclasses.replace(phases[0], first_frame=second), *phases[1:]]
        is_over = len(others) > 1 and others[1].first_frame <= second
        phases = [first, *(others[1:] if is_over else others)]
    return Plan(tuple(phases))


def from_scratch(roles: Roles, *, first_frame: int, steps: int) -> Plan:
    """The NeRF baseline: every segment on its own, from random params."""
    return Plan((Phase("scratch", first_frame, steps, roles.all, SCRATCH, keep_optimizer=False),))


def equal_steps(roles: Roles, of: Plan) -> Plan:
    """A baseline for a plan: every frame from random params, in as many steps as it had by then.

    Args:
      roles: The model's.
      of: A plan whose frames start from the ones before, each phase with the same steps a frame.
    """
    phases, spent = [], 0  # before the phase
    nexts = [phase.first_frame for phase in of.phases[1:]]
    for phase, end in zip(of.phases, [*nexts, None], strict=True):
        phases.append(
            Phase(
                "scratch",
                phase.first_frame,
                spent + phase.steps,
                roles.all,
                SCRATCH,
                keep_optimizer=False,
                more_steps=phase.steps,
            )
        )
        spent += phase.steps * ((end or phase.first_frame) - phase.first_frame)
    return Plan(tuple(phases))
