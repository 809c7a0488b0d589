"""What `inv-jax eval` says: a table for people, JSON for programs.

Rows are the journal's, or look like them: scalars by name, None where there is no number.
"""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from inv_jax.data import files

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Quantity:
    """How a number is called, written and judged."""

    label: str
    unit: str = ""
    decimals: int | None = None  # None: as the number is
    higher_is_better: bool = False


QUANTITIES = {
    "psnr": Quantity("PSNR", "dB", 3, higher_is_better=True),
    "psnr_dynamic": Quantity("PSNR dynamic", "dB", 3, higher_is_better=True),
    "psnr_static": Quantity("PSNR static", "dB", 3, higher_is_better=True),
    "psnr_of_field": Quantity("of the field", "dB", 2, higher_is_better=True),
    "psnr_lost": Quantity("lost", "dB", 3),
    "ssim": Quantity("SSIM", "", 4, higher_is_better=True),
    "ms_ssim": Quantity("MS-SSIM", "", 4, higher_is_better=True),
    "lpips": Quantity("LPIPS", "", 4),
    "flip": Quantity("FLIP", "", 4),
    "flicker": Quantity("flicker", "/255", 3),
    "flicker_truth": Quantity("of truth", "/255", 3),
    "seconds": Quantity("seconds", "", 1),
    "rows_per_second": Quantity("rows/s", higher_is_better=True),
    "rays_per_second": Quantity("rays/s", higher_is_better=True),  # of older runs
    "steps_per_second": Quantity("steps per second", higher_is_better=True),
}
_SUMMARISED = {"mean": statistics.fmean, "median": statistics.median}
_NAMES = ("frame", "cam", "step")  # numbers that count nothing: a mean of them says nothing


def quantity(name: str) -> Quantity:
    """What is known of a column; of others, its name."""
    return QUANTITIES.get(name, Quantity(name.replace("_", " ")))


def summary(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean, median and worst of each numeric column.

    Args:
      rows: Scalars by name; a column may be absent from a row, or None in it.
      columns: Which to look at; those without numbers, and frame and camera, are left out.

    Returns:
      `{'mean': {column: value}, 'median': ..., 'worst': ...}` over the rows that have a number.
      The worst PSNR, SSIM or speed is the lowest, the worst of anything else the highest.
    """
    numbers = {name: [row[name] for row in rows if _is_number(row.get(name))] for name in columns}
    numbers = {k: v for k, v in numbers.items() if v and k not in _NAMES}
    result = {
        label: {name: statistic(values) for name, values in numbers.items()}
        for label, statistic in _SUMMARISED.items()
    }
    result["worst"] = {
        name: min(values) if quantity(name).higher_is_better else max(values)
        for name, values in numbers.items()
    }
    return result


def format_table(rows: Sequence[Row], columns: Sequence[str], *, has_summary: bool = True) -> str:
    """The rows as aligned plain text, under them their mean, median and worst.

    Args:
      rows: Scalars by name; what is absent or None shows as '-'.
      columns: Names of the columns, in order; the first one should name the row.
      has_summary: False leaves mean, median and worst out.

    Returns:
      Lines of one width without escape codes, the same on a terminal and in a log file.
    """
    header = [f"{quantity(name).label} {quantity(name).unit}".rstrip() for name in columns]
    body = [[_cell(name, row.get(name)) for name in columns] for row in rows]
    foot = [
        [label, *(_cell(name, values[name]) if name in values else "" for name in columns[1:])]
        for label, values in summary(rows, columns).items()
        if values and has_summary
    ]
    widths = [max(map(len, cells)) for cells in zip(header, *body, *foot, strict=True)]
    is_text = [any(isinstance(row.get(name), str) for row in rows) for name in columns]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(cells, widths, is_text, strict=True)
        )

    rule = "  ".join("-" * width for width in widths)
    lines = [line(header), rule, *map(line, body)]
    return "\n".join([*lines, rule, *map(line, foot)] if foot else lines)


def write_json(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes the rows as a JSON list, whole or not at all; NaN and infinity become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([files.json_row(row) for row in rows], indent=1, allow_nan=False)
    with files.replacing(path) as temporary:
        temporary.write_text(text + "\n")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if not _is_number(value):
        return str(value)
    if name in _NAMES:
        return str(value)
    if (decimals := quantity(name).decimals) is not None:
        return f"{value:.{decimals}f}"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
