"""Configs that the benches run."""

from typing import Any

import ml_collections
from absl import flags

from configs import base

_WIDTH = flags.DEFINE_integer("width", 256, "Width of the network.")
_DEPTH = flags.DEFINE_integer("depth", 8, "Layers of its trunk.")
_SAMPLES = flags.DEFINE_integer("samples", 64, "Coarse samples, and as many fine ones.")


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
    structure = min(made.model.structure_layers, _DEPTH.value)
    made.model.update(width=_WIDTH.value, depth=_DEPTH.value, structure_layers=structure)
    made.model.update(coarse_samples=_SAMPLES.value, fine_samples=_SAMPLES.value)
    made.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in changes.items()}
    )
    return made
