"""`inv-jax video`: runs side by side, frame by frame, with their names, PSNR and errors.

    inv-jax video runs/inv runs/scratch --out=side_by_side.mp4 --truth --error
    inv-jax video runs/inv runs/inv/video.inv --names=trained,compressed --data_path=CAPTURE
    inv-jax video runs/inv runs/scratch --path=spiral       no camera was there: there is no PSNR
    inv-jax video runs/split --truth                        one run: its layers side by side
    inv-jax video runs/inv runs/split --outputs=rgb,dynamic     a row for each output

Shown are the frames that all of them have. Panels have the size of the largest rendering, smaller
ones are enlarged to it; each is measured as it was rendered, against its own capture.
"""

import pathlib
from collections.abc import Sequence

from absl import flags, logging

from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.commands import flagged
from inv_jax.commands import render as render_lib
from inv_jax.commands.stop import Stop
from inv_jax.eval import pictures
from inv_jax.player import paths
from inv_jax.player.beside import Drawing, Run
from inv_jax.player.video import VideoWriter
from inv_jax.types import InvError

USAGE = "RUN|FILE [RUN|FILE ...] --out=side_by_side.mp4 [--truth] [--error] [--path=test|cams:3]"
POSITIONAL = "runs"
REQUIRED = {"runs": "give folders of runs, or .inv files"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_list(
        "runs", None, "Folders of runs or of textures, or .inv files.", flag_values=values
    )
    flags.DEFINE_list("names", [], "What to call them; default: as the files.", flag_values=values)
    flags.DEFINE_list(
        "outputs",
        [],
        "What is shown of them, as of inv-jax render; default: colors, of one run its layers too.",
        flag_values=values,
    )
    flags.DEFINE_bool("truth", False, "Also shows the camera's images.", flag_values=values)
    flags.DEFINE_bool("error", False, "Also shows the errors.", flag_values=values)
    flags.DEFINE_float(
        "error_scale",
        pictures.ERROR_SCALE,
        "Mean absolute error, of colors in [0, 1], that is brightest.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "height",
        0,
        "Height of a panel, pixels; 0: as rendered, small ones enlarged by a whole number.",
        flag_values=values,
    )
    flags.DEFINE_string("out", "side_by_side.mp4", "Video: .mp4 or .gif.", flag_values=values)
    render_lib.define_path(values, "test")
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    flagged.join_processes(values)
    if values.height < 0 or not values.error_scale > 0:
        raise InvError(
            f"--height={values.height} --error_scale={values.error_scale}; expected pixels, and "
            "more than 0"
        )
    runs, fps = open_runs(values)
    out = pathlib.Path(values.out).expanduser().absolute()
    drawing = Drawing(
        runs,
        outputs=values.outputs,
        has_truth=values.truth,
        error_scale=values.error_scale if values.error else None,
        height=values.height,
    )
    writer = VideoWriter(out, fps)  # in all processes: what it refuses, it refuses in all
    if drawing.is_main:
        with writer:
            for picture in range(len(runs[0].path)):
                writer.push(drawing.draw(picture))
        print(out)
    else:
        for picture in range(len(runs[0].path)):
            drawing.render(picture)  # this process's part
    for one in runs:
        one.playback.wait_for_all()
    return 0


def open_runs(values: flags.FlagValues) -> tuple[list[Run], float]:
    """The runs with their paths, and pictures per second.

    Raises:
      InvError: If they cannot be shown together.
    """
    files = [pathlib.Path(text).expanduser().absolute() for text in values.runs]
    names = list(values.names) or _names(files)
    if len(names) != len(files):
        raise InvError(f"--names={','.join(names)} for {len(files)} runs; give one for each")
    playbacks = [open_playback(file, values.data_path, takes_textures=True) for file in files]
    stored = [playback.player.frames for playback in playbacks]
    common = sorted(set.intersection(*map(set, stored)))
    if not common:
        ranges = ", ".join(f"{n} {f[0]} to {f[-1]}" for n, f in zip(names, stored, strict=True))
        raise InvError(f"the runs have no frame in common: {ranges}")
    if any(len(frames) > len(common) for frames in stored):
        logging.info("frames %d to %d are in all runs", common[0], common[-1])
    frames = flagged.select_frames(common, values.frames)
    fps = playbacks[0].config.render.fps if values.fps is None else values.fps
    runs = []
    for name, playback in zip(names, playbacks, strict=True):
        path = render_lib.path_of(values, playback, frames, fps)
        cam = paths.standing_cam(playback.rig, values.path)
        runs.append(Run(name, playback, path, _if_seen(playback, name, cam, values)))
    if len({run.path.frames for run in runs}) > 1:
        raise InvError(f"--path={values.path} shows other frames in each run; give --frames")
    return runs, fps


def _names(files: Sequence[pathlib.Path]) -> list[str]:
    """The last part of each file's name; of files of one name, the folder too."""
    names = [file.stem if file.suffix == ".inv" else file.name for file in files]
    return [
        f"{file.parent.name}/{file.name}" if names.count(name) > 1 else name
        for file, name in zip(files, names, strict=True)
    ]


def _if_seen(
    playback: Playback, name: str, cam: int | None, values: flags.FlagValues
) -> int | None:
    """The camera, if its images are there; they must be for the truth and for errors."""
    wants = values.truth or values.error
    if cam is None and wants:
        raise InvError(
            f"--path={values.path} goes where no camera was, so there is no truth; choose "
            "--path=test or --path=cams:NUMBER, or leave --truth and --error out"
        )
    if cam is None:
        return None
    try:
        playback.capture  # noqa: B018
    except InvError as error:
        if wants:
            raise
        logging.info("%s: no PSNR, since there are no images: %s", name, error)
        return None
    return cam
