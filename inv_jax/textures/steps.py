"""Numbers as bytes: an offset and a scale for each channel.

A number x of a channel is kept as the byte that is nearest to 255 (x - offset) / scale. A channel
that is constant has a scale of 0.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Steps:
    """How the channels of a texture are kept.

    Attributes:
      offset: Of each channel.
      scale: Likewise.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def none(cls, channels: int) -> "Steps":
        """Of numbers that are not known yet."""
        return cls((0.0,) * channels, (0.0,) * channels)

    @classmethod
    def between(cls, extremes: np.ndarray) -> "Steps":
        """For numbers from the lowest to the highest of each channel, (2, channels).

        Where 0 lies between them, it is a byte. A codec, and a brick that is new, leave many nodes
        at 0; otherwise all of them would be wrong by the same amount, and a ray would add it up.
        """
        lowest, highest = extremes
        has_zero = (lowest < 0.0) & (highest > 0.0)
        step = (highest - lowest) / np.where(has_zero, 254.0, 255.0)
        below = np.ceil(-lowest / np.where(has_zero, step, 1.0))
        offset = np.where(has_zero, -below * step, lowest)
        return cls(tuple(offset.tolist()), tuple((255.0 * step).tolist()))

    @property
    def channels(self) -> int:
        return len(self.offset)

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        """Bytes of numbers (..., channels), filled up with 0 to a multiple of four channels."""
        offset, scale = np.array(self.offset), np.array(self.scale)
        steps = 255.0 * (numbers.astype(np.float64) - offset) / np.where(scale > 0.0, scale, 1.0)
        codes = np.clip(np.rint(steps), 0, 255).astype(np.uint8)
        return np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, -self.channels % 4)])

    def numbers(self, codes: np.ndarray) -> np.ndarray:
        """What a sampler makes of them, float32."""
        share = codes[..., : self.channels].astype(np.float32) / np.float32(255.0)
        return np.float32(self.offset) + np.float32(self.scale) * share

    def fields(self) -> dict[str, Any]:
        """Of the manifest."""
        return {"offset": self.offset, "scale": self.scale}

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> "Steps":
        """The inverse of `fields`.

        Raises:
          ValueError: Or `LookupError`, `TypeError`: if these are none.
        """
        offset, scale = (tuple(map(float, fields[name])) for name in ("offset", "scale"))
        if not 1 <= len(offset) == len(scale):
            raise ValueError(f"{len(offset)} offsets and {len(scale)} scales")
        if not np.isfinite(offset + scale).all():
            raise ValueError("offsets and scales that are not finite")
        return cls(offset, scale)
