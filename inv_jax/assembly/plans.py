"""The plan of a config, and the moments within its frames."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections

from inv_jax.assembly import split_plan
from inv_jax.data.segments import Segment
from inv_jax.eval import pictures
from inv_jax.models import registry
from inv_jax.sampling.hardness import HardRows
from inv_jax.train import best, plan, prune
from inv_jax.train.losses import Emptiness
from inv_jax.train.plan import Moments, Phase, Plan
from inv_jax.types import InvError, Params

Config = ml_collections.ConfigDict


def of(config: Config) -> Plan:
    """The plan of `config.train`.

    Raises:
      InvError: If its settings contradict each other.
    """
    c, first = config.train, config.data.first_frame
    roles = registry.make(config.model.to_dict()).roles
    if c.freeze_frame < 0:
        raise InvError(f"train.freeze_frame={c.freeze_frame}; want a frame number, or 0 for never")
    if c.update_pull and not c.freeze_frame:
        raise InvError(
            f"train.update_pull={c.update_pull} pulls the params of frozen frames, and there are "
            "none; set train.freeze_frame, or train.update_pull=0.0"
        )
    _check_equal_steps(config)
    _check_split(config)
    if c.scratch and not c.equal_steps:
        if c.freeze_frame:
            raise InvError(
                f"train.scratch=True and train.freeze_frame={c.freeze_frame}: frames that start "
                "from random params share no colors; set train.freeze_frame=0"
            )
        return _pruned(config, plan.from_scratch(roles, first_frame=first, steps=c.steps))
    incremental = plan.incremental(
        roles,
        first_frame=first,
        freeze_frame=c.freeze_frame,
        warmup_steps=c.warmup_steps,
        steps=c.steps,
        keep_optimizer=not c.reset_optimizer,
        is_shaped=c.update_pull > 0.0,
        first_steps=c.get("first_steps", 0),
    )
    if c.scratch:
        return plan.equal_steps(roles, incremental)
    if config.model.name == registry.SPLIT:
        return _split(config, incremental)
    return _pruned(config, incremental)


def _prunes(config: Config) -> bool:
    return "prune" in config and config.prune.ratio != 1.0


def _pruned(config: Config, training: Plan) -> Plan:
    """The plan with its segments pruned on the way, if `config.prune` says so.

    Raises:
      InvError: If its settings cannot be right.
    """
    if not _prunes(config):
        return training
    c = config.prune
    prune.check(c.ratio, c.steps)
    epochs = config.train.epochs
    if len(c.steps) > epochs:
        raise InvError(
            f"prune.steps={tuple(c.steps)} are {len(c.steps)} prunings in train.epochs={epochs}; "
            "want an epoch for each at least"
        )
    amounts = prune.amounts(c.ratio, len(c.steps))

    def edited(phase: Phase) -> Phase:
        at = prune.at_steps(c.steps, epochs, phase.steps // epochs)
        edits = [functools.partial(prune.prune, amount=amount) for amount in amounts]
        return dataclasses.replace(phase, edits=tuple(zip(at, edits, strict=True)))

    return Plan(tuple(map(edited, training.phases)))


def by_clips(
    config: Config, training: Plan, segments: Sequence[Segment], rows_of: Callable[[Segment], int]
) -> Plan:
    """The plan with as many steps for each clip as its epochs take, where clips differ in length.

    Args:
      config: The config; its steps are those of the longest, or of the first of a sequence.
      training: Its plan.
      segments: All of them.
      rows_of: How many rows one of them has.

    Returns:
      The plan; as it is where clips are pruned, at steps of the longest one.
    """
    c = config.train
    steps = {one.number: c.epochs * max(1, rows_of(one) // c.rows_per_step) for one in segments}
    if not c.epochs or training.has_edits or set(steps.values()) == {c.steps}:
        return training
    return dataclasses.replace(training, steps_of=steps)


def best_at(config: Config) -> best.Moments | None:
    """When params are measured, of which the best are a segment's; None: the last ones are."""
    c = config.train
    if not c.get("best_every", 0) and not c.get("best_last", 0):
        return None
    return best.Moments(c.best_every, c.best_last)


def update_mask(config: Config, training: Plan) -> Callable[[Params], Params] | None:
    """What makes the first mask of what may move, if edits of the plan change it."""
    if not training.has_edits:
        return None
    return functools.partial(prune.start, layers=tuple(config.prune.layers))


def _check_equal_steps(config: Config) -> None:
    """Refuses a baseline of equal steps that would have others."""
    if not config.train.equal_steps:
        return
    if not config.train.scratch:
        raise InvError(
            "train.equal_steps=True is for a baseline from scratch; set train.scratch=True too"
        )
    if config.train.segment_frames != 1 or _prunes(config):
        raise InvError(
            "train.equal_steps=True is for frames, one by one; set train.segment_frames=1, and "
            "prune nothing (prune.ratio=1.0)"
        )
    if config.data.frame_step != 1:
        raise InvError(
            f"train.equal_steps=True and data.frame_step={config.data.frame_step}: steps of frames "
            "that are left out do not count; set data.frame_step=1"
        )


def is_pretraining(config: Config) -> bool:
    """Whether the static field of Split INV is trained, alone."""
    return config.model.name == registry.SPLIT and config.split.pretraining


def _check_split(config: Config) -> None:
    """Refuses settings of Split INV that would count for nothing."""
    c = config.train
    if config.model.name != registry.SPLIT:
        return
    if c.scratch:
        raise InvError(
            f"train.scratch=True and model.name={registry.SPLIT!r}: every frame would train both "
            "fields on all rays, without masks; for a baseline from scratch set model.name='nerf'"
        )
    if is_pretraining(config) and c.update_pull:
        raise InvError(
            f"split.pretraining=True and train.update_pull={c.update_pull}: it pulls the params of "
            "frozen frames, and there are none; set train.update_pull=0.0"
        )


def _split(config: Config, incremental: Plan) -> Plan:
    """The plan of a static and a dynamic field; see `split_plan`.

    Pre-training has one phase: `train.freeze_frame` and `train.warmup_steps` say nothing in it.
    """
    c, shares = config.split, split_plan.Shares(**_fields(config.split, split_plan.Shares))
    if c.pretraining:
        return split_plan.pretraining(
            first_frame=config.data.first_frame,
            steps=config.train.steps,
            keep_optimizer=not config.train.reset_optimizer,
        )
    given = config.train.init_roles if config.train.init_from else ()
    return split_plan.with_shares(incremental, shares, given=given)


def emptiness(config: Config) -> Emptiness:
    """What Split INV adds to the loss where nothing moves."""
    if config.model.name != registry.SPLIT:
        return Emptiness()
    return Emptiness(rgb=config.split.empty_rgb, acc=config.split.empty_acc)


def hard_rows(config: Config) -> HardRows | None:
    """How hard pixels are drawn; None where all are drawn alike.

    Raises:
      InvError: If a setting cannot be right.
    """
    c = config.train
    if not c.get("hard_share", 0.0):
        return None
    if c.epochs:
        raise InvError(
            f"train.epochs={c.epochs} counts passes over all pixels, and train.hard_share="
            f"{c.hard_share} meets some more often than others; set train.epochs=0 and "
            "train.steps, or train.hard_share=0.0"
        )
    return HardRows(share=c.hard_share, candidates=c.hard_candidates, change=c.hard_change)


def _fields(settings: Config, kind: type) -> dict[str, Any]:
    """The settings that a dataclass has fields for."""
    return {field.name: settings[field.name] for field in dataclasses.fields(kind)}


def saves(config: Config) -> Moments:
    """When states within a frame are stored."""
    return Moments("save", config.train.save_every)


def images(config: Config, training: Plan) -> Moments:
    """When images are made within a frame.

    Raises:
      InvError: For a step that no frame has, or names that do not tell the images apart.
    """
    c = config.train
    moments = Moments("image", c.image_every, tuple(c.image_steps))
    many = {"frame": config.data.num_frames != 1, "cam": len(c.image_cams) > 1, "step": True}
    if moments.every or moments.steps:
        differing = tuple(number for number, differs in many.items() if differs)
        pictures.check_view_name(config.eval.step_picture, "eval.step_picture", differing)
    last = config.data.first_frame + config.data.num_frames - 1 if config.data.num_frames else None
    most = training.most_steps(last)
    if beyond := [step for step in moments.steps if most is not None and step > most]:
        raise InvError(
            f"train.image_steps={beyond[0]}: a frame has {most} steps at most; choose among them"
        )
    return moments
