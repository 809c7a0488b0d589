"""Runs of INV and of the fast field on one capture, and what their rows say of a frame.

    inv_warmup    up to the frame where colors freeze
    inv_STEPS     from its last frame on, the frozen frames with so many steps each
    fast_STEPS    Warm-Up and frozen frames: what its steps know of pixels goes on with it

Both see the same frames, of the same cameras, and are measured on the same held-out one.
"""

import dataclasses
import itertools
import pathlib
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from comparing import protocol

from benching import rows as rows_lib
from inv_jax.assembly import build
from inv_jax.train.journal import Journal
from inv_jax.types import InvError

Row = Mapping[str, Any]

INV, FAST = "inv", "fast"
PROCEDURAL = "procedural"
BENCH, CLOSING = "fast", "fast_ratio"

_INV_FILE, _FAST_FILE, _DEMO_FILE = "configs/base.py", "configs/fast.py", "configs/demo.py"
# As INV was compared with training from scratch (README.md, the original's three comparisons).
_INV = (
    *("data.near=0.3", "model.width=64", "model.coarse_samples=32", "model.fine_samples=32"),
    *("train.rows_per_step=512", "train.warmup_steps=1000"),
)
# The view of a frame is rendered in front of the next one's first dispatch, all of it if that is
# long enough, or the view in one part: then its time is known, and can be told from the gap.
_BOTH = ("train.save_every=0", "train.dispatch_seconds=20.0")
_FAST = ("eval.rows_per_chunk=16384",)


@dataclasses.dataclass(frozen=True)
class Case:
    """A capture, and how both models are trained on it.

    Attributes:
      name: In folders and rows.
      files: The config file of each model.
      settings: Put over it, as `model.width=64`.
      freeze_frame: The first frozen frame.
      inv_steps: INV's budgets, steps a frame.
    """

    name: str
    files: Mapping[str, str]
    settings: Mapping[str, tuple[str, ...]]
    freeze_frame: int
    inv_steps: tuple[int, ...]

    @classmethod
    def footage(cls, capture: pathlib.Path, factor: int) -> "Case":
        """A capture in META's layout, with the settings of basketball."""
        both = (f"data.path={capture}", f"data.factor={factor}", "data.pixel_center=0.5")
        return cls(
            capture.name,
            {INV: _INV_FILE, FAST: _FAST_FILE},
            {INV: (*both, *_INV), FAST: (*both, *_FAST)},
            freeze_frame=4,
            inv_steps=(100, 300, 1000),
        )

    @classmethod
    def procedural(cls, folder: pathlib.Path) -> "Case":
        """The procedural capture of the demo, rendered into a folder if it is not there."""
        demo = protocol.read_config(_DEMO_FILE, ())
        here = f"data.path={folder}"
        sizes = [f"data.procedural.{name}={n}" for name, n in demo.data.procedural.items()]
        layout = ("data.layout=procedural", f"data.factor={demo.data.factor}", *sizes)
        return cls(
            PROCEDURAL,
            {INV: _DEMO_FILE, FAST: _FAST_FILE},
            {INV: (here,), FAST: (here, *layout, *_FAST)},
            freeze_frame=demo.train.freeze_frame,
            inv_steps=(demo.train.steps,),
        )

    def changed(self, more: Mapping[str, Sequence[str]], freeze_frame: int = 0) -> "Case":
        """With more settings of each model; 0 keeps the first frozen frame."""
        return dataclasses.replace(
            self,
            settings={model: (*own, *more[model]) for model, own in self.settings.items()},
            freeze_frame=freeze_frame or self.freeze_frame,
        )

    def all_settings(self, model: str) -> tuple[str, ...]:
        """Those of a model, and those that make its times known."""
        return (*self.settings[model], *_BOTH)

    def config(self, model: str, settings: Iterable[str] = ()) -> build.Config:
        """A model's config, with more settings.

        Raises:
          InvError: If one of them cannot be right.
        """
        return protocol.read_config(self.files[model], (*self.all_settings(model), *settings))


@dataclasses.dataclass(frozen=True)
class Cell:
    """A run that is measured, and what it needs.

    Attributes:
      model: `INV` or `FAST`.
      steps: Of a frozen frame.
      runs: In the order in which they need each other; the last one has the frozen frames.
    """

    model: str
    steps: int
    runs: tuple[protocol.Run, ...]


def cells(
    case: Case,
    *,
    folder: pathlib.Path,
    seed: int,
    frames: int,
    inv_steps: Sequence[int],
    fast_steps: Sequence[int],
) -> list[Cell]:
    """The cells of a seed, the two models in turn, so that a noisy machine slows both.

    Args:
      case: The case.
      folder: Of its runs, with this seed.
      seed: Of both models.
      frames: Frozen frames of each run.
      inv_steps: INV's budgets; none: the case's.
      fast_steps: Those of the fast field.

    Raises:
      InvError: If a setting cannot be right.
    """
    freeze = case.freeze_frame
    if freeze < 2 or frames < 1:
        raise InvError(
            f"--freeze_frame={freeze}, --frames={frames}: want 2 or more, and 1 or more; Warm-Up "
            "takes the frames from 1 on, and some frozen ones are measured"
        )

    def run(model: str, name: str, first: int, count: int, *settings: str) -> protocol.Run:
        which = (f"data.first_frame={first}", f"data.num_frames={count}", f"train.seed={seed}")
        frozen = f"train.freeze_frame={freeze}"
        return protocol.Run(folder / name, case.config(model, (*which, frozen, *settings)))

    warmup = run(INV, "inv_warmup", 1, freeze - 1)
    start = (f"train.init_from={warmup.folder}", f"train.init_frame={freeze - 1}")

    def inv(steps: int) -> Cell:
        name, budget = f"inv_{steps}", f"train.steps={steps}"
        return Cell(INV, steps, (warmup, run(INV, name, freeze, frames, budget, *start)))

    def fast(steps: int) -> Cell:
        name, budget = f"fast_{steps}", f"train.steps={steps}"
        return Cell(FAST, steps, (run(FAST, name, 1, freeze - 1 + frames, budget),))

    pairs = itertools.zip_longest(
        map(inv, sorted(inv_steps or case.inv_steps)), map(fast, sorted(fast_steps))
    )
    return [cell for pair in pairs for cell in pair if cell is not None]


def measured(case: Case, cell: Cell, seed: int) -> dict[str, Any]:
    """What the rows of a cell's runs say; all of them are trained."""
    journals = [Journal(run.folder).rows() for run in cell.runs]
    frozen = [row for row in journals[-1] if row["frame"] >= case.freeze_frame]
    behind = frozen[1:]  # the first one has no gap, or one with what is done once
    warmup = [row for rows in journals for row in rows if row["frame"] < case.freeze_frame]
    steps = statistics.fmean(row["seconds"] for row in frozen)
    gap = _mean(map(gap_seconds, behind))
    waits = {
        name: _mean(row[name] for row in behind)
        for name in ("input_wait_seconds", "checkpoint_wait_seconds")
    }
    return {
        "case": f"{case.name}, {cell.model}, {cell.steps} steps, seed {seed}",
        "capture": case.name,
        "model": cell.model,
        "seed": seed,
        "steps": cell.steps,
        "frames": len(frozen),
        "psnr": statistics.fmean(row["psnr"] for row in frozen),
        "frame_seconds": steps + gap,
        "steps_seconds": steps,
        **waits,
        "other_seconds": max(0.0, gap - sum(waits.values())),
        "view_seconds": statistics.fmean(row["eval_seconds"] for row in frozen),
        "warmup_seconds": sum(row["seconds"] + gap_seconds(row) for row in warmup),
        "warmup_steps": sum(row["steps"] for row in warmup),
    }


def gap_seconds(row: Row) -> float:
    """Of a frame, without the view of the one before, which is rendered in it."""
    return max(0.0, row["gap_seconds"] - row["render_seconds"])


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return statistics.fmean(found) if found else 0.0


def closing(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """For each capture and budget of INV, the fewest fast steps that are as good; means over seeds.

    Args:
      rows: Those of `measured`.
    """
    for capture in dict.fromkeys(row["capture"] for row in rows):
        here = [row for row in rows if row["capture"] == capture]
        fast = _budgets(here, FAST)
        for inv in _budgets(here, INV):
            if fast:
                yield _beside(capture, inv, fast)


def _beside(capture: str, inv: Row, fast: Sequence[Row]) -> dict[str, Any]:
    """A budget of INV beside the cheapest one that is as good, or, without one, the best."""
    good = [row for row in fast if row["psnr"] >= inv["psnr"]]
    best = good[0] if good else max(fast, key=lambda row: row["psnr"])
    found = {
        "case": f"{capture}: INV at {inv['steps']} steps a frame",
        "capture": capture,
        "is_reached": bool(good),
        "gain": best["psnr"] - inv["psnr"],
    }
    if good:
        for name, what in (
            ("ratio", "frame"),
            ("steps_ratio", "steps"),
            ("warmup_ratio", "warmup"),
        ):
            found[name] = inv[f"{what}_seconds"] / best[f"{what}_seconds"]
    for model, row in ((INV, inv), (FAST, best)):
        found |= {f"{model}_{name}": value for name, value in row.items()}
    return found


def _budgets(rows: Sequence[Row], model: str) -> list[dict[str, Any]]:
    """A row for each budget of a model, in order: means over the seeds that were given it."""
    found = []
    for steps in sorted({row["steps"] for row in rows if row["model"] == model}):
        mine = [row for row in rows if (row["model"], row["steps"]) == (model, steps)]
        names = ("psnr", "frame_seconds", "steps_seconds", "warmup_seconds")
        means = {name: statistics.fmean(row[name] for row in mine) for name in names}
        spread = rows_lib.Times.of([row["psnr"] for row in mine])
        seeds = [row["seed"] for row in mine]
        least, most = spread.least, spread.most
        found.append({"steps": steps, "seeds": seeds, **means, "psnr_min": least, "psnr_max": most})
    return found
