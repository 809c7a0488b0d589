"""One change at a time of the fast field's settings, to see what each default is worth.

A variant is a name and the settings that it changes. Where they follow from what the default chose
for a capture, they are made from the default's run, which is trained first. What is no setting has
no variant: color per sample in place of per ray, tri-planes, a hashed finest level. Once there is
such a setting, its variants stand in `VARIANTS` like the others.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from comparing.protocol import Run
from inv_jax.models.grids import Shape
from inv_jax.types import InvError

DEFAULT = "default"
_FINER, _COARSER = 1.5, 0.5  # nodes of one more level, in those of the finest and of the coarsest


@dataclasses.dataclass(frozen=True)
class Variant:
    """A change of the default.

    Attributes:
      group: What it changes; `--ablate` chooses by it.
      name: In folders and tables.
      settings: Of the default's run, those that differ; none if nothing would.
      goes_on: Whether it starts from the default's last frame of Warm-Up, not from nothing.
    """

    group: str
    name: str
    settings: Callable[[Run], tuple[str, ...]]
    goes_on: bool = False


def _levels(run: Run) -> list[Shape]:
    nodes = tuple(run.config.model.levels)
    return list(zip(nodes[::3], nodes[1::3], nodes[2::3], strict=True))


def _with_levels(change: Callable[[list[Shape]], list[Shape]]) -> Callable[[Run], tuple[str, ...]]:
    def settings(run: Run) -> tuple[str, ...]:
        nodes = ",".join(str(n) for level in change(_levels(run)) for n in level)
        return (f"model.levels=({nodes})",)

    return settings


def _scaled(level: Shape, factor: float) -> Shape:
    return tuple(max(2, round(factor * n)) for n in level)


def _finest(levels: list[Shape]) -> Shape:
    """The finest of the dense ones that are as fine in depth as across, which all captures have."""
    return max(levels, key=lambda level: level[2])


def _without_bricks(run: Run) -> tuple[str, ...]:
    return ("model.bricks=(0,0,0,0)",) if any(run.config.model.bricks) else ()


def _unfrozen(run: Run) -> tuple[str, ...]:
    """Color trains on: behind Warm-Up as many steps a frame as the default, none pulled back."""
    c = run.config
    first = c.train.freeze_frame
    return (
        f"data.first_frame={first}",
        f"data.num_frames={c.data.first_frame + c.data.num_frames - first}",
        "train.freeze_frame=0",
        "train.update_pull=0.0",
        f"train.warmup_steps={c.train.steps}",
        f"train.first_steps={c.train.steps}",
        f"train.init_from={run.folder}",
        f"train.init_frame={first - 1}",
    )


def _one(group: str, field: str, values: Sequence[object]) -> list[Variant]:
    """A variant for each value of a field."""
    return [
        Variant(group, f"{group}={value}", lambda _, value=value: (f"{field}={value}",))
        for value in values
    ]


# By what they decide; who has less time takes the first ones.
VARIANTS = (
    *_one("hard_share", "train.hard_share", (0.0, 0.67)),
    *_one("samples", "model.samples", (8, 24)),
    *_one("roughness", "model.roughness", (0.0, 1e-6, 1e-4)),
    *_one("update_pull", "train.update_pull", (0.0, 0.4)),
    *_one("reset_optimizer", "train.reset_optimizer", (False,)),
    Variant("bricks", "no_bricks", _without_bricks),
    Variant("levels", "no_coarsest", _with_levels(lambda levels: levels[1:])),
    Variant("levels", "no_finest", _with_levels(lambda levels: levels[:-1])),
    Variant(
        "levels",
        "a_finer",
        _with_levels(lambda levels: [*levels, _scaled(_finest(levels), _FINER)]),
    ),
    Variant(
        "levels", "a_coarser", _with_levels(lambda levels: [_scaled(levels[0], _COARSER), *levels])
    ),
    Variant("freeze", "not_frozen", _unfrozen, goes_on=True),
    *_one("guide_every", "model.guide_every", (4, 64)),
    *_one("even", "model.even", (0.1, 0.5)),
)
GROUPS = tuple(dict.fromkeys(variant.group for variant in VARIANTS))


def chosen(groups: Iterable[str]) -> list[Variant]:
    """The variants of some groups, in the order of `VARIANTS`; 'all' is all of them.

    Raises:
      InvError: If there is no such group.
    """
    groups = list(groups)
    if unknown := [group for group in groups if group not in (*GROUPS, "all")]:
        raise InvError(f"--ablate={unknown[0]}: choose among all, {', '.join(GROUPS)}")
    return [one for one in VARIANTS if "all" in groups or one.group in groups]
