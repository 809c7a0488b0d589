"""Pictures made smaller on the device, as the targets of a smaller prediction are."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from inv_jax.data import pooling


def adaptive_average_pool(
    pictures: Float[Array, "b H W C"], height: int, width: int
) -> Float[Array, "b h w C"]:
    """Means over bins of rows and columns (`torch.nn.functional.adaptive_avg_pool2d`).

    Args:
      pictures: Of any size, channels last.
      height: Rows wanted; the bins are those of `data/pooling.py`.
      width: Columns wanted.
    """
    return _pool(_pool(pictures, height, axis=1), width, axis=2)


def _pool(pictures: Array, count: int, axis: int) -> Array:
    size = pictures.shape[axis]
    if size == count:
        return pictures
    if size % count == 0:
        shape = (*pictures.shape[:axis], count, size // count, *pictures.shape[axis + 1 :])
        return pictures.reshape(shape).mean(axis + 1)
    weights = jnp.asarray(pooling.weights(size, count), pictures.dtype)
    pooled = lax.dot_general(
        weights, pictures, (((1,), (axis,)), ((), ())), precision=lax.Precision.HIGHEST
    )
    return jnp.moveaxis(pooled, 0, axis)
