"""`inv-jax masks`: masks of what moves in a capture, by optical flow; a video shows them.

    inv-jax masks CAPTURE                        all frames and cameras, to CAPTURE/mask
    inv-jax masks CAPTURE --out=masks            ... to ./masks/mask, where CAPTURE is read-only
    inv-jax masks --config=configs/n3dv.py:flame_salmon_1 --frames=1:30 --cams=0,3
    inv-jax masks CAPTURE --flow='raft/frame{frame:04d}{cam}.flo' --color=0 --threshold=1
    inv-jax masks CAPTURE --out=masks --compare='foreground/frame{frame:04d}{cam}.png'

A mask is white where something moves (data.mask_polarity is dynamic). --out is relative to the
working directory, but data.masks to the capture's folder: train with masks of another folder by its
absolute path, --config.data.masks=FOLDER, which is printed. Of masks that are there already, only
the missing ones are made, so that an interrupted call goes on; ones that were made otherwise are
not touched without --overwrite, and with it replaced once all new ones are ready. How masks are
made is said in `masks/segmentation.py`, what flow files hold in `masks/flow.py`.
"""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from inv_jax.assembly import captures, sizing
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import masks as masks_lib
from inv_jax.data import recognise
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.eval import report
from inv_jax.masks import making, summary
from inv_jax.masks.flow import PRESETS, DisFlow, FlowFiles, FlowSource
from inv_jax.masks.segmentation import Settings
from inv_jax.player.video import VideoWriter
from inv_jax.types import InvError, Stopped

USAGE = (
    "CAPTURE|--config=configs/n3dv.py:SCENE [--out=FOLDER] [--frames=1:30] [--cams=all|0,3] "
    "[--compare=PATTERN] [--overwrite]"
)
POSITIONAL = "capture"
REQUIRED: dict[str, str] = {}

_FPS = 30.0  # of captures that do not say
_COLUMNS = ("camera", "masks", "dynamic", "least", "most")
_JUDGED = ("judged", "precision", "recall", "iou")


def define(values: flags.FlagValues, argv: list[str]) -> None:
    flagged.define_config(values, argv)
    text = {
        "capture": "The capture's folder, packed or not, or a video; or give --config.",
        "out": "Folder that gets the folder mask, relative to the working directory; default: the "
        "capture's.",
        "cams": "Cameras: all, train, test, or indices as 0,3.",
        "flow": "Flow files, as a pattern or a folder, instead of computing flow.",
        "preset": f"How flow is computed: {', '.join(PRESETS)}; slower is better.",
        "preview": "Video (.mp4, .gif) of the footage with its masks as a tint; if its path is "
        "relative, it is beside the folder mask; empty: none.",
        "compare": "Masks to judge these by: a pattern or a folder, relative to the capture's.",
        "compare_polarity": "What non-zero means in these: dynamic, or static.",
        "table": "Writes what is printed to this JSON file too.",
        "layout": "As data.layout, if there is no config; empty: by the files.",
    }
    default = {"capture": None, "cams": "all", "preset": "medium", "compare_polarity": "dynamic"}
    default |= {"preview": "mask_preview.mp4"}
    for name, what in text.items():
        flags.DEFINE_string(name, default.get(name, ""), what, flag_values=values)
    flags.DEFINE_integer(
        "factor", 0, "As data.factor, without a config; 0: the largest images.", flag_values=values
    )
    flags.DEFINE_string(
        "frames", "", "Frames, as FIRST:LAST, both included; empty: all.", flag_values=values
    )
    flags.DEFINE_float(
        "fps", None, "Frames per second of the preview; default: the capture's.", flag_values=values
    )
    flags.DEFINE_bool("overwrite", False, "Replaces masks made otherwise.", flag_values=values)
    for field in dataclasses.fields(Settings):
        kind = flags.DEFINE_integer if isinstance(field.default, int) else flags.DEFINE_float
        kind(
            field.name,
            None,
            f"{field.metadata['help']} (default: {field.default}).",
            flag_values=values,
        )


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    capture, folder, fps = _open(values)
    out = pathlib.Path(values.out).expanduser().absolute() if values.out else folder
    height, width = capture.cameras.height, capture.cameras.width
    masks = masks_lib.open_masks(masks_lib.pattern_in(out), capture.camera_names, height, width)
    frames = flagged.select_frames(list(capture.frames), values.frames)
    cams = flagged.select_cams(values.cams, capture.train_cams, capture.test_cams)
    source, settings = _how(values, capture)
    truth = _truth(values, folder, capture, masks, frames, cams)
    preview = _preview(values, masks, fps)
    made_with = making.made_with(settings, values.flow or f"dis {values.preset}", masks)
    made = making.claim(masks, frames, cams, made_with, overwrite=values.overwrite)
    try:
        count = making.make(capture, made, frames, cams, source, settings, stop)
        making.settle(made, masks)
        with preview or contextlib.nullcontext():
            rows, still = summary.summarise(
                capture, masks, frames, cams, truth=truth, preview=preview, should_stop=stop
            )
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    print(_table(rows, has_truth=truth is not None))
    if still:
        print(f"nothing moves in frames {', '.join(map(str, still))}")
    where, total = masks.path(frames[0], cams[0]).parent, len(frames) * len(cams)
    print(f"{where}: {total} masks, {count} of them new" + (f"; {preview.path}" if preview else ""))
    if values.out:
        print(f"to train with them: --config.data.masks={out}")
    if values.table:
        report.write_json(pathlib.Path(values.table).expanduser().absolute(), rows)
    return 0


def _open(values: flags.FlagValues) -> tuple[Capture, pathlib.Path, float]:
    """The capture, where it lies, and its frames per second."""
    if values.config is None:
        if values.capture is None:
            raise InvError("give a capture's folder, or --config=configs/n3dv.py:SCENE")
        folder = pathlib.Path(values.capture).expanduser().absolute()
        capture = recognise.open_footage(folder, layout=values.layout, factor=values.factor)
        return capture, folder, values.fps or capture.fps or _FPS
    if values.layout or values.factor:
        raise InvError("--layout and --factor are the config's: --config.data.factor=4, say")
    config = values.config
    with config.unlocked():
        config.data.frame_step = 1  # flow takes the frames that a run leaves out
        if values.capture is not None:
            config.data.path = values.capture
    if config.data.layout == sizing.PROCEDURAL and not config.data.path:
        raise InvError(
            "data.path is empty; a procedural capture is in WORKDIR/capture once it is rendered, "
            "with exact masks: --config.data.path=FOLDER"
        )
    capture = captures.of(config, pathlib.Path())
    folder = captures.folder_of(config, pathlib.Path()).absolute()
    return capture, folder, values.fps or config.render.fps or capture.fps or _FPS


def _how(values: flags.FlagValues, capture: Capture) -> tuple[FlowSource, Settings]:
    given: dict[str, Any] = {
        field.name: values[field.name].value
        for field in dataclasses.fields(Settings)
        if values[field.name].value is not None
    }
    if not values.flow:
        return DisFlow(values.preset), Settings(**given)
    source = FlowFiles(str(pathlib.Path(values.flow).expanduser()), capture.camera_names)
    # Files of flow to the next frame are what there mostly is.
    return source, Settings(**({"stride": source.reach} if source.reach else {}) | given)


def _truth(
    values: flags.FlagValues,
    folder: pathlib.Path,
    capture: Capture,
    masks: Masks,
    frames: Sequence[int],
    cams: Sequence[int],
) -> Masks | None:
    """The masks to compare with, if any."""
    if not values.compare:
        return None
    pattern = masks_lib.pattern_in(folder, values.compare)
    truth = masks_lib.open_masks(
        pattern,
        capture.camera_names,
        masks.height,
        masks.width,
        polarity=values.compare_polarity,
    )
    if truth.path(1, 0) == masks.path(1, 0):
        raise InvError(
            f"--compare={values.compare} are the masks that are made; give --out=FOLDER for these"
        )
    missing = set(truth.missing(frames, cams))
    for frame in frames:
        for cam in cams:
            if (frame, cam) not in missing:
                truth.load(frame, [cam])  # what is wrong with them is said before others are made
                return truth
    raise InvError(
        f"--compare={values.compare}: there is no {truth.path(frames[0], cams[0])}, nor one of any "
        "other of these frames and cameras"
    )


def _preview(values: flags.FlagValues, masks: Masks, fps: float) -> VideoWriter | None:
    if not values.preview:
        return None
    beside = masks.path(1, 0).parent.parent
    return VideoWriter(beside / pathlib.Path(values.preview).expanduser(), fps)


def _table(rows: list[summary.Row], *, has_truth: bool) -> str:
    def percent(value: Any) -> str:
        return f"{value:.1%}".rjust(6) if isinstance(value, float) else "-"

    shown = [
        {k: v if k in ("camera", "masks", "judged") else percent(v) for k, v in row.items()}
        for row in rows
    ]
    return report.format_table(shown, _COLUMNS + (_JUDGED if has_truth else ()), has_summary=False)
