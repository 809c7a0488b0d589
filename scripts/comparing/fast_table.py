"""Tables and a plot of the fast field's quality: a row for each run, means over seeds, changes."""

import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from comparing.ablations import DEFAULT
from inv_jax.eval import report
from inv_jax.report import style

Row = Mapping[str, Any]
Series = Mapping[int, float]  # by frame

_NAMED = ("capture", "method", "budget", "seed", "frames")
_QUALITY = (
    *("psnr", "psnr_first", "psnr_last", "ssim", "flip", "lpips", "training"),
    *("changed", "changed_first", "changed_last", "training_changed", "flicker", "flicker_truth"),
)
_SECONDS = ("steps_seconds", "frame_seconds", "warmup_seconds")
# Of changes: the default's value, and behind it by how much each variant differs.
_ABLATED = ("psnr", "changed", "training", "ssim", "flip", "flicker")
_RUN = ("capture", "method", "budget")
_RATED = ("capture", "budget", "codec", "fidelity", "way")
_RATES = ("frame_bytes", "largest_bytes", "key_bytes", "psnr")
_LOSSES = ("lost", "most_lost")
_DECODING = {"frame_ms": "predicted_cpu_seconds", "key_ms": "key_cpu_seconds"}  # by column
MEAN = "mean"


def table(rows: Sequence[Row], shared_machine: bool = False) -> str:
    """A row for each run; behind those of several seeds, their mean.

    Args:
      rows: Those of `fast_measures.summary`.
      shared_machine: Says so of the seconds, which others' work then made longer.
    """
    shown: list[Row] = []
    for mine in _groups(rows):
        shown += mine
        if len(mine) > 1:
            means = {name: _mean(mine, name) for name in (*_QUALITY, *_SECONDS)}
            shown.append({**mine[0], "seed": MEAN, **means})
    columns = [*_NAMED, *_QUALITY, *_SECONDS]
    shown = [{**row, "seed": str(row["seed"])} for row in shown]
    columns = [name for name in columns if any(row.get(name) is not None for row in shown)]
    text = report.format_table(shown, columns, has_summary=False)
    note = "\nSeconds on a machine that other work shared." if shared_machine else ""
    return f"{text}{note}"


def changes(rows: Sequence[Row]) -> str:
    """For each capture what every variant makes of the default: means of differences, by seed.

    `d psnr` is the mean over the seeds that both have, `d psnr by seed` each of them; where they
    have different signs, the difference is not more than what seeds do.

    Args:
      rows: Those of `fast_measures.summary`, of the default (`ablations.DEFAULT`) and of variants.
    """
    found: list[dict[str, Any]] = []
    for mine in _groups(rows):
        name, capture = mine[0]["method"], mine[0]["capture"]
        line = {"capture": capture, "variant": name, "seeds": len(mine)}
        line |= {quantity: _mean(mine, quantity) for quantity in _ABLATED}
        if name != DEFAULT:
            pairs = _pairs(mine, rows)
            line["d psnr by seed"] = " ".join(f"{d:+.2f}" for d in _differences(pairs, "psnr"))
            for quantity in _ABLATED:
                if differences := _differences(pairs, quantity):
                    line[f"d {quantity}"] = f"{statistics.fmean(differences):+.3g}"
        found.append({**line, "seconds": _mean(mine, "steps_seconds")})
    order = [row["capture"] for row in found]
    found.sort(key=lambda row: order.index(row["capture"]))
    columns = ("capture", "variant", "seeds", "psnr", "d psnr", "d psnr by seed", "d changed")
    columns += ("d training", "d ssim", "d flip", "flicker", "d flicker", "seconds")
    return report.format_table(found, columns, has_summary=False)


def rates(rows: Sequence[Row]) -> str:
    """Bytes against PSNR that is lost, a line for each setting of a codec and seed, and their mean.

    Args:
      rows: Those of `comparing/fast_rates.py`.
    """
    shown: list[Row] = []
    for mine in _groups(rows, _RATED):
        shown += mine
        if len(mine) > 1:
            means = {name: _mean(mine, name) for name in (*_RATES, *_LOSSES, *_DECODING.values())}
            shown.append({**mine[0], "seed": MEAN, **means})
    shown = [
        {
            **row,
            "seed": str(row["seed"]),
            **{name: f"{row[name]:.3f}" for name in _LOSSES},
            **{name: _milliseconds(row.get(seconds)) for name, seconds in _DECODING.items()},
        }
        for row in shown
    ]
    columns = (*_RATED, "seed", "frames", *_RATES, *_LOSSES, *_DECODING)
    return report.format_table(shown, columns, has_summary=False)


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1e3 * seconds:.1f}"


def _groups(rows: Sequence[Row], same: Sequence[str] = _RUN) -> list[list[Row]]:
    """The rows that are alike in these columns, over seeds, in their order."""
    found: dict[tuple, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in same), []).append(row)
    return list(found.values())


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return statistics.fmean(values) if values else None


def _pairs(variant: Sequence[Row], rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each row of a variant, and the default's of its capture, budget and seed."""
    same = ("capture", "budget", "seed")
    defaults = {tuple(row[name] for name in same): row for row in rows if row["method"] == DEFAULT}
    keys = [tuple(row[name] for name in same) for row in variant]
    return [(row, defaults[key]) for row, key in zip(variant, keys, strict=True) if key in defaults]


def _differences(pairs: Sequence[tuple[Row, Row]], name: str) -> list[float]:
    return [
        row[name] - default[name]
        for row, default in pairs
        if row.get(name) is not None and default.get(name) is not None
    ]


def as_markdown(text: str) -> str:
    """A table of plain text as one of Markdown; its lines without columns stay as they are."""
    head, rule, *body = text.splitlines()
    spans = [match.span() for match in re.finditer("-+", rule)]
    lines = []
    for line in (head, rule, *body):
        is_row = len(line) == len(rule)
        cells = [line[first:end] for first, end in spans]
        lines.append(f"| {' | '.join(cells)} |" if is_row else f"\n{line}")
    return "\n".join(lines)


def draw(series: Sequence[tuple[Row, Series]], path: pathlib.Path) -> None:
    """PSNR of the held-out cameras over the frames, a plot for each capture, a line for each
    method and budget (means over seeds); captures of one frame are left out.

    Args:
      series: Rows as above, each with its PSNR by frame.
      path: Of the PNG.
    """
    moving = [(row, one) for row, one in series if len(one) > 1]
    captures = list(dict.fromkeys(row["capture"] for row, _ in moving))
    if not captures:
        return
    lines = list(dict.fromkeys((row["method"], row["budget"]) for row, _ in moving))
    figure, panels = style.new_figure(columns=len(captures), width=1.0 + 4.4 * len(captures))
    for axes, capture in zip(panels, captures, strict=True):
        for number, line in enumerate(lines):
            mine = [
                one
                for row, one in moving
                if row["capture"] == capture and (row["method"], row["budget"]) == line
            ]
            if not mine:
                continue
            frames = sorted(set.intersection(*(set(one) for one in mine)))
            psnr = [statistics.fmean(one[frame] for one in mine) for frame in frames]
            label = ", ".join(line)
            axes.plot(frames, psnr, label=label, **style.line(number, count=len(frames)))
        style.title(axes, capture, x="frame", y="held-out PSNR, dB")
        style.whole_numbers(axes)
        style.label_lines(axes)
    style.write_png(figure, path)
