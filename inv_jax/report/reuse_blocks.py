"""What a page says of weights that clips share: which clips, and in which layers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from inv_jax.report import plots, reuse, settings, style
from inv_jax.report.blocks import Block, Cell, Line, Note, Plot, Table
from inv_jax.report.reuse import Reuse
from inv_jax.report.series import Scored
from inv_jax.report.style import Theme
from inv_jax.types import InvError


def of(group: Sequence[Scored], prefix: str) -> list[Block] | str:
    """A map and a table of each run whose clips have masks, or why there are none.

    Args:
      group: The runs.
      prefix: Of the names of figures.
    """
    blocks: list[Block] = []
    reasons = []
    for one in group:
        try:
            found = reuse.of_run(one.run)
        except InvError as error:
            reasons.append(f"{one.run.name}: {error}")
            continue
        if found is None:
            continue
        weight = np.array(found.sizes) / sum(found.sizes)
        lines = [
            Line(
                name,
                [
                    Cell(f"{100 * weight @ found.used[:, i]:.1f}%"),
                    Cell(f"{100 * _known(found, i):.1f}%" if i else settings.ABSENT),
                    Cell(f"{100 * found.so_far[i]:.1f}%"),
                ],
                one.run.number,
            )
            for i, name in enumerate(found.names)
        ]
        headings = ["clip, by its first frame", "uses", "of that used before", "used so far"]
        caption = (
            f"{one.run.name}: of {sum(found.sizes):,} weights. Masks that have nothing to do with "
            "each other would share what has been used so far."
        )
        blocks += [
            _map(found, one.run.name, f"{prefix}reuse{one.run.number}"),
            Table(headings, lines, caption),
        ]
    no_run = "it takes a run of several clips with masks (model.name=pfnr)"
    return [*blocks, *map(Note, reasons)] if blocks else "; ".join(reasons) or no_run


def _known(found: Reuse, segment: int) -> float:
    """Of what a segment uses in all layers, the part that was used before."""
    used = found.used[:, segment] * found.sizes
    return float(np.nansum(used * found.known[:, segment]) / max(used.sum(), 1.0))


def _map(found: Reuse, run_name: str, name: str) -> Plot:
    """Which weights segments share: with each other, and layer by layer with all before."""

    def draw(theme: Theme) -> Figure:
        figure, (left, right) = style.new_figure(
            columns=2, theme=theme, height=1.3 + 0.2 * max(len(found.layers), len(found.names))
        )
        maps = (
            (left, found.shared, found.names, "of what a clip uses, each other one"),
            (right, found.known[:, 1:], found.layers, "... any before it, by layer"),
        )
        for axes, values, labels, title in maps:
            mesh = axes.pcolormesh(
                np.ma.masked_invalid(values), cmap=plots.MAP_COLORS, vmin=0.0, vmax=1.0
            )
            columns = found.names[-values.shape[1] :]
            axes.set_yticks(np.arange(len(labels)) + 0.5, labels, fontsize=7)
            axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=7)
            axes.invert_yaxis()
            axes.grid(visible=False)
            style.title(axes, title, x="clip, by its first frame")
        bar = figure.colorbar(mesh, ax=right, pad=0.02, aspect=18)
        bar.ax.tick_params(colors=theme.faint, labelsize=8)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f}%"))
        bar.outline.set_visible(False)
        return figure

    last = found.names[-1]
    alt = (
        f"Weights that the clips of {run_name} share: the last one, {last}, uses "
        f"{100 * found.shared[0, -1]:.0f}% of what the first one uses."
    )
    return Plot(name, alt, f"{run_name}: parts of the weights in use.", draw)
