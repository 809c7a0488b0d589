"""Settings that follow from the capture: the box and the sizes of a fast field.

They are made definite before anything is built of them, and written into `config.json`.
"""

from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from inv_jax.assembly import sizing
from inv_jax.data.rig import Rig
from inv_jax.geometry import boxes
from inv_jax.models import grid_sizes, registry
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

_UNSEEN = boxes.Box(boxes.PROJECTIVE, (-1.0, -1.0, 1.0), (1.0, 1.0, 2.0), center=1.0)


def fitted(config: Config, old: dict[str, Any] | None, rig: Callable[[], Rig | None]) -> Config:
    """The config with what its model wants to know of the capture; as given if it wants nothing.

    Args:
      config: As given.
      old: The record of the workdir, if it has one: what was found then stays.
      rig: Opens the capture; asked only if it is needed. None if it is not there yet: then it is
        taken for what it is planned to be, see `unopened`.

    Raises:
      InvError: If the capture cannot be opened, or the model cannot show it.
    """
    if config.model.name not in _FITS:
        return config
    fields = _unset(config)
    if not fields:
        return config
    known = {}
    if old is not None:
        stored = old["config"]
        known = {f: v for f in fields if (v := _get(stored, f)) not in (None, "", 0, (), [])}
    if known.keys() != set(fields):
        opened = rig()
        if opened is None:
            return unopened(config)
        known = _FITS[config.model.name](config, opened) | known
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
    views, height, width = sizing.planned_segment(config)
    found = _sizes(config, boxes.PROJECTIVE, height, width, views) | _box(_UNSEEN)
    made = config.copy_and_resolve_references()
    with made.unlocked():
        for field in _unset(config):
            group, name = field.split(".")
            made[group][name] = found[field]
    return made.lock()


def _unset(config: Config) -> list[str]:
    return [field for field in _FIELDS if _get(config, field) in ("", 0, ())]


def _get(config: Any, field: str) -> Any:
    group, name = field.split(".")
    value = config.get(group, {}).get(name)
    return tuple(value) if isinstance(value, list) else value


_FIELDS = (
    "model.space",
    "model.box",
    "model.levels",
    "model.guide",
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
    cameras = rig.cameras.take(cams)
    box = boxes.fit(cameras, rig.bounds[cams], config.model.space)
    return _sizes(config, box.kind, cameras.height, cameras.width, len(cams)) | _box(box)


def _sizes(config: Config, kind: str, height: int, width: int, num_cams: int) -> dict[str, Any]:
    sizes = grid_sizes.of(height, width, num_cams, kind, config.fast.budget)
    return {
        "model.levels": tuple(n for level in sizes.levels for n in level),
        "model.guide": sizes.guide,
        "train.rows_per_step": min(sizes.rows_per_step, num_cams * height * width),
        "train.steps": sizes.steps,
        "train.warmup_steps": sizes.warmup_steps,
        "train.first_steps": sizes.first_steps,
    }


def _box(box: boxes.Box) -> dict[str, Any]:
    # Seven digits: what two machines find is the same number.
    return {"model.space": box.kind, "model.box": tuple(float(f"{x:.6g}") for x in box.numbers)}


_FITS = {registry.GRID: _fit_grid}
