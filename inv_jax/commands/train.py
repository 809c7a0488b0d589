"""`inv-jax train`: trains the frames of a capture, or goes on where an earlier start stopped."""

import sys

from absl import flags

from inv_jax import build
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.types import Stopped

USAGE = "--config=configs/demo.py --workdir=runs/demo [--config.train.steps=500 ...]"
REQUIRED = flagged.WORKDIR | flagged.CONFIG


def define(values: flags.FlagValues, argv: list[str]) -> None:
    flagged.define_workdir(values)
    flagged.define_config(values, argv)


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    try:
        trainer, close = build.trainer(values.config, flagged.workdir(values), stop)
        try:
            trainer.train()
        finally:
            close()
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    return 0
