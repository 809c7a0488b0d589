"""The layout of Neural 3D Video (META): all cameras in one file, `poses_bounds.npy` (LLFF).

One row of 17 numbers per camera, in the order of the sorted image names: a 3x5 matrix
[down | right | backwards | center | (H, W, focal)] and the nearest and farthest depth. H, W and
focal are for factor 1.
"""

import pathlib
import zipfile

import numpy as np
from jaxtyping import Float

from inv_jax.data import calibration as calibration_lib
from inv_jax.geometry import poses as poses_lib
from inv_jax.types import InvError

_FILE = "poses_bounds.npy"


def read_calibration(
    path: pathlib.Path, *, factor: int, height: int, width: int, bd_factor: float
) -> calibration_lib.Calibration:
    """Reads the rig of a META capture.

    Args:
      path: The capture's folder.
      factor: What the images were reduced by; the focal length is divided by it.
      height: Of the images on disk.
      width: Of the images on disk. The principal point is their center, as in the original.
      bd_factor: The nearest bound becomes 1 / `bd_factor`.

    Raises:
      InvError: If the file is missing, is not N x 17 numbers, or does not fit the images.
    """
    source = path / _FILE
    rows = _read_rows(source)
    matrices = rows[:, :15].reshape(-1, 3, 5)
    sizes, focal = matrices[:, :2, 4], matrices[:, 2, 4]
    labels = [f"row {i} (counted from 0)" for i in range(len(rows))]
    for i in np.unique(sizes, axis=0, return_index=True)[1]:  # One row stands for its equals.
        calibration_lib.check_image_size(
            f"{source}: {labels[i]}",
            stated=(float(sizes[i, 0]), float(sizes[i, 1])),
            found=(height, width),
            factor=factor,
        )
    return calibration_lib.calibrate(
        poses_lib.from_llff_axes(matrices[:, :, :4]),
        calibration_lib.pinhole(focal / factor, height=height, width=width),
        rows[:, 15:],
        bd_factor=bd_factor,
        source=str(source),
        labels=labels,
    )


def _read_rows(source: pathlib.Path) -> Float[np.ndarray, "n 17"]:
    if not source.is_file():
        raise InvError(
            f"{source} is missing; expected one row of 17 numbers per camera (LLFF): is this the "
            "folder of a META capture?"
        )
    try:
        rows = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise InvError(
            f"{source} is no array of numbers ({reason}); write it with np.save"
        ) from error
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "fiu":
        kind = getattr(rows, "dtype", type(rows).__name__)
        raise InvError(f"{source} holds {kind}; expected real numbers: write it with np.save")
    if rows.ndim != 2 or rows.shape[1] != 17 or len(rows) == 0:
        raise InvError(
            f"{source} has shape {rows.shape}; expected (cameras, 17), a 3x5 matrix and two "
            "bounds per camera"
        )
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()
        raise InvError(
            f"{source}: rows {bad} (counted from 0) hold numbers that are not finite; calibrate "
            "these cameras again, or remove them and their images"
        )
    return rows
