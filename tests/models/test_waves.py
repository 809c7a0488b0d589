"""Fast sines and cosines: numpy's in float64, to a few roundings of float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.models import waves

PAIRS = [(waves.sin, np.sin), (waves.cos, np.cos)]
CORNERS = np.pi * np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 1000.5])


@pytest.mark.parametrize(("ours", "exact"), PAIRS)
@pytest.mark.parametrize("size", [1.0, 100.0, 8000.0])
def test_waves_are_exact_to_rounding(ours, exact, size):
    angles = np.random.default_rng(0).uniform(-size, size, 100_000).astype(np.float32)
    angles[: len(CORNERS)] = CORNERS
    np.testing.assert_allclose(jax.jit(ours)(angles), exact(angles.astype(np.float64)), atol=3e-7)


@pytest.mark.parametrize(("ours", "_"), PAIRS)
def test_no_angle_leaves_the_unit_interval(ours, _):
    angles = np.float32([1e5, -1e9, 1e30, -3e38])
    assert np.abs(jax.jit(ours)(angles)).max() <= 1.0 + 1e-6


def test_waves_have_each_other_as_gradients():
    angles = jnp.linspace(-9.0, 9.0, 50)
    slopes = jax.jit(jax.vmap(jax.grad(waves.sin)))(angles)
    np.testing.assert_allclose(slopes, np.cos(np.asarray(angles, np.float64)), atol=1e-6)
    slopes = jax.jit(jax.vmap(jax.grad(waves.cos)))(angles)
    np.testing.assert_allclose(slopes, -np.sin(np.asarray(angles, np.float64)), atol=1e-6)
