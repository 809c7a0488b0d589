"""Structural similarity of pictures, to be differentiated: SSIM, MS-SSIM (Wang et al. 2004, 2003).

An 11-tap Gaussian window of sigma 1.5 on places that lie inside the picture, K1 = 0.01, K2 = 0.03,
for colors in [0, 1]; MS-SSIM as pytorch_msssim has it. What is reported is measured in
`inv_jax/eval/metrics.py`, whose MS-SSIM halves odd sides in another way.

The window's mean is a sum of shifted planes, first of rows, then of columns. Its transpose is the
mean of the gradient with zeros around it, since the window is symmetric: written out here, because
what JAX derives pads once for each tap.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

WINDOW = 11  # pixels
_SIGMA = 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first

Pictures = Float[Array, "b h w 3"]
Planes = Float[Array, "n h w"]


def ssim_map_mean(pred: Pictures, target: Pictures) -> Float[Array, ""]:
    """Mean SSIM over all places, channels and pictures (Wang et al. 2004, eq. 13).

    Args:
      pred: Pictures whose sides are 11 at least.
      target: What they should be.
    """
    luminance, contrast = _maps(_planes(pred), _planes(target))
    return jnp.mean(luminance * contrast)


def ms_ssim(pred: Pictures, target: Pictures) -> Float[Array, ""]:
    """Mean over pictures and channels of SSIM over five scales (Wang et al. 2003, eq. 7).

    Each scale is the mean of 2x2 pixels of the one before; an odd side gets a line of zeros in
    front, which count. A scale's mean below 0 counts as 0.

    Args:
      pred: Pictures whose sides are above 160.
      target: What they should be.
    """
    pred, target = _planes(pred), _planes(target)
    result = jnp.ones(pred.shape[0], pred.dtype)
    for scale, exponent in enumerate(_SCALE_EXPONENTS):
        if scale:
            pred, target = _halved(pred), _halved(target)
        luminance, contrast = _maps(pred, target)
        is_last = scale + 1 == len(_SCALE_EXPONENTS)
        values = jnp.mean(luminance * contrast if is_last else contrast, (1, 2))
        # Not maximum(values, 0) ** exponent, whose gradient is infinite at 0.
        is_positive = values > 0.0
        result *= jnp.where(is_positive, jnp.where(is_positive, values, 1.0) ** exponent, 0.0)
    return jnp.mean(result)


def _planes(x: Pictures) -> Planes:
    """Each channel of each picture by itself: long rows."""
    return x.transpose(0, 3, 1, 2).reshape(-1, *x.shape[1:3])


def _halved(x: Planes) -> Planes:
    _, height, width = x.shape
    x = jnp.pad(x, ((0, 0), (height % 2, height % 2), (width % 2, width % 2)))
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2).mean((2, 4))


def _maps(pred: Planes, target: Planes) -> tuple[Planes, Planes]:
    """Luminance, and contrast with structure, at every place of the window."""
    of_target, of_target_square = _window_means((target, target * target))
    mean, of_square, of_product = _window_means((pred, pred * pred, pred * target))
    variance, of_target_variance = of_square - mean * mean, of_target_square - of_target * of_target
    covariance = of_product - mean * of_target
    luminance = (2 * mean * of_target + _C1) / (mean * mean + of_target * of_target + _C1)
    return luminance, (2 * covariance + _C2) / (variance + of_target_variance + _C2)


@jax.custom_vjp
def _window_means(maps: tuple[Planes, ...]) -> Float[Array, "m n h w"]:
    """The window's mean at every place it fits, 10 fewer each way."""
    return _window_means_plain(maps)


def _window_means_plain(maps: tuple[Planes, ...]) -> Array:
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    taps = (taps / taps.sum()).astype(maps[0].dtype)
    return _shifted_sums(_shifted_sums(maps, taps, 1), taps, 2)


def _shifted_sums(maps: Iterable[Planes], taps: np.ndarray, axis: int) -> Array:
    # XLA's CPU backend computes what is no stack anew for each of the 11 sums that read it, and a
    # stack without a barrier is taken apart again.
    def weighted(x: Array) -> Array:
        size = x.shape[axis] - WINDOW + 1
        parts = [lax.slice_in_dim(x, i, i + size, axis=axis) for i in range(WINDOW)]
        return sum(tap * part for tap, part in zip(taps, parts, strict=True))

    return lax.optimization_barrier(jnp.stack([weighted(x) for x in maps]))


def _forward(maps: tuple[Planes, ...]) -> tuple[Array, None]:
    return _window_means(maps), None


def _backward(_: None, grad: Array) -> tuple[tuple[Planes, ...]]:
    around = (WINDOW - 1, WINDOW - 1)
    padded = jnp.pad(grad, ((0, 0), (0, 0), around, around))
    return (tuple(_window_means_plain(tuple(lax.optimization_barrier(padded)))),)


_window_means.defvjp(_forward, _backward)
