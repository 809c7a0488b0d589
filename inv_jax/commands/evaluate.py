"""`inv-jax eval`: measures stored frames against the capture's images."""

import pathlib
from typing import Any

import numpy as np
from absl import flags, logging

from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.eval import report
from inv_jax.eval.evaluate import measure
from inv_jax.playback import Playback, open_playback

USAGE = "--workdir=runs/demo|video.inv [--cams=test|train|all|0,3] [--out=table.json]"
REQUIRED = flagged.WORKDIR


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_string(
        "cams", "test", "Cameras: test, train, all, or indices as 0,3.", flag_values=values
    )
    flags.DEFINE_string("out", "", "Writes the rows to this JSON file too.", flag_values=values)
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    flagged.join_processes(values)
    playback = open_playback(flagged.workdir(values), values.data_path)
    rows, table = evaluate(playback, cams=values.cams, frames=values.frames)
    if playback.is_main:
        print(table)
        if values.out:
            report.write_json(pathlib.Path(values.out), rows)
    playback.wait_for_all()
    return 0


def evaluate(playback: Playback, *, cams: str, frames: str) -> tuple[list[dict[str, Any]], str]:
    """Measures stored frames against the capture's images; rows, and a table of them.

    Of several processes all render, the main one measures; the others get no rows.
    """
    capture, rows = playback.capture, []
    chosen = flagged.select_cams(cams, capture.train_cams, capture.test_cams)
    for frame in flagged.select_frames(playback.player.frames, frames):
        images = np.asarray(capture.load(frame, chosen).images) if playback.is_main else None
        for place, cam in enumerate(chosen):
            view = playback.player.view(frame, capture.cameras, cam)
            if images is None:
                continue
            rows.append({"frame": frame, "cam": cam, **measure(view, images[place])})
            logging.info("frame %d cam%02d: %.2f dB", frame, cam, rows[-1]["psnr"])
    return rows, report.format_table(rows, ["frame", "cam", "psnr", "ssim"])
