"""Which captures and which runs show the fast field's quality beside INV's.

    fast_BUDGET   Warm-Up and all frames behind it, by `fast.budget`
    inv_warmup    INV up to the frame where colors freeze
    inv_STEPS     ... from its last frame on, the others with so many steps each

Of a capture with one frame, INV takes the steps in that frame. Every run is a command of its own.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from benching import fast_runs
from benching.fast_runs import FAST, INV

from comparing.running import Command
from inv_jax.types import InvError

_WARMUP = 3  # frames, as the fast field's own default
_INWARDS = ("data.ndc=False", "data.near=0.0")  # of INV, on cameras around the scene


@dataclasses.dataclass(frozen=True)
class Scene:
    """A capture, and how it is trained on.

    Attributes:
      name: In folders and tables.
      case: Config files and settings of both models.
      num_frames: From the first frame on.
      first_frame: Where Warm-Up begins.
    """

    name: str
    case: fast_runs.Case
    num_frames: int
    first_frame: int = 1

    @property
    def freeze_frame(self) -> int:
        """The first frame behind Warm-Up, if there are so many."""
        return self.first_frame + _WARMUP

    @property
    def measured(self) -> range:
        """The frames behind Warm-Up; all of them if there is none."""
        end = self.first_frame + self.num_frames
        return range(self.freeze_frame if end > self.freeze_frame else self.first_frame, end)


def _footage(folder: str, factor: int, *inv: str) -> Callable[[pathlib.Path], fast_runs.Case]:
    def make(data: pathlib.Path) -> fast_runs.Case:
        return fast_runs.Case.footage(data / folder, factor).changed({INV: inv, FAST: ()})

    return make


def _procedural(height: int, width: int) -> Callable[[pathlib.Path], fast_runs.Case]:
    size = (f"data.procedural.height={height}", f"data.procedural.width={width}")

    def make(folder: pathlib.Path) -> fast_runs.Case:
        here = folder / f"{fast_runs.PROCEDURAL}_{width}x{height}"
        return fast_runs.Case.procedural(here).changed({INV: size, FAST: size})

    return make


@dataclasses.dataclass(frozen=True)
class _Known:
    make: Callable[[pathlib.Path], fast_runs.Case]
    num_frames: int
    is_footage: bool = True


_SCENES = {
    "basketball": _Known(_footage("multiview/basketball", 4), 24),
    "dome": _Known(_footage("multiview/basketball_dome", 2, *_INWARDS), 4),
    "flame_steak": _Known(_footage("static/flame_steak", 8), 1),
    "flame_steak_504": _Known(_footage("static/flame_steak", 4), 1),
    "procedural": _Known(_procedural(72, 96), 12, is_footage=False),
    "procedural_384": _Known(_procedural(288, 384), 12, is_footage=False),
}
SCENES = tuple(_SCENES)


def scene(
    name: str,
    *,
    data: pathlib.Path,
    rendered: pathlib.Path,
    num_frames: int = 0,
    first_frame: int = 1,
    settings: Mapping[str, Sequence[str]],
) -> Scene:
    """A scene by its name.

    Args:
      name: Of `SCENES`.
      data: Folder of the real captures.
      rendered: The procedural ones are rendered into folders in it.
      num_frames: 0: all of a real capture, 12 of a procedural one; from the first frame on.
      first_frame: Where Warm-Up begins.
      settings: More, of each model, put over the scene's.

    Raises:
      InvError: If there is no such scene, or not in that folder.
    """
    if name not in _SCENES:
        raise InvError(f"--captures={name}: choose among {', '.join(SCENES)}")
    known = _SCENES[name]
    if known.is_footage and not data.is_dir():
        raise InvError(f"--data={data} is no folder; give that of the captures, or INV_JAX_DATA")
    left = known.num_frames - first_frame + 1
    if not num_frames and left < 1:
        raise InvError(f"--first_frame={first_frame}: {name} has frames 1 to {known.num_frames}")
    case = known.make(data if known.is_footage else rendered)
    return Scene(name, case.changed(settings), num_frames or left, first_frame)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A run that is measured, and what it needs.

    Attributes:
      scene: What it is trained on.
      method: `INV`, `FAST`, or the name of a change of the latter's settings.
      budget: As `second`, or `300 steps`.
      seed: Of all of its runs.
      commands: In the order in which they need each other; the last one is measured, the first
        one begins with the capture.
    """

    scene: Scene
    method: str
    budget: str
    seed: int
    commands: tuple[Command, ...]

    @property
    def folder(self) -> pathlib.Path:
        """Of the run that is measured."""
        return self.commands[-1].folder

    def __str__(self) -> str:
        return f"{self.scene.name}, {self.method}, {self.budget}, seed {self.seed}"


def fast(
    scene: Scene, folder: pathlib.Path, budget: str, seed: int, settings: Iterable[str] = ()
) -> Cell:
    """A run of the fast field, into a folder among those of its scene and seed."""
    frames = _frames(scene.first_frame, scene.num_frames)
    asked = (f"fast.budget={budget}", *frames, *settings)
    command = _command(scene, FAST, folder / f"fast_{budget}", seed, asked)
    return Cell(scene, FAST, budget, seed, (command,))


def inv(scene: Scene, folder: pathlib.Path, steps: int, seed: int) -> Cell:
    """A run of INV with so many steps a frame, and its Warm-Up, which others share."""
    first, freeze = scene.first_frame, scene.freeze_frame
    name, frozen = f"inv_{steps}", f"train.freeze_frame={freeze}"
    if scene.num_frames <= _WARMUP:
        asked = (*_frames(first, scene.num_frames), frozen, f"train.warmup_steps={steps}")
        runs = (_command(scene, INV, folder / name, seed, asked),)
    else:
        asked = (*_frames(first, _WARMUP), frozen)
        warmup = _command(scene, INV, folder / "inv_warmup", seed, asked)
        start = (f"train.init_from={warmup.folder}", f"train.init_frame={freeze - 1}")
        left = _frames(freeze, scene.num_frames - _WARMUP)
        asked = (*left, frozen, f"train.steps={steps}", *start)
        runs = (warmup, _command(scene, INV, folder / name, seed, asked))
    return Cell(scene, INV, f"{steps} steps", seed, runs)


def _frames(first: int, count: int) -> tuple[str, ...]:
    return f"data.first_frame={first}", f"data.num_frames={count}"


def _command(
    scene: Scene, model: str, folder: pathlib.Path, seed: int, settings: Sequence[str]
) -> Command:
    case, own = scene.case, f"train.seed={seed}"
    return Command(folder, case.files[model], (*case.all_settings(model), own, *settings))
