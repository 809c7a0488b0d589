"""How close a picture is to the truth: PSNR, SSIM and MS-SSIM over all pixels and channels.

PSNR can also be taken over some of the pixels, as those that move.

PSNR = -10 log10(MSE) for colors in [0, 1]. SSIM is that of Wang et al. 2004 (an 11x11 Gaussian
window of sigma 1.5, K1 = 0.01, K2 = 0.03, on windows that lie inside the image), averaged over
positions and over the three channels. MS-SSIM is SSIM at five scales (Wang et al. 2003). All come
from dm-pix and run on the host's CPU, away from the devices that train; each image size compiles
once.
"""

import functools
from typing import Any

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

Image = Float[np.ndarray, "h w 3"] | Float[Array, "h w 3"]

SSIM_WINDOW = 11  # pixels
_SSIM_SIGMA = 1.5  # pixels
_SCALE_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first (Wang et al. 2003)
_SCALES = len(_SCALE_EXPONENTS)
MS_SSIM_SIDE = (SSIM_WINDOW - 1) * 2 ** (_SCALES - 1) + 1  # pixels; halved four times it holds one


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB; `inf` if the images are equal.

    Infinity is the true value and is left to whoever stores it: the journal and the report write
    it as null, for JSON has no such number.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    return float(_psnr(*on_cpu(image, reference)))


def psnr_within(image: Image, reference: Image, mask: Bool[np.ndarray, "h w"]) -> float | None:
    """`psnr` over the pixels of a mask: as `psnr` where that is True everywhere.

    Returns:
      None if the mask is empty.

    Raises:
      ValueError: If the images are not of one shape (H, W, 3), or the mask is not (H, W).
    """
    pair = [np.asarray(x) for x in (image, reference)]
    if pair[0].shape != pair[1].shape or pair[0].shape != (*mask.shape, 3):
        raise ValueError(
            f"images of shapes {pair[0].shape} and {pair[1].shape}, mask of {mask.shape}; want "
            "(H, W, 3) and (H, W)"
        )
    if not mask.any():
        return None
    error = pair[0][mask].astype(np.float64) - pair[1][mask]
    with np.errstate(divide="ignore"):
        return float(-10.0 * np.log10(np.mean(error**2)))


def ssim(image: Image, reference: Image) -> float | None:
    """Structural similarity, at most 1 (Wang et al. 2004, eq. 13 and 17).

    Returns:
      None if a side is shorter than the window of 11 pixels: no window fits, so there is no value.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    image, reference = on_cpu(image, reference)
    if min(image.shape[:2]) < SSIM_WINDOW:
        return None
    return float(_ssim(image, reference))


def ms_ssim(image: Image, reference: Image) -> float | None:
    """SSIM over five scales, in [0, 1] (Wang et al. 2003, Multiscale structural similarity, eq. 7).

    Each scale is the mean of 2x2 pixels of the one before; the last row or column of an odd size
    counts twice. Contrast and structure count at every scale, brightness at the coarsest. The
    scales' means are taken per channel, one below 0 counts as 0, and the channels are averaged.

    Returns:
      None if a side is shorter than 161 pixels: the coarsest scale then holds no window of 11, and
      fewer scales, or smaller windows, would be another metric under the same name.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    image, reference = on_cpu(image, reference)
    if min(image.shape[:2]) < MS_SSIM_SIDE:
        return None
    return float(_ms_ssim(image, reference))


def on_cpu(image: Image, reference: Image) -> tuple[Array, Array]:
    """Two images as float32 arrays on the host's CPU.

    Raises:
      ValueError: If the images are not floats, or not of one shape (H, W, 3).
    """
    pair = [np.asarray(x) for x in (image, reference)]
    if pair[0].shape != pair[1].shape or pair[0].ndim != 3 or pair[0].shape[-1] != 3:
        raise ValueError(f"images of shapes {pair[0].shape} and {pair[1].shape}; want (H, W, 3)")
    if not all(np.issubdtype(x.dtype, np.floating) for x in pair):
        raise ValueError(f"images are {pair[0].dtype} and {pair[1].dtype}; want floats in [0, 1]")
    return tuple(jax.device_put(x.astype(np.float32), cpu()) for x in pair)


def cpu() -> jax.Device:
    """Where pictures are measured: the host's CPU."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS names an accelerator alone: compute there.
        return jax.local_devices()[0]


def _gaussian(image: Any) -> Any:
    """The window's mean at every place it fits, (H - 10, W - 10, 3)."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    window = jnp.asarray(window / window.sum(), jnp.float32)
    return _line_mean(_line_mean(image, window, axis=0), window, axis=1)


def _line_mean(image: Array, window: Array, axis: int) -> Array:
    """A sum of shifted images: on a CPU faster than a convolution or one fused expression."""
    size = image.shape[axis] - SSIM_WINDOW + 1

    def add(i: Array, total: Array) -> Array:
        return total + window[i] * lax.dynamic_slice_in_dim(image, i, size, axis)

    return lax.fori_loop(
        1, SSIM_WINDOW, add, window[0] * lax.slice_in_dim(image, 0, size, axis=axis)
    )


def _half(image: Array) -> Array:
    height, width, channels = image.shape
    image = jnp.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return image.reshape(-(-height // 2), 2, -(-width // 2), 2, channels).mean((1, 3))


def _ms_ssim_of(image: Array, reference: Array) -> Array:
    result = jnp.ones(3)
    for scale, exponent in enumerate(_SCALE_EXPONENTS):
        is_coarsest = scale == _SCALES - 1
        ssim_map = (_ssim_map if is_coarsest else _contrast_structure_map)(image, reference)
        result *= jnp.maximum(jnp.mean(jnp.asarray(ssim_map), (0, 1)), 0.0) ** exponent
        image, reference = _half(image), _half(reference)
    return result.mean()


_ssim_map = functools.partial(dm_pix.ssim, filter_fn=_gaussian, return_map=True)
# SSIM's brightness factor (2 a b + C1) / (a^2 + b^2 + C1) is 1 in float32 for so large a C1.
_contrast_structure_map = functools.partial(_ssim_map, k1=1e6)

_psnr = jax.jit(dm_pix.psnr)
_ssim = jax.jit(functools.partial(dm_pix.ssim, filter_fn=_gaussian))
_ms_ssim = jax.jit(_ms_ssim_of)
