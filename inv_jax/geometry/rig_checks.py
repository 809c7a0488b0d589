"""What a rig has to be for a box: cameras that are apart, see the same things, and look into it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.types import Cameras, InvError

_APART = 1e-4  # of the nearest depth: closer together, cameras say nothing of it
_LEAST = 0.05  # part of a camera's rays that have to meet the box, and that others have to see
_SIDE = 8  # rays a side of each camera that others are asked for
_SLACK = 1.2  # that a surface may be nearer than the nearest depth, or farther than the farthest
_DEPTHS = 8  # depths at which they are, in equal steps, and as many in equal ratios


def some_rays(cameras: Cameras, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins and directions of a grid of rays over each camera's image, (N, side * side, 3)."""
    cols, rows = np.meshgrid(
        np.linspace(0, cameras.width - 1, side).round().astype(np.int32),
        np.linspace(0, cameras.height - 1, side).round().astype(np.int32),
    )
    shape = cameras.num_cams, cols.size
    cams = np.broadcast_to(np.arange(cameras.num_cams, dtype=np.int32)[:, None], shape)
    rays = cameras_lib.cast_rays(
        jax.tree.map(jnp.asarray, cameras.replace(ndc=False)),
        jnp.asarray(cams),
        *(jnp.asarray(np.broadcast_to(pixels.reshape(-1), shape)) for pixels in (cols, rows)),
    )
    return np.asarray(rays.origins, np.float64), np.asarray(rays.directions, np.float64)


def check_apart(cameras: Cameras, near: float) -> None:
    """Refuses cameras that are all at one place.

    Args:
      cameras: Those that are trained on.
      near: The nearest depth.

    Raises:
      InvError: With how far apart they are.
    """
    centers = np.asarray(cameras.cam_to_world, np.float64)[:, :, 3]
    spread = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    if cameras.num_cams > 1 and not spread > _APART * near:
        raise InvError(
            f"all {cameras.num_cams} training cameras are within {spread:.2g} of one place, and "
            f"what they see is {near:.3g} away or more: that says nothing of depth; check the "
            "poses, or train one camera as a picture: configs/image2d.py"
        )


def check_inwards(
    centers: Float[np.ndarray, "N 3"],
    axes: Float[np.ndarray, "N 3"],
    middle: Float[np.ndarray, "3"],
    near: float,
    far: float,
) -> None:
    """Refuses cameras most of which have behind them what all of them are taken to look at.

    Args:
      centers: Of the cameras.
      axes: Where they look, of length 1.
      middle: The point that is nearest to all these lines.
      near: The nearest depth.
      far: ... and the farthest.

    Raises:
      InvError: With a box to try.
    """
    outwards = int(np.sum(np.sum(axes * (middle - centers), axis=-1) <= 0.0))
    if 2 * outwards <= len(centers):
        return
    around = centers.mean(axis=0)
    box = [*(around - far), *(around + far), 0.0, 0.9 * near, far]
    raise InvError(
        f"{outwards} of the {len(centers)} training cameras look away from each other, and there "
        "is no box that is made for that; to try one, set model.space=axes and model.box="
        + ",".join(f"{x:.4g}" for x in box)
    )


def check_met(
    starts: Float[np.ndarray, "N R 3"],
    spans: Float[np.ndarray, "N R 3"],
    box: str,
    names: Sequence[str] = (),
) -> None:
    """Refuses a box that a camera does not look into.

    Args:
      starts: Where rays of each camera begin, in a box whose middle is the unit cube.
      spans: From there to where they end.
      box: It, in words.
      names: Of the cameras; without them they are numbered.

    Raises:
      InvError: Naming the camera whose rays meet it least.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(side - starts) / spans for side in (0.0, 1.0)])
    enters, leaves = ends.min(0).max(-1), ends.max(0).min(-1)
    is_met = (np.minimum(leaves, 1.0) > np.maximum(enters, 0.0)) & np.isfinite(enters)
    share, name = _least(is_met.mean(axis=1), names)
    if share < _LEAST:
        raise InvError(
            f"{share:.0%} of the rays of training camera {name} meet {box}; check the poses and "
            "depths, and model.box if it is set, or hold that camera out: data.holdout"
        )


def check_shared(cameras: Cameras, near: float, far: float, names: Sequence[str] = ()) -> None:
    """Refuses a camera that sees nothing that another one sees.

    Args:
      cameras: Those that are trained on.
      near: The nearest depth.
      far: ... and the farthest.
      names: Of the cameras; without them they are numbered.

    Raises:
      InvError: Naming the one whose view is shared least.
    """
    if cameras.num_cams < 2:
        return
    origins, directions = some_rays(cameras, _SIDE)
    depths = np.concatenate([np.linspace(near, far, _DEPTHS), np.geomspace(near, far, _DEPTHS)])
    points = origins[:, None] + depths[:, None, None] * directions[:, None]  # (N, depths, rays, 3)
    is_seen = np.zeros(points.shape[:-1], bool)
    for cam in range(cameras.num_cams):
        seen = _in_view(cameras, cam, points, near, far)
        seen[cam] = False
        is_seen |= seen
    # At the depth that suits it best: of a scene that is all at one, depths may be very wide.
    share, name = _least(is_seen.mean(axis=-1).max(axis=1), names)
    if share < _LEAST:
        raise InvError(
            f"{share:.0%} of what training camera {name} sees, at depths of {near:.3g} to "
            f"{far:.3g}, is in the picture of another one; check its pose and the depths, or hold "
            "it out: data.holdout"
        )


def _in_view(
    cameras: Cameras, cam: int, points: Float[np.ndarray, "*b 3"], near: float, far: float
) -> np.ndarray:
    """Which points are in a camera's picture, at its depths or nearly."""
    pose = np.asarray(cameras.cam_to_world[cam], np.float64)
    focal = np.asarray(cameras.intrinsics[cam], np.float64)
    x, y, z = np.moveaxis((points - pose[:, 3]) @ pose[:, :3], -1, 0)
    depth = np.where(z < 0.0, -z, np.inf)
    cols = focal[0, 0] * x / depth + focal[0, 2]
    rows = -focal[1, 1] * y / depth + focal[1, 2]
    is_within = (cols >= 0) & (cols <= cameras.width) & (rows >= 0) & (rows <= cameras.height)
    return is_within & (depth >= near / _SLACK) & (depth <= _SLACK * far)


def _least(shares: np.ndarray, names: Sequence[str]) -> tuple[float, str]:
    """The smallest share, and whose it is."""
    cam = int(shares.argmin())
    return float(shares[cam]), names[cam] if names else str(cam)
