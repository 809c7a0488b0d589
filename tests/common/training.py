"""Ways to train: in this process, by a command, in another process; and to end it early."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from inv_jax import cli
from inv_jax.assembly import build
from inv_jax.checkpoint import FrameStore

ROOT = pathlib.Path(__file__).parents[2]


class Crash(Exception):
    """What ends a run at once: nothing gets stored on the way out."""

    @classmethod
    def after(cls, dispatches: int) -> Callable[[], bool]:
        """A `should_stop` that crashes in front of the next dispatch."""
        asked = stop_after(dispatches)

        def ask() -> bool:
            if asked():
                raise cls
            return False

        return ask


def stop_after(dispatches: int) -> Callable[[], bool]:
    """A `should_stop` that lets a run have so many dispatches."""
    answers = iter([False] * dispatches)
    return lambda: next(answers, True)


def train(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, should_stop: Callable[[], bool]
) -> FrameStore:
    """Trains in this process, on all simulated devices; the stored frames, to look at."""
    trainer, close = build.trainer(config, workdir, should_stop)
    try:
        trainer.train()
    finally:
        close()
    return FrameStore(workdir)


def flags_of(config: str, fields: Mapping[str, Any]) -> list[str]:
    """`--config=` of a file in `configs/`, with what is set otherwise, by dotted name."""
    changes = (f"--config.{name}={value}" for name, value in fields.items())
    return [f"--config={ROOT / 'configs' / config}", *changes]


def run(command: str, *flags: Any) -> int:
    """`run("eval", ...)`: a command in this process; its exit status."""
    return cli.main(["inv-jax", command, *map(str, flags)])


def start(*flags: Any, num_devices: int) -> subprocess.Popen:
    """Starts `inv-jax train` in a process of its own, on so many simulated devices."""
    devices = f"--xla_force_host_platform_device_count={num_devices}"
    return subprocess.Popen(
        [sys.executable, "-m", "inv_jax", "train", *map(str, flags)],
        env={**os.environ, "XLA_FLAGS": devices},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
