"""What a video shows: where the camera goes, and which frames are seen; either may stand still.

    spiral      INV's path for free-viewpoint videos: frame t from pose t modulo 120. It goes
                around the scene where cameras surround it (`geometry/paths.py`)
    circle      one turn that looks at what the cameras look at; frame t from pose t modulo 120
    test        the held-out camera
    cams:0,3,7  smoothly from camera to camera; a single one stands still
    keys.json   key poses in a file (`keys.py`), which may also say which frames are seen

If several frames are given, time runs: a picture for each. A path with two ends then takes as long
as they do. If one is given, time stands, and the video lasts for one round of the path.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from inv_jax.data.rig import Rig
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry import paths
from inv_jax.player import keys as keys_lib
from inv_jax.player.keys import Keys
from inv_jax.types import Cameras, InvError

_PER_KEY = 30  # poses from one key to the next, where nothing says how many
_TURN = 120  # poses of a circle
_SAVED = 24  # keys of an orbit that is saved


@dataclasses.dataclass(frozen=True, eq=False)
class CameraPath:
    """A video's pictures: number n is the frame `frames[n]` from camera n."""

    frames: tuple[int, ...]
    cameras: Cameras  # one for each picture

    def __len__(self) -> int:
        return len(self.frames)


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """Where a camera goes, P poses in order.

    Attributes:
      cameras: P cameras.
      is_orbit: Whether frame t has pose t modulo P.
      is_closed: Whether the first pose follows on the last.
      times: (P,) frames that the path itself asks for, also between two; or None.
    """

    cameras: Cameras
    is_orbit: bool = False
    is_closed: bool = False
    times: np.ndarray | None = None


def make(
    rig: Rig, text: str, frames: Sequence[int], *, poses: int = 0, loops: int = 1, fps: float = 30.0
) -> CameraPath:
    """The pictures of a video.

    Args:
      rig: The capture's cameras.
      text: The path, as above.
      frames: Stored frames to show, ascending.
      poses: Poses of one round of the path; 0: the path's own number.
      loops: How often all of it is shown.
      fps: Pictures per second, for keys that say when.

    Raises:
      InvError: If the path is none, or leads where nothing can be seen.
    """
    if poses < 0 or loops < 1:
        raise InvError(f"--poses={poses} --loops={loops}; expected 0 or more, and 1 or more")
    went = track(rig, text, poses=poses, num_frames=len(frames), fps=fps)
    num_poses, num_frames = went.cameras.num_cams, len(frames)
    if went.times is not None:
        shown = _nearest(went.times, frames, text)
        return CameraPath(shown * loops, went.cameras.take(np.tile(np.arange(num_poses), loops)))
    picture = np.arange((num_frames if num_frames > 1 else num_poses) * loops)
    shown = np.asarray(frames)[picture % num_frames]
    if went.is_orbit:
        order = (shown + picture // num_frames * num_frames) % num_poses
    elif went.is_closed:
        order = picture % num_poses
    else:  # there and back
        back = max(1, 2 * num_poses - 2)
        order = np.minimum(picture % back, back - picture % back)
    if len(picture) < num_poses:
        logging.info(
            "%d frames show %d of the path's %d poses; --poses=%d fits it to them, --loops=%d "
            "shows them all",
            *(num_frames, len(picture), num_poses, num_frames, -(-num_poses // num_frames)),
        )
    return CameraPath(tuple(shown.tolist()), went.cameras.take(order))


def track(rig: Rig, text: str, *, poses: int = 0, num_frames: int = 1, fps: float = 30.0) -> Track:
    """Where the camera goes; arguments as of `make`, `num_frames` of frames that run along it.

    Raises:
      InvError: As `make`.
    """
    if text == "spiral":
        made = _orbit(rig, np.asarray(rig.spiral, np.float64), poses)
    elif text == "circle":
        full = paths.circle_path(_poses(rig), _bounds(rig), num_poses=poses or _TURN)
        made = _orbit(rig, full, poses)
    else:
        made = _through(rig, _keys(rig, text), poses, num_frames, fps)
    _check(made.cameras, text)
    return made


def save(rig: Rig, text: str, path: pathlib.Path) -> None:
    """Writes a path as a file of key poses, to be changed.

    Raises:
      InvError: If it is one already.
    """
    if path.suffix != ".json":
        raise InvError(f"{path}: expected the name of a .json file, to write key poses to")
    rows: list[dict[str, Any]]
    if text in ("spiral", "circle"):
        poses = track(rig, text, poses=_SAVED).cameras.cam_to_world
        rows = [{"cam_to_world": np.asarray(pose, np.float64)} for pose in poses]
    elif text.endswith(".json"):
        raise InvError(f"--path={text} is a file of key poses already; copy it")
    else:
        rows = [{"cam": cam} for cam in _cams(rig, text)]
    keys_lib.write(path, rows, is_loop=text in ("spiral", "circle"))


def standing_cam(rig: Rig, text: str) -> int | None:
    """The capture's camera that a path stands still at; None if it moves."""
    if text in ("spiral", "circle") or text.endswith(".json"):
        return None
    cams = _cams(rig, text)
    return cams[0] if len(cams) == 1 else None


def _poses(rig: Rig) -> np.ndarray:
    return np.asarray(rig.cameras.cam_to_world, np.float64)


def _bounds(rig: Rig) -> np.ndarray:
    return np.asarray(rig.bounds, np.float64)


def _cams(rig: Rig, text: str) -> list[int]:
    """The cameras that `test` or `cams:0,3,7` names."""
    if text == "test":
        return [rig.shown_cam]
    kind, _, numbers = text.partition(":")
    try:
        cams = [int(number) for number in numbers.split(",")]
    except ValueError:
        cams = []
    if kind != "cams" or not cams:
        raise InvError(
            f"--path={text}: expected spiral, circle, test, cams:0,3,7 or a .json file of key poses"
        )
    rig.check_cams(cams, f"--path={text}: camera")
    return cams


def _keys(rig: Rig, text: str) -> Keys:
    if text.endswith(".json"):
        return keys_lib.read(pathlib.Path(text).expanduser(), rig)
    return keys_lib.of_cams(rig, _cams(rig, text))


def _orbit(rig: Rig, poses: np.ndarray, num_poses: int) -> Track:
    """A closed path with the intrinsics of the shown camera, as it is or with so many poses."""
    if num_poses not in (0, len(poses)):
        times, period = np.arange(len(poses), dtype=float), float(len(poses))
        poses = paths.through(
            poses, times, np.arange(num_poses) * period / num_poses, period=period
        )
    intrinsics = np.asarray(rig.cameras.intrinsics)[rig.shown_cam]
    cameras = rig.cameras.replace(
        cam_to_world=np.asarray(poses, np.float32),
        intrinsics=np.tile(intrinsics, (len(poses), 1, 1)),
    )
    return Track(cameras, is_orbit=True, is_closed=True)


def _through(rig: Rig, keys: Keys, num_poses: int, num_frames: int, fps: float) -> Track:
    """A path through key poses, with as many poses as its times, or else the frames, call for."""
    num_keys, is_timed = len(keys.poses), keys.seconds is not None
    times = keys.seconds if is_timed else np.arange(num_keys, dtype=float)
    span = times[-1] - times[0] if keys.period is None else keys.period
    if is_timed and num_poses:
        raise InvError(f"--poses={num_poses}: the keys of the path say when they are; leave it out")
    if is_timed:
        num_poses = max(1, round(span * fps)) + (keys.period is None)
    elif not num_poses and num_keys == 1:
        num_poses = 1
    elif not num_poses:
        runs = num_frames > 1 and keys.frames is None
        num_poses = num_frames if runs else round(span * _PER_KEY) + (keys.period is None)
    last = num_poses if keys.period is not None else max(1, num_poses - 1)
    at = times[0] + span * np.arange(num_poses) / last

    def along(values: np.ndarray) -> np.ndarray:
        return paths.ease(times, values, at, period=keys.period)

    poses = paths.through(keys.poses, times, at, period=keys.period)
    zooms = not np.allclose(keys.ndc_focal, keys.intrinsics[:, 0, 0])
    cameras = rig.cameras.replace(
        cam_to_world=poses.astype(np.float32),
        intrinsics=along(keys.intrinsics).astype(np.float32),
        ndc_focal=along(keys.ndc_focal).astype(np.float32) if zooms else None,
    )
    frames = None if keys.frames is None else along(keys.frames)
    return Track(cameras, is_closed=keys.period is not None, times=frames)


def _nearest(times: np.ndarray, frames: Sequence[int], text: str) -> tuple[int, ...]:
    stored = np.asarray(frames)
    for asked in (times.min(), times.max()):
        if not stored[0] - 0.5 <= asked <= stored[-1] + 0.5:
            raise InvError(
                f"--path={text} asks for frame {asked:g}; there are {stored[0]} to {stored[-1]}"
            )
    nearest = np.abs(stored[None] - times[:, None]).argmin(axis=1)
    return tuple(stored[nearest].tolist())


def _check(cameras: Cameras, text: str) -> None:
    """Refuses what NDC cannot show: looking back, and standing behind what was sampled."""
    if not cameras.ndc:
        return
    depth = 1.0 / (1.0 - float(cameras.near))  # where sampling starts: of NDC distance `near`
    behind = -np.asarray(cameras.cam_to_world)[:, 2, 3] > depth
    for bad, what, advice in (
        (cameras_lib.look_away(cameras), "looks away from where the cameras look", "turn it back"),
        (behind, f"stands more than {depth:.3g} in front of the cameras", "draw it back"),
    ):
        if bad.any():
            n = int(bad.argmax())
            raise InvError(
                f"--path={text}: pose {n} of {len(bad)} {what}, which normalised device "
                f"coordinates (data.ndc) cannot show; {advice}, or train with data.ndc=False"
            )
