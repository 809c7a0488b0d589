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
from inv_jax.settings.composed import field_names
from inv_jax.settings.naming import RENAMED, is_known
from inv_jax.settings.parts import CHOICES
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

# Fields that may change between two starts of one run: they change no result (rows_per_pass,
# frames_at_once: not beyond rounding), or only append (num_frames: to whole segments). That a moved
# capture is the same one is checked by itself.
WITHOUT_EFFECT = (
    "data.path",
    "data.num_frames",
    "data.test_step",
    "train.rows_per_pass",
    "train.frames_at_once",
    "train.save_every",
    "train.image_",
    "train.dispatch_seconds",
    "eval.",
    "render.",
)
# Fields younger than some runs, with what those runs did.
_YOUNGER = {
    "data.layout": "n3dv",
    "data.frame_step": 1,
    "data.masks": "",
    "data.mask_polarity": "dynamic",
    "data.height": 0,
    "data.width": 0,
    "data.frame_ids": [],
    "data.test_step": 0,
    "model.name": "nerf",
    "model.precision": "float32",
    "model.activation": "relu",
    "model.w0": 30.0,
    "model.encoding": "octaves",
    "model.fourier_features": 256,
    "model.fourier_scale": 10.0,
    "model.fourier_seed": 0,
    "model.blend": "softmax",
    "split.pretraining": False,
    "split.dynamic_first": 0.5,
    "split.both_last": 0.25,
    "split.static_chance": 0.5,
    "split.dynamic_later": 0.0,
    "split.dynamic_chance": 0.75,
    "split.empty_rgb": 0.01,
    "split.empty_acc": 0.003,
    "train.segment_frames": 1,
    "train.epochs": 0,
    "train.frames_at_once": 1,
    "train.equal_steps": False,
    "train.optimizer": "adam",
    "train.b1": 0.9,
    "train.b2": 0.999,
    "train.eps": 1e-8,
    "train.weight_decay": 0.0,
    "train.schedule": "exponential",
    "train.lr_warmup": 0.0,
    "train.lr_milestones": [],
    "train.update_pull": 0.0,
    "train.best_every": 0,
    "train.best_last": 0,
    "train.init_roles": ["structure", "color"],
    "train.image_steps": [],
    "train.image_cams": [],
    "codec.name": "",
    "codec.fidelity": 40.0,
    "codec.key_every": 24,
    "codec.precision": 16,
    "codec.group": 1,
    "codec.color_precision": 32,
    "codec.from_decoded": False,
    "eval.pictures": 0,
    "eval.step_picture": "cam{cam:02d}_frame{frame:04d}_iter{step:06d}_{psnr:.6f}.png",
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
    """What `write` wrote, its config as it would be written now; None if there is no run.

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
    try:
        record["config"] = with_younger(record["config"])
    except InvError as error:
        raise InvError(f"{path}: {error}") from error
    return record


def with_younger(config: dict[str, Any]) -> dict[str, Any]:
    """A stored config as it would be written now.

    Fields that were not known yet are there, with what was done without them; those that had other
    names have theirs of now; those of parts that do not apply (once, all configs had all of them)
    are left out. Fields that nobody knows stay.

    Args:
      config: As stored, groups of JSON values; it may be forged.

    Raises:
      InvError: If its parts are not known, or it has a value where a group should be.
    """
    stored = {RENAMED.get(field, field): value for field, value in _flat(config).items()}
    fields = field_names({name: stored.get(name, _YOUNGER[name]) for name in CHOICES})
    complete = {
        **{field: value for field, value in _YOUNGER.items() if field in fields},
        **{field: stored[field] for field in stored if field in fields or not is_known(field)},
    }
    nested: dict[str, Any] = {}
    for field, value in complete.items():
        *groups, name = field.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise InvError(f"{group} of its settings is {str(inner)[:40]!r}; want a group")
        if isinstance(inner.setdefault(name, value), dict):
            raise InvError(f"{name} of its settings is {str(value)[:40]!r}; want a group")
        inner[name] = value
    return nested


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Fields by dotted name."""
    if not isinstance(config, dict):
        raise InvError(f"its settings are {str(config)[:40]!r}; want groups of fields")
    found: dict[str, Any] = {}
    for name, value in config.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return found


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
    length, there = config.train.segment_frames, old["config"]["data"].get("num_frames", 0)
    appends = length == 1 or (length > 1 and there % length == 0)
    free = tuple(name for name in WITHOUT_EFFECT if appends or name != "data.num_frames")
    clips = list(old["config"]["data"].get("clips", ()))
    if clips and list(config.data.get("clips", ()))[: len(clips)] == clips:
        free = (*free, "data.clips")
    differing = differences(old["config"], json.loads(json.dumps(config.to_dict())), free=free)
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


def differences(
    old: dict[str, Any],
    new: dict[str, Any],
    prefix: str = "",
    free: tuple[str, ...] = WITHOUT_EFFECT,
) -> list[str]:
    """Fields that differ, as `train.steps (500 there, 200 here)`, but for those free to change."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        path = prefix + name
        if path.startswith(free):
            continue
        mine, theirs = new.get(name, "absent"), old.get(name, "absent")
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += differences(theirs, mine, path + ".", free)
        elif mine != theirs and not _both_nan(mine, theirs):
            found.append(f"{path} ({theirs} there, {mine} here)")
    return found


def _both_nan(a: Any, b: Any) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
