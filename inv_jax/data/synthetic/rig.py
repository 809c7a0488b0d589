"""The cameras in front of the stage: two rows on a gentle arc, cam00 in the middle."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from inv_jax.data.synthetic import scene, tracer

TARGET = (0.0, 0.80, -0.35)  # what all cameras look at
DISTANCE = 3.65  # from there to the cameras
ELEVATION = 0.05  # radians above the horizon, of the middle camera
HALF_ARC = 0.19  # radians to each side
HALF_RISE = 0.05  # radians from the middle to either row
FOCAL_PER_WIDTH = 1.0
BOUNDS_GRID = (33, 25)  # image points, per axis, whose depth is looked at
BOUNDS_TIMES = 24
BOUNDS_MARGIN = 0.05


@dataclasses.dataclass(frozen=True)
class Rig:
    """N pinhole cameras of one image size; conventions in `geometry/cameras.py`."""

    height: int  # of the images at factor 1
    width: int
    focal: float  # pixels at factor 1
    cam_to_world: np.ndarray  # (N, 3, 4) float64, OpenGL axes, metres
    near: np.ndarray  # (N,) metres along the optical axis, below all that the camera ever sees
    far: np.ndarray  # (N,) above it

    @property
    def num_cams(self) -> int:
        return self.cam_to_world.shape[0]

    def intrinsics(self, factor: int = 1) -> np.ndarray:
        """(3, 3) in pixels of images that are `factor` times smaller."""
        focal, width, height = self.focal / factor, self.width / factor, self.height / factor
        return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)

    def poses_bounds(self) -> np.ndarray:
        """(N, 17) LLFF rows: (3, 5) [down, right, back, center, (H, W, focal)], near, far."""
        right, up, back, center = np.moveaxis(self.cam_to_world, -1, 0)
        size = np.broadcast_to([self.height, self.width, self.focal], center.shape)
        poses = np.stack([-up, right, back, center, size], axis=-1)
        bounds = np.stack([self.near, self.far], axis=-1)
        return np.concatenate([poses.reshape(-1, 15), bounds], axis=-1).astype(np.float64)


def look_at(center: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(3, 4) pose of a camera at `center` that looks at `target`, its right side level."""
    back = (center - target) / np.linalg.norm(center - target)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, center], axis=-1)


@jax.jit
def _depth_ranges(
    cam_to_world: Float[Array, "N 3 4"], intrinsics: Float[Array, "3 3"], times: Float[Array, "T"]
) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    """Smallest and largest depth over times and a grid that includes the image's borders."""
    cols = jnp.linspace(0.0, 2.0 * intrinsics[0, 2], BOUNDS_GRID[0])
    rows = jnp.linspace(0.0, 2.0 * intrinsics[1, 2], BOUNDS_GRID[1])
    cols, rows = (a.reshape(-1) for a in jnp.meshgrid(cols, rows))

    def of_camera(pose):
        def at_time(time):
            depth, _ = tracer.cast(cols, rows, pose, intrinsics, time)
            return jnp.min(depth), jnp.max(depth)

        near, far = lax.map(at_time, times)
        return jnp.min(near), jnp.max(far)

    return lax.map(of_camera, cam_to_world)


@functools.lru_cache
def make_rig(num_cams: int, height: int, width: int) -> Rig:
    """Places the cameras, and measures what depths each of them sees over the whole period.

    Args:
      num_cams: cam00 is the middle one, the rest fill a lower and an upper row, left to right.
      height: Of the images at factor 1.
      width: Of the images at factor 1.
    """
    num_lower = num_cams // 2
    angles = [(0.0, ELEVATION)]
    for count, rise in ((num_lower, -HALF_RISE), (num_cams - 1 - num_lower, HALF_RISE)):
        angles += [(a, ELEVATION + rise) for a in np.linspace(-HALF_ARC, HALF_ARC, count)]
    target = np.array(TARGET)
    poses = []
    for azimuth, elevation in angles[:num_cams]:
        level = np.cos(elevation)
        way = [np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level]
        poses.append(look_at(target + DISTANCE * np.array(way), target))
    unbounded = np.zeros(num_cams)
    rig = Rig(height, width, FOCAL_PER_WIDTH * width, np.stack(poses), unbounded, unbounded)

    times = jnp.arange(BOUNDS_TIMES, dtype=jnp.float32) * (scene.PERIOD / BOUNDS_TIMES)
    near, far = _depth_ranges(
        jnp.asarray(rig.cam_to_world, jnp.float32),
        jnp.asarray(rig.intrinsics(), jnp.float32),
        times,
    )
    return dataclasses.replace(
        rig,
        near=np.asarray(near, np.float64) * (1.0 - BOUNDS_MARGIN),
        far=np.asarray(far, np.float64) * (1.0 + BOUNDS_MARGIN),
    )
