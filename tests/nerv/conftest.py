"""A tiny clip, the settings of a tiny decoder for it, and ways to train: here, or by command."""

import pathlib
from collections.abc import Callable

import ml_collections
import pytest
import scenes
import training

from configs import nerv
from inv_jax import settings
from inv_jax.checkpoint import FrameStore

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


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory) -> Callable[..., pathlib.Path]:
    """`make_clip(frames, height, width)`: a folder of pictures."""

    def make(frames: int, height: int = _HEIGHT, width: int = _WIDTH) -> pathlib.Path:
        return scenes.write_clip(tmp_path_factory.mktemp("clip"), frames, height, width)

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
        return training.train(config(changes), workdir, should_stop)

    return run


@pytest.fixture(scope="session")
def arguments(clip) -> Callable[..., list[str]]:
    """What follows `inv-jax train`, or `doctor`, for a tiny run."""

    def make(changes: dict | None = None) -> list[str]:
        return training.flags_of("nerv.py", {"data.path": clip, **_TINY, **(changes or {})})

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., int]:
    """`run("eval", ...)`: a command in this process; its exit status."""
    return training.run
