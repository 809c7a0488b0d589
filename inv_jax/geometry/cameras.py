"""Pinhole cameras: pixels to rays, the convention of the whole project.

Axes are OpenGL's: x right, y up, the camera looks along -z. Pixel (i, j) is i to the right and
j down. Its center is at (i + pixel_center, j + pixel_center): 0.0 as in NeRF and INV, 0.5 as in
COLMAP. Intrinsics are in pixels of the images at hand (already divided by `factor`). A ray's
direction has length 1 along the optical axis (z = -1), so `distance` along it is depth.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from inv_jax.geometry import ndc
from inv_jax.types import Cameras, Rays


def pixel_directions(
    cols: Float[Array, "*b"], rows: Float[Array, "*b"], intrinsics: Float[Array, "*b 3 3"]
) -> Float[Array, "*b 3"]:
    """Directions in the camera's own axes through image points, in pixels; z is -1."""
    fx, fy = intrinsics[..., 0, 0], intrinsics[..., 1, 1]
    cx, cy = intrinsics[..., 0, 2], intrinsics[..., 1, 2]
    x = (cols - cx) / fx
    y = -(rows - cy) / fy
    return jnp.stack([x, y, -jnp.ones_like(x)], axis=-1)


def cast_rays(
    cameras: Cameras, cams: Int[Array, "*b"], cols: Int[Array, "*b"], rows: Int[Array, "*b"]
) -> Rays:
    """Casts one ray per pixel, each with its own camera's pose and intrinsics.

    Args:
      cameras: The cameras that `cams` indexes; NDC warp and bounds are theirs.
      cams: Camera of each ray.
      cols: Pixel column i, to the right.
      rows: Pixel row j, downwards.

    Returns:
      Rays in the space that the field is sampled in (NDC if `cameras.ndc`).
    """
    pose = cameras.cam_to_world[cams]
    intrinsics = cameras.intrinsics[cams]
    center = jnp.float32(cameras.pixel_center)
    local = pixel_directions(
        cols.astype(jnp.float32) + center, rows.astype(jnp.float32) + center, intrinsics
    )
    # Written as a sum of products, not as a matmul: a GPU would run a matmul in TF32.
    directions = jnp.sum(local[..., None, :] * pose[..., :, :3], axis=-1)
    origins = pose[..., :, 3]
    viewdirs = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    if cameras.ndc:
        focal = intrinsics[..., 0, 0] if cameras.ndc_focal is None else cameras.ndc_focal[cams]
        origins, directions = ndc.warp_rays(
            origins,
            directions,
            focal=focal,
            height=cameras.height,
            width=cameras.width,
        )
    ones = jnp.ones_like(directions[..., :1])
    return Rays(origins, directions, viewdirs, near=cameras.near * ones, far=cameras.far * ones)


def image_rays(cameras: Cameras, cam: int | Int[Array, ""]) -> Rays:
    """All rays of one camera's image, with leading dimensions (height, width)."""
    rows, cols = jnp.meshgrid(jnp.arange(cameras.height), jnp.arange(cameras.width), indexing="ij")
    return cast_rays(cameras, jnp.full_like(cols, cam), cols, rows)


def look_away(cameras: Cameras) -> np.ndarray:
    """Which cameras have rays that do not go down the world's -z, as the NDC warp needs: (N,).

    It divides by that component; the extreme of an image is at a corner.
    """
    center, right, bottom = cameras.pixel_center, cameras.width - 1, cameras.height - 1
    corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32) + center
    shape = (cameras.num_cams, 4)
    directions = pixel_directions(
        jnp.asarray(np.broadcast_to(corners[:, 0], shape), jnp.float32),
        jnp.asarray(np.broadcast_to(corners[:, 1], shape), jnp.float32),
        jnp.asarray(np.broadcast_to(cameras.intrinsics[:, None], (*shape, 3, 3)), jnp.float32),
    )
    poses = np.asarray(cameras.cam_to_world)
    down = np.einsum("nk,nck->nc", poses[:, 2, :3], np.asarray(directions))
    return down.max(axis=1) >= 0
