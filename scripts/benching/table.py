"""The rows of all benches as one table of Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inv_jax.cost import words

Row = Mapping[str, Any]
Cell = Callable[[Row], str]


def markdown(report: Mapping[str, Any]) -> str:
    """One table: a line per row that is a case, and what became of each bench."""
    versions = report["versions"]
    lines = [
        f"{report['device']}, {report['cores']} cores, jax {versions['jax']}, {report['date']}.",
        f"`{report['command']}`",
        "",
        _line([name for name, _ in _COLUMNS]),
        _line(["---"] * len(_COLUMNS)),
    ]
    for bench in report["benches"]:
        for row in bench["rows"]:
            if row.get("bench") in _SHOWN:
                lines.append(_line([cell(row) for _, cell in _COLUMNS]))
    lines += ["", "| bench | status | seconds | command |", "| --- | --- | --- | --- |"]
    for bench in report["benches"]:
        cells = [bench["name"], bench["status"], f"{bench['seconds']:.0f}", f"`{bench['command']}`"]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _seconds(name: str) -> Cell:
    return lambda row: words.duration(row[name]) if name in row else "-"


def _fraction(name: str) -> Cell:
    return lambda row: f"{row[name]:.2f}" if name in row else "-"


def _time(row: Row) -> str:
    for name in ("seconds", "gap_seconds_max", "gap_seconds", "step_seconds"):
        if name in row:
            return words.duration(row[name])
    return "-"


def _rate(row: Row) -> str:
    if "flops_per_second" in row:
        return words.quantity(row["flops_per_second"], "FLOP/s")
    return "-"


def _operations(row: Row) -> str:
    """Counted, and by the compiler."""
    if "flops" not in row:
        return "-"
    counted = words.quantity(row["flops"], "")
    # On a GPU the compiler's count of what runs lacks what its libraries compute.
    compilers = max(row.get("flops_compiler", 0.0), row.get("flops_written", 0.0))
    return f"{counted}/ {words.quantity(compilers, '')}" if compilers else counted


def _moved(row: Row) -> str:
    if "bytes_fused" not in row:
        return "-"
    parts = [row.get(name) for name in ("bytes_fused", "bytes_unfused", "bytes_compiler")]
    return " / ".join(words.size(part) for part in parts if part is not None)


def _rays(row: Row) -> str:
    return words.quantity(row["rows_per_second"], "rays/s") if "rows_per_second" in row else "-"


def _remark(row: Row) -> str:
    """What only some benches have to say."""
    parts = []
    if "full_image_seconds" in row:
        parts.append(f"1352x1014: {words.duration(row['full_image_seconds'])}")
    if "gap_fraction" in row:
        parts.append(f"longest gap; {100 * row['gap_fraction']:.2g}% of a frame")
    if "speedup" in row:
        parts.append(f"speedup {row['speedup']:.2f} of {row['ideal_speedup']:.3g}")
    if "gain" in row:
        parts.append(f"{row['gain']:.2f} times one by one")
    if "growth_bytes_per_frame" in row:
        sign = "-" if row["growth_bytes_per_frame"] < 0 else "+"
        parts.append(f"{sign}{words.size(abs(row['growth_bytes_per_frame']))} a frame")
    if "steps_per_second" in row and row["bench"] == "image":
        parts.append(words.quantity(row["steps_per_second"], "steps/s"))
    if "goal" in row and "matrix_fraction" in row:
        is_met = row["matrix_fraction"] >= row["goal"]
        parts.append(f"goal {row['goal']:.2g} {'met' if is_met else 'missed'}")
    if "busy_seconds" in row:
        parts.append(
            f"products {words.duration(row['product_seconds'])}, else "
            f"{words.duration(row['other_seconds'])}, {row['kernels']} kernels"
        )
    if "steps" in row and row["bench"] == "frame":
        parts.append(f"gap {words.duration(row['gap_seconds'])}" if "gap_seconds" in row else "")
    if "device_peak_bytes" in row:
        parts.append(f"device peak {words.size(row['device_peak_bytes'])}")
    elif "peak_bytes" in row:
        parts.append(f"host peak {words.size(row['peak_bytes'])}")
    return "; ".join(part for part in parts if part)


_SHOWN = (
    *("step", "image", "nerv", "decode", "trace", "render", "scaling", "frame", "frames"),
    *("pipeline", "memory"),
)
_COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("bench", lambda row: str(row["bench"])),
    ("case", lambda row: str(row.get("case", "-"))),
    ("time", _time),
    ("rays/s", _rays),
    ("FLOP counted / compiler", _operations),
    ("FLOP/s", _rate),
    ("bytes fused / unfused / compiler", _moved),
    ("products alone", _seconds("products_seconds")),
    ("fraction", _fraction("fraction")),
    ("of the matrix rate", _fraction("matrix_fraction")),
    ("floor", _seconds("floor_seconds")),
    ("floor fraction", _fraction("floor_fraction")),
    ("remark", _remark),
)
