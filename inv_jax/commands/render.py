"""`inv-jax render`: videos of stored frames along a camera path: colors, depth, opacity, layers.

    inv-jax render --workdir=runs/demo                              INV's spiral, time runs
    inv-jax render --workdir=runs/demo --path=test                  the camera stands
    inv-jax render --workdir=runs/demo --path=circle --frames=12    time stands
    inv-jax render --workdir=runs/demo --path=cams:0,3,7 --outputs=rgb,depth,acc --out=way.gif
    inv-jax render --workdir=runs/split --outputs=rgb,static,dynamic,dynamic_acc
    inv-jax render --workdir=runs/demo --path=spiral --save_path=keys.json    to change it, and then
    inv-jax render --workdir=runs/demo --path=keys.json

Paths are explained in `player/paths.py`, files of key poses in `player/keys.py`, and outputs, with
the colors of depth and opacity, in `player/outputs.py`.
"""

import contextlib
import pathlib
from collections.abc import Sequence

from absl import flags, logging

from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.player import outputs as outputs_lib
from inv_jax.player import paths
from inv_jax.player.paths import CameraPath
from inv_jax.player.video import VideoWriter
from inv_jax.types import InvError

USAGE = (
    "--workdir=runs/demo|video.inv [--path=spiral|circle|test|cams:0,3|keys.json] [--frames=1:30] "
    "[--outputs=rgb,depth,acc] [--out=video.mp4|.gif|FOLDER]"
)
REQUIRED = flagged.WORKDIR


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True, or_textures=True)
    define_path(values, "spiral")
    flags.DEFINE_list(
        "outputs",
        [],
        f"What is written, of {', '.join(outputs_lib.NAMES)}; where several fields are blended "
        "also static, static_depth, static_acc, dynamic, ...; default: those there are of "
        f"{', '.join(outputs_lib.DEFAULT)}.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "depth_range",
        "",
        "NEAR:FAR, in scene units: the brightest and the darkest depth; default: the capture's.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out",
        "video.mp4",
        "Video file, .mp4 or .gif, or a folder of PNGs (no suffix); others go to NAME_depth, ...",
        flag_values=values,
    )
    flags.DEFINE_string(
        "save_path",
        "",
        "Only writes the path to this .json file, as key poses to change.",
        flag_values=values,
    )
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


def define_path(values: flags.FlagValues, default: str) -> None:
    """Flags of what a video shows, see `player/paths.py`."""
    flags.DEFINE_string(
        "path",
        default,
        "Camera path: spiral, circle, test (held-out camera), cams:0,3,7 or a .json of key poses.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "poses", 0, "Poses of one round of the path; 0: the path's own.", flag_values=values
    )
    flags.DEFINE_integer("loops", 1, "How often all of it is shown.", flag_values=values)
    flags.DEFINE_float("fps", None, "Frames per second; default: the config's.", flag_values=values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    flagged.join_processes(values)
    playback = open_playback(flagged.workdir(values), values.data_path, takes_textures=True)
    written: list[pathlib.Path] = []
    if values.save_path:
        written = [pathlib.Path(values.save_path).expanduser().absolute()]
        playback.devices.from_main(lambda: paths.save(playback.rig, values.path, written[0]))
    else:
        frames = flagged.select_frames(playback.player.frames, values.frames)
        fps = playback.config.render.fps if values.fps is None else values.fps
        path = path_of(values, playback, frames, fps)
        written = render(
            playback,
            path,
            outputs=values.outputs,
            depth_range=_range(values.depth_range),
            out=pathlib.Path(values.out).expanduser().absolute(),
            fps=fps,
        )
    if playback.is_main:
        for name in written:
            print(name)
    playback.wait_for_all()
    return 0


def path_of(
    values: flags.FlagValues, playback: Playback, frames: list[int], fps: float
) -> CameraPath:
    """The pictures that the flags of `define_path` ask for, the same in all processes."""
    return playback.devices.from_main(
        lambda: paths.make(
            playback.rig,
            values.path,
            frames,
            poses=values.poses,
            loops=values.loops,
            fps=fps,
        )
    )


def render(
    playback: Playback,
    path: CameraPath,
    *,
    outputs: Sequence[str],
    depth_range: tuple[float, float] | None,
    out: pathlib.Path,
    fps: float,
) -> list[pathlib.Path]:
    """Renders a video for each output, all in one pass; the files' names.

    Args:
      playback: What is rendered; of several processes, the main one writes.
      path: Frames and cameras.
      outputs: Names, see `player/outputs.py`; none: those of its `DEFAULT` that there are.
      depth_range: Near and far of the colors of depth; None: the capture's.
      out: Where colors go; others go beside, to NAME_depth, NAME_static, ...
      fps: Pictures per second.

    Raises:
      InvError: If a file cannot be written, or the model has no such output.
    """
    VideoWriter(out, fps)  # what it refuses, it refuses before anything is rendered
    painter = outputs_lib.Painter(playback.rig, depth_range)
    writers: list[VideoWriter] = []
    chosen: tuple[str, ...] = ()
    with contextlib.ExitStack() as open_files:
        for count, view in enumerate(playback.player.along(path), 1):
            if count == 1:
                chosen = outputs_lib.choose(outputs, view)
                names = [_name(out, output) for output in chosen]
                if any(name.endswith("depth") for name in chosen):
                    logging.info("depth: brightest at %.3g, black at %.3g", *painter.depth_range)
                if playback.is_main:
                    writers = [open_files.enter_context(VideoWriter(n, fps)) for n in names]
            if playback.is_main:
                for writer, picture in zip(writers, painter.paint(view, chosen), strict=True):
                    writer.push(picture)
            logging.log_every_n_seconds(
                logging.INFO, "rendered %d of %d pictures", 10, count, len(path)
            )
    return names


def _name(out: pathlib.Path, output: str) -> pathlib.Path:
    return out if output == "rgb" else out.with_name(f"{out.stem}_{output}{out.suffix}")


def _range(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        near, far = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise InvError(f"--depth_range={text}: expected NEAR:FAR, for example 1.3:5") from error
    if not 0 < near < far:
        raise InvError(f"--depth_range={text}: expected 0 < NEAR < FAR")
    return near, far
