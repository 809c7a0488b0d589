"""`inv-jax export`: frames of the fast field for players without JAX, as textures.

    inv-jax export --workdir=runs/fast --textures=runs/fast/textures
    inv-jax export --workdir=video.inv --textures=FOLDER --frames=4:9 --data_path=CAPTURE

The folder, which any web server can serve, has 8-bit 3D textures of each level and of the guide:
whole ones for key frames, bricks of texels that changed for the others (`textures/manifest.py` says
all of it). It says how much the bytes cost: PSNR of the first held-out camera's pictures against
those of the field, and of both against the camera's images, if these are there. `render`, `eval`,
`video` and `play` take the folder as they take a run.
"""

import pathlib
import sys
from typing import Any

import numpy as np
from absl import flags, logging

from inv_jax.assembly import record, sizing
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.data.capture import Capture
from inv_jax.eval import measures, metrics, report
from inv_jax.render.view import ViewRenderer
from inv_jax.textures.field import TexturedField
from inv_jax.textures.writer import Ranges, TextureWriter, Written, header_of
from inv_jax.types import InvError, Params, Stopped

USAGE = "--workdir=runs/fast|video.inv --textures=FOLDER [--frames=1:30] [--key_every=24]"
REQUIRED = flagged.WORKDIR | {"textures": "give the folder to make"}

_COLUMNS = ("frame", "written", "bytes", "bricks", "psnr_of_field", "psnr", "psnr_lost")
_MEASURED = "measures.json"
_PSNR = measures.make(("psnr",))


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_string("textures", None, "Folder to make.", flag_values=values)
    flags.DEFINE_integer(
        "key_every",
        24,
        "Frames from one key frame to the next; 0: only the first one is.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "brick",
        4,
        "Texels of a brick's side: small ones take fewer bytes, large ones fewer calls.",
        lower_bound=1,
        upper_bound=256,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "measure", True, "Renders each frame twice, and says its PSNR.", flag_values=values
    )
    flagged.define_stored_frames(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    stop.install()
    out = pathlib.Path(values.textures).expanduser().absolute()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InvError(f"--textures={out} is there and not an empty folder; give a new one")
    playback = open_playback(flagged.workdir(values), values.data_path)
    model = TexturedField.of(playback.model)
    frames = flagged.select_frames(playback.source.frames(), values.frames)
    comparison = Comparison(playback, model) if values.measure else None
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with files.replacing(out) as temporary:
            rows = _write(temporary, playback, model, frames, values, comparison, stop)
            report.write_json(temporary / _MEASURED, rows)
    except Stopped as stopped:
        print(f"inv-jax: {stopped}", file=sys.stderr)
        return stop.status
    print(report.format_table(rows, [x for x in _COLUMNS if any(x in row for row in rows)]))
    print(f"{out}: {len(frames)} frames, {_sizes(rows)}")
    return 0


class Comparison:
    """What a camera sees: of the field, of its textures, and in truth."""

    def __init__(self, playback: Playback, model: TexturedField):
        """Shows the first held-out camera; its images need not be there."""
        devices, config = playback.devices, playback.config
        self._playback = playback
        self._renderer = ViewRenderer(model, devices, sizing.rows_per_chunk(config, model, devices))
        self._capture = _capture_of(playback)

    def __call__(self, frame: int, params: Params, textured: Params) -> dict[str, Any]:
        """Measures a frame.

        Args:
          frame: Its number.
          params: Of the field.
          textured: What a player of textures has.

        Returns:
          `psnr_of_field`, and if there is a truth `psnr` and `psnr_lost`; dB.
        """
        cameras, cam = self._playback.rig.cameras, self._playback.rig.shown_cam
        field = self._playback.player.look(params, cameras, cam).rgb
        shown = self._renderer.render(self._renderer.params(textured), cameras, cam).rgb
        row: dict[str, Any] = {"psnr_of_field": metrics.psnr(shown, field)}
        if self._capture is not None:
            truth = np.asarray(self._capture.load(frame, [cam]).images)[0]
            before, after = (_PSNR(rgb, truth)["psnr"] for rgb in (field, shown))
            row |= {"psnr": after, "psnr_lost": before - after}
        return row


def _capture_of(playback: Playback) -> Capture | None:
    try:
        return playback.capture
    except InvError as error:
        logging.info("no PSNR of the camera's images: %s", error)
        return None


def _write(
    folder: pathlib.Path,
    playback: Playback,
    model: TexturedField,
    frames: list[int],
    values: flags.FlagValues,
    comparison: Comparison | None,
    stop: Stop,
) -> list[dict[str, Any]]:
    """Reads all frames for the ranges of their numbers, then again to write them."""

    def read(frame: int) -> Params:
        if stop():
            raise Stopped("stopped while exporting; nothing was written")
        return playback.source.params(frame)

    ranges = Ranges(model)
    for frame in frames:
        ranges.add(read(frame))
    header = header_of(
        *(model, read(frames[0]), playback.config.to_dict(), playback.rig),
        record.provenance(playback.rig.fingerprint),
    )
    writer = TextureWriter(
        folder, model, header, ranges.parts(), brick=values.brick, key_every=values.key_every
    )
    rows = []
    for frame in frames:
        params = read(frame)
        written = writer.push(frame, params, playback.source.color_id(frame))
        row = _row(written)
        if comparison is not None:
            row |= comparison(frame, params, written.params)
        rows.append(row)
        said = (f"{name} {row[name]:.4g}" for name in _COLUMNS[4:] if name in row)
        logging.info("%s", ", ".join([f"frame {frame}: {row['bytes']:,} bytes", *said]))
    writer.close()
    return rows


def _row(written: Written) -> dict[str, Any]:
    frame, bricks = written.frame, written.num_bricks
    row = {"frame": frame.number, "written": "whole" if bricks is None else "update"}
    return row | {"bytes": frame.file.num_bytes, "bricks": bricks}


def _sizes(rows: list[dict[str, Any]]) -> str:
    sizes = [[row["bytes"] for row in rows if row["written"] == k] for k in ("whole", "update")]
    said = f"{sizes[0][0]:,} bytes whole"
    if sizes[1]:
        said += f", {sum(sizes[1]) / len(sizes[1]):,.0f} an update on average"
    return said
