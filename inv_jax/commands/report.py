"""`inv-jax report`: one page about runs, their pictures and what they cost.

    inv-jax report runs/inv runs/scratch runs/inv/video.inv --out=reports/all
    inv-jax report runs/300 runs/1000 --out=reports/budgets --metrics=psnr,ssim --frames=1:30

Their settings say what can be compared: a run and one from scratch, several budgets, a run and its
video; what cannot is named at the end. What was measured is kept in the folder's `cache`.
"""

import pathlib

from absl import flags

from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.eval import measures
from inv_jax.report import make, runs
from inv_jax.report.measured import Viewer
from inv_jax.types import InvError

USAGE = "runs/demo runs/other video.inv --out=FOLDER [--frames=1:30] [--names=a,b,c]"
POSITIONAL = "runs"
REQUIRED = {"runs": "give workdirs or .inv files", "out": "give a folder for the page"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_list("runs", None, "Workdirs and .inv files.", flag_values=values)
    flags.DEFINE_string(
        "out", None, "Folder: index.html and figures, and what was measured.", flag_values=values
    )
    flags.DEFINE_string("title", "", "Title of the page.", flag_values=values)
    flags.DEFINE_list("names", [], "What the page calls the runs.", flag_values=values)
    flags.DEFINE_list(
        "data_path",
        [],
        "Folders of captures that moved: one for all runs, or one for each; may be empty.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "cams",
        "",
        "Cameras to measure: test, train, all, or indices as 0,3; empty: the shown one.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "metrics", list(measures.NAMES), "Metrics; ssim,psnr is quick.", flag_values=values
    )
    flags.DEFINE_string(
        "lpips_weights", "", "File of LPIPS' weights; empty: the usual place.", flag_values=values
    )
    flagged.define_masks(values)
    flagged.define_frames(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    paths = [pathlib.Path(path).expanduser().absolute() for path in values.runs]
    out = pathlib.Path(values.out).expanduser().absolute()
    if out.is_file():
        raise InvError(f"--out={out} is a file; give a folder")
    opened = runs.open_runs(paths, values.names)
    wanted = make.Wanted(
        frames=lambda frames: flagged.select_frames(frames, values.frames),
        cams=lambda viewer: _cams(viewer, values.cams),
        data_paths=_data_paths(values.data_path, len(opened)),
        with_masks=lambda playback: flagged.with_masks(playback, values),
    )
    chosen = measures.make(values.metrics or measures.NAMES, values.lpips_weights or None)
    title = values.title or _title(opened)
    print(make.make(opened, out, chosen, wanted, title))
    return 0


def _cams(viewer: Viewer, text: str) -> list[int]:
    if not text:
        return [viewer.shown_cam]
    return flagged.select_cams(text, viewer.train_cams, viewer.test_cams)


def _data_paths(given: list[str], count: int) -> list[str]:
    if len(given) in (0, count):
        return given
    if len(given) == 1:
        return given * count
    raise InvError(
        f"--data_path= has {len(given)} folders for {count} runs; give one, or one for each"
    )


def _title(opened: list[runs.Run]) -> str:
    if len(opened) == 1:
        return f"Report on {opened[0].name}"
    return f"{len(opened)} runs compared"
