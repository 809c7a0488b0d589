"""Cells of a comparison: one method, one seed, one budget, and what was measured; shown together.

A cell is a flat dict, one JSON line: `method`, `seed`, `steps` and `seconds` a frame (the median;
`seconds_min` of the fastest one), `seconds_before` (of all training before those frames), and means
over the frames of `psnr`, `psnr_dynamic`, `psnr_static`, `ssim`, `flicker`, `flicker_truth`.
"""

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from inv_jax.eval import report
from inv_jax.report import style
from inv_jax.types import InvError

Cell = Mapping[str, Any]

BENCH = "compare_split"  # a cell's `bench`
MEASURED = ("psnr", "psnr_dynamic", "psnr_static", "ssim", "flicker", "flicker_truth")
_TIMES = ("seconds", "seconds_before")
_PANELS = {
    "psnr_dynamic": ("Dynamic pixels", "PSNR, dB"),
    "psnr": ("All pixels", "PSNR, dB"),
    "flicker": ("Flicker, static pixels", "levels of 255"),
}


def read(paths: Sequence[pathlib.Path]) -> list[dict[str, Any]]:
    """The cells in files, such as what `compare_split.py` printed; other lines count for nothing.

    Of a cell that is there several times the last one counts.

    Raises:
      InvError: If a file cannot be read, or has none.
    """
    found: dict[tuple, dict[str, Any]] = {}
    for path in paths:
        try:
            lines = [line for line in path.read_text().splitlines() if line.startswith("{")]
            cells = [row for row in map(json.loads, lines) if row.get("bench") == BENCH]
        except (OSError, ValueError) as error:
            raise InvError(f"--cells={path}: {' '.join(str(error).split())}") from error
        if not cells:
            raise InvError(f'--cells={path}: no line of it is a cell ({{"bench": "{BENCH}", ...}})')
        found |= {(cell["method"], cell["steps"], cell["seed"]): cell for cell in cells}
    return list(found.values())


def undisturbed(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The cells with times as if a method's steps had all been as fast as its fastest ones.

    A step takes as long with any budget; where other work shared the machine, some take longer.
    """
    fastest: dict[str, float] = {}
    for cell in cells:
        step = cell.get("seconds_min", cell["seconds"]) / cell["steps"]
        fastest[cell["method"]] = min(step, fastest.get(cell["method"], step))
    return [{**cell, "seconds": cell["steps"] * fastest[cell["method"]]} for cell in cells]


def means(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A row for each method and budget: means over its seeds, which `seeds` lists."""
    rows = []
    for method, steps in dict.fromkeys((cell["method"], cell["steps"]) for cell in cells):
        mine = [cell for cell in cells if (cell["method"], cell["steps"]) == (method, steps)]
        seeds = sorted(cell["seed"] for cell in mine)
        row = {"method": method, "steps": steps, "seeds": ",".join(map(str, seeds))}
        for name in (*_TIMES, *MEASURED):
            values = [cell[name] for cell in mine if cell.get(name) is not None]
            row[name] = statistics.fmean(values) if values else None
        rows.append(row)
    order = list(dict.fromkeys(row["method"] for row in rows))
    return sorted(rows, key=lambda row: (order.index(row["method"]), row["steps"]))


def at_equal_time(rows: Sequence[Cell]) -> list[dict[str, Any]]:
    """What each method reaches in the times that the first one takes for its budgets.

    Args:
      rows: Those of `means`.

    Returns:
      A row for each time and method, interpolated over the logarithm of the time; none where a
      method was not given so little or so much.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = []
    for seconds in [row["seconds"] for row in rows if row["method"] == methods[0]]:
        for method in methods:
            mine = [row for row in rows if row["method"] == method]
            row = {"seconds": seconds, "method": method}
            row |= {name: _at(mine, name, seconds) for name in MEASURED[:-1]}
            if any(row[name] is not None for name in MEASURED[:-1]):
                found.append(row)
    return found


def _at(rows: Sequence[Cell], name: str, seconds: float) -> float | None:
    x, y = _points(rows, name)
    if not x:
        return None
    value = np.interp(np.log(seconds), np.log(x), y, left=np.nan, right=np.nan)
    return None if np.isnan(value) else float(value)


def _points(rows: Sequence[Cell], name: str) -> tuple[list[float], list[float]]:
    """Times, in order, and what was measured."""
    points = sorted((row["seconds"], row[name]) for row in rows if row.get(name) is not None)
    return [x for x, _ in points], [y for _, y in points]


def table(cells: Sequence[Cell]) -> str:
    """At equal steps and at equal time, and how far seeds lie apart."""
    rows = means(cells)
    columns = ("method", "steps", "seeds", *_TIMES, *MEASURED)
    parts = [report.format_table(rows, columns, has_summary=False)]
    equal = at_equal_time(rows)
    if len({row["method"] for row in equal}) > 1:
        text = f"In the time that {rows[0]['method']} takes (interpolated over log seconds):"
        columns = ("seconds", "method", *MEASURED[:-1])
        parts += ["", text, report.format_table(equal, columns, has_summary=False)]
    said = [f"{report.quantity(name).label} {apart:.3g}" for name, apart in spread(cells).items()]
    if said:
        parts += ["", f"Seeds of one method and budget lie apart by at most: {', '.join(said)}"]
    return "\n".join(parts)


def spread(cells: Sequence[Cell]) -> dict[str, float]:
    """By quantity, the widest range over the seeds of one method and budget; none of one seed."""
    widest: dict[str, float] = {}
    for method, steps in dict.fromkeys((cell["method"], cell["steps"]) for cell in cells):
        mine = [cell for cell in cells if (cell["method"], cell["steps"]) == (method, steps)]
        for name in _PANELS:
            values = [cell[name] for cell in mine if cell.get(name) is not None]
            if len(values) > 1:
                widest[name] = max(widest.get(name, 0.0), max(values) - min(values))
    return widest


def draw(cells: Sequence[Cell], path: pathlib.Path, title: str = "") -> None:
    """What is reached over training time, a line for each method; faint dots are single seeds."""
    rows = means(cells)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, panels = style.new_figure(columns=len(_PANELS), width=11.0, height=3.6)
    figure.get_layout_engine().set(wspace=0.06)
    for axes, (name, (text, unit)) in zip(panels, _PANELS.items(), strict=True):
        for number, method in enumerate(methods):
            x, y = _points([row for row in rows if row["method"] == method], name)
            axes.plot(x, y, label=method, **style.line(number, count=len(x)))
            mine = [cell for cell in cells if cell["method"] == method]
            if len({cell["seed"] for cell in mine}) > 1:
                dots = {"color": style.color(number), "markersize": 2.0, "alpha": 0.5}
                axes.plot(*_points(mine, name), "o", **dots)
        style.title(axes, text, x="training seconds a frame", y=unit)
        _log_seconds(axes)
    truth = [row["flicker_truth"] for row in rows if row["flicker_truth"] is not None]
    if truth:
        dashes = {"color": style.LIGHT.faint, "linestyle": "--", "linewidth": 1.0}
        panels[-1].axhline(statistics.fmean(truth), label="truth", **dashes)
        panels[-1].set_ylim(bottom=0.0)
    lines, labels = panels[-1].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    if title:
        figure.suptitle(title, fontsize=10.0, x=0.01, ha="left")
    style.write_png(figure, path)


def _log_seconds(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
