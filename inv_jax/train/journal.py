"""What a run writes about itself: one row per frame, and the same in TensorBoard's words.

    metrics.jsonl   one JSON object a line, its `frame` the key; NaN and infinity are null
    tensorboard/    a scalar for each number of a row, at global step = frame; pictures

A run can be killed at any moment, also in the middle of a line: what is left of such a last line
is not read, and is gone before the next one is written.
"""

import json
import os
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import tensorboardX
from jaxtyping import UInt8

from inv_jax.data import files
from inv_jax.types import InvError

_TENSORBOARD_SECONDS = 10  # until a number shows there


class Journal:
    """The rows of a run's frames, in the order of the frames."""

    def __init__(self, workdir: pathlib.Path):
        """Opens the journal of a workdir; files are made by the first row that is written."""
        self.path = workdir / "metrics.jsonl"
        self._tensorboard_dir = workdir / "tensorboard"
        self._tensorboard: tensorboardX.SummaryWriter | None = None

    def rows(self) -> list[files.JsonRow]:
        """All rows, one per frame, sorted by frame; none if there is no file.

        Raises:
          InvError: If a line other than an unfinished last one holds no row.
        """
        return list(self._read()[0].values())

    def frames(self) -> set[int]:
        """The frames that have a row."""
        return set(self._read()[0])

    def write(
        self,
        row: Mapping[str, Any],
        pictures: Mapping[str, UInt8[np.ndarray, "h w 3"]] | None = None,
    ) -> None:
        """Adds the row of a frame, or replaces the one that is there.

        When this returns the row is on disk. A new row is appended; a replacement, or one that
        comes behind an unfinished line, rewrites the file whole.

        Args:
          row: Scalars by name; `frame` must be among them.
          pictures: RGB pictures by name, for TensorBoard alone.

        Raises:
          InvError: As `rows`.
        """
        new = files.json_row(row)
        frame = int(new["frame"])
        rows, is_whole = self._read()
        if frame in rows or not is_whole:
            self._rewrite({**rows, frame: new}.values())
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(_line(new))
                file.flush()
                os.fsync(file.fileno())
        self._show(frame, new, pictures or {}, is_last=frame > max(rows, default=frame - 1))

    def keep_only(self, frames: Collection[int]) -> None:
        """Drops the rows of all other frames, as when those are to be trained again."""
        rows, _ = self._read()
        kept = [row for frame, row in rows.items() if frame in frames]
        if len(kept) < len(rows):
            self._rewrite(kept)

    def close(self) -> None:
        """Writes out what TensorBoard has not got yet; rows may still be written afterwards."""
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def _read(self) -> tuple[dict[int, files.JsonRow], bool]:
        """Rows by frame, in that order, and whether the file ends with a whole line."""
        data = self.path.read_bytes() if self.path.exists() else b""
        *lines, last = data.split(b"\n")  # A whole file ends with a newline: `last` is empty.
        rows = {}
        for number, line in enumerate(lines, start=1):
            row = _parse(line)
            if row is None:
                raise InvError(
                    f"{self.path}: line {number} is no JSON object with a 'frame'; "
                    "remove that line, and its frame is evaluated again"
                )
            rows[int(row["frame"])] = row
        return dict(sorted(rows.items())), not last

    def _rewrite(self, rows: Iterable[files.JsonRow]) -> None:
        ordered = sorted(rows, key=lambda row: row["frame"])
        with files.replacing(self.path) as temporary:
            temporary.write_bytes(b"".join(map(_line, ordered)))

    def _show(
        self,
        frame: int,
        row: files.JsonRow,
        pictures: Mapping[str, UInt8[np.ndarray, "h w 3"]],
        is_last: bool,
    ) -> None:
        if self._tensorboard is None:
            # An earlier run may have shown this frame and later ones, whose rows are gone: they
            # are to be forgotten, unless a frame in the middle is just evaluated again.
            self._tensorboard = tensorboardX.SummaryWriter(
                str(self._tensorboard_dir),
                purge_step=frame if is_last else None,
                flush_secs=_TENSORBOARD_SECONDS,  # its `flush` does not wait for its queue
            )
        for name, value in row.items():
            if isinstance(value, (int, float)) and name != "frame":
                self._tensorboard.add_scalar(name, value, global_step=frame)
        for name, picture in pictures.items():
            self._tensorboard.add_image(name, picture, global_step=frame, dataformats="HWC")


def _line(row: files.JsonRow) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _parse(line: bytes) -> files.JsonRow | None:
    try:
        row = json.loads(line)
    except ValueError:  # Also of bytes that are not UTF-8.
        return None
    return row if isinstance(row, dict) and isinstance(row.get("frame"), int) else None
