"""The config of a run, on disk: what really ran, and whether a workdir belongs to a config."""

import json
import math
import pathlib
import platform
from importlib import metadata as importlib_metadata
from typing import Any

import ml_collections
from absl import logging

from inv_jax.data import files
from inv_jax.data import rig as rig_lib
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

# Fields that may change between two starts of one run: they change no result (rows_per_pass,
# frames_at_once: not beyond rounding), or only append. That a moved capture is the same one is
# checked by itself.
WITHOUT_EFFECT = (
    "data.path",
    "data.num_frames",
    "train.rows_per_pass",
    "train.frames_at_once",
    "train.save_every",
    "train.image_",
    "train.dispatch_seconds",
    "eval.",
    "render.",
)
# Fields younger than some runs, with what those runs did: group, name, value.
_YOUNGER = (
    ("data", "frame_step", 1),
    ("data", "masks", ""),
    ("data", "mask_polarity", "dynamic"),
    ("model", "precision", "float32"),
    ("model", "name", "nerf"),
    ("model", "activation", "relu"),
    ("model", "w0", 30.0),
    ("model", "encoding", "octaves"),
    ("model", "fourier_features", 256),
    ("model", "fourier_scale", 10.0),
    ("model", "fourier_seed", 0),
    ("model", "blend", "softmax"),
    ("split", "pretraining", False),
    ("split", "dynamic_first", 0.5),
    ("split", "both_last", 0.25),
    ("split", "static_chance", 0.5),
    ("split", "dynamic_later", 0.0),
    ("split", "dynamic_chance", 0.75),
    ("split", "empty_rgb", 0.01),
    ("split", "empty_acc", 0.003),
    ("train", "frames_at_once", 1),
    ("train", "equal_steps", False),
    ("train", "update_pull", 0.0),
    ("train", "init_roles", ["structure", "color"]),
    ("train", "image_steps", []),
    ("train", "image_cams", []),
    ("codec", "name", ""),
    ("codec", "fidelity", 40.0),
    ("codec", "key_every", 24),
    ("codec", "precision", 16),
    ("codec", "group", 1),
    ("codec", "color_precision", 32),
    ("codec", "from_decoded", False),
    ("eval", "step_picture", "cam{cam:02d}_frame{frame:04d}_iter{step:06d}_{psnr:.6f}.png"),
)
# Fields that had other names, by group: a row was a ray before there were others.
_RENAMED = {
    "train": {"rays_per_step": "rows_per_step", "rays_per_pass": "rows_per_pass"},
    "eval": {"rays_per_chunk": "rows_per_chunk"},
}
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "inv_jax")


def _config_path(workdir: pathlib.Path) -> pathlib.Path:
    return workdir / "config.json"


def write(
    config: Config,
    workdir: pathlib.Path,
    devices: Devices | None,
    *,
    rows_per_pass: int,
    capture: str,
) -> None:
    """Writes `config.json`: what really runs, with versions and devices.

    Args:
      config: With paths and choices made definite (`definite`).
      workdir: Made if it does not exist.
      devices: What it runs on; None if it was decoded, not trained.
      rows_per_pass: As chosen for the hardware; a resumed run keeps it. 0: not chosen yet.
      capture: The capture's fingerprint (`Capture.fingerprint`).
    """
    workdir.mkdir(parents=True, exist_ok=True)
    record = {
        "config": config.to_dict(),
        "rows_per_pass": rows_per_pass,
        **provenance(capture),
        "devices": "none" if devices is None else devices.describe(),
    }
    path = _config_path(workdir)
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def provenance(capture: str) -> dict[str, Any]:
    """What a file says of where it comes from: versions, and the capture's fingerprint."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {"capture": capture, "versions": versions, "python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return importlib_metadata.version(package)
    except importlib_metadata.PackageNotFoundError:
        return "not installed"


def read(workdir: pathlib.Path) -> dict[str, Any] | None:
    """What `write` wrote, with the fields it did not know yet; None if there is no run.

    Raises:
      InvError: If the file is damaged.
    """
    path = _config_path(workdir)
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InvError(f"{path} is not valid JSON ({error}); restore or remove it") from error
    if isinstance(record, dict) and "rays_per_pass" in record:
        record["rows_per_pass"] = record.pop("rays_per_pass")
    wanted = {"config", "rows_per_pass", "capture", "devices"}
    if not isinstance(record, dict) or not wanted <= record.keys():
        raise InvError(f"{path} lacks some of {', '.join(sorted(wanted))}; restore or remove it")
    record["config"] = with_younger(record["config"])
    return record


def with_younger(config: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the fields that were not known yet when it was written."""

    def renamed(group: str, fields: dict[str, Any]) -> dict[str, Any]:
        names = _RENAMED.get(group, {})
        return {names.get(name, name): value for name, value in fields.items()}

    complete = {
        group: renamed(group, fields) if isinstance(fields, dict) else fields
        for group, fields in config.items()
    }
    for group, name, value in _YOUNGER:
        complete.setdefault(group, {}).setdefault(name, value)
    return complete


def read_config(workdir: pathlib.Path) -> Config:
    """The config a workdir was made with.

    Raises:
      InvError: If there is none.
    """
    record = read(workdir)
    if record is None:
        raise InvError(f"no run in {workdir}: {_config_path(workdir).name} is missing there")
    return ml_collections.ConfigDict(record["config"]).lock()


def definite(config: Config, old: dict[str, Any] | None) -> Config:
    """The config with absolute paths, and with the choices that an earlier start made.

    Args:
      config: As given.
      old: The record of the workdir, if it has one.
    """
    made = config.copy_and_resolve_references()
    with made.unlocked():
        for group, name in ((made.data, "path"), (made.train, "init_from")):
            if group[name]:
                group[name] = str(pathlib.Path(group[name]).expanduser().absolute())
        # The newest frame of the other run may be another one by now.
        for name in ("init_frame", "rows_per_step"):
            if old is not None and not made.train[name]:
                made.train[name] = old["config"]["train"][name]
    return made.lock()


def check_resume(
    config: Config, workdir: pathlib.Path, old: dict[str, Any] | None, devices: Devices
) -> None:
    """Refuses a workdir that belongs to another config.

    Raises:
      InvError: With the fields that differ.
    """
    if old is None:
        return
    differing = differences(old["config"], json.loads(json.dumps(config.to_dict())))
    if differing:
        raise InvError(
            f"{workdir} belongs to another config; it differs in {'; '.join(differing)}: "
            "use another --workdir, or the same settings"
        )
    if old["devices"] != devices.describe():
        logging.warning(
            "this run began on %s and goes on with %s: the same to rounding, not to the bit",
            old["devices"],
            devices.describe(),
        )


def check_capture(workdir: pathlib.Path, old: dict[str, Any] | None, capture: str) -> None:
    """Refuses to go on with another capture.

    Raises:
      InvError: If the fingerprints differ.
    """
    if old is not None and not rig_lib.may_be_same(old["capture"], capture):
        raise InvError(
            f"{workdir} was trained on a capture with other cameras, another image size or, of a "
            "video, other pictures; set data.path to that one, or use another --workdir"
        )


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields that differ, as `train.steps (500 there, 200 here)`, but for those free to change."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        path = prefix + name
        if path.startswith(WITHOUT_EFFECT):
            continue
        mine, theirs = new.get(name, "absent"), old.get(name, "absent")
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += differences(theirs, mine, path + ".")
        elif mine != theirs and not _both_nan(mine, theirs):
            found.append(f"{path} ({theirs} there, {mine} here)")
    return found


def _both_nan(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
