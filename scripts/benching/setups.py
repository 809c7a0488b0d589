"""Configs that the benches run."""

from typing import Any

import ml_collections
from absl import flags

from configs import base, image2d, split
from inv_jax import settings

_WIDTH = flags.DEFINE_integer("width", 0, "Width of the network; 0: the config's.")
_DEPTH = flags.DEFINE_integer("depth", 0, "Layers of its trunk; 0: the config's.")
_SAMPLES = flags.DEFINE_integer("samples", 0, "Coarse samples, and as many fine ones; 0: as above.")


def default_to_tiny_network() -> None:
    """For benches that are about pixels and frames: a full-size view of it takes seconds."""
    flags.set_default(_WIDTH, 8)
    flags.set_default(_DEPTH, 2)
    flags.set_default(_SAMPLES, 4)


def config(**changes: Any) -> ml_collections.ConfigDict:
    """The base config with the network of the flags, and fields changed.

    Args:
      changes: By name, two underscores for a dot: `train__steps=5` is `train.steps`.
    """
    made = base.get_config()
    samples = _SAMPLES.value or made.model.coarse_samples
    made.model.update(coarse_samples=samples, fine_samples=samples)
    return _changed(made, changes)


def split_config(name: str, **changes: Any) -> ml_collections.ConfigDict:
    """The same of a setting of Split INV, of which the static field comes trained."""
    return config(**split.table()[name], train__init_from="any", **changes)


def image_config(**changes: Any) -> ml_collections.ConfigDict:
    """The same of the config for images."""
    return _changed(image2d.get_config(), changes)


def _changed(made: ml_collections.ConfigDict, changes: dict[str, Any]) -> ml_collections.ConfigDict:
    made.model.update(width=_WIDTH.value or made.model.width)
    made.model.update(depth=_DEPTH.value or made.model.depth)
    made.model.update(structure_layers=min(made.model.structure_layers, made.model.depth))
    return settings.changed(
        made, {name.replace("__", "."): value for name, value in changes.items()}
    )
