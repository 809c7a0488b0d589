"""Settings that follow from the capture: the box and the sizes of a fast field, how many clips.

They are made definite before anything is built of them, and written into `config.json`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from inv_jax.assembly import sizing
from inv_jax.data.rig import Rig
from inv_jax.geometry import boxes
from inv_jax.models import grid_sizes, registry
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

_WARMUP_FRAMES = 3
_UNSEEN = {  # in place of the box of a capture that is not there yet
    boxes.PROJECTIVE: boxes.Box(boxes.PROJECTIVE, (-1.0, -1.0, 1.0), (1.0, 1.0, 2.0), center=1.0),
    boxes.AXES: boxes.Box(boxes.AXES, (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), near=1.0, far=2.0),
}


def fitted(
    config: Config,
    old: dict[str, Any] | None,
    rig: Callable[[], Rig | None],
    devices: Devices,
) -> Config:
    """The config with what its model wants to know of the capture; as given if it wants nothing.

    Args:
      config: As given.
      old: The record of the workdir, if it has one: what was found then stays.
      rig: Opens the capture; asked only if it is needed. None if it is not there yet: then it is
        taken for what it is planned to be, see `unopened`.
      devices: That share the rows of a step.

    Raises:
      InvError: If the capture cannot be opened, or the model cannot show it.
    """
    if config.model.name not in _FITS:
        return config
    fields = _unset(config)
    if not fields:
        return config
    known: dict[str, Any] = {}
    if old is not None:
        stored = old["config"]
        known = {f: v for f in fields if (v := _get(stored, f)) not in (None, "", 0, ())}
    if known.keys() != set(fields):
        opened = rig()
        if opened is None:
            return unopened(config)
        # By the main process: others might find numbers that differ in their last digits.
        found = devices.from_main(lambda: _FITS[config.model.name].of(config, opened))
        if rows := found.get("train.rows_per_step"):
            found["train.rows_per_step"] = max(rows - rows % devices.count, devices.count)
        known = found | known
    made = config.copy_and_resolve_references()
    with made.unlocked():
        for field in fields:
            group, name = field.split(".")
            value = known[field]
            made[group][name] = tuple(value) if isinstance(value, list) else value
    return made.lock()


def unopened(config: Config) -> Config:
    """The same where the capture is not there yet: of the size that it is planned to have."""
    if config.model.name not in _FITS or not _unset(config):
        return config
    found = _FITS[config.model.name].planned(config)
    made = config.copy_and_resolve_references()
    with made.unlocked():
        for field in _unset(config):
            group, name = field.split(".")
            made[group][name] = found[field]
    return made.lock()


def _unset(config: Config) -> list[str]:
    return [
        field
        for field in _FITS[config.model.name].fields
        if _get(config, field) in (("", 0, ()) if field != "train.freeze_frame" else (-1,))
    ]


def _get(config: Any, field: str) -> Any:
    group, name = field.split(".")
    value = config.get(group, {}).get(name)
    return tuple(value) if isinstance(value, list) else value


_GRID_FIELDS = (
    "model.space",
    "model.box",
    "model.levels",
    "model.bricks",
    "model.guide",
    "train.freeze_frame",
    "train.rows_per_step",
    "train.steps",
    "train.warmup_steps",
    "train.first_steps",
)


def _fit_grid(config: Config, rig: Rig) -> dict[str, Any]:
    cams = np.array(rig.train_cams)
    if len(cams) < 2:
        raise InvError(
            "one camera to train on says nothing of depth; train it as a picture or as a clip: "
            "configs/image2d.py, configs/nerv.py"
        )
    if config.data.ndc:
        raise InvError("model.name='grid' has a box of its own; set data.ndc=False")
    cameras, names = rig.cameras.take(cams), [rig.camera_names[cam] for cam in cams]
    if config.model.box:
        if not config.model.space:
            raise InvError(
                f"model.box={tuple(config.model.box)} says nothing without model.space; choose one "
                f"of {', '.join(boxes.KINDS)}"
            )
        box = boxes.Box.of(config.model.space, config.model.box)
        boxes.check_met(box, cameras, names)
    else:
        box = boxes.fit(cameras, rig.bounds[cams], config.model.space, names)
    return _sizes(config, box.kind, cameras.height, cameras.width, len(cams)) | _box(box)


def _sizes(config: Config, kind: str, height: int, width: int, num_cams: int) -> dict[str, Any]:
    sizes = grid_sizes.of(height, width, num_cams, kind, config.fast.budget)
    return {
        "model.levels": tuple(n for level in sizes.levels for n in level),
        "model.bricks": sizes.bricks,
        "model.guide": sizes.guide,
        "train.freeze_frame": config.data.first_frame + _WARMUP_FRAMES * config.data.frame_step,
        "train.rows_per_step": min(sizes.rows_per_step, num_cams * height * width),
        "train.steps": sizes.steps,
        "train.warmup_steps": sizes.warmup_steps,
        "train.first_steps": sizes.first_steps,
    }


def _box(box: boxes.Box) -> dict[str, Any]:
    # Six digits: people read them in config.json.
    return {"model.space": box.kind, "model.box": tuple(float(f"{x:.6g}") for x in box.numbers)}


def _planned_grid(config: Config) -> dict[str, Any]:
    views, height, width = sizing.planned_segment(config)
    kind = config.model.space if config.model.space in _UNSEEN else boxes.PROJECTIVE
    return _sizes(config, kind, height, width, views) | _box(_UNSEEN[kind])


def _fit_joint(config: Config, rig: Rig) -> dict[str, Any]:
    if not rig.clips:
        raise InvError(
            "model.name='joint' trains several clips together, and "
            f"data.layout={config.data.layout!r} has one; set data.layout=clips, or model.name=nerv"
        )
    return {"model.clips": rig.clips}


@dataclasses.dataclass(frozen=True)
class _Fit:
    """What a model wants to know of the capture.

    Attributes:
      fields: Settings that follow from it, by dotted name, where they are empty.
      of: Their values for a config and its rig.
      planned: Likewise where the capture is not there yet.
    """

    fields: tuple[str, ...]
    of: Callable[[Config, Rig], dict[str, Any]]
    planned: Callable[[Config], dict[str, Any]]


_FITS = {
    registry.GRID: _Fit(_GRID_FIELDS, _fit_grid, _planned_grid),
    registry.PFNR: _Fit(
        ("model.sessions",),
        lambda config, rig: {"model.sessions": max(1, len(rig.clips))},
        lambda config: {"model.sessions": 1},
    ),
    registry.JOINT: _Fit(
        ("model.clips",),
        _fit_joint,
        lambda config: {"model.clips": (len(sizing.planned_frames(config)),)},
    ),
}
