"""The work behind `inv-jax eval` and `inv-jax render`: a player, and what to show with it."""

import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging

from inv_jax import build
from inv_jax.eval import pictures, report
from inv_jax.eval.evaluate import measure, shown_cam
from inv_jax.player import player as player_lib
from inv_jax.player import video
from inv_jax.render.view import View
from inv_jax.types import Cameras, InvError


def select_frames(stored: list[int], text: str) -> list[int]:
    """Stored frames within FIRST:LAST (both included); all of them for an empty text.

    Raises:
      InvError: If the text is not of that form, or names frames that are not stored.
    """
    if not text:
        return stored
    first, _, last = text.partition(":")
    try:
        wanted = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise InvError(f"--frames={text}: expected FIRST:LAST, for example 1:30") from error
    missing = [frame for frame in wanted if frame not in stored]
    if missing or not wanted:
        raise InvError(
            f"--frames={text}: stored frames are {stored[0]} to {stored[-1]}; choose among them"
        )
    return list(wanted)


def select_cams(text: str, train: tuple[int, ...], test: tuple[int, ...]) -> list[int]:
    """Camera indices from `test`, `train`, `all` or a list as `0,3`.

    Raises:
      InvError: If it is none of these, or a camera is out of range.
    """
    named = {"test": test, "train": train, "all": tuple(sorted(train + test))}
    if text in named:
        if not named[text]:
            raise InvError(
                f"--cams={text}: the run has none of these; choose all, or indices as 0,3"
            )
        return list(named[text])
    try:
        cams = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InvError(f"--cams={text}: expected test, train, all, or indices as 0,3") from error
    unknown = [cam for cam in cams if cam not in named["all"]]
    if unknown:
        raise InvError(f"--cams={text}: cameras are 0 to {len(named['all']) - 1}")
    return cams


def evaluate(
    playback: build.Playback, *, cams: str, frames: str
) -> tuple[list[dict[str, Any]], str]:
    """Measures stored frames against the capture's images; rows, and a table of them."""
    capture = playback.capture
    rows = []
    for frame in select_frames(playback.player.frames, frames):
        images = np.asarray(capture.load(frame).images)
        for cam in select_cams(cams, capture.train_cams, capture.test_cams):
            view = playback.player.view(frame, capture.cameras, cam)
            rows.append({"frame": frame, "cam": cam, **measure(view, images[cam])})
            logging.info("frame %d cam%02d: %.2f dB", frame, cam, rows[-1]["psnr"])
    return rows, report.format_table(rows, ["frame", "cam", "psnr", "ssim"])


def write_rows(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows as JSON."""
    report.write_json(path, rows)


def render(
    playback: build.Playback, *, path: str, frames: str, out: pathlib.Path, fps: float | None
) -> list[pathlib.Path]:
    """Renders a video and, beside it, its depth; the paths written.

    Frame number t is seen from pose t modulo 120 of the spiral, as in INV, or from the held-out
    camera.
    """
    capture = playback.capture
    selected = select_frames(playback.player.frames, frames)
    cam = shown_cam(capture)
    if path == "test":
        cameras = capture.cameras.take(np.array([cam]))
    else:
        cameras = player_lib.spiral_cameras(capture.cameras, capture.spiral, cam)
    fps = playback.config.render.fps if fps is None else fps
    out = out.expanduser().absolute()
    depth_out = out.with_name(f"{out.stem}_depth{out.suffix}")
    # One pass over the frames feeds both files; the depth waits in memory as uint8.
    views = _with_log(playback.player.along(selected, cameras), len(selected))
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
