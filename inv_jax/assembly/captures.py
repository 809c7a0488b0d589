"""The capture of a config: where it lies, what is open of it, what is trained on.

The procedural capture is rendered first, into the workdir of the run that wants it unless it has
a folder of its own; from then on it is read like any other.
"""

import pathlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging

from inv_jax.assembly import sizing
from inv_jax.data import capture as capture_lib
from inv_jax.data import masks as masks_lib
from inv_jax.data import records, segments, sequence, synthetic
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.data.rig import Rig
from inv_jax.data.segments import Segment
from inv_jax.models.base import Model
from inv_jax.train import losses
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, InvError, Predictions, Stopped

Config = ml_collections.ConfigDict

_FPS = 30.0  # of a folder of pictures
_LEAST_PASS, _MOST_PASS = 64, 1024  # rays that any device can well take at once
_FEW = 64  # at most one in so many pixels is left out of a step


def folder_of(config: Config, workdir: pathlib.Path) -> pathlib.Path:
    """Where the capture of `config.data` lies.

    Raises:
      InvError: If the config does not say.
    """
    c = config.data
    if c.path:
        return pathlib.Path(c.path).expanduser()
    if c.layout != sizing.PROCEDURAL:
        raise InvError("data.path is empty; say where the capture is: --config.data.path=FOLDER")
    return workdir / "capture"


def of(config: Config, workdir: pathlib.Path, num_frames: int | None = None) -> Capture:
    """Opens the capture of `config.data`.

    Args:
      config: The config.
      workdir: Of the run.
      num_frames: In place of the config's, if given; of a sequence, all clips are opened.
    """
    c = config.data
    if c.layout == sequence.LAYOUT:
        num_frames = None
    return capture_lib.open_capture(
        "n3dv" if c.layout == sizing.PROCEDURAL else c.layout,
        folder_of(config, workdir),
        factor=c.factor,
        first_frame=c.first_frame,
        num_frames=c.num_frames if num_frames is None else num_frames,
        holdout=tuple(c.get("holdout", ())),  # a video has no cameras to tell apart, nor poses
        near=c.get("near", 0.0),
        ndc=c.get("ndc", False),
        pixel_center=c.get("pixel_center", 0.0),
        bd_factor=c.get("bd_factor", 0.75),
        background=config.model.get("background", 0.0),
        frame_step=c.frame_step,
        size=(c.get("height", 0), c.get("width", 0)),
        frame_ids=tuple(c.get("frame_ids", ())),
        clips=tuple(c.get("clips", ())),
    )


def segments_of(config: Config, opened: Capture) -> list[Segment]:
    """The segments of a capture.

    Raises:
      InvError: If a setting cannot be right.
    """
    return _split(config, opened.span, opened.clips)


def _split(config: Config, span: range, clips: Sequence[int] = ()) -> list[Segment]:
    return segments.split(
        span,
        config.train.segment_frames,
        step=config.data.frame_step,
        shown_step=config.data.get("test_step", 0),
        clips=clips,
    )


def masks_of(config: Config, workdir: pathlib.Path, rig: Rig) -> Masks:
    """The masks of what moves, of the capture of `config.data`; none of them is read yet.

    Raises:
      InvError: If the settings cannot be right.
    """
    return masks_lib.open_masks(
        masks_lib.pattern_in(folder_of(config, workdir), config.data.masks),
        rig.camera_names,
        rig.cameras.height,
        rig.cameras.width,
        polarity=config.data.mask_polarity,
    )


def completed(config: Config, model: Model, workdir: pathlib.Path, devices: Devices) -> Config:
    """The config with what only the capture knows: how many rows are all, how fast it is.

    Where all pixels do not divide over the devices, or only into passes of a few, all are nearly
    as many that do: the same with one frame at a time and with several. Epochs become steps.

    Raises:
      InvError: If that is asked for and the capture cannot be opened.
    """
    if config.train.rows_per_step and config.render.fps and not config.train.epochs:
        return config
    shape, fps = sizing.planned_segment(config), None
    if config.data.layout != sizing.PROCEDURAL:
        opened = of(config, workdir)
        parts, fps = segments_of(config, opened), opened.fps
        # Of a sequence the first clip counts: a longer one may be added to it later.
        shape = longest(parts[:1] if opened.clips else parts, opened)
    config = config.copy_and_resolve_references()
    rows = shape[0] * model.rows.in_view(*shape[1:])
    with config.unlocked():
        if not config.train.rows_per_step:
            config.train.rows_per_step = _dividing(rows, devices.count)
        if config.train.epochs:
            steps = config.train.epochs * max(1, rows // config.train.rows_per_step)
            config.train.update(steps=steps, warmup_steps=steps)
            if "first_steps" in config.train:
                config.train.first_steps = steps
        config.render.fps = config.render.fps or fps or _FPS
    return config


def rows_of(model: Model, opened: Capture, segment: Segment) -> int:
    """Rows that a segment is trained on."""
    size = opened.cameras.height, opened.cameras.width
    return len(segment.trained) * len(opened.train_cams) * model.rows.in_view(*size)


def longest(parts: Sequence[Segment], opened: Capture) -> sizing.Shape:
    """Training views of the longest segment, height, width."""
    views = max(len(one.trained) for one in parts) * len(opened.train_cams)
    return views, opened.cameras.height, opened.cameras.width


def _dividing(pixels: int, devices: int) -> int:
    """All of the pixels, or nearly all, so that each device can take its share in passes."""
    share = pixels // devices
    least = min(_LEAST_PASS, share)
    if pixels % devices == 0 and any(share % n == 0 for n in range(least, _MOST_PASS + 1)):
        return pixels
    unit = 1  # a power of two that divides the share
    while unit < _LEAST_PASS and 2 * unit * _FEW <= share:
        unit *= 2
    fitting = max(devices, pixels - pixels % (devices * unit))
    logging.info(
        "train.rows_per_step=0: %d of the %d pixels in each step, so that they divide over %d "
        "devices in passes of %d or more; each step leaves out others",
        *(fitting, pixels, devices, unit),
    )
    return fitting


def for_training(
    config: Config,
    model: Model,
    workdir: pathlib.Path,
    devices: Devices,
    should_stop: Callable[[], bool],
) -> Capture:
    """Opens the capture to train on; the procedural one is rendered first, by the main process.

    Of the latter, one frame is made and checked, as the first of all, before the others take
    their time. Once packed, it is read like any other.

    Raises:
      InvError: If it cannot be opened, or the config or the model does not go with it.
      Stopped: If asked to while the procedural capture is rendered.
    """
    c = config.data
    if c.layout != sizing.PROCEDURAL:
        return _checked(config, model, of(config, workdir))
    folder = folder_of(config, workdir)
    if records.is_packed(folder):
        return _checked(config, model, of(config, workdir))
    _check_procedural(config)
    p = c.procedural
    for count in (1, c.num_frames or p.num_frames):
        _render(config, workdir, devices, should_stop, count)
        opened = of(config, workdir, count)
        _check(config, model, opened, _split(config, sizing.planned_frames(config)))
    return opened


def first_rig(
    config: Config, workdir: pathlib.Path, devices: Devices, should_stop: Callable[[], bool]
) -> Rig:
    """The cameras of a capture that is going to be trained on; of the procedural one a frame is
    rendered.

    Raises:
      InvError: If it cannot be opened.
      Stopped: If asked to while it is rendered.
    """
    is_packed = records.is_packed(folder_of(config, workdir))
    if config.data.layout == sizing.PROCEDURAL and not is_packed:
        _check_procedural(config)
        _render(config, workdir, devices, should_stop, 1)
        return of(config, workdir, 1)
    return of(config, workdir)


def _check_procedural(config: Config) -> None:
    """Refuses settings that the procedural capture cannot have, before it is rendered.

    Raises:
      InvError: Naming them.
    """
    c = config.data
    if c.pixel_center != 0.0:
        raise InvError(
            f"data.pixel_center={c.pixel_center}: the procedural capture has its pixel centers at "
            "whole numbers; leave it at 0.0"
        )
    names = tuple(f"cam{i:02d}" for i in range(c.procedural.num_cams))
    capture_lib.check_holdout(tuple(c.holdout), names)


def _render(
    config: Config,
    workdir: pathlib.Path,
    devices: Devices,
    should_stop: Callable[[], bool],
    count: int,
) -> None:
    """Renders what is missing of so many frames of the procedural capture, by the main process.

    Raises:
      Stopped: If asked to.
    """
    c, p = config.data, config.data.procedural

    def write() -> bool:
        synthetic.write_capture(
            folder_of(config, workdir),
            height=p.height,
            width=p.width,
            num_cams=p.num_cams,
            frames=range(c.first_frame, c.first_frame + count),
            factor=c.factor,
            should_stop=should_stop,
        )
        return should_stop()

    if devices.from_main(write):
        raise Stopped("stopped while rendering the capture; the same command goes on")


def _checked(config: Config, model: Model, opened: Capture) -> Capture:
    _check(config, model, opened, segments_of(config, opened))
    return opened


def _smallest_shown(model: Model, cameras: Cameras) -> tuple[int, int]:
    """Height and width of the smallest of the pictures that a row shows, or of the views."""
    sizes = [(cameras.height, cameras.width)]
    if model.rows.shows_pictures:  # heads may show smaller ones

        def shown(key: jax.Array) -> Predictions:
            places = model.rows.places(cameras, jnp.int32(0), jnp.float32(0.0), jnp.arange(1))
            return model.predict(model.init(key), model.inputs(cameras, places))

        predicted = jax.eval_shape(shown, jax.random.key(0)).values()
        sizes += [prediction.rgb.shape[1:3] for prediction in predicted]
    return min(sizes, key=min)


def _check(config: Config, model: Model, opened: Capture, parts: Sequence[Segment]) -> None:
    """Refuses a capture that the config or the model does not go with, cut into segments."""
    height, width = opened.cameras.height, opened.cameras.width
    cameras = opened.cameras.take(np.array(opened.train_cams))
    model.check_views(cameras, max(len(one.frames) for one in parts))
    model.check_views(cameras, min(len(one.trained) for one in parts))
    if config.train.frames_at_once > 1 and len({len(one.trained) for one in parts}) > 1:
        advice = (
            "cut them by data.num_frames"
            if opened.clips
            else "make data.num_frames a multiple of "
            f"train.segment_frames={config.train.segment_frames}"
        )
        raise InvError(
            f"train.frames_at_once={config.train.frames_at_once} wants clips of one length, and "
            f"the last has {len(parts[-1].frames)} frames; {advice}, or train one by one"
        )
    losses.get(config.train.loss).check(model.rows, *_smallest_shown(model, cameras))
    num_views = len(opened.train_cams) * min(len(one.trained) for one in parts)
    rows = num_views * model.rows.in_view(height, width)
    if config.train.rows_per_step > rows:
        raise InvError(
            f"train.rows_per_step={config.train.rows_per_step} is more than the {rows} "
            f"{model.rows.name}s of the {num_views} training views; lower it"
        )
