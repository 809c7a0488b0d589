"""One page of plots: for each run, change, swap and training of its layers.

A run has a row for each of its networks and views, whichever are more: two for a radiance field.
"""

import itertools
import statistics
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from inv_jax.partition.choices import ALL, FIRST, LAST, NONE, RANDOM
from inv_jax.partition.findings import FRAMES, STILL, SWAP, TRAIN, Findings
from inv_jax.report import style

_WIDTH, _HEIGHT = 12.0, 2.7  # inches, of the page and of one row
_LINE_LENGTH = 125  # letters of a run's label
_COLORS = {FIRST: style.color(0), LAST: style.color(1), RANDOM: style.color(6)}
_STRUCTURE = "#dbe9f4"  # behind the layers that are stored per frame
_NAMES = {FIRST: "the first n layers", LAST: "the last n", RANDOM: "n random ones"}


def draw(findings: Sequence[Findings]) -> Figure:
    """The page; of what was not measured the axes stay empty."""
    heights = [max(len(one.networks), len(one.views()), 1) for one in findings]
    figure, axes = style.new_figure(rows=sum(heights), columns=3, width=_WIDTH, height=_HEIGHT)
    places = iter([axes[first : first + 3] for first in range(0, len(axes), 3)])
    for one, height in zip(findings, heights, strict=True):
        rows = list(itertools.islice(places, height))
        for (change, _, _), network in zip(rows, one.networks, strict=False):
            _draw_change(change, one, network)
        for (_, swap, train), view in zip(rows, one.views(), strict=False):
            _draw_pictures(swap, one, SWAP, view)
            _draw_pictures(train, one, TRAIN, view)
        _label_run(rows[0], [one.label, *(f"caveat: {text}" for text in one.caveats)])
    for one in axes:
        if not one.has_data():
            one.set_axis_off()
    _legend(figure)
    return figure


def _label_run(row: Sequence[Axes], texts: Sequence[str]) -> None:
    """Writes lines above a row of plots, across all of them."""
    lines = [line for text in texts for line in textwrap.wrap(text, _LINE_LENGTH)]
    title = row[0].get_title("left")
    style.title(row[0], "\n" * (len(lines) + 1) + title, y=row[0].get_ylabel())  # makes room
    label = row[0].annotate(
        "\n".join(lines),
        xy=(0.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 24),
        textcoords="offset points",
        fontsize=11,
        fontweight="bold",
        color=style.LIGHT.text,
        annotation_clip=False,
    )
    label.set_in_layout(False)  # it may be wider than the plot below


def _draw_change(axes: Axes, findings: Findings, network: str) -> None:
    """Relative change of each layer: between frames, and by as many steps on the same images."""
    numbers = list(range(len(findings.layers)))
    if findings.structure and findings.structure == numbers[: len(findings.structure)]:
        axes.axvspan(-0.5, len(findings.structure) - 0.5, color=_STRUCTURE, linewidth=0, zorder=0)
    for kind, shift, fill in ((FRAMES, -0.17, None), (ALL, 0.0, "white"), (STILL, 0.17, "white")):
        found = [findings.change(kind, network, number) for number in numbers]
        if not any(found):
            continue
        centers = [statistics.median(values) if values else float("nan") for values in found]
        places = [number + shift for number in numbers]
        color = _change_color(kind)
        axes.plot(
            places,
            centers,
            linestyle="none",
            marker="o",
            markersize=5,
            color=color,
            markerfacecolor=fill or color,
        )
        quartiles = [
            np.quantile(values, (0.25, 0.75)) if values else (0.0, 0.0) for values in found
        ]
        axes.vlines(places, *zip(*quartiles, strict=True), color=color, linewidth=1.2, zorder=1)
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.6, len(numbers) - 0.4)
    names = [name.removeprefix("layer_") for name in findings.layers]
    axes.set_xticks(numbers, names, rotation=45, ha="right", rotation_mode="anchor")
    style.title(axes, f"Change of each layer, {network} network", y="part of its norm")


def _change_color(kind: str) -> str:
    return {FRAMES: style.LIGHT.text, ALL: style.color(3), STILL: style.color(2)}[kind]


def _draw_pictures(axes: Axes, findings: Findings, what: str, view: str) -> None:
    """PSNR over how many layers were swapped or trained."""
    measure, everything = findings.measure(), len(findings.layers)
    low = findings.psnrs(what, NONE, 0, view, measure)
    high = findings.psnrs(what, ALL, everything, view, measure)
    for kind, color in _COLORS.items():
        points = {
            n: findings.psnrs(what, kind, n, view, measure) for n in findings.counts(what, kind)
        }
        points = {n: values for n, values in points.items() if values}
        if not points:
            continue
        lines = {n: statistics.fmean(values) for n, values in points.items()}
        if kind != RANDOM:  # from nothing to everything
            lines |= {0: statistics.fmean(low)} if low else {}
            lines |= {everything: statistics.fmean(high)} if high else {}
        xs = sorted(lines)
        axes.plot(
            xs, [lines[n] for n in xs], color=color, linewidth=1.6, marker="o", markersize=3.5
        )
        for n, values in points.items():
            if len(values) > 1:
                axes.plot([n] * len(values), values, "_", color=color, markersize=7, zorder=1)
    end = "the donor itself" if what == SWAP else "all layers trained"
    levels = [(low, "the base as it is"), (high, end)]
    _draw_levels(axes, [(statistics.fmean(values), name) for values, name in levels if values])
    axes.set_xlim(-0.4, everything + 0.4)
    axes.set_xticks(range(0, everything + 1, 1 if everything <= 12 else 2))
    axes.margins(y=0.2)
    verb = "swapped in" if what == SWAP else "trained"
    pixels = "moved pixels" if measure == "psnr_moved" else "all pixels"
    style.title(axes, f"Layers {verb}, {view} view", x="n layers", y=f"PSNR of {pixels}, dB")


def _draw_levels(axes: Axes, levels: list[tuple[float, str]]) -> None:
    """Dashed lines across, named above the higher one and below the lower one."""
    highest = max(levels, default=None)
    for level, name in levels:
        axes.axhline(level, color=style.LIGHT.faint, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            name,
            xy=(0.99, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3 if (level, name) == highest else -10),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=style.LIGHT.faint,
        )


def _legend(figure: Figure) -> None:
    def dot(color: str, fill: str | None = None) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker="o", color=color, markerfacecolor=fill or color
        )

    handles = [
        (dot(_change_color(FRAMES)), "from stored frame to stored frame: median, quartiles"),
        (Patch(color=_STRUCTURE), "structure layers"),
        (dot(_change_color(ALL), "white"), "trained from the base on the donor's images"),
        (dot(_change_color(STILL), "white"), "as many steps on the base's own images"),
        *((Line2D([], [], color=_COLORS[kind], marker="o"), _NAMES[kind]) for kind in _COLORS),
    ]
    figure.legend(
        *zip(*handles, strict=True),
        loc="outside upper center",
        ncols=4,  # filled column by column
        frameon=False,
        fontsize=9,
        columnspacing=1.4,
        handletextpad=0.5,
    )
