"""`inv-jax train`: trains the frames of a capture, or goes on where an earlier start stopped."""

import sys

from absl import flags

from inv_jax.assembly import build
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.types import Stopped

USAGE = "--config=configs/demo.py --workdir=runs/demo [--profile] [--config.train.steps=500 ...]"
_TRACE = "profile"  # folder within the workdir

REQUIRED = flagged.WORKDIR | flagged.CONFIG


def define(values: flags.FlagValues, argv: list[str]) -> None:
    flagged.define_workdir(values)
    flagged.define_config(values, argv)
    flagged.define_processes(values)
    flags.DEFINE_bool(
        "profile",
        False,
        f"Writes a trace of a few dispatches to WORKDIR/{_TRACE}.",
        flag_values=values,
    )


def run(values: flags.FlagValues, stop: Stop) -> int:
    flagged.join_processes(values)
    stop.install()
    workdir = flagged.workdir(values)
    trace_folder = workdir / _TRACE if values.profile else None
    try:
        trainer, close = build.trainer(values.config, workdir, stop, trace_folder)
        try:
            trainer.train()
        finally:
            close()
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    return 0
