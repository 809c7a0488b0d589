"""Which runs show what a method makes of a budget of steps a frame.

    static    of methods of two fields: the static field, trained first
    METHOD_warmup    up to the frame where colors freeze
    METHOD_STEPS    from the last frame of Warm-Up on, the remaining frames with so many steps each

A method without a static field gets the steps of its pre-training in Warm-Up instead, so that all
have taken as many when Structure Transfer begins. A method from scratch has runs of the last kind
alone.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags

from comparing import ROOT
from inv_jax.assembly import fitting
from inv_jax.commands import flagged
from inv_jax.models import registry
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

_STATIC_CONFIG = "configs/split.py:static"
_OF_STATIC = ("data.", "model.")  # settings of a method that its static field is trained with, too
_NOT_OF_STATIC = "model.blend="


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train, by a name.

    Attributes:
      name: In folders, tables and plots.
      config: Its config file, with an argument: `configs/split.py:density`.
      settings: Put over it, as `train.scratch=True`.
    """

    name: str
    config: str
    settings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Method":
        """The method of `NAME=CONFIG,key=value,...`.

        Raises:
          InvError: If the text is not of that form.
        """
        first, *settings = re.split(r",(?=[\w.]+=)", text)  # values may have commas
        name, _, config = first.partition("=")
        if not re.fullmatch(r"[\w-]+", name) or not config:
            raise InvError(
                f"--method={text}: expected NAME=CONFIG,key=value,..., for example "
                "half=configs/split.py:density,split.dynamic_chance=0.25"
            )
        return cls(name, config, tuple(settings))


METHODS = (
    Method("inv", "configs/base.py"),
    Method("scratch", "configs/base.py", ("train.scratch=True",)),
    Method("softmax", "configs/split.py"),
    Method("density", "configs/split.py:density"),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, and its config.

    Attributes:
      folder: Its workdir.
      config: What it trains.
      is_compared: Whether it is measured; the others only lead to such runs.
    """

    folder: pathlib.Path
    config: Config
    is_compared: bool = False

    @property
    def frames(self) -> range:
        """The frames it trains."""
        c = self.config.data
        return range(c.first_frame, c.first_frame + c.num_frames, c.frame_step)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is the same for all methods.

    Attributes:
      folder: Of all runs.
      settings: Of all runs, as `model.width=64`.
      num_frames: From `data.first_frame` on.
      freeze_frame: The first one of Structure Transfer.
      static_steps: A frame, of the static field's pre-training.
      static_frames: It chooses among so many; 0: `num_frames`.
      static_every: It takes every nth of them.
      warmup_steps: A frame, of methods that have a pre-trained static field.
      budgets: Steps a frame, a run each.
    """

    folder: pathlib.Path
    settings: tuple[str, ...]
    num_frames: int
    freeze_frame: int
    static_steps: int
    static_frames: int
    static_every: int
    warmup_steps: int
    budgets: tuple[int, ...]

    def runs(self, method: Method, seed: int) -> list[Run]:
        """The runs of a method, in the order in which they need each other.

        Raises:
          InvError: If a setting cannot be right.
        """
        config = self._config(method.config, method.settings, seed)
        first, end = config.data.first_frame, config.data.first_frame + self.num_frames
        if not first < self.freeze_frame < end:
            raise InvError(
                f"--freeze_frame={self.freeze_frame}: frames are {first} to {end - 1}; Warm-Up "
                "and Structure Transfer want one of them at least"
            )
        remaining = {
            "data.first_frame": self.freeze_frame,
            "data.num_frames": end - self.freeze_frame,
        }
        if config.train.scratch:
            return self._budgets(method, seed, config, {**remaining, "train.freeze_frame": 0})
        earlier, steps, start = [], self.warmup_steps, {}
        if config.model.name == registry.SPLIT:
            earlier = [self._static(method, seed)]
            start = {"train.init_from": str(earlier[0].folder)}
        else:
            frames = self.freeze_frame - first
            steps += round(self.static_steps * len(self._static(method, seed).frames) / frames)
        warmup = Run(
            self._folder(seed) / f"{method.name}_warmup",
            _changed(
                config,
                {
                    "data.num_frames": self.freeze_frame - first,
                    "train.freeze_frame": self.freeze_frame,
                    "train.warmup_steps": steps,
                    **_first_steps(config, steps),
                    **start,
                },
            ),
        )
        changes = {
            **remaining,
            "train.freeze_frame": self.freeze_frame,
            "train.init_from": str(warmup.folder),
            "train.init_frame": self.freeze_frame - 1,
            "train.init_roles": _roles(config),
        }
        return [*earlier, warmup, *self._budgets(method, seed, config, changes)]

    def _static(self, method: Method, seed: int) -> Run:
        """The pre-training of a static field; methods share it unless they see other things."""
        own = [
            setting
            for setting in method.settings
            if setting.startswith(_OF_STATIC) and not setting.startswith(_NOT_OF_STATIC)
        ]
        changes = {
            "data.num_frames": self.static_frames or self.num_frames,
            "data.frame_step": self.static_every,
            "train.steps": self.static_steps,
        }
        name = f"{method.name}_static" if own else "static"
        config = self._config(_STATIC_CONFIG, own, seed)
        return Run(self._folder(seed) / name, _changed(config, changes))

    def _budgets(
        self, method: Method, seed: int, config: Config, changes: dict[str, Any]
    ) -> list[Run]:
        return [
            Run(
                self._folder(seed) / f"{method.name}_{steps}",
                _changed(config, {**changes, "train.steps": steps, **_first_steps(config, steps)}),
                is_compared=True,
            )
            for steps in self.budgets
        ]

    def _folder(self, seed: int) -> pathlib.Path:
        return self.folder / f"seed{seed}"

    def _config(self, file: str, settings: Sequence[str], seed: int) -> Config:
        return read_config(file, (*self.settings, *settings, f"train.seed={seed}"))


def read_config(file: str, settings: Sequence[str]) -> Config:
    """A config, read as commands read it.

    Args:
      file: The config file with its argument; relative to here, or else to the project.
      settings: As `model.width=64`.

    Raises:
      InvError: If there is no such file or no such setting.
    """
    path, colon, name = file.partition(":")
    path = path if pathlib.Path(path).is_file() else str(ROOT / path)
    argv = ["", f"--config={path}{colon}{name}", *(f"--config.{text}" for text in settings)]
    values = flags.FlagValues()
    try:
        flagged.define_config(values, argv)
        values(argv)
    except Exception as error:  # a config file is the user's code: it may raise anything
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InvError(f"{file} with {', '.join(settings)}: {lines[-1]}") from error
    return values.config


def _roles(config: Config) -> tuple[str, ...]:
    """All roles of a model; sizes that follow from the capture say nothing of them."""
    return registry.make(fitting.unopened(config).model.to_dict()).roles.all


def _first_steps(config: Config, steps: int) -> dict[str, int]:
    """The first frame of a run takes as many as the others, where it would take more."""
    return {"train.first_steps": steps} if "first_steps" in config.train else {}


def _changed(config: Config, changes: dict[str, Any]) -> Config:
    made = config.copy_and_resolve_references()
    with made.unlocked():
        made.update_from_flattened_dict(changes)
    return made.lock()
