"""From a config to plain typed parts. Below this file nobody knows what a config is."""

import functools
import pathlib
from collections.abc import Callable

import jax
import ml_collections
from absl import logging

from inv_jax import params as params_lib
from inv_jax import record, sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import make
from inv_jax.codec.base import Codec
from inv_jax.codec.writer import VideoWriter
from inv_jax.data import capture as capture_lib
from inv_jax.data import records, synthetic
from inv_jax.data.capture import Capture
from inv_jax.data.rig import Rig
from inv_jax.eval.evaluate import Evaluator
from inv_jax.models import linear
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.render.view import ViewRenderer
from inv_jax.sampling.rays import sample_rays
from inv_jax.train import losses, optimizer, parallel, plan
from inv_jax.train.broadcast import Broadcast
from inv_jax.train.journal import Journal
from inv_jax.train.loop import Settings, Trainer
from inv_jax.train.parallel import Devices
from inv_jax.train.recorder import Recorder
from inv_jax.train.step import Stepper
from inv_jax.train.update_penalty import UpdatePenalty
from inv_jax.types import InvError, Params, Stopped

Config = ml_collections.ConfigDict


def model(config: Config) -> Nerf:
    """The model of `config.model`."""
    c = config.model
    mlp = NerfMlp(
        width=c.width,
        depth=c.depth,
        structure_layers=c.structure_layers,
        structure_heads=tuple(c.structure_heads),
        skip_layer=None if c.skip_layer < 0 else c.skip_layer,
        position_octaves=c.position_octaves,
        direction_octaves=c.direction_octaves,
        precision=c.precision,
    )
    return Nerf(
        mlp,
        coarse_samples=c.coarse_samples,
        fine_samples=c.fine_samples,
        density_noise=c.density_noise,
        background=c.background,
    )


def training_plan(config: Config) -> plan.Plan:
    """The plan of `config.train`."""
    c, first = config.train, config.data.first_frame
    if c.freeze_frame < 0:
        raise InvError(f"train.freeze_frame={c.freeze_frame}; want a frame number, or 0 for never")
    if c.update_pull and not c.freeze_frame:
        raise InvError(
            f"train.update_pull={c.update_pull} pulls the params of frozen frames, and there are "
            "none; set train.freeze_frame, or train.update_pull=0.0"
        )
    if c.scratch:
        if c.freeze_frame:
            raise InvError(
                f"train.scratch=True and train.freeze_frame={c.freeze_frame}: frames that start "
                "from random params share no colors; set train.freeze_frame=0"
            )
        return plan.from_scratch(first_frame=first, steps=c.steps)
    return plan.incremental(
        first_frame=first,
        freeze_frame=c.freeze_frame,
        warmup_steps=c.warmup_steps,
        steps=c.steps,
        keep_optimizer=not c.reset_optimizer,
        is_shaped=c.update_pull > 0.0,
    )


def _capture_folder(config: Config, workdir: pathlib.Path) -> pathlib.Path:
    c = config.data
    if c.path:
        return pathlib.Path(c.path).expanduser()
    if c.layout != sizing.PROCEDURAL:
        raise InvError("data.path is empty; say where the capture is: --config.data.path=FOLDER")
    return workdir / "capture"


def capture(config: Config, workdir: pathlib.Path, num_frames: int | None = None) -> Capture:
    """Opens the capture of `config.data`; `num_frames` instead of the config's, if given."""
    c = config.data
    return capture_lib.open_capture(
        "n3dv" if c.layout == sizing.PROCEDURAL else c.layout,
        _capture_folder(config, workdir),
        factor=c.factor,
        first_frame=c.first_frame,
        num_frames=c.num_frames if num_frames is None else num_frames,
        holdout=tuple(c.holdout),
        near=c.near,
        ndc=c.ndc,
        pixel_center=c.pixel_center,
        bd_factor=c.bd_factor,
    )


def training_capture(
    config: Config, workdir: pathlib.Path, devices: Devices, should_stop: Callable[[], bool]
) -> Capture:
    """Opens the capture to train on; the procedural one is rendered first, by the main process.

    Of the latter, one frame is made and checked before the others take their time. Once packed,
    it is read like any other.
    """
    c, p = config.data, config.data.procedural
    if c.layout != sizing.PROCEDURAL:
        return _checked(config, capture(config, workdir))
    if c.pixel_center != 0.0:
        raise InvError(
            f"data.pixel_center={c.pixel_center}: the procedural capture has its pixel centers at "
            "whole numbers; leave it at 0.0"
        )
    if records.is_packed(_capture_folder(config, workdir)):
        return _checked(config, capture(config, workdir))
    capture_lib.check_holdout(tuple(c.holdout), tuple(f"cam{i:02d}" for i in range(p.num_cams)))
    num_frames = c.num_frames or p.num_frames

    def write(count: int) -> bool:
        synthetic.write_capture(
            _capture_folder(config, workdir),
            height=p.height,
            width=p.width,
            num_cams=p.num_cams,
            frames=range(c.first_frame, c.first_frame + count),
            factor=c.factor,
            should_stop=should_stop,
        )
        return should_stop()

    for count in (1, num_frames):
        if devices.from_main(functools.partial(write, count)):
            raise Stopped("stopped while rendering the capture; the same command goes on")
        opened = _checked(config, capture(config, workdir, count))
    return opened


def _checked(config: Config, opened: Capture) -> Capture:
    pixels = len(opened.train_cams) * opened.cameras.height * opened.cameras.width
    if config.train.rays_per_step > pixels:
        raise InvError(
            f"train.rays_per_step={config.train.rays_per_step} is more than the {pixels} pixels "
            f"of the {len(opened.train_cams)} training cameras; lower it"
        )
    return opened


def initial_params(config: Config, nerf: Nerf, *, has_frames: bool) -> tuple[Params, Config]:
    """What the first frame starts from: random params, or those of another run.

    Args:
      config: The config.
      nerf: The model.
      has_frames: Whether the workdir has frames already; then the other run is not asked.

    Returns:
      Params, and the config with the other run's frame made definite.
    """
    c = config.train
    fresh = nerf.init(jax.random.fold_in(jax.random.key(c.seed), 0))
    if not c.init_from or has_frames:
        return fresh, config
    store = FrameStore(pathlib.Path(c.init_from))
    frames = store.frames()
    if not frames:
        raise InvError(
            f"train.init_from={c.init_from} has no stored frames; give the workdir of a trained run"
        )
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.train.init_frame = c.init_frame or frames[-1]
    try:
        leaves = params_lib.flatten(store.params(config.train.init_frame))
        return params_lib.fill(fresh, leaves), config.lock()
    except InvError as error:
        raise InvError(f"train.init_from={c.init_from}: {error}") from error
    finally:
        store.close()


def stepper(config: Config, nerf: Nerf, devices: Devices, earlier_pass: int = 0) -> Stepper:
    """The training step of `config.train`, for the given devices.

    `earlier_pass` is the choice of rays per pass that a run made when it began: it goes on with
    it, unless the config says another or it no longer fits.
    """
    c = config.train
    for name in ("learning_rate", "lr_decay_rate", "lr_decay_steps", "clip_norm"):
        if not c[name] > 0:
            raise InvError(f"train.{name}={c[name]}; want a number above 0")
    share = devices.share(c.rays_per_step, "train.rays_per_step")
    wanted = c.rays_per_pass
    if not wanted and earlier_pass and share % earlier_pass == 0:
        wanted = earlier_pass
    networks = jax.eval_shape(nerf.init, jax.random.key(0)).keys()
    return Stepper(
        model=nerf,
        sampler=sample_rays,
        loss=losses.get(c.loss),
        optimizer=optimizer.make_optimizer(networks, c.clip_norm),
        schedule=functools.partial(
            optimizer.learning_rate,
            init=c.learning_rate,
            decay_rate=c.lr_decay_rate,
            decay_steps=c.lr_decay_steps,
        ),
        rays_per_step=c.rays_per_step,
        rays_per_pass=sizing.fitting_pass(nerf, devices, share, wanted),
        num_devices=devices.count,
        axis=parallel.AXIS,
        shaper=UpdatePenalty(pull=c.update_pull),
    )


def codec_of(config: Config) -> Codec | None:
    """The codec of `config.codec`, or None if frames are not encoded while they train.

    Raises:
      InvError: If its settings contradict each other.
    """
    c = config.codec
    if not c.name:
        if c.from_decoded:
            raise InvError("codec.from_decoded=True wants a codec: set codec.name=delta")
        return None
    made = make.codec(c.name, c)
    if c.from_decoded and not made.is_lag_free:
        raise InvError(
            f"codec.from_decoded=True wants every frame encoded at once, codec.name={c.name} has "
            f"groups of codec.group={c.group}; set codec.group=1, or codec.name=delta"
        )
    make.check_color_precision(c.color_precision)
    return made


def broadcast(
    config: Config,
    workdir: pathlib.Path,
    codec: Codec,
    nerf: Nerf,
    rig: Rig,
    params: Params,
    should_stop: Callable[[], bool],
) -> Broadcast:
    """The neural video that a run writes to `workdir/video.inv` while it trains.

    Raises:
      InvError: If the codec cannot store such params, or a file cannot say what it holds.
    """
    provenance = record.provenance(rig.fingerprint)
    header = make.header(codec, params, config.to_dict(), rig, provenance)
    header.dump()
    codec.encoder(header.layout)

    def open_writer(go_on_before: int) -> VideoWriter:
        return VideoWriter(
            workdir / "video.inv",
            header,
            codec,
            make.gauge(codec, nerf, rig, params),
            color_precision=config.codec.color_precision,
            go_on_before=go_on_before,
        )

    return Broadcast(open_writer, goes_back=config.codec.from_decoded, should_stop=should_stop)


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
    old, stored = devices.from_main(lambda: (record.read(workdir), FrameStore(workdir).frames()))
    config = record.definite(config, old)
    nerf = model(config)
    step = stepper(config, nerf, devices, old["rays_per_pass"] if old else 0)
    training = training_plan(config)
    initial, config = devices.from_main(
        lambda: initial_params(config, nerf, has_frames=bool(stored))
    )
    record.check_resume(config, workdir, old, devices)
    settings = Settings(
        save_every=config.train.save_every,
        image_every=config.train.image_every,
        dispatch_seconds=config.train.dispatch_seconds,
        from_decoded=config.codec.from_decoded,
    )
    video_codec = codec_of(config)
    renderer = ViewRenderer(nerf, devices, sizing.rays_per_chunk(config, nerf, devices))
    check = functools.partial(
        sizing.check_memory, config, training, nerf, devices, step.rays_per_pass
    )
    if config.data.layout == sizing.PROCEDURAL:
        check(sizing.planned_frame(config))  # before it is rendered
    shots = training_capture(config, workdir, devices, should_stop)
    check((len(shots.train_cams), shots.cameras.height, shots.cameras.width))
    record.check_capture(workdir, old, shots.fingerprint)
    store = journal = video = None
    if video_codec is not None and devices.is_main:
        video = broadcast(config, workdir, video_codec, nerf, shots, initial, should_stop)
    if devices.is_main:
        record.write(
            config,
            workdir,
            devices,
            rays_per_pass=step.rays_per_pass,
            capture=shots.fingerprint,
        )
        store, journal = FrameStore(workdir, writable=True), Journal(workdir)
    logging.info(
        "training on %s in %s, %d rays a pass",
        devices.describe(),
        linear.describe(nerf.mlp.precision, devices.platform),
        step.rays_per_pass,
    )
    recorder = Recorder(
        evaluator=Evaluator(renderer, shots, workdir), store=store, journal=journal, broadcast=video
    )
    made = Trainer(
        capture=shots,
        model=nerf,
        plan=training,
        stepper=step,
        devices=devices,
        recorder=recorder,
        initial=initial,
        seed=config.train.seed,
        workdir=workdir,
        settings=settings,
        should_stop=should_stop,
        trace_folder=trace_folder if devices.is_main else None,
    )

    def close() -> None:
        recorder.close()
        if store is not None and journal is not None:
            journal.close()
            store.close()

    return made, close
