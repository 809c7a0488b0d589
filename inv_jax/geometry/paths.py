"""Camera paths: smooth ones through key poses, and orbits around what a rig looks at.

Poses and axes as in `poses.py`: (3, 4) `cam_to_world` with the columns right, up, backwards and
center. Everything runs once for a video, on the host and in float64.
"""

import numpy as np
from jaxtyping import Float
from scipy import interpolate
from scipy.spatial import transform

from inv_jax.geometry import poses as poses_lib
from inv_jax.geometry.poses import Poses

_WRAPS = 16  # keys beyond each end of a closed path: a spline forgets a key by 3.7 with each key
_STANDS_STILL = 1e-9  # part of a path's length; keys that are closer are one pose
_CONVERGES = 0.01  # mean squared sine between optical axes and a direction; less: parallel
_SWAY = (25.0, 75.0)  # percentiles of the cameras' elevations between which a spiral sways


def through(
    poses: Poses,
    times: Float[np.ndarray, "n"],
    at: Float[np.ndarray, "m"],
    *,
    period: float | None = None,
) -> Float[np.ndarray, "m 3 4"]:
    """A smooth path through key poses: at the time of a key, exactly that key.

    Where the path goes and when are two things. Positions lie on a cubic spline and rotations on
    one of rotations, both with continuous curvature, over knots as far apart as the keys are. How
    far along it the camera is at a time, `ease` says. So the camera never turns back between keys
    on a line, and between two equal keys it stands still.

    Args:
      poses: The keys, one at least.
      times: Of the keys, ascending.
      at: Times of the poses wanted; an open path stands still outside its keys' times.
      period: Of a closed path: this long after `times[0]` it is at the first key again. None: it
        is open, and ends at the last key.
    """
    steps = _steps(poses, is_closed=period is not None)
    places = np.concatenate([[0.0], np.cumsum(steps)])
    keys, laps = _wrapped(len(poses), period)
    knots = places[keys] + laps * places[-1]
    moved = np.diff(knots, prepend=-np.inf) > _STANDS_STILL
    if moved.sum() == 1:
        return np.tile(poses[0], (len(at), 1, 1))
    knots, keys = knots[moved], keys[moved]
    where = ease(times, places[: len(poses)], at, period=period, gain=float(places[-1]))
    rotations = transform.Rotation.from_matrix(poses[keys, :, :3])
    turned = transform.RotationSpline(knots, rotations)(where).as_matrix()
    centers = interpolate.CubicSpline(knots, poses[keys, :, 3], bc_type="natural")(where)
    return np.concatenate([turned, centers[:, :, None]], axis=-1)


def ease(
    times: Float[np.ndarray, "n"],
    values: Float[np.ndarray, "n *d"],
    at: Float[np.ndarray, "m"],
    *,
    period: float | None = None,
    gain: float = 0.0,
) -> Float[np.ndarray, "m *d"]:
    """Numbers that change smoothly with time, and stay between two keys' values between them.

    Args:
      times: Of the keys, ascending.
      values: At these times.
      at: Times of the values wanted; before the first and behind the last key they stay.
      period: None, or what the keys repeat after.
      gain: What each repetition adds to the values.

    References:
      Fritsch and Butland 1984, A Method for Constructing Local Monotone Piecewise Cubic
        Interpolants.
    """
    if len(times) == 1 and period is None:
        return np.repeat(values, len(at), axis=0)
    keys, laps = _wrapped(len(times), period)
    knots = times[keys] + laps * (period or 0.0)
    raised = values[keys] + gain * laps.reshape(-1, *(1,) * (values.ndim - 1))
    since = np.clip(at - times[0], 0.0, times[-1] - times[0])
    if period is not None:
        since = (at - times[0]) % period
    return interpolate.PchipInterpolator(knots, raised)(times[0] + since)


def _wrapped(num_keys: int, period: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Indices of keys, and in which lap they are; of a closed path some laps around the first."""
    if period is None:
        return np.arange(num_keys), np.zeros(num_keys, int)
    beyond = np.arange(-_WRAPS, num_keys + _WRAPS + 1)
    return beyond % num_keys, beyond // num_keys


def _steps(poses: Poses, *, is_closed: bool) -> Float[np.ndarray, "_"]:
    """How far each key is from the one before it: parts of all the way, and of all turning."""
    follower = np.roll(poses, -1, axis=0)
    ways = np.linalg.norm(follower[:, :, 3] - poses[:, :, 3], axis=-1)
    turns = transform.Rotation.from_matrix(
        np.swapaxes(poses[:, :, :3], 1, 2) @ follower[:, :, :3]
    ).magnitude()
    last = None if is_closed else -1
    parts = [x[:last] / x[:last].sum() for x in (ways, turns) if x[:last].sum() > 1e-12]
    return np.sum(parts, axis=0) if parts else np.zeros(len(ways[:last]))


# Around the scene.


def focus_point(poses: Poses, bounds: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "3"]:
    """What a rig looks at: the point that its optical axes pass closest to.

    Of parallel axes, and where that point is out of the bounds of depth, it lies in front of the
    average camera at `poses.focus_depth`.

    Args:
      poses: The rig.
      bounds: Nearest and farthest depth of each camera.
    """
    backwards, centers = poses[:, :, 2], poses[:, :, 3]
    across = np.eye(3) - backwards[:, :, None] * backwards[:, None, :]
    if np.linalg.eigvalsh(across.mean(axis=0))[0] > _CONVERGES:
        pulls = (across @ centers[:, :, None])[:, :, 0]
        point = np.linalg.solve(across.sum(axis=0), pulls.sum(axis=0))
        depth = np.median(np.sum((centers - point) * backwards, axis=-1))
        if bounds.min() <= depth <= bounds.max():
            return point
    average = poses_lib.average_pose(poses)
    return average[:, 3] - poses_lib.focus_depth(bounds) * average[:, 2]


def surrounds(poses: Poses, focus: Float[np.ndarray, "3"]) -> bool:
    """Whether cameras stand on all sides of a point, and not within one half of a turn."""
    azimuths = np.sort(_directions(poses, focus)[0])
    gaps = np.diff(azimuths, append=azimuths[0] + 2 * np.pi)
    looks_at_it = np.sum((poses[:, :, 3] - focus) * poses[:, :, 2], axis=-1) > 0
    return bool(gaps.max() < np.pi and looks_at_it.mean() > 0.5)


def circle_path(
    poses: Poses, bounds: Float[np.ndarray, "n 2"], *, num_poses: int = 120
) -> Float[np.ndarray, "num_poses 3 4"]:
    """One turn that looks at the rig's `focus_point` all the time.

    Around the scene where the cameras surround it, at their median height and distance; else in
    front of it, an ellipse as wide and as high as the rig.
    """
    focus = focus_point(poses, bounds)
    if surrounds(poses, focus):
        return _orbit(poses, focus, num_poses, turns=1, sway=0.0)
    return poses_lib.spiral_path(
        poses, bounds, num_poses=num_poses, turns=1, depth_rate=0.0, focus=focus
    )


def tour_path(
    poses: Poses,
    bounds: Float[np.ndarray, "n 2"],
    *,
    num_poses: int,
    extra_vertical_radius: float = 0.0,
) -> Float[np.ndarray, "num_poses 3 4"]:
    """The path of a free-viewpoint video: INV's spiral, `poses.spiral_path`.

    Where cameras surround the scene, that would lead through it: then two turns around it that
    rise and sink once.
    """
    focus = focus_point(poses, bounds)
    if surrounds(poses, focus):
        return _orbit(poses, focus, num_poses, turns=2, sway=1.0)
    return poses_lib.spiral_path(
        poses, bounds, num_poses=num_poses, extra_vertical_radius=extra_vertical_radius
    )


def _orbit(
    poses: Poses, focus: Float[np.ndarray, "3"], num_poses: int, *, turns: int, sway: float
) -> Float[np.ndarray, "num_poses 3 4"]:
    """Turns around a point, from the first camera on, within the heights of the cameras."""
    azimuths, elevations, axes = _directions(poses, focus)
    low, middle, high = np.percentile(elevations, [_SWAY[0], 50.0, _SWAY[1]])
    along = 2.0 * np.pi * np.arange(num_poses) / num_poses
    azimuth = azimuths[0] + turns * along
    wave = sway * np.sin(along)
    elevation = middle + np.where(wave > 0, wave * (high - middle), wave * (middle - low))
    local = [
        np.cos(elevation) * np.cos(azimuth),
        np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation),
    ]
    directions = np.stack(local, axis=-1) @ axes
    distance = np.median(np.linalg.norm(poses[:, :, 3] - focus, axis=-1))
    return np.stack([poses_lib.look_along(d, axes[2], focus + distance * d) for d in directions])


def _directions(
    poses: Poses, focus: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"], Float[np.ndarray, "3 3"]]:
    """Azimuth and elevation of the cameras, seen from a point, and the axes of both (rows).

    The third axis is up: what the cameras' right axes are most perpendicular to, as nobody tilts
    a camera sideways. Their mean up is not, if those on one side look down.
    """
    up = np.linalg.svd(poses[:, :, 0])[2][2]
    mean_up = poses[:, :, 1].sum(axis=0)
    singular = np.linalg.svd(poses[:, :, 0], compute_uv=False)
    if len(poses) < 3 or singular[1] < 1e-3 * singular[0]:
        up = mean_up / np.linalg.norm(mean_up)
    up = up if up @ mean_up >= 0 else -up
    first = np.cross(up, poses[0, :, 0])
    first /= np.linalg.norm(first)
    axes = np.stack([first, np.cross(up, first), up])
    local = (poses[:, :, 3] - focus) @ axes.T
    azimuths = np.arctan2(local[:, 1], local[:, 0])
    elevations = np.arctan2(local[:, 2], np.hypot(local[:, 0], local[:, 1]))
    return azimuths, elevations, axes
