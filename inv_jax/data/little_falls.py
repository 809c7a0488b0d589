"""The layout of the Little Falls captures: OpenCV YAML files, one per camera and one for all.

`calibration/fv_AllExtrinsics.yml` holds R0, T0, R1, T1, ...: camera i's axes (OpenCV's: right,
down, forward) and center in the world, in millimetres. `calibration/fv_cam%02d.yml` holds
Intrinsics and Resolution (width, height), for factor 1.
"""

import pathlib
import re

import cv2
import numpy as np
from jaxtyping import Float

from inv_jax.data import calibration as calibration_lib
from inv_jax.types import InvError

# The depths that the files do not say: the same for all of these captures.
NEAR_MM, FAR_MM = 500.0, 5000.0
# The rig is nearly one row of cameras; its spiral would be flat.
EXTRA_VERTICAL_RADIUS = 0.2

_FOLDER = "calibration"
_EXTRINSICS = "fv_AllExtrinsics.yml"
_KEY = re.compile(r"[RT](\d+)")


def read_calibration(
    path: pathlib.Path, *, factor: int, height: int, width: int, bd_factor: float
) -> calibration_lib.Calibration:
    """Reads the rig of a Little Falls capture; as many cameras as its files list.

    Args:
      path: The capture's folder.
      factor: What the images were reduced by; the intrinsics are divided by it.
      height: Of the images on disk.
      width: Of the images on disk.
      bd_factor: The nearest bound becomes 1 / `bd_factor`.

    Raises:
      InvError: If a file or a key is missing, malformed, or does not fit the images.
    """
    folder = path / _FOLDER
    poses = _read_poses(folder / _EXTRINSICS)
    names = tuple(f"cam{i:02d}" for i in range(len(poses)))
    intrinsics = np.stack(
        [
            _read_intrinsics(folder / f"fv_{name}.yml", factor=factor, found=(height, width))
            for name in names
        ]
    )
    return calibration_lib.calibrate(
        poses,
        intrinsics,
        np.tile([NEAR_MM, FAR_MM], (len(poses), 1)),
        bd_factor=bd_factor,
        source=str(folder / _EXTRINSICS),
        labels=names,
        camera_names=names,
        extra_vertical_radius=EXTRA_VERTICAL_RADIUS,
    )


def _read_poses(source: pathlib.Path) -> Float[np.ndarray, "n 3 4"]:
    file = _YamlFile(source)
    numbers = {int(match[1]) for key in file.key_names() if (match := _KEY.fullmatch(key))}
    if not numbers:
        raise InvError(f"{source} holds no camera; expected matrices R0, T0, R1, T1, ...")
    poses = np.stack(
        [
            np.concatenate([file.matrix(f"R{i}", (3, 3)), file.matrix(f"T{i}", (3, 1))], axis=1)
            for i in range(max(numbers) + 1)
        ]
    )
    poses[:, :, 1:3] *= -1.0  # OpenCV's down and forward to OpenGL's up and backwards.
    return poses


def _read_intrinsics(
    source: pathlib.Path, *, factor: int, found: tuple[int, int]
) -> Float[np.ndarray, "3 3"]:
    file = _YamlFile(source)
    width, height = file.numbers("Resolution", 2)
    calibration_lib.check_image_size(
        str(source), stated=(height, width), found=found, factor=factor
    )
    intrinsics = file.matrix("Intrinsics", (3, 3)) / factor
    intrinsics[2, 2] = 1.0
    return intrinsics


class _YamlFile:
    """An OpenCV YAML file whose faults are `InvError`s: OpenCV's own name neither file nor key."""

    def __init__(self, source: pathlib.Path) -> None:
        self._source = source
        if not source.is_file():
            raise InvError(f"{source} is missing; expected an OpenCV YAML file: copy it there")
        try:
            # From memory: OpenCV prints to stderr when it cannot open a file.
            self._storage = cv2.FileStorage(
                source.read_text(), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY
            )
            is_map = self._storage.isOpened() and self._storage.root().isMap()
        except (cv2.error, SystemError, OSError, UnicodeDecodeError) as error:
            raise self._malformed("cannot be parsed") from error
        if not is_map:
            raise self._malformed("holds no keys")

    def key_names(self) -> tuple[str, ...]:
        return tuple(self._storage.root().keys())

    def matrix(self, key: str, shape: tuple[int, int]) -> Float[np.ndarray, "rows cols"]:
        try:
            values = self._node(key).mat()
        except cv2.error as error:
            raise self._malformed(f"has no matrix in {key!r}") from error
        if values is None or values.shape != shape:
            found = "nothing" if values is None else f"shape {values.shape}"
            raise self._malformed(f"has {found} in {key!r} where a matrix {shape} belongs")
        return values.astype(np.float64)

    def numbers(self, key: str, count: int) -> list[float]:
        node = self._node(key)
        items = [node.at(i) for i in range(node.size())] if node.isSeq() else []
        if len(items) != count or not all(item.isInt() or item.isReal() for item in items):
            raise self._malformed(f"has no list of {count} numbers in {key!r}")
        return [item.real() for item in items]

    def _node(self, key: str) -> cv2.FileNode:
        node = self._storage.getNode(key)
        if node.empty():
            raise InvError(f"{self._source} has no key {key!r}; add it, or copy the file again")
        return node

    def _malformed(self, what: str) -> InvError:
        return InvError(f"{self._source} {what}; expected OpenCV YAML as cv2.FileStorage writes it")
