"""`inv-jax render`: a video of stored frames along a camera path, and its depth."""

import itertools
import pathlib
from collections.abc import Iterator

import numpy as np
from absl import flags, logging

from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.eval import pictures
from inv_jax.playback import Playback, open_playback
from inv_jax.player import player as player_lib
from inv_jax.player import video
from inv_jax.render.view import View
from inv_jax.types import Cameras

USAGE = "--workdir=runs/demo|video.inv --path=spiral|test --out=video.mp4"
REQUIRED = flagged.WORKDIR


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_enum("path", "spiral", ["spiral", "test"], "Camera path.", flag_values=values)
    flags.DEFINE_string(
        "out", "video.mp4", "Video file; the depth goes to NAME_depth.", flag_values=values
    )
    flags.DEFINE_float("fps", None, "Frames per second; default: the config's.", flag_values=values)
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    flagged.join_processes(values)
    playback = open_playback(flagged.workdir(values), values.data_path)
    paths = render(
        playback,
        path=values.path,
        frames=values.frames,
        out=pathlib.Path(values.out),
        fps=values.fps,
    )
    for path in paths:
        print(path)
    playback.wait_for_all()
    return 0


def render(
    playback: Playback, *, path: str, frames: str, out: pathlib.Path, fps: float | None
) -> list[pathlib.Path]:
    """Renders a video and, beside it, its depth; the paths written.

    Frame number t is seen from pose t modulo 120 of the spiral, as in INV, or from the held-out
    camera.
    """
    rig = playback.rig
    selected = flagged.select_frames(playback.player.frames, frames)
    cam = rig.shown_cam
    if path == "test":
        cameras = rig.cameras.take(np.array([cam]))
    else:
        cameras = player_lib.spiral_cameras(rig.cameras, rig.spiral, cam)
    fps = playback.config.render.fps if fps is None else fps
    views = _with_log(playback.player.along(selected, cameras), len(selected))
    if not playback.is_main:
        for _ in views:  # their part of each picture
            pass
        return []
    out = out.expanduser().absolute()
    depth_out = out.with_name(f"{out.stem}_depth{out.suffix}")
    # One pass over the frames feeds both files; the depth waits in memory as uint8.
    depths: list[np.ndarray] = []
    video.write_video(out, _colors(views, cameras, depths), fps)
    video.write_video(depth_out, depths, fps)
    return [out, depth_out]


def _colors(
    views: Iterator[View], cameras: Cameras, depths: list[np.ndarray]
) -> Iterator[np.ndarray]:
    near, far = float(cameras.near), float(cameras.far)
    for view in views:
        # What light passes through lies at the far end, not at depth 0.
        depth = view.depth + (1.0 - view.acc) * far
        depths.append(pictures.colorize_depth(depth, near, far))
        yield pictures.to_uint8(view.rgb)


def _with_log(views: Iterator[View], total: int) -> Iterator[View]:
    for count, view in zip(itertools.count(1), views, strict=False):
        logging.log_every_n_seconds(logging.INFO, "rendered %d of %d frames", 10, count, total)
        yield view
