"""`inv-jax eval`: measures stored frames against the capture's images.

    inv-jax eval --workdir=runs/demo                    the held-out cameras, by all that can be had
    inv-jax eval --workdir=video.inv --data_path=CAPTURE --cams=0,3 --metrics=psnr,flip

    inv-jax eval --workdir=runs/demo --metrics=psnr,psnr_dynamic,psnr_static
    inv-jax eval --workdir=runs/clips --matrix          what is left of each clip after later ones

LPIPS takes a file of weights that `scripts/convert_lpips.py` makes; `eval/flicker.py` says what
flicker is. `psnr_dynamic` is PSNR over the pixels that the capture's masks call dynamic in that
frame, `psnr_static` over the others.
"""

import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags, logging

from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data.capture import Capture
from inv_jax.eval import flicker, matrix, measures, metrics, report
from inv_jax.eval.flicker import Flicker
from inv_jax.eval.measures import Measures
from inv_jax.player.player import segments_of
from inv_jax.types import InvError, Params

USAGE = (
    "--workdir=runs/demo|video.inv [--cams=test|train|all|0,3] [--metrics=psnr,ssim,...] "
    "[--out=table.json]"
)
REQUIRED = flagged.WORKDIR

NAMES = (*measures.NAMES, "flicker")
Missing = Sequence[tuple[int, int]]  # masks, by frame and camera


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True, or_textures=True)
    flags.DEFINE_string(
        "cams", "test", "Cameras: test, train, all, or indices as 0,3.", flag_values=values
    )
    flags.DEFINE_list(
        "metrics", [], f"Of {','.join(NAMES)}; default: all that can be had.", flag_values=values
    )
    flags.DEFINE_string(
        "lpips_weights",
        "",
        "File of LPIPS' weights; default: $INV_JAX_LPIPS, or ~/.cache/inv_jax/lpips_alex.npz.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "static_range",
        flicker.STATIC_RANGE,
        "For flicker where the capture has no masks: pixels are static whose true colors stay "
        "within so many of 255 levels.",
        lower_bound=0,
        upper_bound=255,
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "matrix",
        False,
        "Of a run whose segments share what goes on training: PSNR of each one upon what later "
        "ones left (eval/matrix.py), in place of other metrics.",
        flag_values=values,
    )
    flags.DEFINE_string("out", "", "Writes the rows to this JSON file too.", flag_values=values)
    flagged.define_masks(values)
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    if unknown := set(values.metrics) - set(NAMES):
        raise InvError(f"--metrics={min(unknown)}: choose among {','.join(NAMES)}")
    names = values.metrics or NAMES
    out = pathlib.Path(values.out).expanduser().absolute() if values.out else None
    if out is not None and out.is_dir():
        raise InvError(f"--out={out} is a folder; give a file, as {out / 'table.json'}")
    flagged.join_processes(values)
    playback = open_playback(flagged.workdir(values), values.data_path, takes_textures=True)
    playback = flagged.with_masks(playback, values)
    if values.matrix:
        _check_alone(values)
        return _matrix(playback, out)
    capture = playback.capture
    cams = flagged.select_cams(values.cams, capture.train_cams, capture.test_cams)
    frames = flagged.select_frames(playback.player.frames, values.frames)
    measured, flickers, missing = Measures({}), {}, []
    if playback.is_main:
        if out is not None:  # what cannot be written fails before it is measured
            out.parent.mkdir(parents=True, exist_ok=True)
        measured = measures.make([x for x in names if x in measures.NAMES], values.lpips_weights)
        if not measured.names and "flicker" not in names:
            raise InvError(f"--metrics={','.join(names)}: there is nothing to measure")
        if "flicker" in names:
            static = flicker.static_pixels(
                capture, playback.masks, cams, frames, values.static_range
            )
            flickers = {cam: Flicker(pixels) for cam, pixels in static.items()}
        if measured.wants_masks:
            missing = playback.masks.missing(frames, cams)
    rows = evaluate(playback, cams, frames, measured, flickers, missing)
    if playback.is_main:
        print(_table(rows))
        notes = _trained_on(capture, cams) + _too_small(rows, measured, capture)
        notes += _unmasked(rows, measured, playback, missing) + _flicker_notes(rows, flickers)
        for note in notes:
            print(note)
        if out is not None:
            report.write_json(out, rows)
    playback.wait_for_all()
    return 0


def _check_alone(values: flags.FlagValues) -> None:
    """Refuses flags that say nothing beside `--matrix`."""
    said = [name for name in ("cams", "metrics", "frames") if values[name].present]
    if said:
        raise InvError(
            f"--{said[0]} says nothing to --matrix, which is of all segments, by PSNR of the shown "
            "camera; leave one of them out"
        )


def _matrix(playback: Playback, out: pathlib.Path | None) -> int:
    """Measures what is left of each segment; all processes render, the main one says it."""
    roles, capture, cam = playback.model.roles, playback.capture, playback.capture.shown_cam
    segments = segments_of(playback.source)
    if not roles.shared:
        raise InvError(
            "--matrix is for runs whose segments share params, and those of this model share none; "
            "leave it out"
        )

    def pictures(params: Params, frames: range) -> list[np.ndarray]:
        look = playback.player.look
        times = map(playback.time, frames)
        return [np.asarray(look(params, capture.cameras, cam, time).rgb) for time in times]

    measured = matrix.measure(
        segments,
        playback.source.params,
        roles,
        pictures,
        lambda frame: np.asarray(capture.load(frame, [cam]).images[0]),
    )
    names = capture.clip_names[: len(segments)] or [f"{frames[0]}" for frames in segments]
    if playback.is_main:
        rows = measured.rows(names)
        print(report.format_table(rows, list(rows[0]), has_summary=False))
        for note in measured.notes(names):
            print(note)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            report.write_json(out, rows)
    playback.wait_for_all()
    return 0


def evaluate(
    playback: Playback,
    cams: Sequence[int],
    frames: Sequence[int],
    measured: Measures,
    flickers: dict[int, Flicker],
    missing: Missing = (),
) -> list[dict[str, Any]]:
    """Measures stored frames against the capture's images.

    Of several processes all render, the main one measures; the others get no rows.

    Args:
      playback: The run or video.
      cams: Cameras.
      frames: Stored frames, in order.
      measured: What is measured of each picture.
      flickers: By camera; empty to leave flicker out.
      missing: Frames and cameras that there are no masks of.

    Returns:
      A row for each frame and camera, with what was measured by name.
    """
    capture, rows = playback.capture, []
    for frame in frames:
        images = np.asarray(capture.load(frame, cams).images) if playback.is_main else None
        for place, cam in enumerate(cams):
            view = playback.player.view(frame, capture.cameras, cam)
            if images is None:
                continue
            row = {"frame": frame, "cam": cam, "held_out": cam in capture.test_cams}
            is_dynamic = None
            if measured.wants_masks and (frame, cam) not in missing:
                is_dynamic = playback.masks.load(frame, [cam])[0]
            row |= measured(view.rgb, images[place], is_dynamic)
            if measured.lpips_net:
                row["lpips_net"] = measured.lpips_net
            if cam in flickers:
                static = flickers[cam].static
                row |= flickers[cam](view.rgb, images[place])
                row |= {"static_pixels": static.count, "static_from": static.origin}
                row |= {"static_range": static.static_range}
            rows.append(row)
            said = (f"{name} {row[name]:.4g}" for name in _columns([row])[2:])
            logging.info("frame %d cam%02d: %s", frame, cam, ", ".join(said))
    return rows


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The names in a table: what has a number in any row."""
    names = ("frame", "cam", *NAMES, "flicker_truth")
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    return report.format_table(rows, _columns(rows))


def _trained_on(capture: Capture, cams: Sequence[int]) -> list[str]:
    """Which views say nothing of new ones."""
    names = [capture.camera_names[cam] for cam in cams if cam not in capture.test_cams]
    return [f"trained on, not held out: {', '.join(names)}"] if names else []


def _too_small(rows: Sequence[dict[str, Any]], measured: Measures, capture: Capture) -> list[str]:
    """Why a metric that was asked for is not in the table: its windows do not fit."""
    size = f"{capture.cameras.width}x{capture.cameras.height}"
    wanted = {"ssim": metrics.SSIM_WINDOW, "ms_ssim": metrics.MS_SSIM_SIDE}
    notes = []
    for name in (name for name in measured.names if name not in measures.MASKED):
        if all(row[name] is None for row in rows):
            side = f" (sides of {wanted[name]} pixels or more)" if name in wanted else ""
            notes.append(
                f"{report.quantity(name).label}: images of {size} are too small for it{side}"
            )
    return notes


def _unmasked(
    rows: Sequence[dict[str, Any]], measured: Measures, playback: Playback, missing: Missing
) -> list[str]:
    """Why there are no numbers of dynamic or static pixels."""
    names = [name for name in measured.names if name in measures.MASKED]
    labels = {name: report.quantity(name).label for name in names}
    if names and missing:
        masks, others = playback.masks, len(missing) - 1
        more = f" and {others} more" if others else ""
        return [
            f"{', '.join(labels.values())}: there is no {masks.name(*missing[0])}{more}, as "
            f"{masks.path(*missing[0])}; make them with inv-jax masks, or give --masks"
        ]
    return [
        f"{labels[name]}: the masks have no such pixel"
        for name in names
        if all(row[name] is None for row in rows)
    ]


def _flicker_notes(rows: Sequence[dict[str, Any]], flickers: dict[int, Flicker]) -> list[str]:
    """What the flicker of each camera is, and on which pixels."""
    notes = []
    for cam, one in flickers.items():
        of_cam = [row for row in rows if row["cam"] == cam and row["flicker"] is not None]
        said = "none, it wants two frames and a static pixel"
        if of_cam:
            rendered, true = (
                statistics.fmean(row[name] for row in of_cam)
                for name in ("flicker", "flicker_truth")
            )
            said = f"{rendered:.3f} of 255 levels from frame to frame, {true:.3f} of the truth"
        notes.append(f"flicker of cam{cam:02d}: {said}; static are {one.static}")
    return notes
