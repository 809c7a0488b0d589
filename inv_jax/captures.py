"""The capture of a config: where it lies, what is open of it, what is trained on.

The procedural capture is rendered first, into the workdir of the run that wants it unless it has
a folder of its own; from then on it is read like any other.
"""

import functools
import math
import pathlib
from collections.abc import Callable

import ml_collections

from inv_jax import sizing
from inv_jax.data import capture as capture_lib
from inv_jax.data import records, synthetic
from inv_jax.data.capture import Capture
from inv_jax.models.base import Model
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError, Stopped

Config = ml_collections.ConfigDict

_FPS = 30.0  # of a folder of pictures


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
    """Opens the capture of `config.data`; `num_frames` instead of the config's, if given."""
    c = config.data
    return capture_lib.open_capture(
        "n3dv" if c.layout == sizing.PROCEDURAL else c.layout,
        folder_of(config, workdir),
        factor=c.factor,
        first_frame=c.first_frame,
        num_frames=c.num_frames if num_frames is None else num_frames,
        holdout=tuple(c.holdout),
        near=c.near,
        ndc=c.ndc,
        pixel_center=c.pixel_center,
        bd_factor=c.bd_factor,
        background=config.model.background,
    )


def completed(config: Config, workdir: pathlib.Path) -> Config:
    """The config with what only the capture knows: how many pixels are all, how fast it is.

    Raises:
      InvError: If that is asked for and the capture cannot be opened.
    """
    if config.train.rays_per_step and config.render.fps:
        return config
    size, fps = sizing.planned_frame(config), None
    if config.data.layout != sizing.PROCEDURAL:
        opened = of(config, workdir)
        size = len(opened.train_cams), opened.cameras.height, opened.cameras.width
        fps = opened.fps
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.train.rays_per_step = config.train.rays_per_step or math.prod(size)
        config.render.fps = config.render.fps or fps or _FPS
    return config


def for_training(
    config: Config,
    model: Model,
    workdir: pathlib.Path,
    devices: Devices,
    should_stop: Callable[[], bool],
) -> Capture:
    """Opens the capture to train on; the procedural one is rendered first, by the main process.

    Of the latter, one frame is made and checked before the others take their time. Once packed,
    it is read like any other.

    Raises:
      InvError: If it cannot be opened, or the config or the model does not go with it.
      Stopped: If asked to while the procedural capture is rendered.
    """
    c, p = config.data, config.data.procedural
    if c.layout != sizing.PROCEDURAL:
        return _checked(config, model, of(config, workdir))
    if c.pixel_center != 0.0:
        raise InvError(
            f"data.pixel_center={c.pixel_center}: the procedural capture has its pixel centers at "
            "whole numbers; leave it at 0.0"
        )
    folder = folder_of(config, workdir)
    if records.is_packed(folder):
        return _checked(config, model, of(config, workdir))
    capture_lib.check_holdout(tuple(c.holdout), tuple(f"cam{i:02d}" for i in range(p.num_cams)))

    def write(count: int) -> bool:
        synthetic.write_capture(
            folder,
            height=p.height,
            width=p.width,
            num_cams=p.num_cams,
            frames=range(c.first_frame, c.first_frame + count),
            factor=c.factor,
            should_stop=should_stop,
        )
        return should_stop()

    for count in (1, c.num_frames or p.num_frames):
        if devices.from_main(functools.partial(write, count)):
            raise Stopped("stopped while rendering the capture; the same command goes on")
        opened = _checked(config, model, of(config, workdir, count))
    return opened


def _checked(config: Config, model: Model, opened: Capture) -> Capture:
    pixels = len(opened.train_cams) * opened.cameras.height * opened.cameras.width
    model.check_cameras(len(opened.train_cams))
    if config.train.rays_per_step > pixels:
        raise InvError(
            f"train.rays_per_step={config.train.rays_per_step} is more than the {pixels} pixels "
            f"of the {len(opened.train_cams)} training cameras; lower it"
        )
    return opened
