"""Octaves against the formula, number by number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from inv_jax.models.encodings import octave_features, octaves


def loop_octaves(x: np.ndarray, num: int) -> np.ndarray:
    """x, sin(x), cos(x), sin(2x), cos(2x), ..., each over all coordinates."""
    features = [c for c in x]
    for octave in range(num):
        features += [np.sin(2.0**octave * c) for c in x]
        features += [np.cos(2.0**octave * c) for c in x]
    return np.array(features)


@pytest.mark.parametrize(("num", "channels"), [(0, 3), (1, 2), (4, 3), (10, 3)])
def test_octaves_equal_a_loop(num, channels):
    x = np.random.default_rng(0).normal(size=(5, channels))
    expected = np.stack([loop_octaves(row, num) for row in x])
    with jax.enable_x64(True):
        ours = octaves(jnp.asarray(x), num)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    assert ours.shape[-1] == octave_features(channels, num) == channels * (1 + 2 * num)
    # Doubling is exact, so float32 loses nothing at high octaves but the input's own rounding.
    single = octaves(jnp.float32(x), num)
    rounded = np.stack([loop_octaves(row, num) for row in x.astype(np.float32).astype(float)])
    np.testing.assert_allclose(single, rounded, rtol=0, atol=1e-6)


def test_sizes_are_those_of_the_original():
    assert octave_features(3, 10) == 63
    assert octave_features(3, 4) == 27


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_leading_dimensions_are_free(shape):
    x = np.random.default_rng(1).normal(size=(*shape, 3)).astype(np.float32)
    ours = np.asarray(octaves(jnp.asarray(x), 2))
    assert ours.shape == (*shape, 15)
    for index in np.ndindex(shape):
        np.testing.assert_allclose(ours[index], loop_octaves(x[index], 2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_coordinates_may_lie_along_any_axis(axis):
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    expected = np.moveaxis(octaves(jnp.asarray(np.moveaxis(x, axis, -1)), 3), -1, axis)
    np.testing.assert_array_equal(octaves(jnp.asarray(x), 3, axis), expected)


def test_sine_and_cosine_of_an_octave_lie_on_a_circle():
    x = np.random.default_rng(2).normal(size=(7, 3)).astype(np.float32)
    waves = np.asarray(octaves(jnp.asarray(x), 6))[:, 3:].reshape(7, 6, 2, 3)
    np.testing.assert_allclose((waves**2).sum(axis=2), 1.0, rtol=1e-5)


def test_gradients_equal_finite_differences_also_at_zero():
    with jax.enable_x64(True):
        x = jnp.asarray(np.r_[np.zeros((1, 3)), np.random.default_rng(3).normal(size=(2, 3))])
        encode = jax.jit(lambda x: octaves(x, 5))
        check_grads(encode, (x,), order=1, atol=1e-6, rtol=1e-6, eps=1e-6)
