"""The plots of a page. Each returns a `Plot`, drawn once for light pages and once for dark ones."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator, ScalarFormatter

from inv_jax.eval.report import quantity
from inv_jax.report import series, settings, style
from inv_jax.report.blocks import Plot
from inv_jax.report.change import Change
from inv_jax.report.compare import Budget, Compression
from inv_jax.report.flickering import Flickering
from inv_jax.report.series import Scored
from inv_jax.report.style import Theme

_NAME_LENGTH = 26  # of a label beside a line
MAP_COLORS = "cividis"  # for any color vision


@dataclasses.dataclass(frozen=True)
class _Line:
    label: str
    number: int  # of its color
    points: Mapping[float, float]
    is_faint: bool = False


def over_frames(group: Sequence[Scored], name: str, prefix: str = "") -> Plot | None:
    """A number of every run, frame by frame; None if no run has it."""
    lines = [
        _Line(one.run.name, one.run.number, values) for one in group if (values := one.values(name))
    ]
    if not lines:
        return None
    title, unit, better = _words(name)
    frozen = {series.frozen_from(one.run) for one in group} - {None}

    def draw(theme: Theme) -> Figure:
        figure, (axes,) = style.new_figure(theme=theme)
        scale = 1 / 1024 if name == series.BYTES else 1.0
        _draw_lines(axes, lines, theme, scale)
        if len(frozen) == 1:
            _mark(axes, min(frozen) - 0.5, "colors frozen", theme)
        style.title(axes, title, x="frame", y=unit)
        style.whole_numbers(axes)
        if _is_wide([value for line in lines for value in line.points.values()]):
            _log_scale(axes.yaxis)
        style.label_lines(axes)
        return figure

    return Plot(f"{prefix}{name}", f"{title} by frame. {_said(lines)}", better, draw)


def against_scratch(group: Sequence[Scored], prefix: str = "") -> Plot:
    """PSNR of incremental runs and of those from scratch, by frame and by accumulated steps."""
    by_frame = [_Line(_plan_label(one), one.run.number, one.values("psnr")) for one in group]
    by_steps, among = [], [one.run for one in group]
    for one in group:
        steps, values = series.accumulated_steps(one.run, among), one.values("psnr")
        points = {steps[n]: values[n] for n in values if n in steps}
        by_steps.append(_Line(_plan_label(one), one.run.number, points))

    def draw(theme: Theme) -> Figure:
        figure, (upper, lower) = style.new_figure(rows=2, theme=theme)
        _draw_lines(upper, by_frame, theme)
        style.title(upper, "PSNR by frame", x="frame", y="dB")
        style.whole_numbers(upper)
        style.label_lines(upper)
        _draw_lines(lower, by_steps, theme)
        style.title(lower, "PSNR by steps of all frames so far", x="accumulated steps", y="dB")
        lower.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        style.label_lines(lower)
        return figure

    alt = f"PSNR by frame, and by accumulated steps. {_said(by_frame)}"
    return Plot(f"{prefix}scratch", alt, "Higher is better.", draw)


def budgets(found: Sequence[Budget], prefix: str = "") -> Plot:
    """Mean PSNR by steps a frame, a line for each family of runs."""
    lines = [
        _Line(one.kind, number, dict(zip(one.steps, one.means, strict=True)))
        for number, one in enumerate(found)
    ]

    def draw(theme: Theme) -> Figure:
        figure, (axes,) = style.new_figure(theme=theme)
        for line, one in zip(lines, found, strict=True):
            dashes = "--" if line.number else "-"
            look = {"color": theme.faint, "linestyle": dashes, "linewidth": 1.2}
            axes.plot(one.steps, one.means, label=line.label, **look)
            for member, steps, mean in zip(one.members, one.steps, one.means, strict=True):
                dot = style.color(member.run.number, theme)
                axes.plot([steps], [mean], marker="o", markersize=6, color=dot, linestyle="")
        _log_scale(axes.xaxis)
        axes.set_xticks(sorted({step for one in found for step in one.steps}))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        style.title(axes, "Mean PSNR by budget", x="steps a frame", y="dB")
        style.label_lines(axes)
        return figure

    alt = f"Mean PSNR by steps a frame. {_said(lines)}"
    return Plot(f"{prefix}budgets", alt, "Each dot has the color of its run.", draw)


def compressions(found: Sequence[Compression], prefix: str = "") -> Plot:
    """PSNR lost by compressing, by bits a param and by bytes a frame."""

    def draw(theme: Theme) -> Figure:
        figure, (left, right) = style.new_figure(columns=2, theme=theme, sharey=True)
        for one in found:
            number = one.video.run.number
            dot = {"color": style.color(number, theme), "markersize": 6, "marker": "o"}
            name = _short(one.video.run.name)
            for axes, x in ((left, one.video.run.bits_per_param), (right, one.frame_bytes / 1024)):
                axes.plot([x], [one.mean], **dot)
                place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
                axes.annotate(name, (x, one.mean), color=dot["color"], fontsize=8, **place)
        style.title(left, "PSNR lost", x="bits a param", y="dB")
        style.title(right, "PSNR lost", x="KiB a frame")
        for axes in (left, right):
            axes.margins(x=0.25, y=0.25)
            low, high = axes.get_ylim()
            axes.set_ylim(min(0.0, low), max(high, 0.01))
            axes.set_xlim(left=0.0)
        return figure

    said = "; ".join(
        f"{one.video.run.name} loses {one.mean:.3f} dB at {one.frame_bytes:,.0f} bytes a frame"
        for one in found
    )
    caption = "Against the run's own params; lower and further left is better."
    return Plot(f"{prefix}compressed", f"PSNR lost by compressing: {said}.", caption, draw)


def change(found: Change, run_name: str, name: str, scale: tuple[float, float]) -> Plot:
    """How far each layer moved at each frame, as a map.

    Args:
      found: The change.
      run_name: The run's.
      name: Of the plot.
      scale: Changes at the ends of the color bar.
    """
    frames = found.frames

    def draw(theme: Theme) -> Figure:
        figure, (axes,) = style.new_figure(theme=theme, height=0.9 + 0.17 * len(found.layers))
        colors = mpl.colormaps[MAP_COLORS].with_extremes(bad=theme.background)
        moved = np.ma.masked_less_equal(found.values, 0.0)
        # Edges in the middle between frames: some may be missing.
        edges = np.concatenate([[frames[0] - 0.5], np.array(frames) + 0.5])
        mesh = axes.pcolormesh(
            *(edges, np.arange(len(found.layers) + 1) - 0.5, moved),
            cmap=colors,
            norm=LogNorm(*scale, clip=True),
        )
        axes.set_yticks(range(len(found.layers)), found.layers, fontsize=7)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.margins(0)
        style.title(axes, f"{_short(run_name)}, {found.network} network", x="frame")
        style.whole_numbers(axes)
        bar = figure.colorbar(mesh, ax=axes, pad=0.01, aspect=18)
        bar.ax.tick_params(colors=theme.faint, labelsize=8)
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g}%"))
        return figure

    strongest = found.layers[int(np.argmax(found.values.mean(axis=1)))]
    still = [name for name, row in zip(found.layers, found.values, strict=True) if not row[-1]]
    alt = f"Relative change of the layers of {run_name}; most moves {strongest}" + (
        f"; at the last frame {len(still)} layers do not move." if still else "."
    )
    return Plot(name, alt, "", draw)


def flicker(found: Flickering, group: Sequence[Scored], prefix: str = "") -> Plot:
    """What changes from frame to frame where nothing moves."""
    lines = [
        _Line(one.run.name, one.run.number, found.runs[one.run.number])
        for one in group
        if one.run.number in found.runs
    ]
    lines.append(_Line("the camera", 0, found.truth, is_faint=True))

    def draw(theme: Theme) -> Figure:
        figure, (axes,) = style.new_figure(theme=theme)
        _draw_lines(axes, lines, theme)
        axes.set_ylim(bottom=0)
        style.title(axes, "Flicker of static pixels", x="frame", y="levels of 8 bits")
        style.whole_numbers(axes)
        style.label_lines(axes)
        return figure

    alt = f"Flicker of static pixels by frame. {_said(lines)}"
    return Plot(f"{prefix}flicker", alt, f"Lower is steadier. Static: {found.static}.", draw)


# Parts of plots.


def _draw_lines(axes: Axes, lines: Sequence[_Line], theme: Theme, scale: float = 1.0) -> None:
    for line in lines:
        look = style.line(line.number, theme, count=len(line.points))
        if line.is_faint:
            look |= {"color": theme.faint, "linestyle": "--"}
        xs = sorted(line.points)
        axes.plot(xs, [scale * line.points[x] for x in xs], label=_short(line.label), **look)


def _mark(axes: Axes, x: float, text: str, theme: Theme) -> None:
    """A fine vertical line, said at its top."""
    low, high = axes.get_xlim()
    if not low < x < high:
        return
    axes.axvline(x, color=theme.faint, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.annotate(
        text,
        (x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        color=theme.faint,
        fontsize=8,
        va="top",
    )


def _log_scale(axis: mpl.axis.Axis) -> None:
    """A logarithmic axis with plain numbers."""
    axis._set_axes_scale("log")
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def _is_wide(values: Sequence[float]) -> bool:
    """Whether numbers differ so much that small ones would lie flat."""
    return min(values) > 0 and max(values) > 20 * min(values)


def _words(name: str) -> tuple[str, str, str]:
    """Title, unit, and what is better."""
    if name == series.SECONDS:
        return "Time of training", "seconds a frame", ""
    if name == series.BYTES:
        return "Size", "KiB that a frame adds", "Colors count where they are stored."
    found = quantity(name)
    return (
        found.label,
        found.unit,
        "Higher is better." if found.higher_is_better else "Lower is better.",
    )


def _said(lines: Sequence[_Line]) -> str:
    """The means of lines, for those who do not see them."""
    means = [
        f"{line.label}: mean {statistics.fmean(line.points.values()):.4g}"
        for line in lines
        if line.points
    ]
    return "; ".join(means) + "."


def _plan_label(one: Scored) -> str:
    steps = settings.steps_a_frame(one.run)
    kind = "scratch" if settings.is_scratch(one.run) else "incremental"
    if settings.has_all_steps(one.run):
        return "scratch, all steps so far"
    return f"{kind}, {steps:,} steps" if steps is not None else kind


def _short(name: str) -> str:
    if len(name) <= _NAME_LENGTH:
        return name
    half = (_NAME_LENGTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
