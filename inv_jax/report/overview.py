"""Tables about all runs: how good, how long, how large, and with which settings."""

import statistics
from collections.abc import Sequence

from inv_jax.cost import words
from inv_jax.eval.report import quantity
from inv_jax.report import series, settings
from inv_jax.report.blocks import Cell, Line, Table
from inv_jax.report.runs import Run
from inv_jax.report.series import Scored

_DECIMALS = {
    "psnr": 2,
    "psnr_dynamic": 2,
    "psnr_static": 2,
    "ssim": 3,
    "ms_ssim": 3,
    "lpips": 3,
    "flip": 3,
}
NONE = Cell(settings.ABSENT)


def number(name: str, value: float | None) -> str:
    """A metric's value, as short as comparing wants it."""
    return settings.ABSENT if value is None else f"{value:.{_DECIMALS.get(name, 3)}f}"


def heading(name: str) -> str:
    """`PSNR, dB`."""
    found = quantity(name)
    return f"{found.label}, {found.unit}" if found.unit else found.label


def quality(group: Sequence[Scored]) -> Table | None:
    """Mean, median and worst frame of each metric; None if nothing was measured.

    Runs are compared over the frames that all of them have; where there is none, each is summed
    up over its own.
    """
    names, lines = series.metrics_of(group), []
    if not names:
        return None
    common = {name: series.common_frames(group, name) for name in names}
    for one in group:
        cells = []
        for name in names:
            values = one.values(name)
            chosen = {n: values[n] for n in common[name] or values}
            cells += _three(name, chosen, _best(group, name, common[name]))
        lines.append(Line(one.run.name, cells, one.run.number))
    headings = ["run", *("mean", "median", "worst") * len(names)]
    shared = common[names[0]]
    over = f"Over {series.span(shared)}" if shared else "Each run over its own frames"
    which = ", which all runs have" if shared and len(group) > 1 else ""
    caption = f"{over}{which}. Beside the worst value: its frame."
    return Table(headings, lines, caption, groups=[(heading(name), 3) for name in names])


def _best(group: Sequence[Scored], name: str, frames: Sequence[int]) -> float | None:
    """The best mean of several runs over the same frames."""
    means = [series.mean(one.values(name), frames) for one in group]
    found = [value for value in means if value is not None]
    if len({number(name, value) for value in found}) < 2:
        return None
    return max(found) if quantity(name).higher_is_better else min(found)


def _three(name: str, values: dict[int, float], best: float | None) -> list[Cell]:
    if not values:
        return [NONE] * 3
    pick = min if quantity(name).higher_is_better else max
    worst = pick(values, key=lambda n: values[n])
    mean = statistics.fmean(values.values())
    return [
        Cell(
            number(name, mean),
            is_best=best is not None and number(name, mean) == number(name, best),
        ),
        Cell(number(name, statistics.median(values.values()))),
        Cell(number(name, values[worst]), note=str(worst)),
    ]


def cost(group: Sequence[Scored]) -> Table:
    """Frames, time and bytes of each run."""
    headings = ["run", "", "mean", "longest", "in all", "a frame", "bits a param", "shared",
                "in all"]  # fmt: skip
    groups = [("frames", 1), ("seconds a frame", 3), ("stored", 4)]
    lines = []
    for run in (one.run for one in group):
        seconds = [row["seconds"] for row in run.rows.values() if row.get("seconds") is not None]
        color, own = sum(run.color_bytes.values()), list(run.frame_bytes.values())
        sets = f"{len(run.color_bytes)} sets" if len(run.color_bytes) != 1 else "1 set"
        cells = [
            Cell(str(len(run.all_frames))),
            Cell(f"{statistics.fmean(seconds):,.1f}") if seconds else NONE,
            Cell(f"{max(seconds):,.1f}") if seconds else NONE,
            Cell(words.duration(sum(seconds))) if seconds else NONE,
            Cell(words.size(statistics.fmean(own))) if own else NONE,
            NONE if run.bits_per_param is None else Cell(f"{run.bits_per_param:.3g}"),
            Cell(words.size(color), sets) if color else NONE,
            Cell(words.size(color + sum(own))) if own else NONE,
        ]
        lines.append(Line(run.name, cells, run.number))
    note = (
        "All frames of each run. Time is that of training; bytes are those of the params on disk, "
        "of a video those of its packets: what is a frame's own, and what several frames may share "
        "(colors, a static field)."
    )
    return Table(headings, lines, note, groups=groups)


def differing(runs: Sequence[Run]) -> Table | None:
    """The settings in which runs differ; None if there are none."""
    found = settings.differing(runs)
    if not found:
        return None
    names = ["setting", *(run.name for run in runs)]
    return Table(names, [Line(field, [*map(Cell, found[field])]) for field in found])


def all_settings(runs: Sequence[Run]) -> Table:
    """All settings that had an effect."""
    fields = [settings.effective(run) for run in runs]
    names = sorted({name for one in fields for name in one})
    lines = [
        Line(name, [Cell(settings.text(one[name])) if name in one else NONE for one in fields])
        for name in names
    ]
    return Table(["setting", *(run.name for run in runs)], lines, summary="All settings")


def provenance(runs: Sequence[Run]) -> Table:
    """Versions and devices."""
    names = sorted({name for run in runs for name in run.provenance})
    lines = [Line("path", [Cell(str(run.path)) for run in runs])]
    lines += [
        Line(name, [Cell(run.provenance.get(name, settings.ABSENT)) for run in runs])
        for name in names
    ]
    headings = ["", *(run.name for run in runs)]
    return Table(headings, lines, summary="Versions and devices")
