"""Three tiny clips, the settings of a tiny network for them, and ways to train."""

import pathlib
from collections.abc import Callable

import ml_collections
import pytest
import scenes
import training

from configs import pfnr
from inv_jax import settings
from inv_jax.checkpoint import FrameStore

LENGTHS = {"one": 8, "two": 4, "three": 8}  # of the clips, in frames

# 5,000 weights, and steps of a batch of four, one on each simulated device.
_TINY = {
    "model.embed": "1.25_8",
    "model.stem_width": 8,
    "model.grid": (3, 4),
    "model.channels": 6,
    "model.strides": (4, 2),
    "model.lower_width": 4,
    "model.capacity": 0.4,
    "model.sessions": 3,
    "model.operator": 0,
    "train.epochs": 6,
    "train.best_every": 3,
    "train.best_last": 2,
    "train.rows_per_step": 4,
    "train.learning_rate": 1e-2,
    "train.save_every": 0,
    "train.dispatch_seconds": 0.1,
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    """The clips, each a folder of pictures of 24x32."""
    made = tmp_path_factory.mktemp("clips")
    for phase, (name, length) in enumerate(LENGTHS.items()):
        (made / name).mkdir()
        scenes.write_clip(made / name, length, 24, 32, phase=2.0 * phase)
    return made


@pytest.fixture(scope="session")
def fields(folder) -> Callable[..., dict]:
    """The fields of a tiny run: `fields(changes, clips=2)` of the first two clips."""

    def make(changes: dict | None = None, clips: int = 3) -> dict:
        names = tuple(LENGTHS)[:clips]
        return {"data.path": str(folder), "data.clips": names, **_TINY, **(changes or {})}

    return make


@pytest.fixture(scope="session")
def config(fields) -> Callable[..., ml_collections.ConfigDict]:
    """The config of a tiny run; as `fields`."""

    def make(changes: dict | None = None, clips: int = 3) -> ml_collections.ConfigDict:
        return settings.changed(pfnr.get_config(), fields(changes, clips))

    return make


@pytest.fixture(scope="session")
def train(config) -> Callable[..., FrameStore]:
    """Trains in this process; what is stored, to look at."""

    def run(
        workdir: pathlib.Path,
        changes: dict | None = None,
        should_stop=lambda: False,
        clips: int = 3,
    ) -> FrameStore:
        return training.train(config(changes, clips), workdir, should_stop)

    return run
