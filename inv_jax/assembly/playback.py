"""Opens what can be looked at: the workdir of a run, a neural video in a file, or textures."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inv_jax.assembly import build, captures, record, sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.base import CorruptError, Layout
from inv_jax.codec.header import Header
from inv_jax.codec.video import NeuralVideo
from inv_jax.data import rig as rig_lib
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.data.prefetch import clip_views
from inv_jax.data.rig import Rig
from inv_jax.data.segments import time_in
from inv_jax.models.base import Model
from inv_jax.player.player import FrameSource, FromMain, Player
from inv_jax.render.view import ViewRenderer
from inv_jax.textures.field import TexturedField
from inv_jax.textures.folder import TextureFolder, is_textures
from inv_jax.textures.manifest import CODEC
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, InvError, Params, Views

Config = ml_collections.ConfigDict

_MOST = {  # of what a file may ask of the renderer; far above any use
    "width": 1 << 14,
    "position_octaves": 1 << 8,
    "direction_octaves": 1 << 8,
    "coarse_samples": 1 << 12,
    "fine_samples": 1 << 12,
    "fourier_features": 1 << 14,
    "stem_width": 1 << 14,
    "channels": 1 << 12,
    "lower_width": 1 << 12,
    "reduction": 1 << 12,
    "expansion": 1 << 6,
    "grid": 1 << 10,
    "strides": 1 << 6,
    "features": 1 << 10,
    "samples": 1 << 12,
    "probes": 1 << 12,
    "guide": 1 << 8,
}


@dataclasses.dataclass(frozen=True)
class Playback:
    """A run or a video, open for looking at.

    Attributes:
      config: Its settings.
      rig: Its cameras.
      source: Its frames' params.
      model: Shows them.
      player: Renders them.
      devices: Who renders.
      folder: The run's, or the one that the file is in.
    """

    config: Config
    rig: Rig
    source: FrameSource
    model: Model
    player: Player
    devices: Devices
    folder: pathlib.Path
    _open_capture: Callable[[], Capture]

    @functools.cached_property
    def capture(self) -> Capture:
        """The images that it was trained on.

        Raises:
          InvError: If they are not where the settings say, or are of other cameras.
        """
        return self._open_capture()

    @property
    def capture_folder(self) -> pathlib.Path:
        """Where these images are, and what else belongs to them.

        Raises:
          InvError: If the settings do not say.
        """
        return captures.folder_of(self.config, self.folder)

    @property
    def masks(self) -> Masks:
        """The masks of what moves in these images; they need not be there.

        Raises:
          InvError: If the settings do not say where the images are, or cannot be right.
        """
        return captures.masks_of(self.config, self.folder, self.rig)

    def time(self, frame: int) -> float:
        """When a frame is in its segment, see `segments.time_in`."""
        return time_in(self.source.segment(frame), frame)

    def training_views(self, frame: int) -> tuple[Views, Cameras]:
        """The views of a frame's segment of the cameras that are trained on, and these."""
        cams, frames = self.capture.train_cams, self.source.segment(frame)
        return clip_views(self.capture, frames, frames), self.rig.cameras.take(np.array(cams))

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.devices.is_main

    def wait_for_all(self) -> None:
        """Waits until all processes of the job are here: the main one, behind its writing."""
        self.devices.agree(False)


def open_playback(
    path: pathlib.Path, data_path: str = "", *, takes_textures: bool = False
) -> Playback:
    """Opens a run's workdir or an `.inv` file for evaluation and rendering; writes nothing.

    Args:
      path: The folder or the file.
      data_path: Where the capture is, if it has moved; of a file it is not known otherwise.
      takes_textures: Whether it may also be a folder of textures: its params are good for pictures
        alone.

    Raises:
      InvError: If there is none of them, or no frame in it yet.
    """
    devices = Devices()
    if devices.from_main(path.is_file):
        return _open_described(path, NeuralVideo.open, data_path, devices)
    if devices.from_main(lambda: is_textures(path)):
        if not takes_textures:
            raise InvError(
                f"{path} holds textures, which are for pictures alone: render, eval, video, play; "
                "give the run that they were made of, or an .inv file"
            )
        return _open_described(path, TextureFolder, data_path, devices)
    return _open_workdir(path, data_path, devices)


def _open_workdir(workdir: pathlib.Path, data_path: str, devices: Devices) -> Playback:
    config = _at(devices.from_main(lambda: record.read_config(workdir)), data_path)
    source = FromMain(FrameStore(workdir), devices)
    num_frames = _num_frames(config, source.frames(), workdir)
    capture = captures.of(config, workdir, num_frames)
    model = build.shown_model(config)
    player = _player(config, model, source, devices)
    return Playback(config, capture, source, model, player, devices, workdir, lambda: capture)


def _open_described(
    path: pathlib.Path,
    open_source: Callable[[pathlib.Path], NeuralVideo | TextureFolder],
    data_path: str,
    devices: Devices,
) -> Playback:
    """Of what says itself whose frames it has: a file, or a folder of textures."""
    sources: list[NeuralVideo | TextureFolder] = []  # of the main process

    def open_header() -> Header:
        sources.append(open_source(path))
        return sources[0].header

    header = devices.from_main(open_header)
    config, model = shown_by(header, str(path))
    config = _at(config, data_path)
    source = FromMain(sources[0] if sources else None, devices)
    num_frames = _num_frames(config, source.frames(), path)
    player = _player(config, model, source, devices)

    def open_capture() -> Capture:
        beside = config.data.layout == sizing.PROCEDURAL and (path.parent / "capture").is_dir()
        if not config.data.path and not beside:
            raise InvError(
                f"{path} does not hold the camera images; say where they are: --data_path=FOLDER"
            )
        capture = captures.of(config, path.parent, num_frames)
        if not rig_lib.may_be_same(capture.fingerprint, header.rig.fingerprint):
            raise InvError(
                f"{config.data.path} has other cameras, another image size or, of a video, other "
                f"pictures than {path}; give the capture that it was trained on"
            )
        return capture

    return Playback(
        *(config, header.rig, source, model, player, devices), path.parent, open_capture
    )


def shown_by(header: Header, name: str) -> tuple[Config, Model]:
    """The settings of a video, and what pictures of it show; otherwise as `model_of`."""
    config, model = model_of(header, name)
    return config, model if header.codec == CODEC else build.shown_model(config)


def model_of(header: Header, name: str) -> tuple[Config, Model]:
    """The settings and the model of a video.

    Args:
      header: Of the video; it may be forged.
      name: Of the video, for errors.

    Raises:
      CorruptError: If they contradict each other, or ask for what no video needs.
    """
    layouts = (header.layout, header.color_layout)
    try:
        config = ml_collections.ConfigDict(record.with_younger(header.config))
        leaves = sum(len(layout.shapes) for layout in layouts)
        most = {**_MOST, **dict.fromkeys(("depth", "num_blocks", "stem_layers"), leaves)}
        for field, limit in most.items():
            value = config.model.get(field, 0)
            numbers = value if isinstance(value, (tuple, list)) else [value]
            if len(numbers) > leaves or not all(0 <= number <= limit for number in numbers):
                raise ValueError(f"model.{field}={config.model[field]}")
        if not 0.0 <= config.model.get("background", 0.0) <= 1.0:
            raise ValueError(f"model.background={config.model.background}")
        if not isinstance(config.data.first_frame, int):
            raise ValueError(f"data.first_frame={config.data.first_frame!r}")
        if not 0.0 < config.render.fps < 1e4:
            raise ValueError(f"render.fps={config.render.fps}")
        config.eval.rows_per_chunk = 0  # as fits this machine, not the one it was made on
        model = build.model(config.lock())
        if header.codec == CODEC:
            model = TexturedField.of(model)
        shapes, roles = jax.eval_shape(model.init, jax.random.key(0)), model.roles
        own = Layout.of(shapes, *roles.own, indices=roles.indices)
        if layouts != (own, Layout.of(shapes, *roles.shared)):
            raise ValueError("the params are not those of the model")
        sizing.rows_per_chunk(config, model, Devices())
        _check_size(model, shapes, header.rig)
    except (InvError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise CorruptError(f"{name}: its settings do not fit: {str(error)[:200]}") from error
    return config, model


def _check_size(model: Model, shapes: Any, rig: Rig) -> None:
    """Refuses a model whose pictures are of another size than the cameras': nothing is computed.

    Raises:
      ValueError: If it is so.
    """
    cameras, count = rig.cameras, min(model.rows.in_view(rig.cameras.height, rig.cameras.width), 2)

    def some(params: Params, cameras: Cameras, indices: jax.Array) -> jax.Array:
        places = model.rows.places(cameras, jnp.int32(0), jnp.float32(0), indices)
        return list(model.predict(params, model.inputs(cameras, places)).values())[-1].rgb

    indices = jax.ShapeDtypeStruct((count,), jnp.int32)
    found = jax.eval_shape(some, shapes, cameras, indices).shape
    if found not in ((count, 3), (1, cameras.height, cameras.width, 3)):
        raise ValueError(f"the model shows pictures {found[1:]}")


def _at(config: Config, data_path: str) -> Config:
    if data_path:
        with config.unlocked():
            config.data.path = str(pathlib.Path(data_path).expanduser().absolute())
    return config


def _num_frames(config: Config, frames: list[int], path: pathlib.Path) -> int:
    if not frames:
        raise InvError(f"{path} has no stored frames yet; train it first")
    return frames[-1] - config.data.first_frame + 1


def _player(config: Config, model: Model, source: FrameSource, devices: Devices) -> Player:
    renderer = ViewRenderer(model, devices, sizing.rows_per_chunk(config, model, devices))
    return Player(source, renderer)
