"""A tiny clip, the settings of a tiny decoder for it, and ways to train: here, or by command."""

import pathlib
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from configs import nerv
from inv_jax import cli, settings
from inv_jax.assembly import build
from inv_jax.checkpoint import FrameStore

_ROOT = pathlib.Path(__file__).parents[2]
_HEIGHT, _WIDTH, _NUM_FRAMES = 24, 32, 10

# 2,000 params, and steps of a batch of four, one on each simulated device: 8 frames are 2 steps.
_TINY = {
    "data.num_frames": 8,
    "model.embed": "1.25_8",
    "model.stem_width": 8,
    "model.grid": (3, 4),
    "model.channels": 6,
    "model.strides": (4, 2),
    "model.lower_width": 4,
    "train.epochs": 5,
    "train.rows_per_step": 4,
    "train.learning_rate": 1e-2,
    "train.save_every": 0,
    "train.dispatch_seconds": 0.1,
}


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory) -> str:
    """Runs of one config share their compiled programs, also with commands in other processes."""
    if not jax.config.jax_compilation_cache_dir:
        folder = tmp_path_factory.mktemp("compiled")
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        compilation_cache.reset_cache()  # it decides once whether it is used
    return jax.config.jax_compilation_cache_dir


def draw(folder: pathlib.Path, frames: int, height: int = _HEIGHT, width: int = _WIDTH) -> None:
    """Pictures of smooth waves that move."""
    y, x = np.mgrid[:height, :width]
    for frame in range(1, frames + 1):
        waves = [np.sin(0.15 * x + 0.2 * frame), np.cos(0.2 * y), np.sin(0.1 * (x + y))]
        pixels = np.rint(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{frame:04d}.png")


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory) -> Callable[..., pathlib.Path]:
    """`make_clip(frames, height, width)`: a folder of pictures."""

    def make(frames: int, *size: int) -> pathlib.Path:
        folder = tmp_path_factory.mktemp("clip")
        draw(folder, frames, *size)
        return folder

    return make


@pytest.fixture(scope="session")
def clip(make_clip) -> pathlib.Path:
    """10 pictures of 24x32; of them a run takes 8 if it does not say."""
    return make_clip(_NUM_FRAMES)


@pytest.fixture(scope="session")
def config(clip) -> Callable[..., ml_collections.ConfigDict]:
    """The config of a tiny run; `changes` are fields by dotted name."""

    def make(changes: dict | None = None) -> ml_collections.ConfigDict:
        fields = {"data.path": str(clip), **_TINY, **(changes or {})}
        return settings.changed(nerv.get_config(), fields)

    return make


@pytest.fixture(scope="session")
def train(config) -> Callable[..., FrameStore]:
    """Trains in this process; what is stored, to look at."""

    def run(
        workdir: pathlib.Path, changes: dict | None = None, should_stop=lambda: False
    ) -> FrameStore:
        trainer, close = build.trainer(config(changes), workdir, should_stop)
        try:
            trainer.train()
        finally:
            close()
        return FrameStore(workdir)

    return run


@pytest.fixture(scope="session")
def arguments(clip) -> Callable[..., list[str]]:
    """What follows `inv-jax train`, or `doctor`, for a tiny run."""

    def make(changes: dict | None = None) -> list[str]:
        fields = {"data.path": clip, **_TINY, **(changes or {})}
        return [
            f"--config={_ROOT / 'configs' / 'nerv.py'}",
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ]

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., int]:
    """`run("eval", ...)`: a command in this process; its exit status."""

    def start(command: str, *flags: str) -> int:
        return cli.main(["inv-jax", command, *flags])

    return start
