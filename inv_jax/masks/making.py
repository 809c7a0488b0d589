"""Masks of a capture, made and written: camera by camera, in bounded memory.

Beside the masks lies a note of what they were made with. A call that is interrupted leaves whole
files only, and the same call goes on behind them. Masks that were made otherwise are left alone, or
replaced when all new ones are ready.
"""

import dataclasses
import json
import pathlib
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from inv_jax.data import files
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.masks.flow import FlowSource
from inv_jax.masks.segmentation import Segmenter, Settings
from inv_jax.types import InvError, Stopped

NOTE = "flow_masks.json"

_ANY = "dynamic_mask_frame*"
_CAMS_AT_ONCE = 4  # each holds some frames


def make(
    capture: Capture,
    masks: Masks,
    frames: Sequence[int],
    cams: Sequence[int],
    source: FlowSource,
    settings: Settings,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Writes the masks that are missing, non-zero (255) for dynamic.

    Args:
      capture: Its images; frames next to the wanted ones count too.
      masks: Where to; what `claim` returned.
      frames: Of these frames.
      cams: Of these cameras, indices.
      source: Of flow.
      settings: How masks are made.
      should_stop: Asked before each mask.

    Returns:
      How many were written.

    Raises:
      InvError: If an image or its flow cannot be read.
      Stopped: If asked to stop; what is written stays.
    """
    missing = masks.missing(frames, cams)
    is_over = threading.Event()
    total, done, lock = len(missing), 0, threading.Lock()

    def make_cam(cam: int) -> None:
        nonlocal done
        wanted = [frame for frame, other in missing if other == cam]
        one = Segmenter(
            lambda frame: np.asarray(capture.load(frame, [cam]).images)[0],
            capture.frames,
            cam,
            source,
            settings,
        )
        for frame in wanted:
            if is_over.is_set() or should_stop():
                return
            _write(masks.path(frame, cam), one.mask(frame))
            with lock:
                done += 1
            logging.log_every_n_seconds(logging.INFO, "made %d of %d masks", 10, done, total)

    with futures.ThreadPoolExecutor(_CAMS_AT_ONCE) as pool:
        try:
            list(pool.map(make_cam, cams))
        finally:
            is_over.set()  # after an error the others need not go on
    if done < total:
        raise Stopped(f"stopped after {done} of {total} masks; the same command goes on")
    return done


def claim(
    masks: Masks,
    frames: Sequence[int],
    cams: Sequence[int],
    made_with: dict[str, Any],
    *,
    overwrite: bool,
) -> Masks:
    """Notes in the masks' folder what they are made with, or sees that it says so.

    Args:
      masks: Where they are or will be.
      frames: Those that are wanted.
      cams: As well.
      made_with: Scalars by name.
      overwrite: Masks that are there but were made otherwise are to be replaced.

    Returns:
      Where to make them: right there, or, to replace others, in a folder beside it. `settle` then
      puts them in place, so that until all are made the old ones are whole.

    Raises:
      InvError: If masks are there that were made otherwise, and should not be replaced or are not
        all wanted; or if the folder cannot be written to.
    """
    folder = _folder(masks)
    there = {path.name for path in folder.glob(_ANY)}
    difference = _difference(folder, made_with)
    if difference and not overwrite:
        raise InvError(f"{difference}; give --out=FOLDER, or --overwrite to replace them")
    place = masks
    if difference and there:
        wanted = {masks.path(frame, cam).name for frame in frames for cam in cams}
        if others := sorted(there - wanted):
            raise InvError(
                f"{difference}; {len(others)} of them, as {others[0]}, are of other frames or "
                "cameras, so not replaced: give all frames and cameras, or --out=FOLDER"
            )
        place = _beside(masks)
    made = _folder(place)
    if not (made / NOTE).exists() and any(made.glob(_ANY)):
        raise InvError(f"{_difference(made, made_with)}; move them away, or give --out=FOLDER")
    try:
        if place is not masks and (made / NOTE).exists() and _difference(made, made_with):
            shutil.rmtree(made)  # of a call that was given up
        made.mkdir(parents=True, exist_ok=True)
        with files.replacing(made / NOTE) as temporary:
            temporary.write_text(json.dumps(made_with, indent=2) + "\n")
    except OSError as error:
        raise _unwritable(made, error) from error
    return place


def settle(made: Masks, masks: Masks) -> None:
    """Puts masks in place that were made beside others; `made` is what `claim` returned.

    Raises:
      InvError: If the folder cannot be written to.
    """
    if made is masks:
        return
    folder, beside = _folder(masks), _folder(made)
    try:
        for path in (*sorted(beside.glob(_ANY)), beside / NOTE):  # the note is the last one
            path.replace(folder / path.name)
        beside.rmdir()
    except OSError as error:
        raise _unwritable(folder, error) from error


def made_with(settings: Settings, flow: str, masks: Masks) -> dict[str, Any]:
    """What a note says; `flow` names its source."""
    size = {"height": masks.height, "width": masks.width}
    return {"flow": flow, **dataclasses.asdict(settings), **size}


def _folder(masks: Masks) -> pathlib.Path:
    return masks.path(1, 0).parent


def _beside(masks: Masks) -> Masks:
    pattern = pathlib.Path(masks.pattern)
    folder = pattern.parent.with_name(pattern.parent.name + ".new")
    return dataclasses.replace(masks, pattern=str(folder / pattern.name))


def _difference(folder: pathlib.Path, made_with: dict[str, Any]) -> str:
    """What is in the way of making masks in a folder; empty if nothing is."""
    note = folder / NOTE
    if not note.exists():
        is_others = any(folder.glob(_ANY))
        return f"the masks in {folder} were not made by inv-jax masks" if is_others else ""
    try:
        found = json.loads(note.read_text())
    except ValueError as error:
        return f"{note} is not JSON ({error})"
    if not isinstance(found, dict):
        return f"{note} holds no settings"
    differing = [
        f"{name} {found.get(name)} there, {made_with.get(name)} here"
        for name in sorted(found.keys() | made_with.keys())
        if found.get(name) != made_with.get(name)
    ]
    return f"{folder} holds masks made with {'; '.join(differing)}" if differing else ""


def _unwritable(folder: pathlib.Path, error: OSError) -> InvError:
    return InvError(
        f"{folder} cannot be written to ({error.strerror}); give another folder: --out=FOLDER"
    )


def _write(path: pathlib.Path, mask: np.ndarray) -> None:
    with files.replacing(path) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, format="PNG")
