"""What is measured of a picture against the truth, by name."""

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging
from jaxtyping import Bool, UInt8

from inv_jax.eval import flip, lpips, metrics
from inv_jax.types import InvError

Image = metrics.Image
Metric = Callable[..., float | None]  # of two images, or of two images and a mask
Mask = Bool[np.ndarray, "h w"]


def _psnr_static(image: Image, reference: Image, is_dynamic: Mask) -> float | None:
    return metrics.psnr_within(image, reference, ~is_dynamic)


_METRICS: dict[str, Metric] = {
    "psnr": metrics.psnr,
    "psnr_dynamic": metrics.psnr_within,
    "psnr_static": _psnr_static,
    "ssim": metrics.ssim,
    "ms_ssim": metrics.ms_ssim,
    "flip": flip.flip,
}
# In the order of tables.
NAMES = ("psnr", "psnr_dynamic", "psnr_static", "ssim", "ms_ssim", "lpips", "flip")
MASKED = ("psnr_dynamic", "psnr_static")  # of the pixels that the capture's masks call so


@dataclasses.dataclass(frozen=True)
class Measures:
    """Some metrics, ready: `measures(rgb, truth)` is a number for each name, or None.

    Attributes:
      metrics: By name, a function of two images, floats in [0, 1]; those of `MASKED` also take
        the mask of what is dynamic.
    """

    metrics: dict[str, Metric]

    @property
    def names(self) -> tuple[str, ...]:
        """What is measured; without LPIPS if there are no weights for it."""
        return tuple(self.metrics)

    @property
    def wants_masks(self) -> bool:
        """Whether anything is measured of dynamic or static pixels alone."""
        return any(name in MASKED for name in self.metrics)

    @property
    def lpips_net(self) -> str | None:
        """Whose features LPIPS compares, 'alex' or 'vgg'; their numbers are not comparable."""
        metric = self.metrics.get("lpips")
        return metric.net if isinstance(metric, lpips.Lpips) else None

    def full_name(self, name: str) -> str:
        """A metric's name to keep numbers under: that of LPIPS tells its weights too."""
        metric = self.metrics[name]
        return metric.name if isinstance(metric, lpips.Lpips) else name

    def __call__(
        self, rgb: Image, truth: UInt8[np.ndarray, "h w 3"], is_dynamic: Mask | None = None
    ) -> dict[str, float | None]:
        """Measures a picture.

        Args:
          rgb: The picture, floats in [0, 1].
          truth: What it should be, 8 bits.
          is_dynamic: Which pixels are dynamic, if that is known.

        Returns:
          A number by name; None where the picture is too small for the metric, where its mask is
          not known, and where no pixel is so.
        """
        image = np.asarray(rgb, np.float32)
        reference = np.asarray(truth, np.float32) / np.float32(255.0)
        found: dict[str, float | None] = {}
        for name, metric in self.metrics.items():
            if name not in MASKED:
                found[name] = metric(image, reference)
            else:
                found[name] = None if is_dynamic is None else metric(image, reference, is_dynamic)
        return found


def make(
    names: Sequence[str] = NAMES, lpips_weights: str | os.PathLike[str] | None = None
) -> Measures:
    """Metrics by name; LPIPS is left out, and that is said once, if there are no weights for it.

    Args:
      names: Of `NAMES`.
      lpips_weights: File of LPIPS' weights; None looks where they usually are (`lpips.find`).

    Raises:
      InvError: If a name is unknown, the given file is not there, or any of weights is malformed.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise InvError(f"there is no metric {unknown[0]!r}; choose among {', '.join(NAMES)}")
    chosen: dict[str, Metric] = {}
    for name in (name for name in NAMES if name in names):
        if name != "lpips":
            chosen[name] = _METRICS[name]
        elif isinstance(found := lpips.find(lpips_weights), lpips.Lpips):
            chosen[name] = found
        else:
            logging.log_first_n(logging.WARNING, "%s", 1, found)
    return Measures(chosen)


QUICK = make(("psnr", "ssim"))  # what is cheap enough for every frame of a run
