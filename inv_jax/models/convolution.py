"""The convolutions of a decoder: how its pictures lie in memory, and in which precision.

**Layout.** `Planes` are opaque: logically (b, c, h, w), laid out as suits the platform. Whoever
has planes may add, multiply and apply functions to them element by element, between planes that
come from the same operations; the functions below do the rest.

- On a GPU, (b, h, w, c), and a convolution is the library's.
- On a CPU, (h, c, s, s, s', s', ..., b, w): pixel (y, x) is at row y // (s * s' * ...), its
  remainder written in digits of base s, s', ..., the lowest first, and x alike. What `conv` makes
  of tiles lies so by itself (`inv_jax/models/winograd.py`), and a pixel shuffle is a reshape: the
  large pictures of a decoder are never moved, only the 3 channels that are shown.

`from_nchw` chooses; what follows looks at the number of axes.

**Precision** is as in `inv_jax/models/linear.py`: `bfloat16` rounds what goes into products, also
in the gradients, and their sums, which are results here, are float32.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from inv_jax.models import winograd

Planes = Float[Array, "..."]

_LIBRARY_AXES = 4  # of (b, h, w, c); tiles have 6 at least
_LONG = 32  # columns that a sum of rows wants at least


def is_tiled() -> bool:
    """Whether planes are laid out in tiles: on a CPU.

    Chosen while tracing, by JAX's default backend; on another one the program is slower, not
    wrong.
    """
    return jax.default_backend() == "cpu"


def from_vector(x: Float[Array, "b n"], channels: int, height: int, width: int) -> Planes:
    """Planes of vectors of `channels * height * width` numbers, channel first, then row."""
    return from_nchw(x.reshape(x.shape[0], channels, height, width))


def from_nchw(x: Float[Array, "b c h w"], like: Planes | None = None) -> Planes:
    """Planes of an array (b, c, h, w); with `like`, laid out so that the two can be added."""
    is_library = not is_tiled() if like is None else like.ndim == _LIBRARY_AXES
    if is_library:
        return x.transpose(0, 2, 3, 1)
    tiles = x.transpose(2, 1, 0, 3)[:, :, None, None]
    if like is None:
        return tiles
    bases = like.shape[2:-2:2]
    tiles = _retiled(tiles, math.prod(bases))
    height, channels, _, _, images, width = tiles.shape
    digits = tiles.reshape(height, channels, *bases[::-1], *bases[::-1], images, width)
    count = len(bases)
    order = [axis for i in reversed(range(count)) for axis in (2 + i, 2 + count + i)]
    return digits.transpose(0, 1, *order, 2 + 2 * count, 3 + 2 * count)


def to_nchw(x: Planes) -> Float[Array, "b c h w"]:
    """The inverse of `from_nchw`."""
    if x.ndim == _LIBRARY_AXES:
        return x.transpose(0, 3, 1, 2)
    return _retiled(_tiled(x), 1)[:, :, 0, 0].transpose(2, 1, 0, 3)


def images(x: Planes) -> Float[Array, "b h w c"]:
    """Pictures, channels last."""
    return x if x.ndim == _LIBRARY_AXES else to_nchw(x).transpose(0, 2, 3, 1)


def shape(x: Planes) -> tuple[int, int, int, int]:
    """The logical (b, c, h, w)."""
    if x.ndim == _LIBRARY_AXES:
        b, h, w, c = x.shape
        return b, c, h, w
    s = math.prod(x.shape[2:-2:2])
    return x.shape[-2], x.shape[1], x.shape[0] * s, x.shape[-1] * s


def channel_axis(x: Planes) -> int:
    """The axis that counts channels: planes that are laid out alike can be joined along it."""
    return 3 if x.ndim == _LIBRARY_AXES else 1


def per_channel(values: Float[Array, "c"], x: Planes) -> Planes:
    """One number for each channel, in a shape that can be added to planes or multiplied."""
    return values.reshape([-1 if axis == channel_axis(x) else 1 for axis in range(x.ndim)])


def channel_mean(x: Planes, per_image: bool) -> Planes:
    """Means over all pixels of a channel, in a shape that can be subtracted from the planes.

    Args:
      x: Planes.
      per_image: One mean for each channel of each image (instance norm), not over the images
        too (batch norm).
    """
    image_axis = 0 if x.ndim == _LIBRARY_AXES else x.ndim - 2
    kept = {channel_axis(x), image_axis} if per_image else {channel_axis(x)}
    return x.mean([axis for axis in range(x.ndim) if axis not in kept], keepdims=True)


def conv(
    x: Planes, kernel: Float[Array, "k k c d"], bias: Float[Array, "d"] | None, precision: str
) -> Planes:
    """Convolves, stride 1, with k // 2 zeros around the picture.

    Differentiable in reverse mode only.

    Args:
      x: Planes of c channels.
      kernel: k is odd.
      bias: Added to each pixel; None for none.
      precision: One of `linear.PRECISIONS`.

    Returns:
      Planes of d channels, in bfloat16 float32 all the same.
    """
    if x.ndim == _LIBRARY_AXES:
        return conv_plain(x, kernel, bias, precision)
    if precision == "bfloat16":
        x, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    dtype = jnp.promote_types(x.dtype, kernel.dtype)
    if bias is None:
        bias = jnp.zeros(kernel.shape[3], dtype)
    operands = kernel.astype(dtype), bias.astype(dtype), precision == "bfloat16"
    x = x.astype(dtype)
    if kernel.shape[0] == 1:
        return _pointwise(x, *operands)
    tiles = _tiled(x)
    return winograd.conv(_retiled(tiles, _tile(shape(x), tiles.shape[2], len(kernel))), *operands)


def _tile(size: tuple[int, int, int, int], base: int, k: int) -> int:
    """Pixels of a tile, each way: as they lie, or fewer, or of one that can be cut so."""
    _, _, height, width = size
    if k != 3:
        return 1
    if base in winograd.POINTS:
        return base
    fit = [
        m
        for m in winograd.POINTS
        if height % m == 0
        and width % m == 0
        and width // m >= _LONG
        and (base == 1 or base % m == 0)
    ]
    return max(fit, default=1)


def _tiled(x: Planes) -> Float[Array, "h c s s b w"]:
    """With one digit: (h, c, s, s, b, w)."""
    height, channels, *digits, images, width = x.shape
    count = len(digits) // 2
    s = math.prod(digits[::2])
    rows, columns = ([2 + 2 * i + way for i in reversed(range(count))] for way in (0, 1))
    x = x.transpose(0, 1, *rows, *columns, 2 + 2 * count, 3 + 2 * count)
    return x.reshape(height, channels, s, s, images, width)


def _retiled(x: Float[Array, "h c s s b w"], m: int) -> Float[Array, "H c m m b W"]:
    """The same planes in tiles of m x m pixels; m divides the sides."""
    height, channels, s, _, images, width = x.shape
    if s == m:
        return x
    if s % m == 0:
        q = s // m
        x = x.reshape(height, channels, q, m, q, m, images, width).transpose(0, 2, 1, 3, 5, 6, 7, 4)
        return x.reshape(height * q, channels, m, m, images, width * q)
    if m % s == 0:
        q = m // s
        x = x.reshape(height // q, q, channels, s, s, images, width // q, q)
        x = x.transpose(0, 2, 1, 3, 7, 4, 5, 6)
        return x.reshape(height // q, channels, m, m, images, width // q)
    return _retiled(_retiled(x, 1), m)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _pointwise(x: Array, kernel: Array, bias: Array, rounded: bool) -> Array:
    """A 1x1 convolution: one product for each row of tiles."""
    height, channels, *rest = x.shape
    flat = _round(x, rounded).reshape(height, channels, -1)
    kernel = _round(kernel, rounded)[0, 0]
    kernels = jnp.broadcast_to(kernel.T, (height, *kernel.T.shape))
    result = _einsum("hdc,hcp->hdp", kernels, flat) + bias[None, :, None]
    return result.reshape(height, -1, *rest)


def _pointwise_forward(
    x: Array, kernel: Array, bias: Array, rounded: bool
) -> tuple[Array, tuple[Array, Array]]:
    return _pointwise(x, kernel, bias, rounded), (x, kernel)


def _pointwise_backward(
    rounded: bool, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array, Array]:
    x, kernel = saved
    height, channels, *_ = x.shape
    flat = _round(x, rounded).reshape(height, channels, -1)
    grad = _round(grad, rounded).reshape(height, grad.shape[1], -1)
    kernel = _round(kernel, rounded)[0, 0]
    to_kernel = _einsum("hcp,hdp->hcd", flat, grad).sum(0)
    kernels = jnp.broadcast_to(kernel, (height, *kernel.shape))
    to_x = _einsum("hcd,hdp->hcp", kernels, grad)
    return to_x.reshape(x.shape), to_kernel[None, None], grad.sum((0, 2))


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)
_einsum = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


def _round(x: Array, rounded: bool) -> Array:
    return x.astype(jnp.bfloat16).astype(x.dtype) if rounded else x


def conv_plain(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k k c d"],
    bias: Float[Array, "d"] | None,
    precision: str,
) -> Float[Array, "b h w d"]:
    """`conv` of planes that lie as pictures: the library's."""
    result = _library(x, kernel, precision)
    return result if bias is None else result + per_channel(bias, result)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _library(x: Array, kernel: Array, precision: str) -> Array:
    """The gradients are written out: those that JAX derives do not mix bfloat16 and float32."""
    return _convolve(x, kernel, kernel.shape[0] // 2, ("NHWC", "HWIO", "NHWC"), precision)


def _library_forward(x: Array, kernel: Array, precision: str) -> tuple[Array, tuple[Array, Array]]:
    return _library(x, kernel, precision), (x, kernel)


def _library_backward(
    precision: str, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    pad = kernel.shape[0] // 2
    to_x = _convolve(grad, kernel[::-1, ::-1], pad, ("NHWC", "HWOI", "NHWC"), precision)
    to_kernel = _convolve(x, grad, pad, ("CHWN", "IHWO", "HWNC"), precision)
    return to_x.astype(x.dtype), to_kernel.astype(kernel.dtype)


_library.defvjp(_library_forward, _library_backward)


def _convolve(
    x: Array, kernel: Array, pad: int, axes: tuple[str, str, str], precision: str
) -> Array:
    if precision == "bfloat16":
        dtype, exact, result = jnp.bfloat16, None, jnp.float32
    else:
        dtype = result = jnp.promote_types(x.dtype, kernel.dtype)
        exact = lax.Precision.HIGHEST if precision == "float32" else lax.Precision.HIGH
    return lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        (1, 1),
        [(pad, pad), (pad, pad)],
        dimension_numbers=axes,
        precision=exact,
        preferred_element_type=result,
    )


def transpose_conv(
    x: Planes, kernel: Float[Array, "s s c d"], bias: Float[Array, "d"] | None, precision: str
) -> Planes:
    """Makes s x s pixels of each, without overlap: kernel and stride are equal."""
    s, _, c, d = kernel.shape
    flat = kernel.transpose(2, 3, 0, 1).reshape(1, 1, c, d * s * s)
    result = pixel_shuffle(conv(x, flat, None, precision), s)
    return result if bias is None else result + per_channel(bias, result)


def pixel_shuffle(x: Planes, s: int) -> Planes:
    """Makes s x s pixels of each: row a, column b of k is channel k * s * s + a * s + b."""
    if x.ndim == _LIBRARY_AXES:
        return pixel_shuffle_plain(x, s)
    height, channels, *digits, images, width = x.shape
    digits = [] if digits == [1, 1] else digits
    return x.reshape(height, channels // (s * s), s, s, *digits, images, width)


def pixel_shuffle_plain(x: Float[Array, "b h w c"], s: int) -> Float[Array, "b H W d"]:
    """`pixel_shuffle` of planes that lie as pictures."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, c // (s * s), s, s)
    return x.transpose(0, 1, 4, 2, 5, 3).reshape(b, h * s, w * s, c // (s * s))


def upsample_bilinear(x: Planes, s: int) -> Planes:
    """Makes s times as many rows and columns, linear in between; corners stay (align_corners)."""
    _, _, height, width = shape(x)
    rows, columns = (jnp.asarray(_linear(n, s), x.dtype) for n in (height, width))
    if x.ndim == _LIBRARY_AXES:
        return _einsum("yh,bhwc,xw->byxc", rows, x, columns)
    return _einsum("yh,hcijbw,xw->ycijbx", rows, _retiled(_tiled(x), 1), columns)


def _linear(size: int, s: int) -> Float[np.ndarray, "n m"]:
    """What each of s * size places takes from each of size."""
    at = np.arange(size * s) * ((size - 1) / max(size * s - 1, 1))
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(size)))
