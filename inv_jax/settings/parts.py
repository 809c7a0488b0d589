"""Which parts come with which model, layout and codec: the only list of them.

A new model's settings are a file here and a line in `CHOICES`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from inv_jax.settings import (
    cameras,
    clips,
    codec,
    codec_bricks,
    codec_delta,
    codec_quant,
    codec_twc,
    data,
    evaluation,
    grid,
    image,
    joint,
    model,
    nerf,
    nerv,
    pfnr,
    procedural,
    prune,
    render,
    split,
    train,
    video,
)

Part = Callable[[], ConfigDict]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What comes with a name.

    Attributes:
      fields: By group: parts whose fields are in it, in this order.
      defaults: Fields of other parts that have another default here, by dotted name.
    """

    fields: Mapping[str, tuple[Part, ...]]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def names(self) -> set[str]:
        """Dotted names of the fields."""
        return {
            f"{group}.{name}"
            for group, functions in self.fields.items()
            for part in functions
            for name in part()
        }


ALWAYS = Parts(
    {
        "data": (data.settings,),
        "model": (model.settings,),
        "train": (train.settings,),
        "eval": (evaluation.settings,),
        "codec": (codec.settings,),
        "render": (render.settings,),
    }
)

_CAMERAS = Parts({"data": (cameras.settings,)})

# By the field that chooses, then by its value.
CHOICES: Mapping[str, Mapping[str, Parts]] = {
    "data.layout": {
        "n3dv": _CAMERAS,
        "little_falls": _CAMERAS,
        "procedural": Parts(
            {"data": (cameras.settings,), "data.procedural": (procedural.settings,)}
        ),
        "video": Parts({"data": (video.settings,)}),
        "clips": Parts({"data": (clips.settings,)}),
    },
    "model.name": {
        "nerf": Parts({"model": (nerf.settings,)}),
        "split": Parts({"model": (nerf.settings, split.model), "split": (split.settings,)}),
        "image": Parts({"model": (image.settings,)}),
        "nerv": Parts(
            {
                "model": (nerv.settings, nerv.decoder),
                "train": (nerv.training,),
                "prune": (prune.settings,),
            },
            defaults=nerv.DEFAULTS,
        ),
        "pfnr": Parts(
            {
                "model": (pfnr.settings, nerv.decoder),
                "train": (nerv.training,),
            },
            defaults=pfnr.DEFAULTS,
        ),
        "joint": Parts(
            {"model": (joint.settings, nerv.decoder), "train": (nerv.training,)},
            defaults=joint.DEFAULTS,
        ),
        "grid": Parts(
            {
                "model": (grid.settings,),
                "train": (grid.training,),
                "fast": (grid.budget,),
            },
            defaults=grid.DEFAULTS,
        ),
    },
    "codec.name": {
        "": Parts({}),
        "bricks": Parts({"codec": (codec.common, codec_bricks.settings)}),
        "delta": Parts({"codec": (codec.common, codec_delta.settings)}),
        "quant": Parts({"codec": (codec.common, codec_quant.settings)}),
        "twc": Parts({"codec": (codec.common, codec_twc.settings)}),
        "raw": Parts({"codec": (codec.common,)}),
    },
}
