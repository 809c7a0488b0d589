"""From runs of one capture to the sections of a page, and why some are left out."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from absl import logging

from inv_jax.eval import pictures
from inv_jax.report import (
    change,
    compare,
    flickering,
    layers,
    overview,
    plots,
    reuse_blocks,
    series,
    settings,
    strips,
)
from inv_jax.report.blocks import Block, Cell, Line, Note, Section, Table
from inv_jax.report.series import Scored
from inv_jax.types import InvError


@dataclasses.dataclass(frozen=True)
class Chapter:
    """All that is said of runs of one capture."""

    title: str  # empty if there is just one
    sections: Sequence[Section]
    left_out: Sequence[tuple[str, str]]  # titles, and why


def write(
    group: Sequence[Scored], frames: Sequence[int], cam: int | None, title: str, prefix: str
) -> Chapter:
    """The sections of runs of one capture.

    Args:
      group: The runs, measured.
      frames: Frames of which all runs with pictures have one.
      cam: Camera of the pictures; None if there are none.
      title: Of the chapter.
      prefix: Of the names of its files.
    """
    made: dict[str, list[Block] | str] = {
        "Quality and cost": _summary(group),
        "Frame by frame": _by_frame(group, prefix),
        "Incremental against from scratch": _scratch(group, prefix),
        "Budgets": _budgets(group, prefix),
        "Raw against compressed": _compressed(group, prefix),
        "Change of layers from frame to frame": _change(group, prefix),
        "Weights that clips share": reuse_blocks.of(group, prefix),
        "Pictures": _pictures(group, frames, cam, prefix),
        "Layers": _layers(group, frames, cam, prefix),
        "Flicker": _flicker(group, frames, cam, prefix),
    }
    return Chapter(
        title,
        [Section(name, blocks) for name, blocks in made.items() if not isinstance(blocks, str)],
        [(name, reason) for name, reason in made.items() if isinstance(reason, str)],
    )


def _summary(group: Sequence[Scored]) -> list[Block]:
    quality = overview.quality(group) or Note("No frame was measured.")
    reasons = [Note(f"{one.run.name}: {one.why_not}") for one in group if one.why_not]
    return [quality, *_measured(group), *reasons, overview.cost(group)]


def _measured(group: Sequence[Scored]) -> list[Block]:
    """Which cameras the numbers are of, and whose features LPIPS compares."""
    cams: dict[str, list[str]] = {}
    for one in (one for one in group if one.viewer is not None):
        cams.setdefault(one.viewer.camera_names(one.cams), []).append(one.run.name)
    notes = [
        f"{', '.join(runs)}: measured at {names}." if len(cams) > 1 else f"Measured at {names}."
        for names, runs in cams.items()
    ]
    if "lpips" in series.metrics_of(group):
        (net,) = {one.viewer.lpips_net for one in group if one.viewer is not None}
        notes.append(f"LPIPS compares features of the network {net}.")
    return [*map(Note, notes)]


def _by_frame(group: Sequence[Scored], prefix: str) -> list[Block]:
    names = [*series.metrics_of(group), series.SECONDS, series.BYTES]
    drawn: list[Block] = [
        plot for name in names if (plot := plots.over_frames(group, name, prefix)) is not None
    ]
    if all(one.run.is_video for one in group):
        drawn.append(Note("Time of training is left out: a file does not say it."))
    return drawn


def _scratch(group: Sequence[Scored], prefix: str) -> list[Block] | str:
    members = compare.with_scratch(group)
    if not members:
        return (
            "it takes a run that goes on from frame to frame, and one from scratch "
            "(train.scratch=True), of the same capture"
        )
    lines = []
    for duel in (duels := compare.duels(group)):
        frames = list(duel.gains)
        inc, scratch = (
            series.mean(one.values("psnr"), frames) for one in (duel.incremental, duel.scratch)
        )
        cells = [
            Cell(_steps(duel)),
            Cell(series.span(frames)),
            Cell(overview.number("psnr", inc), is_best=duel.mean > 0),
            Cell(overview.number("psnr", scratch), is_best=duel.mean < 0),
            Cell(f"{duel.mean:+.2f}"),
            Cell(f"{duel.wins} of {len(frames)}"),
        ]
        name = f"{duel.incremental.run.name} / {duel.scratch.run.name}"
        lines.append(Line(name, cells, duel.incremental.run.number))
    headings = ["incremental / from scratch", "steps a frame", "over", "incremental, dB",
                "from scratch, dB", "difference", "frames won"]  # fmt: skip
    caption = "Mean PSNR at equal steps a frame, behind the Warm-Up."
    if any(duel.has_all_steps for duel in duels):
        caption += (
            " 'All so far': each frame from scratch had as many steps as the other run had spent "
            "on all frames by then."
        )
    table: Block = Table(headings, lines, caption)
    if not duels:
        table = Note("No two of them have equal steps and are alike in all else.")
    return [plots.against_scratch(members, prefix), table]


def _steps(duel: compare.Duel) -> str:
    steps = settings.steps_a_frame(duel.incremental.run)
    return "all so far" if duel.has_all_steps else settings.text(steps)


def _budgets(group: Sequence[Scored], prefix: str) -> list[Block] | str:
    found = compare.budgets(group)
    if not found:
        return "it takes runs that differ in their steps a frame (train.steps) alone"
    return [plots.budgets(found, prefix), Note(f"Means over {series.span(found[0].frames)}.")]


def _compressed(group: Sequence[Scored], prefix: str) -> list[Block] | str:
    if not any(one.run.is_video for one in group):
        return "none of the runs is an .inv file"
    found, reasons = compare.compressions(group)
    if not found:
        return "; ".join(reasons)
    lines = []
    for one in found:
        ratio = f"{one.raw_bytes / one.frame_bytes:.1f} x" if one.raw_bytes else settings.ABSENT
        bits = one.video.run.bits_per_param
        cells = [
            Cell(one.raw_name),
            Cell(settings.codec(one.video.run)),
            Cell(f"{bits:.3g}"),
            Cell(f"{one.frame_bytes:,.0f}"),
            Cell(ratio),
            Cell(f"{one.mean:.3f}"),
            Cell(f"{max(one.losses.values()):.3f}", note=str(max(one.losses, key=one.losses.get))),
        ]
        lines.append(Line(one.video.run.name, cells, one.video.run.number))
    headings = ["video", "of", "codec", "bits a param", "bytes a frame", "smaller",
                "PSNR lost, dB: mean", "worst"]  # fmt: skip
    frames = sorted({n for one in found for n in one.losses})
    caption = f"Over {series.span(frames)}; bytes are the frame's own, without shared colors."
    return [plots.compressions(found, prefix), Table(headings, lines, caption), *map(Note, reasons)]


def _change(group: Sequence[Scored], prefix: str) -> list[Block] | str:
    found, reasons = {}, []
    for one in group:
        try:
            moved = change.over_frames(one.run, one.run.frames)
        except InvError as error:
            reasons.append(f"{one.run.name}: {error}")
            continue
        if not moved:
            reasons.append(f"{one.run.name} has fewer than two stored frames")
        else:
            found[one] = moved
    if not found:
        return "; ".join(reasons)
    scale = change.scale([network for moved in found.values() for network in moved])
    text = (
        "Each layer's step from the frame before, as a part of its norm; blank where not a bit "
        "changed, as in frozen layers."
    )
    drawn = [
        plots.change(
            network, one.run.name, f"{prefix}change{one.run.number}_{network.network}", scale
        )
        for one, moved in found.items()
        for network in moved
    ]
    return [Note(text), *drawn, *map(Note, reasons)]


def _pictures(
    group: Sequence[Scored], frames: Sequence[int], cam: int | None, prefix: str
) -> list[Block] | str:
    if cam is None or not frames:
        return _why_no_pictures(group)
    chosen = strips.chosen_frames([one for one in group if one.viewer], frames)
    text = (
        "Errors are absolute, the mean over the color channels: black is 0, pale yellow "
        f"{pictures.ERROR_SCALE:g} of the full range or more."
    )
    return [
        Note(text),
        *(
            _or_why(f"Frame {frame} is left out", strips.strip, group, frame, why, cam, prefix)
            for frame, why in chosen.items()
        ),
    ]


def _layers(
    group: Sequence[Scored], frames: Sequence[int], cam: int | None, prefix: str
) -> list[Block] | str:
    if cam is None or not frames:
        return _why_no_pictures(group)
    try:
        having = layers.having(group, frames[0], cam)
    except InvError as error:
        return str(error)
    if not having:
        return "it takes a run with several fields (model.name=split)"
    text = (
        "What each field shows alone, beside the blend of both and the truth; opacity is black "
        "where a field is empty."
    )
    return [
        Note(text),
        *(
            _or_why(f"Frame {frame} is left out", layers.gallery, having, frame, why, cam, prefix)
            for frame, why in strips.chosen_frames(having, frames).items()
        ),
    ]


def _flicker(
    group: Sequence[Scored], frames: Sequence[int], cam: int | None, prefix: str
) -> list[Block] | str:
    if cam is None:
        return _why_no_pictures(group)
    if len(frames) < 2:
        return "it takes pictures of two frames"
    try:
        found = flickering.measure(group, frames, cam)
    except InvError as error:
        return str(error)
    if found is None:
        return "no pixel stands still"
    lines = []
    for one in (one for one in group if one.run.number in found.runs):
        values = found.runs[one.run.number]
        worst = max(values, key=values.get)
        cells = [Cell(f"{statistics.fmean(values.values()):.2f}"),
                 Cell(f"{values[worst]:.2f}", note=str(worst))]  # fmt: skip
        lines.append(Line(one.run.name, cells, one.run.number))
    own = statistics.fmean(found.truth.values())
    caption = (
        f"Levels of 8 bits over {series.span(sorted(found.truth))}; the camera's own: {own:.2f}."
    )
    table = Table(["run", "mean", "worst"], lines, caption)
    return [plots.flicker(found, group, prefix), table]


def _why_no_pictures(group: Sequence[Scored]) -> str:
    if all(one.viewer is None for one in group):
        return "there are no params, or no images of the capture"
    return "the runs have no frame in common"


def _or_why(what: str, make: Callable[..., Block], *arguments: object) -> Block:
    """The block, or why it is left out."""
    try:
        return make(*arguments)
    except InvError as error:
        logging.warning("%s: %s", what, error)
        return Note(f"{what}: {error}")
