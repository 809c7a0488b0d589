"""A tiny capture and config, ways to train: here or by command, and a crash on the way."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import jax
import ml_collections
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from PIL import Image

from configs import base
from inv_jax import settings
from inv_jax.assembly import build
from inv_jax.checkpoint import FrameStore
from inv_jax.settings.composed import flat

_ROOT = pathlib.Path(__file__).parents[2]
_HEIGHT, _WIDTH, _NUM_CAMS, _NUM_FRAMES = 12, 16, 4, 5

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


class Crash(Exception):
    """What ends a run at once: nothing gets stored on the way out."""

    @classmethod
    def after(cls, dispatches: int) -> Callable[[], bool]:
        """A `should_stop` that crashes."""
        calls = iter(range(dispatches))

        def ask() -> bool:
            if next(calls, None) is None:
                raise cls
            return False

        return ask


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory) -> pathlib.Path:
    """Runs of one config share their compiled programs, also with commands in other processes."""
    folder = tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # it decides once, at the first compile, whether it is used
    return folder


@pytest.fixture(scope="session")
def tiny_capture(tmp_path_factory) -> pathlib.Path:
    """A META capture of smooth waves that move: 4 cameras in a square, 5 frames of 12x16."""
    path = tmp_path_factory.mktemp("capture")
    (path / "frames_2").mkdir()
    rows = np.zeros((_NUM_CAMS, 17))
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    for cam, row in enumerate(rows):
        right, down = cam % 2, cam // 2
        # Columns: down, right, backwards, center, (H, W, focal) at factor 1.
        row[:15] = np.ravel(
            [
                [0, 1, 0, 0.3 * right, 2 * _HEIGHT],
                [-1, 0, 0, -0.3 * down, 2 * _WIDTH],
                [0, 0, 1, 0, 2 * _WIDTH],
            ]
        )
        row[15:] = 3.0, 20.0  # nearest and farthest depth
        for frame in range(1, _NUM_FRAMES + 1):
            across, along = 0.35 * (x + right) + 0.2 * frame, 0.4 * (y + down) + 0.3 * frame
            waves = [np.sin(across), np.cos(along), np.sin(across + along)]
            image = np.uint8(255 * (0.5 + 0.4 * np.stack(waves, axis=-1)))
            Image.fromarray(image).save(path / "frames_2" / f"frame{frame:04d}cam{cam:02d}.png")
    np.save(path / "poses_bounds.npy", rows)
    return path


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
        trainer, close = build.trainer(tiny_config(changes), workdir, should_stop)
        try:
            trainer.train()
        finally:
            close()
        return FrameStore(workdir)

    return run


@pytest.fixture(scope="session")
def crash() -> type[Crash]:
    """`train(workdir, changes, crash.after(3))` raises `crash` in front of the fourth dispatch."""
    return Crash


@pytest.fixture(scope="session")
def free_run(train, tmp_path_factory) -> pathlib.Path:
    """Three frames of which no layer froze, and which do not show empty space; to look at only."""
    workdir = tmp_path_factory.mktemp("free")
    train(workdir, {"data.num_frames": 3, "train.freeze_frame": 0, "train.seed": 2})
    return workdir


@pytest.fixture(scope="session")
def command(tiny_capture, compile_cache) -> Callable[..., subprocess.Popen]:
    """Starts `inv-jax train` on the tiny capture in a process of its own, on some devices."""

    def start(
        workdir: pathlib.Path,
        changes: dict | None = None,
        extra: tuple[str, ...] = (),
        num_devices: int = 2,
    ) -> subprocess.Popen:
        fields = {"data.path": tiny_capture, **_TINY, **(changes or {})}
        environment = {
            **os.environ,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
            "JAX_COMPILATION_CACHE_DIR": str(compile_cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "inv_jax", "train", f"--workdir={workdir}"),
                f"--config={_ROOT / 'configs' / 'base.py'}",
                *(f"--config.{name}={value}" for name, value in fields.items()),
                *extra,
            ],
            env=environment,
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
