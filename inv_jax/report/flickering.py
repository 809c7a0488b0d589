"""Flicker of runs on pixels that stand still, over the frames they share."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from inv_jax.eval.flicker import Flicker, Static, static_pixels
from inv_jax.report.series import Scored


@dataclasses.dataclass(frozen=True)
class Flickering:
    """What changes from frame to frame though nothing moves, in levels of 8 bits.

    Attributes:
      static: The pixels that stand still.
      runs: By run's number: by frame.
      truth: Of the camera itself, by frame: its noise.
    """

    static: Static
    runs: dict[int, dict[int, float]]
    truth: dict[int, float]


def measure(group: Sequence[Scored], frames: Sequence[int], cam: int) -> Flickering | None:
    """Flicker of all runs whose pictures can be had; None if no pixel is static, or no frame pair.

    Args:
      group: Runs of one capture.
      frames: Frames that all of them have pictures of.
      cam: Camera.

    Raises:
      InvError: If a mask or an image is broken.
    """
    seen = [one for one in group if one.viewer is not None]
    if len(frames) < 2 or not seen:
        return None
    static = _static(seen[0], frames, cam)
    if not static.count:
        return None
    runs, truth = {}, {}
    for one in seen:
        flicker, values = Flicker(static), {}
        for frame in frames:
            rgb = one.viewer.picture(frame, cam) / np.float32(255)
            found = flicker(rgb, one.viewer.truth(frame, cam))
            if found["flicker"] is not None:
                values[frame], truth[frame] = found["flicker"], found["flicker_truth"]
        runs[one.run.number] = values
    return Flickering(static, runs, truth)


def _static(one: Scored, frames: Sequence[int], cam: int) -> Static:
    viewer = one.viewer
    return static_pixels(viewer.capture, viewer.masks, (cam,), frames)[cam]
