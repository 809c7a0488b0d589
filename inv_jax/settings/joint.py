"""Clips that train together in one dense decoder, with a head for each (MTL)."""

from typing import Any

from ml_collections import ConfigDict

from inv_jax.settings import nerv

DEFAULTS: dict[str, Any] = nerv.DEFAULTS | {"train.segment_frames": -1, "model.channels": 112}


def settings() -> ConfigDict:
    """Fields of `model` beside those of every decoder of clips."""
    model = ConfigDict()
    model.clips = ()  # frames of each clip; (): as they are when training begins
    return model
