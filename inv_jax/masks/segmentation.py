"""What moves in one camera's frames: thresholded flow, cleaned.

A pixel moves from a frame to another one if its flow is long enough and the colors around it
change by more than the camera's noise. Flow alone will not do: on walls without texture it is what
the nearest moving thing has. A pixel of a frame is dynamic if it moves both to a frame before and
to one behind; where a thing comes to, or where it leaves, only one of them says so.

The speed above which a pixel may move, and the square that colors are averaged over, are in pixels,
as noise is of pixels. Of what cleans the masks, lengths are parts of the image's height and areas
parts of the image, so that one setting serves every size. Distances are Euclidean, between centers
of pixels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from inv_jax.masks.flow import FlowSource
from inv_jax.types import InvError

Mask = Bool[np.ndarray, "h w"]
Image = UInt8[np.ndarray, "h w 3"]

_LEAST_CHANGE = 2.0  # levels of 8 bits; less is rounding
_DEVIATION = 1.4826  # of a normal distribution, over the median of absolute differences from it


def _setting(default: float, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Settings:
    """How masks are made of flow; each field's `help` says what it is.

    Raises:
      InvError: If one is out of range.
    """

    stride: int = _setting(2, "Frames to the ones that a frame is compared with, before and behind")
    threshold: float = _setting(0.05, "Pixels of flow over the stride above which a pixel may move")
    color: float = _setting(
        3.0, "Standard deviations of noise that its colors must change by; 0: flow alone counts"
    )
    window: int = _setting(3, "Side in pixels of the square that changes of color are averaged on")
    open: float = _setting(0.0, "What is thinner than twice this part of the height is removed")
    close: float = _setting(0.04, "Gaps up to twice this part of the height are closed")
    specks: float = _setting(0.0005, "Smaller spots, as parts of the image, are removed")
    holes: float = _setting(0.01, "Smaller holes, as parts of the image, are filled")
    dilate: float = _setting(0.005, "Masks grow by this part of the height")
    union: int = _setting(0, "Frames on both sides whose masks are added")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), field.name in ("stride", "window")
            if not value >= least:
                raise InvError(f"--{field.name}={value}: expected {int(least)} or more")
        if self.window % 2 == 0:
            raise InvError(f"--window={self.window}: expected an odd number")


class Segmenter:
    """The masks of one camera, in bounded memory if they are asked for in order of time."""

    def __init__(
        self,
        read: Callable[[int], Image],
        frames: range,
        cam: int,
        source: FlowSource,
        settings: Settings,
    ):
        """Reads nothing yet.

        Args:
          read: The camera's image of a frame.
          frames: All that there are, none left out; masks may be asked for fewer.
          cam: The camera's index.
          source: Of flow.
          settings: How masks are made.

        Raises:
          InvError: If there is one frame only, or the source does not reach as far as the stride.
          ValueError: If frames are left out: strides are counted in frames as numbered on disk.
        """
        if frames.step != 1:
            raise ValueError(f"every {frames.step}th frame is open; flow takes all of them")
        if len(frames) < 2:
            raise InvError(f"only frame {frames[0]} is open; flow takes two frames or more")
        if source.reach is not None and settings.stride > source.reach:
            raise InvError(
                f"--stride={settings.stride}, but the flow files reach over {source.reach} frame; "
                "set --stride=1, or give files whose names have {to:04d}"
            )
        self._frames, self._cam, self._source, self._settings = frames, cam, source, settings
        self._image = functools.lru_cache(4 * settings.stride + 1)(read)
        self._moving = functools.lru_cache(2 * settings.union + 1)(self._segment)

    def mask(self, frame: int) -> Mask:
        """What moves in a frame, True for dynamic.

        Raises:
          InvError: If an image or its flow cannot be read.
        """
        union = self._settings.union
        near = [f for f in range(frame - union, frame + union + 1) if f in self._frames]
        together = np.logical_or.reduce([self._moving(f) for f in near])
        return grow(together, self._settings.dilate * together.shape[0])

    def _segment(self, frame: int) -> Mask:
        moves = [self._moves(frame, other) for other in self._others(frame)]
        return clean(np.logical_and.reduce(moves), self._settings)

    def _others(self, frame: int) -> list[int]:
        """A frame before and one behind; at the ends, two on one side, or as many as there are."""
        farthest = max(frame - self._frames[0], self._frames[-1] - frame)
        stride = min(self._settings.stride, farthest)
        others = [f for f in (frame - stride, frame + stride) if f in self._frames]
        if len(others) == 1 and self._source.reach is None:
            twice = 2 * others[0] - frame
            others += [twice] if twice in self._frames else []
        return others

    def _moves(self, frame: int, other: int) -> Mask:
        images = self._image(frame), self._image(other)
        greys = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
        flow = self._source.between(frame, other, self._cam, (greys[0], greys[1]))
        moves = np.hypot(flow[..., 0], flow[..., 1]) > self._settings.threshold
        if self._settings.color:
            change = color_change(*images, self._settings.window)
            moves &= change > noise_limit(change, self._settings.color)
        return moves


def color_change(image: Image, other: Image, window: int) -> Float32[np.ndarray, "h w"]:
    """How much colors change, in levels of 8 bits.

    It is the largest difference over the channels, averaged over squares of `window` pixels.
    """
    return cv2.blur(cv2.absdiff(image, other).max(-1).astype(np.float32), (window, window))


def noise_limit(change: Float32[np.ndarray, "h w"], deviations: float) -> float:
    """What noise does not exceed: the median and so many standard deviations more.

    The deviation is estimated by the median of absolute differences from the median. Both hold
    where at least half of the picture stands still.
    """
    median = float(np.median(change))
    deviation = _DEVIATION * float(np.median(np.abs(change - median)))
    return max(_LEAST_CHANGE, median + deviations * deviation)


def clean(mask: Mask, settings: Settings) -> Mask:
    """The mask without thin parts, gaps, specks and holes, in this order."""
    height = mask.shape[0]
    if settings.open:
        mask = grow(shrink(mask, settings.open * height), settings.open * height)
    if settings.close:
        mask = shrink(grow(mask, settings.close * height), settings.close * height)
    mask = mask & ~small_parts(mask, settings.specks * mask.size, connectivity=8)
    return mask | small_parts(~mask, settings.holes * mask.size, connectivity=4)


def grow(mask: Mask, radius: float) -> Mask:
    """The mask and all pixels that are at most `radius` pixels from it."""
    if radius < 1 or not mask.any():
        return mask
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= radius + 1e-3


def shrink(mask: Mask, radius: float) -> Mask:
    """The mask without the pixels that are at most `radius` from what is not in it.

    Outside of the image nothing is known, so nothing is taken away there.
    """
    return ~grow(~mask, radius)


def small_parts(mask: Mask, area: float, *, connectivity: int) -> Mask:
    """The parts of a mask that have fewer than `area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    is_small = stats[:, cv2.CC_STAT_AREA] < area
    is_small[0] = False  # what is not in the mask
    return is_small[labels.astype(np.intp)]
