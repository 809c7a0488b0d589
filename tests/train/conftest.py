"""A tiny capture and config, ways to train: here or by command, and a crash on the way."""

import pathlib
import subprocess
from collections.abc import Callable

import ml_collections
import numpy as np
import pytest
import scenes
import training

from configs import base
from inv_jax import settings
from inv_jax.checkpoint import FrameStore
from inv_jax.settings.composed import flat

_HEIGHT, _WIDTH, _NUM_FRAMES = 12, 16, 5

# Two layers, 4 + 4 samples: a step takes a millisecond, and the shapes are those of no other test.
_TINY = {
    "data.near": 0.0,
    "data.num_frames": 3,
    "model.width": 8,
    "model.depth": 2,
    "model.structure_layers": 1,
    "model.position_octaves": 3,
    "model.direction_octaves": 1,
    "model.coarse_samples": 4,
    "model.fine_samples": 4,
    "train.steps": 6,
    "train.warmup_steps": 10,
    "train.freeze_frame": 2,
    "train.rows_per_step": 32,
    "train.learning_rate": 5e-3,
    "train.save_every": 0,
    "train.dispatch_seconds": 0.1,
}


@pytest.fixture(scope="session")
def tiny_capture(tmp_path_factory) -> pathlib.Path:
    """A META capture of smooth waves that move: 4 cameras in a square, 5 frames of 12x16."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]

    def picture(frame: int, cam: int) -> np.ndarray:
        right, down = cam % 2, cam // 2
        return scenes.waves(0.35 * (x + right) + 0.2 * frame, 0.4 * (y + down) + 0.3 * frame)

    path, size = tmp_path_factory.mktemp("capture"), (_HEIGHT, _WIDTH)
    return scenes.write_square(path, picture, range(1, _NUM_FRAMES + 1), size)


@pytest.fixture(scope="session")
def tiny_config(tiny_capture) -> Callable[..., ml_collections.ConfigDict]:
    """The config of a tiny run; `changes` are fields by dotted name."""

    def make(changes: dict | None = None) -> ml_collections.ConfigDict:
        config = settings.changed(base.get_config(), changes or {})
        tiny = {"data.path": str(tiny_capture), **_TINY}
        there = dict(flat(config)).keys() - (changes or {}).keys()  # of this model and layout
        return settings.changed(config, {name: tiny[name] for name in tiny if name in there})

    return make


@pytest.fixture(scope="session")
def train(tiny_config) -> Callable[..., FrameStore]:
    """Trains in this process, on all simulated devices; the stored frames, to look at."""

    def run(
        workdir: pathlib.Path, changes: dict | None = None, should_stop=lambda: False
    ) -> FrameStore:
        return training.train(tiny_config(changes), workdir, should_stop)

    return run


@pytest.fixture(scope="session")
def crash() -> type[training.Crash]:
    """`train(workdir, changes, crash.after(3))` raises `crash` in front of the fourth dispatch."""
    return training.Crash


@pytest.fixture(scope="session")
def free_run(train, tmp_path_factory) -> pathlib.Path:
    """Three frames of which no layer froze, and which do not show empty space; to look at only."""
    workdir = tmp_path_factory.mktemp("free")
    train(workdir, {"data.num_frames": 3, "train.freeze_frame": 0, "train.seed": 2})
    return workdir


@pytest.fixture(scope="session")
def command(tiny_capture) -> Callable[..., subprocess.Popen]:
    """Starts `inv-jax train` on the tiny capture in a process of its own, on some devices."""

    def start(
        workdir: pathlib.Path,
        changes: dict | None = None,
        extra: tuple[str, ...] = (),
        num_devices: int = 2,
    ) -> subprocess.Popen:
        flags = training.flags_of(
            "base.py", {"data.path": tiny_capture, **_TINY, **(changes or {})}
        )
        return training.start(f"--workdir={workdir}", *flags, *extra, num_devices=num_devices)

    return start
