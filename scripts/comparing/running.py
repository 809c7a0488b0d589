"""Runs of a comparison: trained in this process, or each by a command of its own."""

import dataclasses
import pathlib
import subprocess
import sys
from collections.abc import Callable

import jax

from comparing import ROOT, protocol
from inv_jax.assembly import build, fitting, record
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError


def train(run: protocol.Run, should_stop: Callable[[], bool]) -> None:
    """Trains what is left of a run, here; a folder of other settings is refused.

    Raises:
      InvError: If the settings cannot be right, or are not those of the folder.
      Stopped: If asked to.
    """
    trainer, close = build.trainer(run.config, run.folder, should_stop)
    try:
        trainer.train()
    finally:
        close()
        jax.clear_caches()  # programs of runs that are over


@dataclasses.dataclass(frozen=True)
class Command:
    """A run by its `inv-jax train`, a process of its own.

    Attributes:
      folder: Its workdir.
      file: Its config file, with an argument, relative to the project.
      settings: Put over it, as `train.steps=20`.
    """

    folder: pathlib.Path
    file: str
    settings: tuple[str, ...] = ()

    @property
    def run(self) -> protocol.Run:
        """What it trains.

        Raises:
          InvError: If a setting cannot be right.
        """
        return protocol.Run(self.folder, protocol.read_config(self.file, self.settings))

    @property
    def arguments(self) -> list[str]:
        """What follows `inv-jax`."""
        settings = [f"--config.{setting}" for setting in self.settings]
        return ["train", f"--config={ROOT / self.file}", f"--workdir={self.folder}", *settings]

    def is_finished(self) -> bool:
        """Whether all of its frames are trained and measured.

        Raises:
          InvError: If the folder belongs to other settings.
        """
        old, run, devices = record.read(self.folder), self.run, Devices()
        if old is None:
            return False
        # What followed from the capture is known then; nobody opens it.
        config = fitting.fitted(record.definite(run.config, old), old, lambda: None, devices)
        record.check_resume(config, self.folder, old, devices)
        return set(run.frames) <= Journal(self.folder).frames()

    def train(self) -> None:
        """Trains what is left of the run; returns when it is finished.

        Raises:
          InvError: If the command fails, or the folder belongs to other settings.
        """
        if not self.is_finished():
            self.carry_out()

    def carry_out(self) -> None:
        """Runs the command, which does nothing where nothing is left.

        Raises:
          InvError: If it fails, or the folder belongs to other settings.
        """
        argv = [sys.executable, "-m", "inv_jax", *self.arguments]
        status = subprocess.run(argv, cwd=ROOT, stdout=sys.stderr, check=False).returncode
        if status:
            raise InvError(
                f"inv-jax train ended with status {status} (its last lines are above); the same "
                f"command goes on with {self.folder}"
            )
