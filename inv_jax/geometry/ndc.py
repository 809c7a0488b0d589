"""Normalised device coordinates for forward-facing captures (NeRF, appendix C).

The frustum in front of the plane z = -near_plane becomes the cube [-1, 1]^3: distance 0 along
a warped ray is that plane, distance 1 is infinity, and it runs linearly in disparity.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def warp_rays(
    origins: Float[Array, "*b 3"],
    directions: Float[Array, "*b 3"],
    *,
    focal: Float[Array, "*b"],
    height: int,
    width: int,
    near_plane: float = 1.0,
) -> tuple[Float[Array, "*b 3"], Float[Array, "*b 3"]]:
    """Warps rays to NDC (Mildenhall et al. 2020, NeRF, eqs. 25 and 26).

    Args:
      origins: Ray origins in the world.
      directions: Ray directions in the world, with a negative z: a ray that runs parallel to
        the near plane or backwards has no NDC, and comes out infinite or mirrored.
      focal: Each ray's own focal length (fx), pixels.
      height: Image height, pixels.
      width: Image width, pixels.
      near_plane: Depth of the near plane, in scene units.

    Returns:
      Origins on the near plane and directions, both in NDC.
    """
    to_plane = -(near_plane + origins[..., 2]) / directions[..., 2]
    origins = origins + to_plane[..., None] * directions
    ox, oy, oz = origins[..., 0], origins[..., 1], origins[..., 2]
    dx, dy, dz = directions[..., 0], directions[..., 1], directions[..., 2]
    scale_x = -2.0 * focal / width
    scale_y = -2.0 * focal / height
    warped_origins = jnp.stack(
        [scale_x * ox / oz, scale_y * oy / oz, 1.0 + 2.0 * near_plane / oz], axis=-1
    )
    warped_directions = jnp.stack(
        [
            scale_x * (dx / dz - ox / oz),
            scale_y * (dy / dz - oy / oz),
            -2.0 * near_plane / oz,
        ],
        axis=-1,
    )
    return warped_origins, warped_directions
