"""The plan of a config, and the moments within its frames."""

import ml_collections

from inv_jax.eval import pictures
from inv_jax.train import plan
from inv_jax.train.plan import Moments, Plan
from inv_jax.types import InvError

Config = ml_collections.ConfigDict


def of(config: Config) -> Plan:
    """The plan of `config.train`.

    Raises:
      InvError: If its settings contradict each other.
    """
    c, first = config.train, config.data.first_frame
    if c.freeze_frame < 0:
        raise InvError(f"train.freeze_frame={c.freeze_frame}; want a frame number, or 0 for never")
    if c.update_pull and not c.freeze_frame:
        raise InvError(
            f"train.update_pull={c.update_pull} pulls the params of frozen frames, and there are "
            "none; set train.freeze_frame, or train.update_pull=0.0"
        )
    if c.equal_steps and not c.scratch:
        raise InvError(
            "train.equal_steps=True is for a baseline from scratch; set train.scratch=True too"
        )
    if c.scratch and not c.equal_steps:
        if c.freeze_frame:
            raise InvError(
                f"train.scratch=True and train.freeze_frame={c.freeze_frame}: frames that start "
                "from random params share no colors; set train.freeze_frame=0"
            )
        return plan.from_scratch(first_frame=first, steps=c.steps)
    incremental = plan.incremental(
        first_frame=first,
        freeze_frame=c.freeze_frame,
        warmup_steps=c.warmup_steps,
        steps=c.steps,
        keep_optimizer=not c.reset_optimizer,
        is_shaped=c.update_pull > 0.0,
    )
    return plan.equal_steps(incremental) if c.scratch else incremental


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
