"""What every layout's calibration becomes: one rig, in one frame of reference and one scale.

The nearest surface lies at distance 1 / `bd_factor` and the average camera is the identity, so
that the NDC warp (near plane 1) and the bounds fit any capture, whatever its units were.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging
from jaxtyping import Float

from inv_jax.geometry import paths
from inv_jax.geometry import poses as poses_lib
from inv_jax.types import InvError

SPIRAL_POSES = 120

_ROTATION_TOLERANCE = 1e-2  # text files round; a wrong axis order is off by 1 or more
_SIZE_TOLERANCE = 1.0  # pixels; tools round an odd size divided by `factor` up or down
_ASPECT_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """What a layout's calibration files say, after normalisation. N cameras, float32."""

    cam_to_world: np.ndarray  # (N, 3, 4), recentred and rescaled
    intrinsics: np.ndarray  # (N, 3, 3), pixels of images of `factor`
    bounds: np.ndarray  # (N, 2), nearest and farthest depth, rescaled
    spiral: np.ndarray  # (120, 3, 4), see `paths.tour_path`
    source: str  # the file that lists the cameras, for messages
    camera_names: tuple[str, ...] | None  # None if the rows are anonymous: sorted file names


def calibrate(
    cam_to_world: Float[np.ndarray, "n 3 4"],
    intrinsics: Float[np.ndarray, "n 3 3"],
    bounds: Float[np.ndarray, "n 2"],
    *,
    bd_factor: float,
    source: str,
    labels: Sequence[str],
    camera_names: tuple[str, ...] | None = None,
    extra_vertical_radius: float = 0.0,
) -> Calibration:
    """Checks a rig as it was read, and brings it to the common scale and frame of reference.

    Args:
      cam_to_world: Poses with OpenGL axes, in the capture's own units and world.
      intrinsics: In pixels of the images at hand.
      bounds: Nearest and farthest depth per camera, in the capture's own units.
      bd_factor: The nearest bound becomes 1 / `bd_factor`.
      source: The file the numbers come from, for messages.
      labels: What to call each camera in messages.
      camera_names: The cameras' names, where the files say them.
      extra_vertical_radius: Of the spiral path, after rescaling.

    Raises:
      InvError: If a number is not finite, a bound or focal length not positive, a near bound not
        below its far bound, or a pose not a rotation.
    """
    if not (np.isfinite(bd_factor) and bd_factor > 0):
        raise InvError(f"data.bd_factor is {bd_factor}; expected a positive number, such as 0.75")
    for i, label in enumerate(labels):
        _check_camera(f"{source}: {label}", cam_to_world[i], intrinsics[i], bounds[i])
    scale = 1.0 / (bd_factor * bounds.min())
    rescaled = cam_to_world.copy()
    rescaled[:, :, 3] *= scale
    bounds = bounds * scale
    try:
        poses = poses_lib.recenter(rescaled)
        spiral = paths.tour_path(
            poses, bounds, num_poses=SPIRAL_POSES, extra_vertical_radius=extra_vertical_radius
        )
    except ValueError as error:
        raise InvError(
            f"{source}: the cameras have no common upright view ({error}); expected cameras "
            "with roughly the same up: check the axis order of the poses"
        ) from error
    return Calibration(
        cam_to_world=poses.astype(np.float32),
        intrinsics=intrinsics.astype(np.float32),
        bounds=bounds.astype(np.float32),
        spiral=spiral.astype(np.float32),
        source=source,
        camera_names=camera_names,
    )


def pinhole(
    focal: Float[np.ndarray, "n"], *, height: int, width: int
) -> Float[np.ndarray, "n 3 3"]:
    """Intrinsics with square pixels and the principal point at the image center (w/2, h/2)."""
    intrinsics = np.zeros((len(focal), 3, 3))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2] = width / 2
    intrinsics[:, 1, 2] = height / 2
    intrinsics[:, 2, 2] = 1.0
    return intrinsics


def check_image_size(
    what: str, *, stated: tuple[float, float], found: tuple[int, int], factor: int
) -> None:
    """Compares the size that a calibration is for with that of the images of `factor`.

    Args:
      what: File (and camera) that states the size, for messages.
      stated: Height and width at factor 1.
      found: Height and width of the images on disk.
      factor: What the images were reduced by.

    Raises:
      InvError: If the shape differs (aspect ratio, by over 1% and more than rounding explains).
        The same shape at another size is logged only, as in the original: the focal length then
        is off by their ratio.
    """
    if not all(np.isfinite(side) and side > 0 for side in stated):
        raise InvError(f"{what} says the images are {stated[1]:g}x{stated[0]:g}; expected a size")
    expected = stated[0] / factor, stated[1] / factor
    if all(abs(f - e) <= _SIZE_TOLERANCE for f, e in zip(found, expected, strict=True)):
        return
    message = (
        f"{what} says {stated[1]:g}x{stated[0]:g}, so {expected[1]:g}x{expected[0]:g} at factor "
        f"{factor}, but the images are {found[1]}x{found[0]}"
    )
    if abs((found[1] / found[0]) / (stated[1] / stated[0]) - 1.0) > _ASPECT_TOLERANCE:
        raise InvError(f"{message}: another shape; were they cropped, or is it another capture's?")
    logging.warning("%s; the focal length is divided by %d all the same", message, factor)


def _check_camera(
    what: str,
    pose: Float[np.ndarray, "3 4"],
    intrinsics: Float[np.ndarray, "3 3"],
    bounds: Float[np.ndarray, "2"],
) -> None:
    if not all(np.isfinite(values).all() for values in (pose, intrinsics, bounds)):
        raise InvError(f"{what} holds a number that is not finite; calibrate the capture again")
    if not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
        raise InvError(
            f"{what} has focal lengths {intrinsics[0, 0]:g}, {intrinsics[1, 1]:g}; expected "
            "positive numbers of pixels"
        )
    near, far = bounds
    if not 0 < near < far:
        raise InvError(
            f"{what} has near bound {near:g} and far bound {far:g}; expected 0 < near < far, "
            "the depths of the nearest and the farthest surface that it sees"
        )
    rotation = pose[:, :3]
    error = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if error > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise InvError(
            f"{what} does not hold a rotation (R^T R is off by {error:.2g}, det R = "
            f"{np.linalg.det(rotation):.2g}); expected orthonormal, right-handed axes: check the "
            "order and sign of the columns"
        )
