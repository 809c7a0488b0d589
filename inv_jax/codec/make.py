"""From settings to codecs, headers and gauges."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from inv_jax.codec import registry
from inv_jax.codec.base import Codec, Gauge, Layout
from inv_jax.codec.gauge import PictureGauge
from inv_jax.codec.header import Header
from inv_jax.data.rig import Rig
from inv_jax.models.base import Model
from inv_jax.params import Roles
from inv_jax.types import InvError, Params


def codec(name: str, settings: Mapping[str, Any]) -> Codec:
    """A codec.

    Args:
      name: Of the codec.
      settings: By name; each codec takes those that are its own.

    Raises:
      InvError: If there is no such codec, or a setting is out of range.
    """
    if name not in registry.CODECS:
        known = ", ".join(sorted(registry.CODECS))
        raise InvError(f"no codec is named {name!r}; choose one of {known}")
    kind = registry.CODECS[name]
    own = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in settings.items() if key in own})


def for_training(settings: Mapping[str, Any]) -> Codec | None:
    """The codec that frames are encoded with while they train; None for none.

    Args:
      settings: `codec` of a config; without a name there need be no others.

    Raises:
      InvError: If they contradict each other.
    """
    name = settings["name"]
    if not name:
        return None
    made = codec(name, settings)
    if settings["from_decoded"] and not made.is_lag_free:
        raise InvError(
            f"codec.from_decoded=True wants every frame encoded at once, codec.name={name} has "
            f"groups of codec.group={settings['group']}; set codec.group=1, or codec.name=delta"
        )
    check_color_precision(settings["color_precision"])
    return made


def check_color_precision(bits: int) -> None:
    """Refuses what fpzip cannot store.

    Raises:
      InvError: If it is not 2 to 32.
    """
    if not 2 <= bits <= 32:
        raise InvError(f"codec.color_precision={bits}: fpzip takes 2 to 32 bits")


def header(
    codec: Codec,
    params: Params,
    roles: Roles,
    config: dict[str, Any],
    rig: Rig,
    provenance: dict[str, Any],
    segment_frames: int = 1,
) -> Header:
    """What a file of this run says about itself.

    Args:
      codec: Makes its packets.
      params: Any of the run.
      roles: Of the model.
      config: Settings of the run.
      rig: The cameras.
      provenance: For people, JSON values.
      segment_frames: Frames of the longest segment.

    Raises:
      InvError: If the codec cannot store such segments.
    """
    codec.check_segments(segment_frames)
    return Header(
        codec=codec.name,
        settings=codec.settings(),
        layout=Layout.of(params, *roles.own, indices=roles.indices),
        color_layout=Layout.of(params, *roles.shared),
        config=config,
        rig=rig,
        frame_rate=float(config["render"]["fps"]),
        provenance=provenance,
        segment_frames=segment_frames,
    )


def gauge(
    codec: Codec, model: Model, rig: Rig, params: Params, segment_frames: int = 1
) -> Gauge | None:
    """What the codec's encoder asks about pictures, if it does; arguments as of `header`."""
    if not codec.uses_gauge:
        return None
    cameras = rig.cameras.take(np.array(rig.train_cams or rig.test_cams))
    return PictureGauge(model, cameras, params, num_frames=segment_frames)
