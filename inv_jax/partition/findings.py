"""What was measured of a run, and what that says."""

import dataclasses
import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from inv_jax import params as params_lib
from inv_jax.assembly.playback import Playback
from inv_jax.eval import report
from inv_jax.partition.choices import ALL, FIRST, LAST, NONE, RANDOM

STILL = "still"  # trained on the images that the params were trained on already
FRAMES = "frames"  # from one stored frame to the next
SWAP, TRAIN = "swap", "train"
TRAINING, HELD_OUT = "training", "held out"  # whose view

_LEAST_GAIN = 0.5  # dB, of which shares are meant to say something

Row = dict[str, Any]


@dataclasses.dataclass
class Findings:
    """What was measured of a run; rows of scalars.

    Attributes:
      label: The run's name, and what tells it from others.
      layers: Names, by number.
      structure: Numbers of those that are structure.
      caveats: What a reader has to know.
      changes: `kind` (`frames`, `still`, `all`), `frame`, `donor`, `network`, `number`, `layer`,
        `change`.
      pictures: `what` (`swap`, `train`), `kind`, `count`, `draw`, `layers`, `params`, `base`,
        `donor`, `view` (`training`, `held out`), `cam`, `psnr`, `psnr_moved`, `steps`.
    """

    label: str
    layers: list[str]
    structure: list[int]
    caveats: list[str] = dataclasses.field(default_factory=list)
    changes: list[Row] = dataclasses.field(default_factory=list)
    pictures: list[Row] = dataclasses.field(default_factory=list)

    @property
    def networks(self) -> list[str]:
        """Names of the networks, the one that makes the picture first."""
        return list(dict.fromkeys(row["network"] for row in self.changes))[::-1]

    def views(self) -> list[str]:
        """Whose views were measured: of training cameras, held-out ones."""
        found = {row["view"] for row in self.pictures}
        return [view for view in (TRAINING, HELD_OUT) if view in found]

    def change(self, kind: str, network: str, number: int) -> list[float]:
        """Relative changes of a layer, one for each pair of frames; in order."""
        return sorted(
            row["change"]
            for row in self.changes
            if (row["kind"], row["network"], row["number"]) == (kind, network, number)
        )

    def psnrs(self, what: str, kind: str, count: int, view: str, measure: str) -> list[float]:
        """All that were measured so, of all pairs, cameras and draws; in order."""
        wanted = {"what": what, "kind": kind, "count": count, "view": view}
        return sorted(
            row[measure]
            for row in self.pictures
            if row.items() >= wanted.items() and row[measure] is not None
        )

    def counts(self, what: str, kind: str) -> list[int]:
        """How many layers were chosen so, ascending."""
        rows = (row for row in self.pictures if (row["what"], row["kind"]) == (what, kind))
        return sorted({row["count"] for row in rows})

    def measure(self) -> str:
        """What to look at: the moved pixels, if there are any in every view."""
        has_moved = all(row["psnr_moved"] is not None for row in self.pictures)
        return "psnr_moved" if has_moved else "psnr"

    def gain(self, what: str, kind: str, count: int, view: str, measure: str) -> float | None:
        """Mean PSNR above that of the base as it is, dB; None if one of both is not known."""
        some = self.psnrs(what, kind, count, view, measure)
        none = self.psnrs(what, NONE, 0, view, measure)
        return statistics.fmean(some) - statistics.fmean(none) if some and none else None

    def share(self, what: str, kind: str, count: int, view: str, measure: str) -> float | None:
        """Which part of what all layers gain some of them gain; None where all gain too little."""
        some = self.gain(what, kind, count, view, measure)
        everything = self.gain(what, ALL, len(self.layers), view, measure)
        if some is None or everything is None or everything < _LEAST_GAIN:
            return None
        return some / everything


def describe(playback: Playback, label: str) -> Findings:
    """The run's layers, and why its findings may not be what they seem; nothing is measured."""
    frames, train = playback.source.frames(), playback.config.train
    params = playback.source.params(frames[0])
    rows = params_lib.layer_table(params)
    structure = {row.number for row in rows if row.role == params_lib.STRUCTURE}
    found = Findings(label, list(params_lib.layer_numbers(params)), sorted(structure))
    if train.scratch:
        found.caveats.append(
            "every frame started from random params: layers of two frames do not belong together"
        )
    elif train.freeze_frame and frames[-1] >= train.freeze_frame:
        found.caveats.append(
            f"color layers were frozen from frame {train.freeze_frame} on, so that only structure "
            "could change: train with train.freeze_frame=0 to see what moves by itself"
        )
    return found


def tables(findings: Findings) -> str:
    """Two tables of a run, and what they say in a sentence."""
    parts = [findings.label, *(f"CAVEAT: {text}" for text in findings.caveats)]
    changes = [_change_row(findings, number) for number in range(len(findings.layers))]
    if findings.changes:
        columns = ["layer", "role", *list(changes[0])[2:]]
        parts += ["", "relative change, medians", _table(changes, columns)]
    rows = [
        _picture_row(findings, what, kind, count)
        for what in (SWAP, TRAIN)
        for kind in (NONE, FIRST, LAST, RANDOM, ALL)
        for count in findings.counts(what, kind)
    ]
    if rows:
        parts += ["", "PSNR against the donor's image, dB", _table(rows, list(rows[0]))]
        parts += ["", *sentences(findings)]
    return "\n".join(parts)


def sentences(findings: Findings) -> list[str]:
    """What the first layers do of what all do, beside what others do; a line for each view."""
    measure, said = findings.measure(), []
    pixels = "moved pixels" if measure == "psnr_moved" else "all pixels"
    for view, what in itertools.product(findings.views(), (SWAP, TRAIN)):
        counts = findings.counts(what, FIRST)
        everything = findings.gain(what, ALL, len(findings.layers), view, measure)
        if not counts or everything is None:
            continue
        count = min(counts, key=lambda n: abs(n - len(findings.structure)))
        shown = [f"all {len(findings.layers)} layers {everything:+.2f} dB"]
        for kind in (FIRST, LAST, RANDOM):
            gain = findings.gain(what, kind, count, view, measure)
            share = findings.share(what, kind, count, view, measure)
            if gain is not None:
                part = "" if share is None else f" ({_percent(share)})"
                shown.append(f"{kind} {count} {gain:+.2f}{part}")
        verb = "swapped" if what == SWAP else "trained"
        said.append(f"{verb}, {view} view, {pixels}: {', '.join(shown)}")
    return said


def _change_row(findings: Findings, number: int) -> Row:
    role = "structure" if number in findings.structure else "color"
    row: Row = {"layer": f"{number} {findings.layers[number]}", "role": role}
    names = {FRAMES: "frame to frame", ALL: "trained on donor", STILL: "trained on same"}
    for network in findings.networks:
        for kind, name in names.items():
            if found := findings.change(kind, network, number):
                row[f"{network}: {name}"] = statistics.median(found)
    return row


def _picture_row(findings: Findings, what: str, kind: str, count: int) -> Row:
    row: Row = {"what": what, "layers": kind if kind in (ALL, NONE) else f"{kind} {count}"}
    for view in findings.views():
        for measure, name in (("psnr", "all pixels"), ("psnr_moved", "moved")):
            found = findings.psnrs(what, kind, count, view, measure)
            row[f"{view}, {name}"] = round(statistics.fmean(found), 2) if found else None
        share = findings.share(what, kind, count, view, findings.measure())
        row[f"{view}, gain"] = None if share is None else _percent(share)
    return row


def _percent(share: float) -> str:
    return f"{round(share, 2) + 0.0:.0%}"  # no -0%


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    return report.format_table(rows, columns, has_summary=False)
