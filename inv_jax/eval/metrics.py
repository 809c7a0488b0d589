"""How close a picture is to the truth: PSNR and SSIM over all pixels and color channels.

PSNR = -10 log10(MSE) for colors in [0, 1]. SSIM is that of Wang et al. 2004 (an 11x11 Gaussian
window of sigma 1.5, K1 = 0.01, K2 = 0.03, on windows that lie inside the image), averaged over
positions and over the three channels. Both come from dm-pix and run on the host's CPU, away from
the devices that train; each image size compiles once.
"""

import functools
import operator
from typing import Any

import dm_pix
import jax
import numpy as np
from jaxtyping import Array, Float

Image = Float[np.ndarray, "h w 3"] | Float[Array, "h w 3"]

SSIM_WINDOW = 11  # pixels
_SSIM_SIGMA = 1.5  # pixels


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB; `inf` if the images are equal.

    Infinity is the true value and is left to whoever stores it: the journal and the report write
    it as null, for JSON has no such number.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    return float(_psnr(*_on_cpu(image, reference)))


def ssim(image: Image, reference: Image) -> float | None:
    """Structural similarity, at most 1 (Wang et al. 2004, eq. 13 and 17).

    Returns:
      None if a side is shorter than the window of 11 pixels: no window fits, so there is no value.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    image, reference = _on_cpu(image, reference)
    if min(image.shape[:2]) < SSIM_WINDOW:
        return None
    return float(_ssim(image, reference))


def _on_cpu(image: Image, reference: Image) -> tuple[Array, Array]:
    pair = [np.asarray(x) for x in (image, reference)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 3 or pair[0].shape[-1] != 3:
        raise ValueError(f"images of shapes {pair[0].shape} and {pair[1].shape}; want (H, W, 3)")
    if not all(np.issubdtype(x.dtype, np.floating) for x in pair):
        raise ValueError(f"images are {pair[0].dtype} and {pair[1].dtype}; want floats in [0, 1]")
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names an accelerator alone: compute there.
        device = jax.local_devices()[0]
    return tuple(jax.device_put(x.astype(np.float32), device) for x in pair)


def _gaussian(image: Any) -> Any:
    """The window as sums of shifted images, several times faster on a CPU than convolutions."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    window = (window / window.sum()).astype(np.float32)
    height, width = (size - SSIM_WINDOW + 1 for size in image.shape[:2])
    rows = (window[i] * image[i : i + height] for i in range(SSIM_WINDOW))
    image = functools.reduce(operator.add, rows)
    columns = (window[i] * image[:, i : i + width] for i in range(SSIM_WINDOW))
    return functools.reduce(operator.add, columns)


_psnr = jax.jit(dm_pix.psnr)
_ssim = jax.jit(functools.partial(dm_pix.ssim, filter_fn=_gaussian))
