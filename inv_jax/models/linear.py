"""The matrix products of a network: which way its activations lie, and in which precision.

**Layout.** Activations are a matrix of features and points. Points first, `x @ kernel`, is how a
GPU's libraries like it: bias and ReLU can join the product. XLA's CPU backend (jax 0.10) runs all
three products of a layer at one rate only if the features come first, `kernel.T @ x`: the kernel's
gradient contracts the points, and where those are the rows it has to transpose the activations,
element by element. With 2,048 points and 256 features, on one core of an AMD EPYC with AVX-512,
the kernel's gradient takes 2.05 ms points first and 1.48 ms features first, a product without
transposes 1.47 ms. `features_axis` chooses; both ways give the same numbers to rounding.

**Precision.** Params are float32. `float32` multiplies at full precision, also on a GPU, whose
default is less. `tf32` rounds the factors to 11 significant bits on GPUs that can (NVIDIA from
Ampere on) and is float32 on a CPU. `bfloat16` rounds them to 8, adds up in float32, and keeps the
activations between layers in bfloat16. Gradients of params are added up in float32 in all three.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from inv_jax.models import waves
from inv_jax.types import InvError

PRECISIONS = ("float32", "tf32", "bfloat16")

Matrix = Float[Array, "_ _"]  # features and points, in the order that `axis` says


def check_precision(precision: str) -> None:
    """Refuses what is none of `PRECISIONS`.

    Raises:
      InvError: Naming the choices.
    """
    if precision not in PRECISIONS:
        raise InvError(f"model.precision={precision!r}; choose one of {', '.join(PRECISIONS)}")


def describe(precision: str, platform: str) -> str:
    """What a precision is on a platform (`cpu`, `gpu`), for the log."""
    if precision == "tf32" and platform == "cpu":
        return "float32 (model.precision=tf32 is for GPUs; a CPU computes in float32)"
    return precision


def features_axis() -> int:
    """The axis of activations that counts features: 0 on a CPU, 1 elsewhere.

    Chosen while tracing, by JAX's default backend; on another one the program is slower, not
    wrong.
    """
    return 0 if jax.default_backend() == "cpu" else 1


def as_matrix(points: Float[Array, "*b C"], axis: int) -> Matrix:
    """C numbers of each point as a matrix with the features on the given axis."""
    matrix = points.reshape(math.prod(points.shape[:-1]), points.shape[-1])
    return matrix if axis == 1 else matrix.T


def as_points(matrix: Matrix, shape: tuple[int, ...], axis: int) -> Float[Array, "*b C"]:
    """The inverse of `as_matrix`, for points that had these leading dimensions."""
    if axis == 1:
        return matrix.reshape(*shape, matrix.shape[1])
    return jnp.moveaxis(matrix.reshape(matrix.shape[0], *shape), 0, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def matmul(x: Matrix, kernel: Float[Array, "C D"], axis: int, precision: str) -> Matrix:
    """Applies a kernel to the features of every point.

    Differentiable in reverse mode only: the gradients are written out, because the ones that JAX
    derives transpose activations (see above) and would sum the kernel's in bfloat16.

    Args:
      x: C features of N points.
      kernel: The layer's, in the dtype of the params.
      axis: Which axis of `x` counts features: 0 or 1.
      precision: One of `PRECISIONS`.

    Returns:
      D features of N points. In bfloat16 they are float32 all the same, for a bias to be added
      before they are rounded (`relu`).
    """
    if axis == 1:
        return _dot(x, kernel, (1, 0), precision)
    return _dot(_transposed(kernel, precision), x, (1, 0), precision)


def _transposed(kernel: Array, precision: str) -> Array:
    """The transpose, written out row by row.

    Left to itself XLA's CPU backend hands the kernel to the product as it is, which then reads it
    by columns: 10 to 30% slower, and in bfloat16 not at all. It cannot look through the barrier,
    and a flat array has only one layout.
    """
    if precision == "bfloat16":
        kernel = kernel.astype(jnp.bfloat16)
    flat = lax.optimization_barrier(kernel.T.reshape(kernel.size))
    return flat.reshape(kernel.shape[::-1])


def _forward(
    x: Array, kernel: Array, axis: int, precision: str
) -> tuple[Array, tuple[Array, Array]]:
    return matmul(x, kernel, axis, precision), (x, kernel)


def _backward(
    axis: int, precision: str, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    to_kernel = _dot(x, grad, (1 - axis, 1 - axis), precision).astype(kernel.dtype)
    if axis == 1:
        return _dot(grad, kernel, (1, 1), precision).astype(x.dtype), to_kernel
    if kernel.shape[1] == 1:
        # With a column of zeros it stays a product. XLA makes a product with one column a
        # multiplication, merges it with what computed `grad`, and does that anew per feature.
        kernel, grad = jnp.pad(kernel, ((0, 0), (0, 1))), jnp.pad(grad, ((0, 1), (0, 0)))
    return _dot(kernel, grad, (1, 0), precision).astype(x.dtype), to_kernel


matmul.defvjp(_forward, _backward)


def _dot(a: Array, b: Array, axes: tuple[int, int], precision: str) -> Array:
    """Sums the products of two matrices over an axis of each: the other axis of a, then of b."""
    contract = ((axes[:1], axes[1:]), ((), ()))
    if precision == "bfloat16":
        factors = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
        return lax.dot_general(*factors, contract, preferred_element_type=jnp.float32)
    dtype = jnp.promote_types(a.dtype, b.dtype)
    exact = lax.Precision.HIGHEST if precision == "float32" else lax.Precision.HIGH
    return lax.dot_general(a.astype(dtype), b.astype(dtype), contract, precision=exact)


def add_bias(x: Matrix, bias: Float[Array, "D"], axis: int) -> Matrix:
    """Adds a number to each feature."""
    return x + jnp.expand_dims(bias, 1 - axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def relu(x: Matrix, precision: str) -> Matrix:
    """max(x, 0), rounded to bfloat16 if that is the precision.

    Differentiable in reverse mode only: the gradient reads the result, which the next product
    keeps anyway, so that nothing else of a layer has to be kept.
    """
    return jnp.maximum(x, 0).astype(jnp.bfloat16 if precision == "bfloat16" else x.dtype)


def _relu_forward(x: Array, precision: str) -> tuple[Array, tuple[Array, Array]]:
    result = relu(x, precision)
    return result, (result, jnp.zeros((0,), x.dtype))


def _relu_backward(precision: str, saved: tuple[Array, Array], grad: Array) -> tuple[Array]:
    result, like = saved
    return (jnp.where(result > 0, grad, jnp.zeros_like(grad)).astype(like.dtype),)


relu.defvjp(_relu_forward, _relu_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def sine(x: Matrix, frequency: float, precision: str) -> Matrix:
    """sin(frequency * x), rounded to bfloat16 if that is the precision.

    Differentiable in reverse mode only: the way back keeps `x`, in float32 in every precision,
    since an angle of many turns has no digits to spare.
    """
    return waves.sin(frequency * x).astype(jnp.bfloat16 if precision == "bfloat16" else x.dtype)


def _sine_forward(x: Array, frequency: float, precision: str) -> tuple[Array, Array]:
    return sine(x, frequency, precision), x


def _sine_backward(frequency: float, precision: str, x: Array, grad: Array) -> tuple[Array]:
    del precision
    return (frequency * waves.cos(frequency * x) * grad.astype(x.dtype),)


sine.defvjp(_sine_forward, _sine_backward)
