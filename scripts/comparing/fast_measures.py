"""What is measured of a run's frames: held-out and training views, changed pixels, flicker, time.

Rows are one for each frame and camera:

    psnr, ssim, flip, lpips    of the view; of training cameras PSNR alone
    psnr_changed               of pixels whose true colors are another than in the frame before,
                               by more than the levels within which `eval/flicker.py` calls them
                               static; of the first frame of a capture none
    flicker, flicker_truth     of static pixels, see there; of held-out cameras

All runs on a capture are measured against the same images, with the frame before the first that
is measured, whether a run has trained it or not.
"""

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from benching import fast_runs
from jaxtyping import UInt8

from comparing.fast_cases import Cell
from inv_jax.assembly import captures
from inv_jax.assembly.playback import open_playback
from inv_jax.data import files
from inv_jax.data.capture import Capture
from inv_jax.eval import flicker, measures
from inv_jax.train.journal import Journal

Row = dict[str, Any]

_HELD_OUT = ("psnr", "psnr_dynamic", "ssim", "flip", "lpips")
_TRAINING = ("psnr", "psnr_dynamic")
_KEPT = "quality.json"


def changed(now: UInt8[np.ndarray, "h w 3"], before: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
    """Pixels (h, w) of other colors than before, by more levels of 8 bits than noise has."""
    return np.abs(now.astype(np.int16) - before).max(-1) > flicker.STATIC_RANGE


def rows_of(cell: Cell, num_training: int) -> list[Row]:
    """The rows of a cell whose commands are through; kept beside its run.

    Args:
      cell: The cell.
      num_training: Training cameras that are measured, spread evenly; 0 for none.

    Raises:
      InvError: If its capture is not to be had.
    """
    path = cell.folder / _KEPT
    asked = {"frames": list(cell.scene.measured), "training": num_training}
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["asked"] == asked:
            return kept["rows"]
    rows = _measured(cell, num_training)
    jax.clear_caches()  # programs of a run that is over
    with files.replacing(path) as temporary:
        shown = [files.json_row(row) for row in rows]
        temporary.write_text(json.dumps({"asked": asked, "rows": shown}, indent=1) + "\n")
    return rows


def _measured(cell: Cell, num_training: int) -> list[Row]:
    playback, first = open_playback(cell.folder), cell.commands[0]
    capture = captures.of(first.run.config, first.folder, cell.scene.num_frames)
    frames, held_out = cell.scene.measured, capture.test_cams
    static = flicker.static_pixels(capture, playback.masks, held_out, frames)
    flickers = {cam: flicker.Flicker(pixels) for cam, pixels in static.items()}
    measured = {True: measures.make(_HELD_OUT), False: measures.make(_TRAINING)}
    rows = []
    for frame in frames:
        for cam in (*held_out, *_spread(capture, num_training)):
            truth, before = _pair(capture, frame, cam)
            moves = None if before is None else changed(truth, before)
            rgb = playback.player.view(frame, playback.capture.cameras, cam).rgb
            found = measured[cam in held_out](rgb, truth, moves)
            found["psnr_changed"] = found.pop("psnr_dynamic")
            if cam in flickers:
                found |= flickers[cam](rgb, truth)
            rows.append({"frame": frame, "cam": cam, "held_out": cam in held_out, **found})
    return rows


def _spread(capture: Capture, count: int) -> list[int]:
    cams = capture.train_cams
    places = np.linspace(0, len(cams) - 1, min(count, len(cams)))
    return [cams[round(place)] for place in places]


def _pair(capture: Capture, frame: int, cam: int) -> tuple[np.ndarray, np.ndarray | None]:
    """A camera's image, and that of the frame before; None if there is none."""
    now = np.asarray(capture.load(frame, [cam]).images[0])
    if frame == capture.frames[0]:
        return now, None
    return now, np.asarray(capture.load(frame - 1, [cam]).images[0])


@dataclasses.dataclass(frozen=True)
class Thirds:
    """The frames behind Warm-Up, and the first and the last third of them; none of under three."""

    frames: range

    @property
    def first(self) -> range:
        return self.frames[: len(self.frames) // 3]

    @property
    def last(self) -> range:
        return self.frames[len(self.frames) - len(self.frames) // 3 :]


def summary(cell: Cell, rows: Sequence[Row]) -> Row:
    """One flat row: means over frames and cameras, thirds of the frames, seconds a frame."""
    thirds = Thirds(cell.scene.measured)

    def mean(name: str, among: range = thirds.frames, *, held_out: bool = True) -> float | None:
        return _mean(
            row.get(name) for row in rows if row["held_out"] is held_out and row["frame"] in among
        )

    return {
        "case": str(cell),
        "capture": cell.scene.name,
        "method": cell.method,
        "budget": cell.budget,
        "seed": cell.seed,
        "frames": len(thirds.frames),
        **{name: mean(name) for name in ("psnr", "ssim", "flip", "lpips")},
        "psnr_first": mean("psnr", thirds.first),
        "psnr_last": mean("psnr", thirds.last),
        "changed": mean("psnr_changed"),
        "changed_first": mean("psnr_changed", thirds.first),
        "changed_last": mean("psnr_changed", thirds.last),
        "training": mean("psnr", held_out=False),
        "training_changed": mean("psnr_changed", held_out=False),
        "flicker": mean("flicker"),
        "flicker_truth": mean("flicker_truth"),
        **_seconds(cell),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def _seconds(cell: Cell) -> Row:
    """Of the measured frames: their steps, and all in; of all frames before, their sum."""
    journals = [row for one in cell.commands for row in Journal(one.folder).rows()]
    wanted = [row for row in Journal(cell.folder).rows() if row["frame"] in cell.scene.measured]
    before = [row for row in journals if row["frame"] < cell.scene.measured[0]]
    steps = statistics.fmean(row["seconds"] for row in wanted)
    gap = _mean(map(fast_runs.gap_seconds, wanted[1:])) or 0.0  # of the first: what is done once
    return {
        "steps_seconds": steps,
        "frame_seconds": steps + gap,
        "warmup_seconds": sum(row["seconds"] + fast_runs.gap_seconds(row) for row in before),
    }


def held_out_psnr(rows: Iterable[Row]) -> dict[int, float]:
    """Mean over the held-out cameras, by frame."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["held_out"] and row["psnr"] is not None:
            found.setdefault(row["frame"], []).append(row["psnr"])
    return {frame: statistics.fmean(values) for frame, values in found.items()}
