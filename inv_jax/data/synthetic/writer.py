"""Writes the procedural scene to disk in the META (Neural 3D Video) layout.

    poses_bounds.npy                             (N, 17) LLFF rows, sizes and focal at factor 1
    frames_{factor}/frame0001cam00.png           `frames/` when the factor is 1; frames from 1
    mask/dynamic_mask_frame0001cam00.png         non-zero = a moving or deforming solid
    capture.json                                 what the folder was made with

Every file appears whole or not at all, and files that are there are kept: an interrupted call is
finished, and a capture made longer, by calling again.
"""

import concurrent.futures
import io
import json
import os
import pathlib
import time as clock
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8
from PIL import Image

from inv_jax.data import files
from inv_jax.data.synthetic import scene
from inv_jax.data.synthetic.rig import Rig, make_rig
from inv_jax.data.synthetic.view import render_view
from inv_jax.types import InvError


def _replace_file(path: pathlib.Path, content: bytes | UInt8[np.ndarray, "..."]) -> None:
    """Writes bytes, or an image as PNG, to a temporary file that then takes the name."""
    with files.replacing(path) as temporary:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            Image.fromarray(content).save(temporary, format="PNG")


def _claim_folder(path: pathlib.Path, settings: dict[str, Any]) -> None:
    """Notes the settings in a new folder, or checks that an old one was made with the same.

    Raises:
      InvError: If the folder holds a capture made otherwise.
    """
    note = path / "capture.json"
    if note.exists():
        try:
            found = json.loads(note.read_text())
        except json.JSONDecodeError as error:
            raise InvError(
                f"synthetic: {note} is not JSON ({error}); choose a new folder"
            ) from None
        differences = [
            f"{name} is {found.get(name)!r} there, {settings.get(name)!r} was asked for"
            for name in sorted(settings.keys() | found.keys())
            if found.get(name) != settings.get(name)
        ]
        if differences:
            raise InvError(
                f"synthetic: {path} holds a capture made with other settings: "
                f"{'; '.join(differences)}; choose a new folder, or ask for the same"
            )
        return
    if (path / "poses_bounds.npy").exists():
        raise InvError(
            f"synthetic: {path} holds a capture from elsewhere (poses_bounds.npy without "
            "capture.json); choose a new folder"
        )
    path.mkdir(parents=True, exist_ok=True)
    _replace_file(note, (json.dumps(settings, indent=2) + "\n").encode())


def _write_view(
    path: pathlib.Path,
    rig: Rig,
    cam: int,
    frame: int,
    *,
    factor: int,
    samples_per_axis: int,
    write_masks: bool,
) -> bool:
    """Writes what is missing of one camera's frame; returns whether anything was."""
    folder = "frames" if factor == 1 else f"frames_{factor}"
    image_path = path / folder / f"frame{frame:04d}cam{cam:02d}.png"
    mask_path = path / "mask" / f"dynamic_mask_frame{frame:04d}cam{cam:02d}.png"
    wanted = [image_path] + [mask_path] * write_masks
    if all(file.exists() for file in wanted):
        return False
    truth = render_view(
        rig.cam_to_world[cam],
        rig.intrinsics(factor),
        rig.height // factor,
        rig.width // factor,
        float(frame),
        samples_per_axis=samples_per_axis,
    )
    image = np.round(np.asarray(truth.rgb) * 255.0).astype(np.uint8)
    mask = np.asarray(truth.is_dynamic).astype(np.uint8) * 255
    for file, content in ((image_path, image), (mask_path, mask)):
        if file in wanted and not file.exists():
            _replace_file(file, content)
    return True


def write_capture(
    path: str | os.PathLike[str],
    *,
    height: int,
    width: int,
    num_cams: int,
    frames: Iterable[int],
    factor: int = 1,
    samples_per_axis: int = 2,
    write_masks: bool = True,
    num_threads: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Renders the scene from every camera of the rig and writes a capture, or what it lacks.

    Args:
      path: Folder, made if it does not exist.
      height: Of the written images; `poses_bounds.npy` says `height * factor`.
      width: Of the written images.
      num_cams: Number of cameras; cam00 is the middle one.
      frames: Numbers of the frames, from 1.
      factor: How many times smaller the images are than the capture says it is.
      samples_per_axis: Rays per pixel and axis.
      write_masks: Write the masks too. A later call may add them.
      num_threads: Views rendered at the same time; by default one per CPU. The bits on disk do
        not depend on it.
      should_stop: Asked before each frame; True ends the call early.

    Raises:
      InvError: If a number is out of range, or the folder holds another capture.
    """
    path = pathlib.Path(path)
    frames = list(frames)
    for name, value in {
        "height": height,
        "width": width,
        "num_cams": num_cams,
        "factor": factor,
        "samples_per_axis": samples_per_axis,
        "the first frame": min(frames, default=1),
    }.items():
        if value < 1:
            raise InvError(f"synthetic: {name} is {value}; it must be 1 or more")
    settings = {
        "scene": "toy theatre",
        "version": scene.VERSION,
        "height": height,
        "width": width,
        "num_cams": num_cams,
        "factor": factor,
        "samples_per_axis": samples_per_axis,
    }
    _claim_folder(path, settings)
    (path / ("frames" if factor == 1 else f"frames_{factor}")).mkdir(exist_ok=True)
    if write_masks:
        (path / "mask").mkdir(exist_ok=True)
    rig = make_rig(num_cams, height * factor, width * factor)
    poses_path = path / "poses_bounds.npy"
    if not poses_path.exists():
        buffer = io.BytesIO()
        np.save(buffer, rig.poses_bounds())
        _replace_file(poses_path, buffer.getvalue())

    def write_view(frame: int, cam: int) -> bool:
        return _write_view(
            path,
            rig,
            cam,
            frame,
            factor=factor,
            samples_per_axis=samples_per_axis,
            write_masks=write_masks,
        )

    with concurrent.futures.ThreadPoolExecutor(num_threads or os.cpu_count()) as pool:
        for frame in frames:
            if should_stop():
                return
            start = clock.monotonic()
            num_written = sum(pool.map(write_view, [frame] * num_cams, range(num_cams)))
            seconds = clock.monotonic() - start
            logging.info(
                "frame %d: %d of %d views written in %.1f s", frame, num_written, num_cams, seconds
            )
