"""A tiny capture, the settings of a tiny fast field for it, and ways to train: here, or by command.

The scene is a plane with smooth waves that move, 4 cameras in a square, 5 frames of 16x24.
"""

import pathlib
from collections.abc import Callable

import ml_collections
import numpy as np
import pytest
import scenes
import training

from configs import fast
from inv_jax import settings
from inv_jax.checkpoint import FrameStore

_HEIGHT, _WIDTH, _NUM_FRAMES = 16, 24, 5

# 5 samples on two levels and 5 bricks of 12; frames of 12, 8, 6 and 6 steps. Box and space follow
# from the capture.
_TINY = {
    "data.num_frames": 4,
    "model.levels": (5, 4, 3, 9, 7, 4),
    "model.bricks": (12, 8, 8, 5),
    "model.bricks_every": 8,
    "model.guide": (6, 5, 5),
    "model.features": 4,
    "model.samples": 5,
    "model.probes": 8,
    "model.guide_every": 4,
    "model.width": 8,
    "model.depth": 1,
    "train.first_steps": 12,
    "train.warmup_steps": 8,
    "train.steps": 6,
    "train.freeze_frame": 3,
    "train.rows_per_step": 32,
    "train.dispatch_seconds": 0.1,
}


@pytest.fixture(scope="session")
def capture(tmp_path_factory) -> pathlib.Path:
    """A META capture."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]

    def picture(frame: int, cam: int) -> np.ndarray:
        right, down = cam % 2, cam // 2
        # At a depth of 4.8 a camera sees it moved by 1.5 pixels.
        across = 0.25 * (x + 1.5 * right) + 0.2 * frame
        return scenes.waves(across, 0.3 * (y + 1.5 * down) + 0.15 * frame)

    path, size = tmp_path_factory.mktemp("capture"), (_HEIGHT, _WIDTH)
    return scenes.write_square(path, picture, range(1, _NUM_FRAMES + 1), size)


@pytest.fixture(scope="session")
def config(capture) -> Callable[..., ml_collections.ConfigDict]:
    """The config of a tiny run; `changes` are fields by dotted name."""

    def make(changes: dict | None = None) -> ml_collections.ConfigDict:
        fields = {"data.path": str(capture), **_TINY, **(changes or {})}
        return settings.changed(fast.get_config(), fields)

    return make


@pytest.fixture(scope="session")
def train(config) -> Callable[..., FrameStore]:
    """Trains in this process, on all simulated devices; what is stored, to look at."""

    def run(
        workdir: pathlib.Path, changes: dict | None = None, should_stop=lambda: False
    ) -> FrameStore:
        return training.train(config(changes), workdir, should_stop)

    return run


@pytest.fixture(scope="session")
def arguments(capture) -> Callable[..., list[str]]:
    """What follows `inv-jax train`, or `doctor`, for a tiny run."""

    def make(changes: dict | None = None) -> list[str]:
        return training.flags_of("fast.py", {"data.path": capture, **_TINY, **(changes or {})})

    return make


@pytest.fixture(scope="session")
def run() -> Callable[..., int]:
    """`run("eval", ...)`: a command in this process; its exit status."""
    return training.run


@pytest.fixture(scope="session")
def straight(train, tmp_path_factory) -> pathlib.Path:
    """A run of 32 steps that nothing interrupts; to look at only."""
    workdir = tmp_path_factory.mktemp("straight")
    train(workdir)
    return workdir


@pytest.fixture(scope="session")
def enough() -> dict:
    """Steps enough to see something."""
    return {"train.first_steps": 300, "train.warmup_steps": 60, "train.steps": 40}


@pytest.fixture(scope="session")
def learned(run, arguments, enough, tmp_path_factory) -> pathlib.Path:
    """A run of so many steps, by its command; to look at only."""
    workdir = tmp_path_factory.mktemp("learned") / "run"
    assert run("train", *arguments(enough), f"--workdir={workdir}") == 0
    return workdir
