"""The products of a layer against numpy's, in both layouts and in every precision."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from jax.test_util import check_grads

from inv_jax.models import linear
from inv_jax.types import InvError

AXES = (0, 1)

# Points, features in, features out: odd ones, single ones, none, and a layer of the full network.
SHAPES = [(7, 5, 3), (1, 1, 1), (9, 4, 1), (33, 1, 6), (0, 4, 3), (64, 63, 256), (130, 256, 1)]


def arrays(points: int, fan_in: int, fan_out: int, axis: int, dtype=np.float32):
    """Activations, kernel and a gradient of the result."""
    rng = np.random.default_rng(points + fan_in + fan_out)
    x, kernel, grad = (
        rng.normal(size=shape).astype(dtype)
        for shape in ((points, fan_in), (fan_in, fan_out), (points, fan_out))
    )
    return (x, kernel, grad) if axis == 1 else (x.T.copy(), kernel, grad.T.copy())


def products(x, kernel, grad, axis: int):
    """Numpy's result, gradient of x and gradient of the kernel, in float64."""
    x, kernel, grad = (np.asarray(a, np.float64) for a in (x, kernel, grad))
    if axis == 1:
        return x @ kernel, grad @ kernel.T, x.T @ grad
    return kernel.T @ x, kernel @ grad, x @ grad.T


@functools.partial(jax.jit, static_argnums=(3, 4))
def ours(x, kernel, grad, axis: int, precision: str):
    result, pullback = jax.vjp(lambda x, k: linear.matmul(x, k, axis, precision), x, kernel)
    return result, *pullback(grad)


def assert_close(x, y, tolerance: float) -> None:
    """Within a part of the largest value, as sums of positive and negative terms are."""
    assert x.shape == y.shape
    np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * np.abs(y).max(initial=0.0))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("shape", SHAPES)
def test_product_and_gradients_are_numpys(shape, axis):
    inputs = arrays(*shape, axis)
    for x, y in zip(ours(*inputs, axis, "float32"), products(*inputs, axis), strict=True):
        assert x.dtype == jnp.float32
        assert_close(x, y, 2e-6)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("fan_out", [1, 3])
def test_gradients_equal_finite_differences(axis, fan_out):
    with jax.enable_x64(True):
        x, kernel, _ = map(jnp.asarray, arrays(5, 4, fan_out, axis, np.float64))
        product = jax.jit(lambda x, k: linear.matmul(x, k, axis, "float32"))
        check_grads(product, (x, kernel), order=1, modes=["rev"], atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_rounds_the_factors_and_nothing_else(shape, axis):
    inputs = arrays(*shape, axis)
    rounded = [a.astype(ml_dtypes.bfloat16) for a in inputs]
    results = ours(*inputs, axis, "bfloat16")
    for x, y in zip(results, products(*rounded, axis), strict=True):
        assert x.dtype == jnp.float32
        assert_close(x, y, 2e-6)


@pytest.mark.parametrize("axis", AXES)
def test_gradients_have_the_dtypes_of_what_they_belong_to(axis):
    x, kernel, grad = arrays(6, 5, 4, axis)
    result, to_x, to_kernel = ours(x.astype(ml_dtypes.bfloat16), kernel, grad, axis, "bfloat16")
    assert (result.dtype, to_x.dtype, to_kernel.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)


def test_a_kernels_gradient_in_bfloat16_adds_up_in_float32():
    """4,096 times 1 + 2^-7: a sum in bfloat16 would stop at 256."""
    x = jnp.full((1, 4096), 1 + 2**-7, jnp.bfloat16)
    kernel, grad = jnp.ones((1, 1)), jnp.ones((1, 4096))
    _, _, to_kernel = ours(x, kernel, grad, 0, "bfloat16")
    np.testing.assert_array_equal(to_kernel, 4096 + 32)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(
    ("precision", "written"), [("float32", "[HIGHEST, HIGHEST]"), ("tf32", "[HIGH, HIGH]")]
)
def test_every_product_says_its_precision(precision, written, axis):
    """On a GPU the default is less than float32; here only the program shows what is asked."""
    text = ours.lower(*arrays(4, 3, 2, axis), axis, precision).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert len(lines) == 3
    assert all(f"precision = {written}" in line for line in lines)


def test_a_cpu_computes_tf32_in_float32():
    inputs = arrays(64, 63, 256, 0)
    for x, y in zip(ours(*inputs, 0, "tf32"), ours(*inputs, 0, "float32"), strict=True):
        assert_close(x, np.asarray(y), 2e-6)
    assert linear.describe("tf32", "cpu").startswith("float32 (model.precision=tf32 is for GPUs")
    assert linear.describe("tf32", "gpu") == "tf32"


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("precision", linear.PRECISIONS)
def test_vmap_pmap_and_shard_map_give_the_same(precision, axis):
    sets = [arrays(6, 5, 4, axis) for _ in range(4)]
    stacked = [
        np.stack(group) * np.arange(1, 5)[:, None, None] for group in zip(*sets, strict=True)
    ]
    stacked = [a.astype(np.float32) for a in stacked]
    one = lambda x, k, g: ours(x, k, g, axis, precision)  # noqa: E731
    expected = [np.stack(group) for group in zip(*map(one, *stacked), strict=True)]
    spec = PartitionSpec("d")

    def shard(*parts):
        return jax.tree.map(lambda a: a[None], one(*(a[0] for a in parts)))

    sharded = jax.shard_map(
        shard, mesh=Mesh(jax.devices()[:4], ("d",)), in_specs=spec, out_specs=spec
    )
    for transformed in (jax.vmap(one), jax.pmap(one), jax.jit(sharded)):
        for x, y in zip(transformed(*stacked), expected, strict=True):
            assert_close(np.asarray(x), y, 1e-6)


@pytest.mark.parametrize("precision", linear.PRECISIONS)
def test_shapes_are_known_without_computing(precision):
    x, kernel = jax.ShapeDtypeStruct((5, 9), jnp.float32), jax.ShapeDtypeStruct((5, 4), jnp.float32)
    result = jax.eval_shape(lambda x, k: linear.matmul(x, k, 0, precision), x, kernel)
    assert (result.shape, result.dtype) == ((4, 9), jnp.float32)


@pytest.mark.parametrize("precision", linear.PRECISIONS)
def test_relu_passes_gradient_where_it_is_positive(precision):
    x = jnp.array([[-1.5, -0.0, 0.0, 1e-30, 2.0 + 2**-9]])
    result, pullback = jax.vjp(lambda x: linear.relu(x, precision), x)
    stored = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    assert result.dtype == stored
    np.testing.assert_array_equal(result, jnp.maximum(x, 0).astype(stored))
    (grad,) = pullback(jnp.full(x.shape, 3.0, stored))
    assert grad.dtype == jnp.float32
    np.testing.assert_array_equal(grad, [[0.0, 0.0, 0.0, 3.0, 3.0]])


@pytest.mark.parametrize("axis", AXES)
def test_a_bias_belongs_to_a_feature(axis):
    x, _, _ = arrays(4, 3, 1, axis)
    bias = np.float32([1, 2, 3])
    expected = x + (bias[None, :] if axis == 1 else bias[:, None])
    np.testing.assert_array_equal(
        linear.add_bias(jnp.asarray(x), jnp.asarray(bias), axis), expected
    )


@pytest.mark.parametrize("precision", ["", "float16", "bf16", "FLOAT32"])
def test_an_unknown_precision_is_refused_with_the_choices(precision):
    with pytest.raises(InvError, match="float32, tf32, bfloat16") as caught:
        linear.check_precision(precision)
    assert f"model.precision={precision!r}" in str(caught.value)
    assert "\n" not in str(caught.value)
