"""Key poses in a JSON file: where a camera is, what it sees, and which frame, at some times.

    {
      "loop": false,
      "keys": [
        {"seconds": 0, "cam": 0, "frame": 1},
        {"seconds": 2, "cam": 3, "frame": 1},
        {"seconds": 5, "cam_to_world": [[1, 0, 0, 0.2], [0, 1, 0, 0], [0, 0, 1, 0]],
         "fov": 40, "frame": 60}
      ]
    }

    keys          in the order in which they are reached, at least one; of each
      cam           pose and intrinsics of this camera of the capture, counted from 0; or
      cam_to_world  pose, 3x4 or 4x4: columns right, up, backwards, center, scene units
                    (`geometry/cameras.py`); intrinsics are those of the held-out camera
      fov           vertical field of view, degrees, with the principal point as it was; or
      intrinsics    3x3, in pixels of the images that the run was trained on
      seconds       when; the first key is the start. Without it keys are evenly apart
      frame         which frame of the run is seen then, also between two; the nearest stored one
                    is shown. Without it, frames run on by themselves
    loop          true: from the last key on to the first again; default false
    seconds       how long a loop takes, if its keys have `seconds`

`seconds`, and `frame`, are of all keys or of none. In between, everything changes smoothly; two
keys of one pose hold the camera still, two of one `frame` the time.
"""

import dataclasses
import difflib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inv_jax.data import files
from inv_jax.data.rig import Rig
from inv_jax.types import InvError

_TOP = ("loop", "keys", "seconds")
_KEY = ("cam", "cam_to_world", "fov", "intrinsics", "seconds", "frame")
_ROTATION_TOLERANCE = 1e-3  # numbers written with three digits
_DIGITS = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Keys:
    """Key poses, read and checked; K of them."""

    poses: np.ndarray  # (K, 3, 4) float64
    intrinsics: np.ndarray  # (K, 3, 3) float64, pixels
    ndc_focal: np.ndarray  # (K,), see `Cameras.ndc_focal`
    seconds: np.ndarray | None  # (K,), ascending
    frames: np.ndarray | None  # (K,) frame numbers, also between two
    period: float | None  # seconds, or the number of keys without `seconds`; None: no loop


def of_cams(rig: Rig, cams: Sequence[int]) -> Keys:
    """Keys at cameras of the capture, evenly apart."""
    return _gathered([_pose(rig, {"cam": cam}, "") for cam in cams], None, None, None)


def read(path: pathlib.Path, rig: Rig) -> Keys:
    """Reads a file of key poses.

    Raises:
      InvError: If there is none, or something in it cannot be right; it says what, and of which
        key.
    """
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise InvError(f"{path}: cannot be read ({error.strerror}); give a file of keys") from error
    except ValueError as error:
        raise InvError(f"{path} is no JSON ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list) or not found["keys"]:
        raise InvError(f'{path}: expected {{"keys": [...]}} with one key pose at least')
    _check_names(found, _TOP, str(path))
    rows = found["keys"]
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvError(f'{_name(path, i)} is {row!r}; expected an object, as {{"cam": 0}}')
        _check_names(row, _KEY, _name(path, i))
    seconds, frames = (_column(rows, field, path) for field in ("seconds", "frame"))
    if seconds is not None and not (np.diff(seconds, prepend=0.0)[1:] > 0).all():
        i = int(np.argmin(np.diff(seconds) > 0)) + 1
        raise InvError(
            f"{_name(path, i)}: seconds={seconds[i]:g} is not after {seconds[i - 1]:g} of the key "
            "before it; expected ascending times"
        )
    period = _period(found, seconds, path)
    poses = [_pose(rig, row, _name(path, i)) for i, row in enumerate(rows)]
    return _gathered(poses, seconds, frames, period)


def write(path: pathlib.Path, keys: Sequence[Mapping[str, Any]], *, is_loop: bool) -> None:
    """Writes a file that `read` takes; `keys` have its fields, arrays for matrices."""
    rows = [json.dumps({name: _plain(value) for name, value in key.items()}) for key in keys]
    lines = ",\n    ".join(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_text(
            f'{{\n  "loop": {json.dumps(is_loop)},\n  "keys": [\n    {lines}\n  ]\n}}\n'
        )


def _plain(value: Any) -> Any:
    return np.round(value, _DIGITS).tolist() if isinstance(value, np.ndarray) else value


def _name(path: pathlib.Path, i: int) -> str:
    return f"{path}: key {i} (counted from 0)"


def _check_names(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in found:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            advice = f"did you mean {close[0]!r}?" if close else f"expected {', '.join(known)}"
            raise InvError(f"{where} has a field {name!r}; {advice}")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise InvError(f"{where} is {value!r}; expected a number")
    return float(value)


def _column(rows: Sequence[Mapping[str, Any]], field: str, path: pathlib.Path) -> np.ndarray | None:
    """A number of all keys, or None if no key has it."""
    has = [field in row for row in rows]
    if not any(has):
        return None
    if not all(has):
        raise InvError(
            f"{_name(path, has.index(False))} has no {field!r}, and key {has.index(True)} has; "
            "give it to all keys or to none"
        )
    return np.array(
        [_number(row[field], f"{_name(path, i)}: {field}") for i, row in enumerate(rows)]
    )


def _period(
    found: Mapping[str, Any], seconds: np.ndarray | None, path: pathlib.Path
) -> float | None:
    is_loop, total = found.get("loop", False), found.get("seconds")
    if not isinstance(is_loop, bool):
        raise InvError(f"{path}: loop is {is_loop!r}; expected true or false")
    if (total is not None) != (is_loop and seconds is not None):
        raise InvError(
            f'{path}: give the whole "seconds" of a loop if, and only if, its keys have seconds'
        )
    if not is_loop:
        return None
    if seconds is None:
        return float(len(found["keys"]))
    total = _number(total, f"{path}: seconds")
    if not total > seconds[-1] - seconds[0]:
        raise InvError(
            f"{path}: the loop takes {total:g} seconds, its keys {seconds[-1] - seconds[0]:g}; "
            "expected more, as it must come back"
        )
    return total


def _pose(rig: Rig, row: Mapping[str, Any], where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Pose, intrinsics and the focal length of NDC of one key."""
    if ("cam" in row) == ("cam_to_world" in row):
        raise InvError(f"{where}: expected either 'cam' or 'cam_to_world', to say where it is")
    cam = row.get("cam", rig.shown_cam)
    rig.check_cams([cam], f"{where}: cam")
    pose = np.asarray(rig.cameras.cam_to_world[cam], np.float64)
    if "cam_to_world" in row:
        pose = _matrix(row["cam_to_world"], [(3, 4), (4, 4)], f"{where}: cam_to_world")[:3]
        rotation = pose[:, :3]
        error = np.abs(rotation.T @ rotation - np.eye(3)).max()
        if error > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
            raise InvError(
                f"{where}: cam_to_world holds no rotation (R^T R is off by {error:.2g}, det R = "
                f"{np.linalg.det(rotation):.2g}); expected orthonormal, right-handed axes"
            )
    intrinsics = np.array(rig.cameras.intrinsics[cam], np.float64)
    ndc_focal = float(intrinsics[0, 0])
    if "fov" in row and "intrinsics" in row:
        raise InvError(f"{where}: has both 'fov' and 'intrinsics'; give one of them")
    if "fov" in row:
        fov = _number(row["fov"], f"{where}: fov")
        if not 0 < fov < 180:
            raise InvError(f"{where}: fov is {fov:g}; expected degrees, more than 0 and under 180")
        focal = rig.cameras.height / 2 / np.tan(np.radians(fov) / 2)
        intrinsics[:2, :2] *= focal / intrinsics[1, 1]
    if "intrinsics" in row:
        intrinsics = _matrix(row["intrinsics"], [(3, 3)], f"{where}: intrinsics")
        if not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
            raise InvError(f"{where}: intrinsics: expected positive focal lengths, in pixels")
    return pose, intrinsics, ndc_focal


def _matrix(value: Any, shapes: Sequence[tuple[int, ...]], where: str) -> np.ndarray:
    wanted = " or ".join("x".join(map(str, shape)) for shape in shapes)
    try:
        matrix = np.asarray(value, np.float64)
    except (ValueError, TypeError) as error:
        raise InvError(f"{where}: expected {wanted} numbers, a list for each row") from error
    if matrix.shape not in shapes or not np.isfinite(matrix).all():
        raise InvError(f"{where}: is {matrix.shape}; expected {wanted} finite numbers")
    return matrix


def _gathered(
    poses: Sequence[tuple[np.ndarray, np.ndarray, float]],
    seconds: np.ndarray | None,
    frames: np.ndarray | None,
    period: float | None,
) -> Keys:
    cam_to_world, intrinsics, ndc_focal = (
        np.stack([np.asarray(pose[part]) for pose in poses]) for part in range(3)
    )
    return Keys(cam_to_world, intrinsics, ndc_focal, seconds, frames, period)
