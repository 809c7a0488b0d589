"""Camera poses: one frame of reference for a rig, and a path through it.

A pose is a (3, 4) `cam_to_world` matrix with OpenGL axes: its columns are right, up, backwards
and the camera center. The functions here run once, when a capture is opened, on the host and in
float64: a rig is at most a few hundred cameras, and float32 would cost digits that every ray
inherits.

References:
  Mildenhall et al. 2019, Local Light Field Fusion (LLFF): the frame of reference and the spiral.
"""

import numpy as np
from jaxtyping import Float

Pose = Float[np.ndarray, "3 4"]
Poses = Float[np.ndarray, "n 3 4"]

_CANCELS = 1e-6  # a sum of n unit axes shorter than n times this has no direction to speak of


def from_llff_axes(poses: Poses) -> Poses:
    """Turns LLFF's (down, right, backwards) columns into (right, up, backwards)."""
    down, right = poses[:, :, 0:1], poses[:, :, 1:2]
    return np.concatenate([right, -down, poses[:, :, 2:]], axis=-1)


def look_along(
    backwards: Float[np.ndarray, "3"],
    up: Float[np.ndarray, "3"],
    center: Float[np.ndarray, "3"],
) -> Pose:
    """The upright pose at `center` whose optical axis is exactly `-backwards`.

    Args:
      backwards: Away from what is looked at; any length.
      up: Roughly up; any length, but not parallel to `backwards`.
      center: The camera center.

    Returns:
      A pose whose axes are orthonormal and right-handed.

    Raises:
      ValueError: If `up` and `backwards` do not span a plane.
    """
    right = np.cross(up, backwards)
    if not np.linalg.norm(right) > _CANCELS * np.linalg.norm(up) * np.linalg.norm(backwards):
        raise ValueError(f"up {up} and backwards {backwards} must not be parallel or zero")
    right, backwards = _unit(right), _unit(backwards)
    return np.stack([right, np.cross(backwards, right), backwards, center], axis=-1)


def average_pose(poses: Poses) -> Pose:
    """The pose in the middle of a rig: mean center, mean axis, upright on the mean up.

    Args:
      poses: At least one pose.

    Returns:
      The average. Where the optical axes cancel (a closed ring of cameras has no direction) the
      first camera's axis stands in, so that the result is a pose in any case.

    Raises:
      ValueError: If the mean up is parallel to the axis, or zero.
    """
    backwards = poses[:, :, 2].sum(axis=0)
    if np.linalg.norm(backwards) < _CANCELS * len(poses):
        backwards = poses[0, :, 2]
    return look_along(backwards, poses[:, :, 1].sum(axis=0), poses[:, :, 3].mean(axis=0))


def recenter(poses: Poses) -> Poses:
    """Moves the world so that the average pose becomes the identity; relative poses stay."""
    average = average_pose(poses)
    inverse_rotation = average[:, :3].T
    moved = poses.copy()
    moved[:, :, 3] -= average[:, 3]
    return inverse_rotation @ moved


def focus_depth(bounds: Float[np.ndarray, "n 2"]) -> float:
    """The distance at which a spiral looks.

    There the disparities of the nearest and the farthest surface average out, the far one
    counting three times.
    """
    close_depth, inf_depth, far_share = 0.9 * bounds.min(), 5.0 * bounds.max(), 0.75
    return float(1.0 / ((1.0 - far_share) / close_depth + far_share / inf_depth))


def spiral_path(
    poses: Poses,
    bounds: Float[np.ndarray, "n 2"],
    *,
    num_poses: int = 120,
    turns: int = 2,
    depth_rate: float = 0.5,
    extra_vertical_radius: float = 0.0,
    focus: Float[np.ndarray, "3"] | None = None,
) -> Float[np.ndarray, "num_poses 3 4"]:
    """A closed path around the average pose, all of it looking at one point of the scene.

    The path is an ellipse, as wide as the rig, that also sways along the optical axis.

    Args:
      poses: The rig.
      bounds: Nearest and farthest depth that each camera sees, in the units of `poses`.
      num_poses: Poses along the path.
      turns: Turns of the ellipse over the whole path.
      depth_rate: Sways along the axis per turn (`zrate` in LLFF); the path closes if
        `turns * depth_rate` is whole.
      extra_vertical_radius: Added to the vertical radius, for rigs that are nearly flat.
      focus: The point looked at; by default straight ahead, at `focus_depth`.

    Returns:
      The poses, in the order in which they are visited.
    """
    average = average_pose(poses)
    rotation, center = average[:, :3], average[:, 3]
    radii = np.percentile(np.abs(poses[:, :, 3]), 90, axis=0)
    radii[1] += extra_vertical_radius
    if focus is None:
        focus = center - focus_depth(bounds) * rotation[:, 2]
    up = poses[:, :, 1].sum(axis=0)

    theta = np.linspace(0.0, 2.0 * np.pi * turns, num_poses + 1)[:-1]
    ellipse = np.stack([np.cos(theta), -np.sin(theta), -np.sin(theta * depth_rate)], axis=-1)
    points = center + (ellipse * radii) @ rotation.T
    return np.stack([look_along(point - focus, up, point) for point in points])


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return vector / np.linalg.norm(vector)
