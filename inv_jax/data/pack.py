"""Packs a capture into a tensorflow-datasets folder of ArrayRecord shards (`records.py` reads it).

The images go in as they are, byte for byte, each decoded once to be sure that it is whole. The
folder takes its name when the last shard is written: an interrupted pack leaves none that looks
whole. In memory are the images of one frame, as files.
"""

import contextlib
import dataclasses
import fcntl
import functools
import io
import itertools
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from inv_jax.data import frame_index, records
from inv_jax.data.capture import Capture
from inv_jax.types import InvError, Stopped

# Large enough to be few files on a shared disk, small enough to be copied one by one.
_SHARD_BYTES = 256 * 2**20
_JPEG = b"\xff\xd8"

_Examples = Iterator[tuple[int, dict[str, Any]]]
_Shard = Callable[[], _Examples]


def describe(capture: Capture) -> dict[str, Any]:
    """What `metadata.json` says of a packed capture, as plain JSON values.

    A float32 is written as the float64 of the same value, so it comes back bit for bit. What a
    config chooses at reading (NDC, near, pixel centers, held-out cameras) is not in it.
    """
    return {
        "format": records.FORMAT,
        **dataclasses.asdict(capture.making),
        "first_frame": capture.frames[0],
        "num_frames": len(capture.frames),
        "height": capture.cameras.height,
        "width": capture.cameras.width,
        "fingerprint": capture.fingerprint,
        "camera_names": list(capture.camera_names),
        "cam_to_world": np.asarray(capture.cameras.cam_to_world).tolist(),
        "intrinsics": np.asarray(capture.cameras.intrinsics).tolist(),
        "bounds": capture.bounds.tolist(),
        "spiral": capture.spiral.tolist(),
    }


def pack(
    capture: Capture,
    out: pathlib.Path,
    *,
    num_shards: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Writes the capture's open frames, all cameras, to a new folder.

    Args:
      capture: Any open capture.
      out: The folder to make. If it holds these very frames of this capture already, nothing is
        done.
      num_shards: Files to spread the frames over; 0 is one per 256 MiB or so.
      should_stop: Asked before each frame.

    Raises:
      InvError: If an image is broken, `out` holds something else, or the disk takes no more.
      Stopped: If asked to stop; nothing is left behind.
    """
    description = describe(capture)
    if _is_done(out, capture, description):
        logging.info("%s holds this capture already; remove it to pack it again", out)
        return
    shards: list[_Shard] = [
        functools.partial(_examples, capture, frames, should_stop)
        for frames in _split(capture, num_shards)
    ]
    began = time.monotonic()
    try:
        with _staging(out) as staging, _without_words():
            builder = _Builder(shards, description, data_dir=staging, file_format="array_record")
            builder.download_and_prepare(
                download_dir=staging,
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
            made = pathlib.Path(builder.data_dir)
            _sync(made)
            os.replace(made, out)
    except RuntimeError as error:  # of the record writer
        raise InvError(
            f"{out} cannot be written ({' '.join(str(error).split())}); is the disk full?"
        ) from error
    finally:
        shards.clear()  # tfds keeps every builder for good; it need not keep the capture
    size, seconds = size_bytes(out) / 1e6, time.monotonic() - began
    logging.info("packed %.1f MB in %.1f s, %.0f MB/s", size, seconds, size / seconds)


def size_bytes(path: pathlib.Path) -> int:
    """Bytes of all files of a folder."""
    return sum(file.stat().st_size for file in path.iterdir())


def _is_done(out: pathlib.Path, capture: Capture, description: Mapping[str, Any]) -> bool:
    """Whether `out` is there and holds what is to be packed; false if it is free.

    Raises:
      InvError: If it holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not out.is_dir() or not records.is_packed(out):
        raise InvError(f"{out} exists and is no packed capture; choose a new folder")
    found = records.read_description(out)
    differing = {name for name in description if found.get(name) != description[name]}
    if differing:
        said = [
            f"{name} is {found.get(name)} there, {description[name]} here"
            for name in sorted(differing)
            if isinstance(description[name], int | float | str)
        ]
        raise InvError(
            f"{out} holds another capture, or other frames of this one: "
            f"{'; '.join(said) or 'its cameras differ'}; choose a new folder, or remove that one"
        )
    first, count = capture.frames[0], len(capture.frames)
    records.open_records(out, capture.making, first_frame=first, num_frames=count)
    return True


def _split(capture: Capture, num_shards: int) -> list[range]:
    """The frames of each shard: whole frames, as equal in number as can be."""
    frames = capture.frames
    if num_shards < 0 or num_shards > len(frames):
        raise InvError(
            f"--shards={num_shards}: {frame_index.name_frames(frames)} can fill 1 to {len(frames)} "
            "shards; choose one of these, or 0 for automatic"
        )
    if not num_shards:
        frame_bytes = sum(map(len, capture.read_whole(frames[0])))
        num_shards = min(len(frames), -(-frame_bytes * len(frames) // _SHARD_BYTES))
    cuts = [round(i * len(frames) / num_shards) for i in range(num_shards + 1)]
    return [frames[a:b] for a, b in itertools.pairwise(cuts)]


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does not look whether this dataset is one of those that tfds has in the cloud."""


class _Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Writes records in order: tfds' other builders sort them first, in memory or by TensorFlow."""

    name = "capture"
    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so tfds need not look for checksums

    def __init__(self, shards: list[_Shard], description: Mapping[str, Any], **kwargs: Any) -> None:
        self._shards, self._description = shards, description
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                # Encoded bytes: `Image` would want one format and bit depth for all.
                "image": tfds.features.Text(),
                "file_name": tfds.features.Text(),
                "frame": np.int64,  # as numbered on disk
                "cam": np.int64,  # an index into metadata.json's cameras
            }
        )
        return _Info(
            builder=self,
            description="Synchronized images of calibrated cameras; the rig is in metadata.json.",
            features=features,
            metadata=tfds.core.MetadataDict(self._description),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[_Shard]]:
        del dl_manager
        return {records.SPLIT: self._shards}


def _examples(capture: Capture, frames: range, should_stop: Callable[[], bool]) -> _Examples:
    """The records of some frames, with their numbers."""
    names, packed = capture.camera_names, capture.frames
    for frame in frames:
        if should_stop():
            raise Stopped("stopped while packing; nothing is kept, the same command begins anew")
        for cam, image in enumerate(capture.read_whole(frame)):
            # A name that a folder of frames may have; the decoder goes by the content.
            suffix = "jpg" if image.startswith(_JPEG) else "png"
            file_name = f"frame{frame:04d}{names[cam]}.{suffix}"
            example = {"image": image, "file_name": file_name, "frame": frame, "cam": cam}
            yield packed.index(frame) * len(names) + cam, example
            example.clear()  # It is written; tfds keeps all of a shard, to count them.
        done = packed.index(frame) + 1
        logging.log_every_n_seconds(logging.INFO, "packed %d of %d frames", 10, done, len(packed))


@contextlib.contextmanager
def _staging(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """An empty folder beside `out`, for this process alone; it is gone at the end.

    Raises:
      InvError: If another process packs to `out`.
    """
    folder = out.with_name(f".{out.name}.packing")
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")  # it ends with the process, however that ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise InvError(
            f"another process is packing to {out} (it holds {folder / 'lock'}); wait for it, or "
            "choose another folder"
        ) from error
    except OSError:
        logging.info("no file locks in %s; let no other process pack to %s", folder, out)
    try:
        inner = folder / "tfds"
        shutil.rmtree(inner, ignore_errors=True)  # of a pack that was killed
        inner.mkdir()
        yield inner
    finally:
        lock.close()  # a network's disk does not remove files that are open
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _without_words() -> Iterator[None]:
    """Hides what tfds prints to the standard output, and its bars; the log is ours."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _sync(folder: pathlib.Path) -> None:
    """A name must not reach the disk before its content does."""
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
