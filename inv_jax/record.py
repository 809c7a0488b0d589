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
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

# Fields that may change between two starts of one run: they change no result, or only append.
_FREE = (
    "data.path",
    "data.num_frames",
    "train.rays_per_pass",
    "train.save_every",
    "train.image_every",
    "train.dispatch_seconds",
    "eval.",
    "render.",
)
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "inv_jax")


def _config_path(workdir: pathlib.Path) -> pathlib.Path:
    return workdir / "config.json"


def write_config(config: Config, workdir: pathlib.Path, devices: Devices) -> None:
    """Writes `config.json`: what really runs, with versions and devices."""
    workdir.mkdir(parents=True, exist_ok=True)
    record = {
        "config": config.to_dict(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "devices": devices.describe(),
    }
    path = _config_path(workdir)
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def _version(package: str) -> str:
    try:
        return importlib_metadata.version(package)
    except importlib_metadata.PackageNotFoundError:
        return "not installed"


def _read_record(workdir: pathlib.Path) -> dict[str, Any] | None:
    path = _config_path(workdir)
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InvError(f"{path} is not valid JSON ({error}); restore or remove it") from error


def read_config(workdir: pathlib.Path) -> Config:
    """The config a workdir was made with.

    Raises:
      InvError: If there is none.
    """
    record = _read_record(workdir)
    if record is None:
        raise InvError(f"no run in {workdir}: {_config_path(workdir).name} is missing there")
    return ml_collections.ConfigDict(record["config"]).lock()


def check_resume(config: Config, workdir: pathlib.Path, devices: Devices) -> None:
    """Refuses a workdir that belongs to another config.

    Raises:
      InvError: With the fields that differ.
    """
    record = _read_record(workdir)
    if record is None:
        return
    differing = differences(record["config"], json.loads(json.dumps(config.to_dict())))
    if differing:
        raise InvError(
            f"{workdir} belongs to another config; it differs in {'; '.join(differing)}: "
            "use another --workdir, or the same settings"
        )
    if record["devices"] != devices.describe():
        logging.warning(
            "this run began on %s and goes on with %s: the same to rounding, not to the bit",
            record["devices"],
            devices.describe(),
        )


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Fields that differ, as `train.steps (500 there, 200 here)`, but for those free to change."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        path = prefix + name
        if path.startswith(_FREE):
            continue
        mine, theirs = new.get(name, "absent"), old.get(name, "absent")
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += differences(theirs, mine, path + ".")
        elif mine != theirs and not _both_nan(mine, theirs):
            found.append(f"{path} ({theirs} there, {mine} here)")
    return found


def _both_nan(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
