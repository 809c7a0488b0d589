"""FLIP: how large a difference looks when one flips between two pictures (Andersson et al. 2020).

LDR-FLIP of sRGB images, by NVIDIA's own library, averaged over all pixels: 0 for equal images, at
most 1, lower is better. It models an observer for whom a degree of the visual field holds 67
pixels: 0.7 m from a display that is 0.7 m and 3840 pixels wide, the paper's standard.
"""

import flip_evaluator
import numpy as np
from jaxtyping import Float

Image = Float[np.ndarray, "h w 3"]


def flip_map(image: Image, reference: Image) -> Float[np.ndarray, "h w"]:
    """FLIP of every pixel, in [0, 1]; NaN in an image counts as black.

    Args:
      image: Colors in [0, 1]; what is outside is clipped.
      reference: The same of the truth.

    Raises:
      ValueError: If the images are not of one shape (H, W, 3).
    """
    if image.shape != reference.shape or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"images of shapes {image.shape} and {reference.shape}; want (H, W, 3)")
    test, truth = (
        np.ascontiguousarray(np.clip(np.nan_to_num(x, nan=0.0), 0.0, 1.0), np.float32)
        for x in (image, reference)
    )
    errors, _, _ = flip_evaluator.evaluate(
        truth, test, "LDR", inputsRGB=True, applyMagma=False, computeMeanError=False
    )
    return np.asarray(errors, np.float32).reshape(image.shape[:2])


def flip(image: Image, reference: Image) -> float:
    """Mean FLIP over all pixels (Andersson et al. 2020); see `flip_map`."""
    return float(flip_map(image, reference).mean(dtype=np.float64))
