"""Flicker: how much pixels that stand still change from frame to frame.

    flicker of frame t = 255 * mean over static pixels and channels of |I_t - I_{t-1}|

in levels of 8 bits, with t - 1 the frame measured before. It is the mean absolute brightness
difference (MABD) of Jiang & Zheng 2019, Learning to See Moving Objects in the Dark, of colors
instead of brightness and of static pixels alone, so that motion counts for nothing. 0 is a still
picture. A camera is not still: beside a rendered frame's flicker stands that of the camera's own
frames, its noise, on the same pixels.

Static are pixels that no frame's mask calls dynamic (`data/masks.py`), where there are masks of all
frames. Otherwise those whose true colors stay within a few levels over all frames that are
measured, in every channel. That leaves out the noisiest pixels too; on real footage of 24 frames
limits of 8 and of 24 levels gave results 3 to 5% apart.

Everything is streamed: two frames at a time, never all of them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging
from jaxtyping import Bool, UInt8

from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.eval import metrics

STATIC_RANGE = 16  # levels of 8 bits; see above
Still = Bool[np.ndarray, "h w"]


@dataclasses.dataclass(frozen=True)
class Static:
    """Pixels of one camera that stand still.

    Attributes:
      pixels: Which.
      origin: What says so: 'masks' of the capture, or its 'truth'.
      static_range: Of the truth: within so many levels of 8 bits its colors stay; else None.
    """

    pixels: Still
    origin: str
    static_range: int | None = None

    @property
    def count(self) -> int:
        return int(self.pixels.sum())

    def __str__(self) -> str:
        """`5,912 of 6,912 pixels (86%), by the capture's masks`."""
        share = f"{self.count:,} of {self.pixels.size:,} pixels ({self.pixels.mean():.0%})"
        by = "the capture's masks"
        if self.origin == "truth":
            by = f"their true colors (within {self.static_range} levels)"
        return f"{share}, by {by}"


class Flicker:
    """Takes the frames of one camera in order, as rendered and as they truly are."""

    def __init__(self, static: Static) -> None:
        """Keeps of each frame the static pixels, until the next one."""
        self.static = static
        self._before: list[np.ndarray] | None = None

    def __call__(
        self, rgb: metrics.Image, truth: UInt8[np.ndarray, "h w 3"]
    ) -> dict[str, float | None]:
        """What changed since the frame before.

        Args:
          rgb: The rendered frame, colors in [0, 1]; what is outside is clipped.
          truth: The camera's image.

        Returns:
          `flicker` and `flicker_truth`, in levels of 8 bits; None for the first frame, or if no
          pixel is static.
        """
        rendered = 255.0 * np.clip(np.asarray(rgb, np.float32), 0.0, 1.0)
        now = [
            image[self.static.pixels].astype(np.float32) for image in (rendered, np.asarray(truth))
        ]
        before, self._before = self._before, now
        if before is None or not self.static.count:
            return {"flicker": None, "flicker_truth": None}
        changes = [float(np.abs(a - b).mean()) for a, b in zip(now, before, strict=True)]
        return {"flicker": changes[0], "flicker_truth": changes[1]}


def static_pixels(
    capture: Capture,
    masks: Masks,
    cams: Sequence[int],
    frames: Sequence[int],
    static_range: int = STATIC_RANGE,
) -> dict[int, Static]:
    """The static pixels of cameras, by camera.

    Args:
      capture: Its true images.
      masks: Its masks; they need not be there.
      cams: Cameras.
      frames: The frames that will be measured.
      static_range: Where there are no masks: within so many levels of 8 bits true colors stay.

    Raises:
      InvError: If a mask or an image is broken, or a mask has another shape than the images.
    """
    found, maskless = {}, []
    for cam in cams:
        missing = masks.missing(frames, [cam])
        if not missing:
            found[cam] = Static(_by_masks(masks, cam, frames), "masks")
            continue
        maskless.append(cam)
        if len(missing) < len(frames):
            more = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            logging.warning(
                "the %s%s missing: static pixels of %s are found in its images",
                *(masks.name(*missing[0]), more, masks.camera_names[cam]),
            )
    if maskless:
        logging.info("finding static pixels in the images of %d frames", len(frames))
        stills = _by_truth(capture, maskless, frames, static_range)
        found |= {
            cam: Static(still, "truth", static_range)
            for cam, still in zip(maskless, stills, strict=True)
        }
    return {cam: found[cam] for cam in cams}


def _by_masks(masks: Masks, cam: int, frames: Sequence[int]) -> Still:
    """Pixels that no mask calls dynamic."""
    is_static = np.ones((masks.height, masks.width), bool)
    for frame in frames:
        is_static &= ~masks.load(frame, [cam])[0]
    return is_static


def _by_truth(
    capture: Capture, cams: Sequence[int], frames: Sequence[int], static_range: int
) -> list[Still]:
    """Pixels whose true colors stay within `static_range` levels, camera by camera."""
    lowest = highest = np.asarray(capture.load(frames[0], cams).images)
    for frame in frames[1:]:
        truth = np.asarray(capture.load(frame, cams).images)
        lowest, highest = np.minimum(lowest, truth), np.maximum(highest, truth)
    return list((highest - lowest).max(-1) <= static_range)
