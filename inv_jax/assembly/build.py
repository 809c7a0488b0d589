"""From a config to plain typed parts. Below this file nobody knows what a config is."""

import functools
import pathlib
from collections.abc import Callable, Sequence

import jax
import ml_collections
from absl import logging

from inv_jax import params as params_lib
from inv_jax.assembly import captures, donors, fitting, keeping, plans, record, sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import make
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.data.segments import trained_on
from inv_jax.models import linear, registry, split
from inv_jax.models.base import Model
from inv_jax.train import initial as initial_lib
from inv_jax.train import lanes, losses, optimizer, parallel, schedules
from inv_jax.train.loop import Trainer
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import Plan
from inv_jax.train.settings import Settings
from inv_jax.train.step import Stepper
from inv_jax.train.update_penalty import UpdatePenalty
from inv_jax.types import InvError, Params

Config = ml_collections.ConfigDict


def model(config: Config) -> Model:
    """The model of `config.model`."""
    return registry.make(config.model.to_dict())


def shown_model(config: Config) -> Model:
    """What pictures of a run show: all of the model, or the part of it that is pre-trained."""
    net = model(config)
    return net.part(split.STATIC) if plans.is_pretraining(config) else net


def whole_model(config: Config) -> Model:
    """The model, to go on training what a run has stored.

    Raises:
      InvError: If the run has trained a part of it only.
    """
    net = model(config)
    if shown_model(config) != net:
        raise InvError(
            "split.pretraining=True has trained the static field only; take a run that has "
            "train.init_from of this one"
        )
    return net


def initial_params(config: Config, net: Model, *, has_frames: bool) -> tuple[Params, Config]:
    """What the first frame starts from: random params, those of another run, or both, by role.

    Args:
      config: The config.
      net: The model.
      has_frames: Whether the workdir has frames already; then the other run is not asked.

    Returns:
      Params, and the config with the other run's frame made definite.
    """
    c = config.train
    fresh = net.init(jax.random.fold_in(jax.random.key(c.seed), 0))
    if has_frames:
        return fresh, config
    is_frozen = 0 < c.freeze_frame <= config.data.first_frame and not c.scratch
    is_given = bool(c.init_from) and params_lib.COLOR in c.init_roles
    if is_frozen and net.roles.shared and not is_given and not plans.is_pretraining(config):
        logging.warning(
            "train.freeze_frame=%d freezes the color layers from the first frame on, as random as "
            "they begin; to train them, set it behind data.first_frame=%d, or take them from "
            "another run: train.init_from, with color among train.init_roles",
            *(c.freeze_frame, config.data.first_frame),
        )
    if not c.init_from:
        return fresh, config
    donor = pathlib.Path(c.init_from)
    try:
        params, frame = initial_lib.from_run(
            fresh, donor, net.roles, frame=c.init_frame, roles=c.init_roles
        )
    except InvError as error:
        differing = donors.other_model(config, donor) if " has shape " in str(error) else ""
        raise InvError(f"{error}{differing}") from error
    donors.check_space(config, net, donor)
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.train.init_frame = frame
    return params, config.lock()


def stepper(
    config: Config,
    net: Model,
    devices: Devices,
    earlier_pass: int = 0,
    *,
    frames_at_once: int = 1,
    update_mask: Callable[[Params], Params] | None = None,
) -> Stepper:
    """The training step of `config.train`, for the given devices.

    Args:
      config: The config.
      net: Its model.
      devices: All share the rows of a step, or, of several frames, each takes all of its own.
      earlier_pass: Rows per pass that a run chose when it began: it goes on with them, unless the
        config says another number, or they no longer fit.
      frames_at_once: Frames that the step is to train at once, over all devices.
      update_mask: Makes the first mask of what may move, where the plan changes it.

    Raises:
      InvError: If a setting cannot be right.
    """
    c = config.train
    for name in ("learning_rate", "lr_decay_rate", "lr_decay_steps", "clip_norm"):
        if not c[name] > 0:
            raise InvError(f"train.{name}={c[name]}; want a number above 0")
    # Of frames that train at once each has a device to itself, and all rows of its steps.
    is_shared = frames_at_once == 1
    share = devices.share(c.rows_per_step, "train.rows_per_step") if is_shared else c.rows_per_step
    rows_per_pass = sizing.fitting_pass(
        net, devices, share, c.rows_per_pass, frames=frames_at_once // devices.count
    )
    if not c.rows_per_pass and earlier_pass and share % earlier_pass == 0:
        rows_per_pass = min(rows_per_pass, earlier_pass)
    networks = jax.eval_shape(net.init, jax.random.key(0)).keys()
    settings = {name: c[name] for name in ("b1", "b2", "eps", "weight_decay")}
    made = net.around(optimizer.make_optimizer(networks, c.clip_norm, c.optimizer, settings))
    return Stepper(
        model=net,
        loss=losses.get(c.loss, c.get("head_weight", 1.0)),
        optimizer=made if update_mask is None else optimizer.with_update_mask(made, update_mask),
        schedule=schedules.make(
            c.schedule,
            learning_rate=c.learning_rate,
            decay_rate=c.lr_decay_rate,
            decay_steps=c.lr_decay_steps,
            warmup=c.lr_warmup,
            milestones=c.lr_milestones,
        ),
        rows_per_step=c.rows_per_step,
        rows_per_pass=rows_per_pass,
        num_devices=devices.count if is_shared else 1,
        axis=parallel.AXIS if is_shared else None,
        shaper=UpdatePenalty(pull=c.update_pull),
        emptiness=plans.emptiness(config),
        hard=plans.hard_rows(config),
        best_at=plans.best_at(config),
    )


def trainer(
    config: Config,
    workdir: pathlib.Path,
    should_stop: Callable[[], bool],
    trace_folder: pathlib.Path | None = None,
) -> tuple[Trainer, Callable[[], None]]:
    """Everything a training run needs, and how to close it.

    All that can be checked is checked before anything is written to the workdir (the procedural
    capture excepted, which is rendered there unless it has a folder of its own). Of several
    processes only the main one reads and writes the workdir; the capture is read by all.

    Args:
      config: What to train.
      workdir: Folder of the run.
      should_stop: Asked between dispatches.
      trace_folder: Gets a profiler's trace of a few dispatches; None for none.

    Raises:
      InvError: If anything about the config, the capture or the workdir cannot be right.
      Stopped: If asked to while the procedural capture is rendered.
    """
    devices = Devices()
    old, stored = devices.from_main(lambda: (record.read(workdir), FrameStore(workdir).numbers()))
    config = record.definite(config, old)
    config = fitting.fitted(
        *(config, old, lambda: captures.first_rig(config, workdir, devices, should_stop), devices)
    )
    net, shown = model(config), shown_model(config)
    config = captures.completed(config, net, workdir, devices)
    training = plans.of(config)
    at_once = config.train.frames_at_once
    lanes.frames_per_device(at_once, training, devices)
    step = stepper(
        *(config, net, devices, old["rows_per_pass"] if old else 0),
        frames_at_once=at_once,
        update_mask=plans.update_mask(config, training),
    )
    # Whatever the capture is: before the params are made.
    sizing.check_memory(config, training, net, devices, step.rows_per_pass, (1, 1, 1))
    initial, config = devices.from_main(
        lambda: initial_params(config, net, has_frames=bool(stored))
    )
    record.check_resume(config, workdir, old, devices)
    video_codec = make.for_training(config.codec)
    shots = _capture(config, net, training, step, workdir, devices, should_stop)
    segments = captures.segments_of(config, shots)
    rows_of = functools.partial(captures.rows_of, net, shots)
    training = plans.by_clips(config, training, segments, rows_of)
    settings = _settings(config, training)
    record.check_capture(workdir, old, shots.fingerprint)
    masks = _masks(config, training, shots, trained_on(segments), workdir, devices)
    video = None
    if video_codec is not None and devices.is_main:
        video = keeping.broadcast(
            *(config, workdir, video_codec, shown, shots, segments, initial, should_stop)
        )
    if devices.is_main:
        passes = step.rows_per_pass
        record.write(config, workdir, devices, rows_per_pass=passes, capture=shots.fingerprint)
    _say(net, step, devices)
    recorder, close = keeping.recorder(config, shown, shots, workdir, video, devices)
    made = Trainer(
        capture=shots,
        segments=segments,
        model=net,
        plan=training,
        stepper=step,
        devices=devices,
        recorder=recorder,
        masks=masks,
        initial=initial,
        seed=config.train.seed,
        workdir=workdir,
        settings=settings,
        should_stop=should_stop,
        trace_folder=trace_folder if devices.is_main else None,
    )
    return made, close


def _say(net: Model, step: Stepper, devices: Devices) -> None:
    logging.info(
        "training on %s in %s, %d %ss a pass",
        devices.describe(),
        linear.describe(net.precision, devices.platform),
        *(step.rows_per_pass, net.rows.name),
    )


def _settings(config: Config, training: Plan) -> Settings:
    return Settings(
        saves=plans.saves(config),
        images=plans.images(config, training),
        image_cams=tuple(config.train.image_cams),
        dispatch_seconds=config.train.dispatch_seconds,
        from_decoded=config.codec.get("from_decoded", False),
        frames_at_once=config.train.frames_at_once,
    )


def _capture(
    config: Config,
    net: Model,
    training: Plan,
    step: Stepper,
    workdir: pathlib.Path,
    devices: Devices,
    should_stop: Callable[[], bool],
) -> Capture:
    """The capture, open, or rendered and open; training on it fits the memory."""
    check = functools.partial(
        sizing.check_memory, config, training, net, devices, step.rows_per_pass
    )
    if config.data.layout == sizing.PROCEDURAL:
        check(sizing.planned_segment(config))  # before it is rendered
    shots = captures.for_training(config, net, workdir, devices, should_stop)
    check(captures.longest(captures.segments_of(config, shots), shots))
    shots.check_cams(config.train.image_cams, "train.image_cams")
    return shots


def _masks(
    config: Config,
    training: Plan,
    shots: Capture,
    frames: Sequence[int],
    workdir: pathlib.Path,
    devices: Devices,
) -> Masks | None:
    """The masks of the training cameras, if the plan asks for them; all are there."""
    if not training.wants_masks:
        return None
    masks = captures.masks_of(config, workdir, shots)

    def check() -> None:
        masks.check(frames, shots.train_cams)
        masks.to_train(frames[0], shots.train_cams)  # the wrong way round, it is said now

    devices.from_main(check)
    return masks
