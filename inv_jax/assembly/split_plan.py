"""The plans of Split INV: its fields are trained in turns, on the rays that show them."""

import dataclasses
from collections.abc import Collection

from inv_jax import params as params_lib
from inv_jax.models import split
from inv_jax.sampling import rays
from inv_jax.train.mixture import Kind, Mixture
from inv_jax.train.plan import PREVIOUS, TRANSFER, Phase, Plan
from inv_jax.types import InvError

_STATIC_NETWORKS, _DYNAMIC_NETWORKS = split.networks(split.STATIC), split.networks(split.DYNAMIC)

# The kinds of step. Static rays are rendered by the static field alone; all others by the blend.
# Dynamic rays meet no static pixel, unless nothing moves in a frame and all its pixels stand in.
STATIC_RAYS = Kind("static rays", rays.STATIC, part=split.STATIC, networks=_STATIC_NETWORKS)
DYNAMIC_RAYS = Kind("dynamic rays", rays.DYNAMIC, networks=_DYNAMIC_NETWORKS, empties=True)
ALL_RAYS = Kind("all rays", rays.ALL, networks=_DYNAMIC_NETWORKS, empties=True)
BOTH_FIELDS = Kind("both fields", rays.ALL, empties=True)


@dataclasses.dataclass(frozen=True)
class Shares:
    """How the steps of a frame are shared out.

    Attributes:
      dynamic_first: In Warm-Up, the part of a frame's steps at its beginning that sees dynamic
        rays alone.
      both_last: ... and the part at its end in which steps on all rays train both fields.
      static_chance: Chance of a step on static rays between the first part and the end.
      dynamic_later: ... and of the other steps there, the chance of one on dynamic rays; the
        original has none of them. A field that saw nothing but moving pixels fills the space
        around them, too, and the push to nothing then clears away all of it, at once: with both
        mixed from the beginning (`dynamic_first` of 0) it does not.
      dynamic_chance: In Structure Transfer, the chance of a step on dynamic rays; others see all.
    """

    dynamic_first: float = 0.5
    both_last: float = 0.25
    static_chance: float = 0.5
    dynamic_later: float = 0.0
    dynamic_chance: float = 0.75

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if not 0.0 <= getattr(self, field.name) <= 1.0:
                value = getattr(self, field.name)
                raise InvError(f"split.{field.name}={value}; want a part, from 0.0 to 1.0")
        if self.dynamic_first + self.both_last > 1.0:
            raise InvError(
                f"split.dynamic_first={self.dynamic_first} and split.both_last={self.both_last} "
                "are more than a whole frame; lower one"
            )

    def warmup(self) -> Mixture:
        """The mixture of a Warm-Up frame."""
        static, rest = self.static_chance, 1.0 - self.static_chance
        dynamic, full = self.dynamic_later * rest, (1.0 - self.dynamic_later) * rest
        return Mixture(
            kinds=(DYNAMIC_RAYS, STATIC_RAYS, ALL_RAYS, BOTH_FIELDS),
            chances=(
                (self.dynamic_first, (1.0, 0.0, 0.0, 0.0)),
                (max(self.dynamic_first, 1.0 - self.both_last), (dynamic, static, full, 0.0)),
                (1.0, (dynamic, static, 0.0, full)),
            ),
        ).taken()

    def transfer(self) -> Mixture:
        """The mixture of a Structure Transfer frame."""
        return Mixture(
            kinds=(DYNAMIC_RAYS, ALL_RAYS),
            chances=((1.0, (self.dynamic_chance, 1.0 - self.dynamic_chance)),),
        ).taken()


def pretraining(*, first_frame: int, steps: int, keep_optimizer: bool = True) -> Plan:
    """Stage 0: the static field alone, on the static rays of each frame; nothing is frozen later.

    Args:
      first_frame: The first frame.
      steps: Steps of each.
      keep_optimizer: Whether Adam's moments carry on from frame to frame.
    """
    mixture = Mixture((STATIC_RAYS,))
    roles = params_lib.STATIC_ROLES
    return Plan(
        (Phase("static", first_frame, steps, roles, PREVIOUS, keep_optimizer, mixture=mixture),)
    )


def with_shares(plan: Plan, shares: Shares, *, given: Collection[str] = ()) -> Plan:
    """Split INV from the plan of INV: stages 1 and 2 in place of Warm-Up and Structure Transfer.

    Args:
      plan: INV's (`plan.incremental`).
      shares: Of the steps.
      given: Roles that come trained, from another run. With all of the static field among them
        Warm-Up trains its structure layers only, else all of it; without steps that train it,
        nothing.

    Raises:
      InvError: If a part of the static field would stay as random as it begins.
    """
    has_static = set(params_lib.STATIC_ROLES) <= set(given)
    made = Plan(
        tuple(
            dataclasses.replace(phase, mixture=shares.transfer())
            if phase.name == TRANSFER
            else _warmup(phase, shares.warmup(), has_static)
            for phase in plan.phases
        )
    )
    known = {*given, *(role for phase in made.phases for role in phase.roles)}
    if lacking := [role for role in params_lib.STATIC_ROLES if role not in known]:
        raise InvError(
            f"no step trains {', '.join(lacking)} of the static field, which would stay random; "
            "take it from a run of split.pretraining (train.init_from, with "
            f"train.init_roles={','.join(params_lib.STATIC_ROLES)}), or train it in Warm-Up: "
            "train.freeze_frame behind data.first_frame, and split.static_chance or "
            "split.both_last above 0.0"
        )
    return made


def _warmup(phase: Phase, mixture: Mixture, has_static: bool) -> Phase:
    """INV's Warm-Up of all layers, with the fields in turns."""
    roles: tuple[str, ...] = (params_lib.STRUCTURE, params_lib.COLOR)
    if any(kind.trains(split.networks(split.STATIC)) for kind in mixture.kinds):
        roles += (params_lib.STATIC_STRUCTURE,) if has_static else params_lib.STATIC_ROLES
    return dataclasses.replace(phase, mixture=mixture, roles=roles)
