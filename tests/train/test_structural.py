"""SSIM to be differentiated: slow twins, finite differences, the original's numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.eval import metrics
from inv_jax.train import structural


def pictures(seed: int, *shape: int, dtype=np.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(size=(*shape, 3)), dtype)


def close_pair(*shape: int, dtype=np.float32) -> tuple[jax.Array, jax.Array]:
    target = pictures(1, *shape, dtype=dtype)
    return 0.8 * target + 0.2 * pictures(0, *shape, dtype=dtype), target


def ssim_slow(pred: jax.Array, target: jax.Array) -> float:
    """Window by window."""
    pred, target = (np.asarray(x, np.float64) for x in (pred, target))
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    values = []
    for y in range(pred.shape[1] - 10):
        for x in range(pred.shape[2] - 10):
            a, b = (p[:, y : y + 11, x : x + 11] for p in (pred, target))

            def mean(values):
                return (values * window[None, :, :, None]).sum((1, 2))

            mean_a, mean_b = mean(a), mean(b)
            var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
            covariance = mean(a * b) - mean_a * mean_b
            above = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
            values.append(above / (mean_a**2 + mean_b**2 + 1e-4) / (var_a + var_b + 9e-4))
    return float(np.mean(values))


def test_ssim_equals_a_loop():
    pair = close_pair(2, 13, 17)
    ours = jax.jit(structural.ssim_map_mean)(*pair)
    np.testing.assert_allclose(ours, ssim_slow(*pair), rtol=1e-5)


def test_ssim_equals_the_metric():
    pair = close_pair(1, 30, 41)
    ours = jax.jit(structural.ssim_map_mean)(*pair)
    np.testing.assert_allclose(ours, metrics.ssim(pair[0][0], pair[1][0]), rtol=1e-5)


def test_equal_pictures_have_1_and_no_gradient():
    x = pictures(0, 1, 176, 180)
    for measure in (structural.ssim_map_mean, structural.ms_ssim):
        value, gradient = jax.jit(jax.value_and_grad(measure))(x, x)
        np.testing.assert_allclose(value, 1.0, rtol=1e-6)
        np.testing.assert_allclose(gradient, 0.0, atol=1e-7)


def test_window_mean_transposes():
    """The gradient written out is the one that JAX derives."""
    with jax.enable_x64():
        maps = tuple(jnp.asarray(np.random.default_rng(i).normal(size=(2, 14, 19))) for i in (0, 1))
        grad = jnp.asarray(np.random.default_rng(2).normal(size=(2, 2, 4, 9)))

        @functools.partial(jax.jit, static_argnums=0)
        def both(function, maps, grad):
            result, pull = jax.vjp(function, maps)
            return result, *pull(grad)[0]

        ours = both(structural._window_means, maps, grad)
        derived = both(structural._window_means_plain, maps, grad)
        for a, b in zip(ours, derived, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("name", ["ssim_map_mean", pytest.param("ms_ssim", marks=pytest.mark.slow)])
def test_gradients_equal_finite_differences(name):
    measure = jax.jit(getattr(structural, name))
    with jax.enable_x64():
        pred, target = close_pair(1, 163, 166, dtype=np.float64)
        for argument in (0, 1):
            gradient = jax.jit(jax.grad(measure, argument))(pred, target)
            direction = pictures(3, 1, 163, 166, dtype=np.float64) - 0.5
            shifts = [sign * 1e-5 * direction for sign in (1, -1)]
            ahead, behind = (
                measure(*((pred + s, target) if argument == 0 else (pred, target + s)))
                for s in shifts
            )
            expected = jnp.sum(gradient * direction)
            np.testing.assert_allclose((ahead - behind) / 2e-5, expected, rtol=1e-6)


@pytest.mark.slow
def test_negative_scales_count_as_0_without_nan():
    pred = pictures(0, 1, 161, 161)
    value, gradient = jax.jit(jax.value_and_grad(structural.ms_ssim))(pred, 1.0 - pred)
    assert value == 0.0
    assert (gradient == 0.0).all()


@pytest.mark.slow  # those of all losses are in test_parity_nerv.py
def test_published_numbers(parity):
    """`nerv/losses_metrics.npz`: values and gradients of the losses that have a similarity."""
    arrays = np.load(parity / "nerv" / "losses_metrics.npz")
    pred, target = (
        jnp.asarray(arrays[name].transpose(1, 2, 0)[None], jnp.float32) / 255
        for name in ("pred_u8", "target_u8")
    )

    def loss(l1, l2, similarity, measure):
        def value(pred):
            error = pred - target
            absolute = error * jax.lax.stop_gradient(jnp.sign(error))  # 0 has no gradient
            kept = l1 * absolute.mean() + l2 * jnp.square(error).mean()
            return kept + similarity * (1.0 - measure(pred, target))

        return value

    cases = {
        "SSIM": (0.0, 0.0, 1.0, structural.ssim_map_mean),
        "Fusion6": (0.7, 0.0, 0.3, structural.ssim_map_mean),
        "Fusion10": (0.7, 0.0, 0.3, structural.ms_ssim),
    }
    present = [name for name in cases if f"loss/{name}" in arrays.files]
    assert present
    for name in present:
        value, gradient = jax.jit(jax.value_and_grad(loss(*cases[name])))(pred)
        np.testing.assert_allclose(value, arrays[f"loss/{name}"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            jnp.abs(gradient).sum(), arrays[f"gradsum_abs/{name}"], rtol=1e-4, err_msg=name
        )
        patch, expected = (
            gradient[0, 60:66, 70:76].transpose(2, 0, 1),
            arrays[f"grad_patch/{name}"].reshape(3, 6, 6),
        )
        np.testing.assert_allclose(
            patch, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=name
        )
