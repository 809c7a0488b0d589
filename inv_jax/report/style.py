"""How our plots look: colors, type and lines, for figures of any kind.

    figure, (axes,) = style.new_figure(columns=1)
    axes.plot(frames, psnr, **style.line(0))
    style.label_lines(axes)
    style.write_png(figure, path)

Figures are made without pyplot, so nothing is global and any thread may draw. The colors are those
of Okabe and Ito (Color Universal Design, 2008), which people with any color vision tell apart, in
an order in which neighbors differ in lightness too; their yellow is left out, for it fades on
white. On a dark page the same hues are lighter.
"""

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from inv_jax.data import files

DPI = 160
WIDTH = 7.2  # inches, of a figure as wide as the page
_FONT_SIZE = 9.0  # points
_TITLE_SIZE = 10.0
_LINE_WIDTH = 1.6
_DASHES = ("-", "--", ":", "-.")  # once all colors are taken
_LABEL_GAP = 1.25  # least distance of two labels, in lines


@dataclasses.dataclass(frozen=True)
class Theme:
    """The colors of a figure."""

    background: str
    text: str
    faint: str  # axes, ticks and what stands beside
    grid: str
    lines: tuple[str, ...]


LIGHT = Theme(
    background="#ffffff",
    text="#1b1f24",
    faint="#59626d",
    grid="#e3e6ea",
    lines=("#0072b2", "#d55e00", "#009e73", "#b5568a", "#c98500", "#3f97cf", "#6b7280"),
)
DARK = Theme(
    background="#16191d",
    text="#e6e8eb",
    faint="#a0a8b2",
    grid="#2b3036",
    lines=("#56b4e9", "#f08a4b", "#3ccf9f", "#e39bc8", "#e6b23c", "#9ad0f5", "#b3bac4"),
)


def color(number: int, theme: Theme = LIGHT) -> str:
    """The color of the nth thing; the same in every figure that shows it."""
    return theme.lines[number % len(theme.lines)]


def line(number: int, theme: Theme = LIGHT, *, count: int = 0) -> dict[str, Any]:
    """Keywords of `Axes.plot` for the nth thing.

    Args:
      number: From 0; beyond the number of colors they come again, dashed.
      theme: The figure's.
      count: Of points; up to 40 are marked, so that a single one is seen.
    """
    dashes = _DASHES[number // len(theme.lines) % len(_DASHES)]
    marks = {"marker": "o", "markersize": 3.2 if count > 1 else 5.0} if 0 < count <= 40 else {}
    return {
        "color": color(number, theme),
        "linestyle": dashes,
        "linewidth": _LINE_WIDTH,
        "solid_capstyle": "round",
        **marks,
    }


def new_figure(
    *,
    rows: int = 1,
    columns: int = 1,
    width: float = WIDTH,
    height: float = 2.9,
    theme: Theme = LIGHT,
    **subplots: Any,
) -> tuple[Figure, list[Axes]]:
    """An empty figure in our style.

    Args:
      rows: Of plots.
      columns: Of plots.
      width: In inches.
      height: In inches, of one row.
      theme: Colors.
      **subplots: As of `Figure.subplots`, such as `sharey=True`.

    Returns:
      The figure and its plots, row by row.
    """
    figure = Figure(
        figsize=(width, rows * height), dpi=DPI, facecolor=theme.background, layout="constrained"
    )
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.1, hspace=0.06)
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False, **subplots)))
    for one in axes:
        _restyle(one, theme)
    return figure, axes


def _restyle(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.background)
    axes.grid(visible=True, axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.faint, labelsize=_FONT_SIZE, length=3, width=0.8)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(theme.faint)
        spine.set_linewidth(0.8)
    for text, size in (
        (axes.title, _TITLE_SIZE),
        (axes.xaxis.label, _FONT_SIZE),
        (axes.yaxis.label, _FONT_SIZE),
    ):
        text.set_color(theme.text if text is axes.title else theme.faint)
        text.set_fontsize(size)
    axes.margins(x=0.02, y=0.08)


def title(axes: Axes, text: str, *, x: str = "", y: str = "") -> None:
    """A title at the left, and what the axes count; keeps the theme's colors and sizes."""
    axes.set_title(text, loc="left", color=axes.title.get_color(), fontsize=_TITLE_SIZE)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def whole_numbers(axes: Axes) -> None:
    """Ticks of the horizontal axis at whole numbers, as of frames."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))


def label_lines(axes: Axes) -> None:
    """Writes each line's label right of its last point, in its color; labels keep apart.

    Nothing is written for lines without a label, or without a finite point. Call it behind the
    axes' limits and scales, for the places of labels are those of the moment.
    """
    labelled = []
    for one in axes.get_lines():
        text, values = str(one.get_label()), np.asarray(one.get_ydata(), float)
        seen = np.flatnonzero(np.isfinite(values))
        if text and not text.startswith("_") and seen.size:
            labelled.append((one, text, float(values[seen[-1]])))
    if not labelled:
        return
    to_pixels, back = axes.transData, axes.transAxes.inverted()
    height = axes.get_window_extent().height
    apart = _LABEL_GAP * _FONT_SIZE * axes.get_figure().dpi / 72 / height
    wanted = [
        back.transform(to_pixels.transform((axes.get_xlim()[0], value)))[1]
        for _, _, value in labelled
    ]
    for (one, text, _), y in zip(labelled, spread(wanted, apart), strict=True):
        axes.annotate(
            text,
            xy=(1.0, y),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            color=one.get_color(),
            fontsize=_FONT_SIZE,
            va="center",
        )


def spread(places: list[float], apart: float) -> list[float]:
    """The places nearest to the given ones (least squares) that are `apart`, in the same order."""
    order = np.argsort(places, kind="stable")
    steps = apart * np.arange(len(places))
    moved = isotonic_regression(np.array(places)[order] - steps).x + steps
    result = np.empty(len(places))
    result[order] = moved
    return result.tolist()


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def write_png(figure: Figure, path: pathlib.Path) -> None:
    """Writes the figure, whole or not at all; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_bytes(png(figure))
