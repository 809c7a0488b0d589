"""A capture packed into ArrayRecord shards, a tensorflow-datasets folder, read by random access.

    dataset_info.json  features.json             tensorflow-datasets' own
    metadata.json                                the rig and what was packed (`pack.describe`)
    capture-images.array_record-00000-of-00004   records, one per frame and camera

Records lie frame after frame, in each the cameras in the rig's order, so that an image's record
is computed, never searched. A record holds the image file as it was: decoding it gives the bits
that the folder gives. `pack.py` writes such folders.
"""

import bisect
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

from inv_jax.data import frame_index
from inv_jax.data.calibration import SPIRAL_POSES, Calibration
from inv_jax.data.source import Contents, FileSource, Making
from inv_jax.types import InvError

FORMAT = "inv_jax capture 1"  # counts up when folders of before cannot be read any more
SPLIT = "images"

_METADATA = "metadata.json"  # the name that tfds gives it
_DATASET_INFO = "dataset_info.json"
_THREADS = 8  # opening a file waits, most of all on a network's


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of records."""

    path: pathlib.Path
    records: range  # their numbers, counted over all shards

    def frames(self, packed: range, num_cams: int) -> range:
        """The frames that it holds, in whole or in part."""
        return packed[self.records[0] // num_cams : self.records[-1] // num_cams + 1]


class RecordSource(FileSource):
    """Records of a packed capture; each read opens one shard at most, and reads one record."""

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        shards: Sequence[Shard],
        packed: range,
        camera_names: tuple[str, ...],
    ) -> None:
        """Args are what `open_records` found; `packed` are all frames of the folder."""
        self._records, self._shards = records, shards
        self._packed, self._names = packed, camera_names

    def read(self, frame: int, cam: int) -> bytes:
        try:
            record = self._records[self._number(frame, cam)]
            found, image = (record["frame"], record["cam"]), record["image"]
        except Exception as error:  # The reader and the parser raise errors of many kinds.
            raise InvError(
                f"{self.name(frame, cam)}: its record cannot be read ({_reason(error)}); the "
                "shard is damaged: copy it again, or pack the capture again"
            ) from error
        if found != (frame, cam):
            raise InvError(
                f"{self.name(frame, cam)}: its record says frame {found[0]}, camera {found[1]}; "
                "shards were mixed up: copy the folder again"
            )
        return image

    def name(self, frame: int, cam: int) -> str:
        number = self._number(frame, cam)
        shard = self._shards[bisect.bisect(self._shards, number, key=lambda s: s.records.start) - 1]
        return f"{shard.path} (frame {frame}, {self._names[cam]})"

    def _number(self, frame: int, cam: int) -> int:
        return self._packed.index(frame) * len(self._names) + cam


def is_packed(path: pathlib.Path) -> bool:
    """Whether a folder holds a packed capture, also one of which a part is missing."""
    return (path / _DATASET_INFO).is_file() or any(path.glob("*.array_record-*"))


def read_description(path: pathlib.Path) -> dict[str, Any]:
    """What `pack.describe` said of a packed capture.

    Raises:
      InvError: If it is missing or damaged, or describes something else.
    """
    file = path / _METADATA
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvError(
            f"{file} cannot be read ({_reason(error)}); expected the description of a packed "
            "capture: copy the folder again, or pack the capture again"
        ) from error
    known = found.get("format") if isinstance(found, dict) else None
    if known != FORMAT:
        raise InvError(
            f"{file} is of format {known!r}, expected {FORMAT!r}: pack the capture again"
        )
    return found


def open_records(
    path: pathlib.Path, making: Making, *, first_frame: int, num_frames: int
) -> Contents:
    """Opens a packed capture; of its shards only those of the selected frames are touched.

    Args:
      path: The folder.
      making: What the config expects it to be made with.
      first_frame: Number of the first frame, as it was on disk.
      num_frames: How many; 0 is all up to the last.

    Raises:
      InvError: If the folder is incomplete or damaged, was made otherwise, or lacks a frame.
    """
    found = read_description(path)
    try:
        packed = range(found["first_frame"], found["first_frame"] + found["num_frames"])
        if not packed:
            raise ValueError("it lists no frames")
        names = tuple(found["camera_names"])
        calibration = _calibration(found, path)
        height, width = int(found["height"]), int(found["width"])
        made = Making(**{field.name: found[field.name] for field in dataclasses.fields(Making)})
    except (ValueError, KeyError, TypeError) as error:
        raise InvError(
            f"{path / _METADATA} is damaged ({_reason(error)}); copy it again, or pack the "
            "capture again"
        ) from error
    _check_making(path, made, making)
    frames = frame_index.select_frames(
        {frame: {} for frame in packed}, path, first_frame=first_frame, num_frames=num_frames
    )
    records, shards = _open_shards(path, len(packed) * len(names))
    selected = [shard for shard in shards if set(shard.frames(packed, len(names))) & set(frames)]
    _check_shards(selected, packed, len(names))
    return Contents(
        making=made,
        calibration=calibration,
        camera_names=names,
        frames=frames,
        height=height,
        width=width,
        images=RecordSource(records, shards, packed, names),
    )


def _calibration(found: Mapping[str, Any], path: pathlib.Path) -> Calibration:
    num_cams = len(found["camera_names"])
    return Calibration(
        cam_to_world=np.array(found["cam_to_world"], np.float32).reshape(num_cams, 3, 4),
        intrinsics=np.array(found["intrinsics"], np.float32).reshape(num_cams, 3, 3),
        bounds=np.array(found["bounds"], np.float32).reshape(num_cams, 2),
        spiral=np.array(found["spiral"], np.float32).reshape(SPIRAL_POSES, 3, 4),
        source=str(path / _METADATA),
        camera_names=tuple(found["camera_names"]),
    )


def _check_making(path: pathlib.Path, made: Making, wanted: Making) -> None:
    for field in dataclasses.fields(Making):
        there, here = getattr(made, field.name), getattr(wanted, field.name)
        if there != here:
            raise InvError(
                f"data.{field.name} is {here}, but {path} was packed with {there}; set "
                f"data.{field.name} to {there}, or pack the capture again"
            )


def _open_shards(
    path: pathlib.Path, num_records: int
) -> tuple[Sequence[Mapping[str, Any]], list[Shard]]:
    """The records of all shards, and where each lies; opens no shard."""
    import tensorflow_datasets as tfds  # it loads slowly, and few captures are packed

    try:
        builder = tfds.builder_from_directory(path)
        split = builder.info.splits[SPLIT]
        records = builder.as_data_source(SPLIT)  # pyright: ignore[reportCallIssue]
        ends = list(itertools.accumulate(split.shard_lengths))
        starts = [0, *ends[:-1]]
        shards = [
            Shard(pathlib.Path(file), range(start, end))
            for file, start, end in zip(split.filepaths, starts, ends, strict=True)
        ]
    except Exception as error:  # tfds raises errors of many kinds.
        raise InvError(
            f"{path / _DATASET_INFO} or what lies beside it cannot be read ({_reason(error)}); "
            "expected a tensorflow-datasets folder: copy it again, or pack the capture again"
        ) from error
    if ends[-1] != num_records:
        raise InvError(
            f"{path / _DATASET_INFO} lists {ends[-1]} records, but {_METADATA} {num_records}; the "
            "two are of different captures: copy the folder again"
        )
    return records, shards


def _check_shards(shards: Sequence[Shard], packed: range, num_cams: int) -> None:
    """Finds shards that are missing, cut short or of another capture, before a run needs them."""

    def check(shard: Shard) -> None:
        holds = frame_index.name_frames(shard.frames(packed, num_cams))
        if not shard.path.is_file():
            raise InvError(f"{shard.path} is missing; it holds {holds}: copy it again")
        try:
            reader = array_record_module.ArrayRecordReader(
                str(shard.path), options="readahead_buffer_size:0"
            )
            found = reader.num_records()
            reader.close()
        except Exception as error:  # As in `read`.
            raise InvError(
                f"{shard.path} cannot be opened ({_reason(error)}); it holds {holds} and is "
                "damaged: copy it again, or pack the capture again"
            ) from error
        if found != len(shard.records):
            raise InvError(
                f"{shard.path} has {found} records, expected {len(shard.records)} ({holds}); it is "
                "of another capture: copy it again"
            )

    with futures.ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(check, shards))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
