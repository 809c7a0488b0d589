"""Compositing: closed forms, a loop along the ray, and gradients up to zero density."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.test_util import check_grads

from inv_jax.render.composite import ENDLESS, LEAK, composite, opacity, open_edges
from inv_jax.types import Rendering


def random_ray_batch(seed: int, shape=(5,), num: int = 9) -> tuple[np.ndarray, ...]:
    """Density (some of it zero), colors, edges and units of random rays."""
    rng = np.random.default_rng(seed)
    density = np.maximum(rng.normal(size=(*shape, num)), 0.0) * 3.0
    rgb = rng.uniform(size=(*shape, num, 3))
    edges = np.sort(rng.uniform(0.2, 4.0, (*shape, num + 1)), axis=-1)
    return density, rgb, edges, rng.uniform(0.5, 2.0, (*shape, 1))


compiled = jax.jit(composite, static_argnums=4)


def render(density, rgb, edges, unit, background: float = 0.0) -> Rendering:
    """In the precision that is switched on."""
    dtype = np.float64 if jax.config.jax_enable_x64 else np.float32
    return compiled(*(np.asarray(x, dtype) for x in (density, rgb, edges, unit)), background)


def loop_composite(density, rgb, edges, unit, background: float) -> dict[str, np.ndarray]:
    """One ray, sample after sample."""
    transmittance, weights = 1.0, []
    color, acc, depth = np.zeros(3), 0.0, 0.0
    for i, extinction in enumerate(density):
        alpha = 1.0 - np.exp(-extinction * (edges[i + 1] - edges[i]) * unit[0])
        weight = alpha * transmittance
        weights.append(weight)
        color = color + weight * rgb[i]
        acc += weight
        depth += weight * edges[i]
        transmittance *= 1.0 - alpha + 1e-5
    color = color + background * (1.0 - acc)
    disparity = acc / depth if acc > 0 else 0.0
    return dict(rgb=color, acc=acc, depth=depth, disparity=disparity, weights=np.array(weights))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("background", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("endless", [False, True])
def test_rendering_equals_a_loop_along_each_ray(background, endless):
    density, rgb, edges, unit = random_ray_batch(0)
    density[2] = 0.0  # an empty ray
    density[3, 0] = 1e6  # an opaque first sample
    if endless:
        edges[:, -1] = edges[:, -2] + 1e10
    ours = render(density, rgb, edges, unit, background)
    for n in range(len(density)):
        expected = loop_composite(density[n], rgb[n], edges[n], unit[n], background)
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(ours, name)[n], value, rtol=1e-10, err_msg=name)


def test_open_edges_add_one_endless_interval():
    distances = jnp.array([[0.5, 1.0, 2.5], [1.0, 1.5, 1.75]])
    edges = open_edges(distances)
    np.testing.assert_array_equal(edges[:, :-1], distances)
    np.testing.assert_allclose(edges[:, -1] - edges[:, -2], 1e10, rtol=1e-6)
    # Whatever has some density there is opaque; what has none lets everything through.
    alpha = opacity(jnp.array([[0.0, 0.0, 1e-6]] * 2), edges, jnp.ones((2, 1)))
    np.testing.assert_array_equal(alpha, [[0.0, 0.0, 1.0]] * 2)
    assert ENDLESS == 1e10


def test_opacity_is_one_minus_the_exponential_of_density_times_length():
    density, edges = jnp.array([0.0, 0.5, 2.0]), jnp.array([0.0, 1.0, 3.0, 3.5])
    expected = 1.0 - np.exp(-np.array([0.0, 0.5 * 2.0, 2.0 * 0.5]) * 1.5)
    np.testing.assert_allclose(opacity(density, edges, jnp.array([1.5])), expected, rtol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("density", "length", "unit"), [(0.7, 3.0, 1.0), (0.2, 1.0, 2.5)])
def test_thin_samples_of_constant_density_follow_beer_and_lambert(density, length, unit):
    num, start = 400, 0.5
    edges = start + np.linspace(0.0, length, num + 1)
    ours = render(np.full(num, density), np.full((num, 3), 0.4), edges, np.array([unit]))
    extinction = density * unit
    expected = 1.0 - np.exp(-extinction * length)
    assert abs(ours.acc - expected) < num * LEAK
    np.testing.assert_allclose(ours.rgb, 0.4 * expected, rtol=0, atol=num * LEAK)
    # Depth is the integral of distance * extinction * exp(-extinction * distance).
    inside = 1 / extinction - np.exp(-extinction * length) * (length + 1 / extinction)
    depth = start * expected + inside
    assert abs(ours.depth - depth) < num * LEAK * (start + length) + length / num
    np.testing.assert_allclose(ours.disparity, expected / depth, rtol=0.01)
    # With the leak the weights are a geometric series, and this is exact.
    alpha = 1.0 - np.exp(-extinction * length / num)
    through = 1.0 - alpha + LEAK
    np.testing.assert_allclose(ours.acc, alpha * (1 - through**num) / (1 - through), rtol=1e-10)


@pytest.mark.usefixtures("float64")
def test_cutting_an_interval_in_two_changes_only_the_leak():
    density, rgb, edges, unit = random_ray_batch(3)
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    finer = np.sort(np.concatenate([edges, middles], axis=-1), axis=-1)
    ours = render(np.repeat(density, 2, axis=-1), np.repeat(rgb, 2, axis=-2), finer, unit)
    whole = render(density, rgb, edges, unit)
    np.testing.assert_allclose(ours.rgb, whole.rgb, rtol=0, atol=20 * LEAK)
    np.testing.assert_allclose(ours.acc, whole.acc, rtol=0, atol=20 * LEAK)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(-12.0, 12.0))
def test_weights_sum_to_opacity_and_opacity_is_at_most_one_up_to_the_leak(seed, log_scale):
    density, rgb, edges, unit = random_ray_batch(seed)
    scaled = density * np.exp(log_scale)
    ours = jax.tree.map(np.asarray, render(scaled, rgb, edges, unit))
    assert (ours.weights >= 0).all()
    np.testing.assert_allclose(ours.weights.sum(axis=-1), ours.acc, rtol=1e-6)
    assert (ours.acc <= 1 + density.shape[-1] * LEAK + 1e-6).all()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(ours))


def test_background_fills_what_the_ray_lets_through():
    args = random_ray_batch(1)
    args[0][0] = 0.0
    black, white, grey = (
        jax.tree.map(np.asarray, render(*args, background)) for background in (0.0, 1.0, 0.25)
    )
    np.testing.assert_array_equal(white.rgb[0], 1.0)
    np.testing.assert_allclose(white.rgb - black.rgb, 1 - np.tile(black.acc[:, None], 3), atol=1e-6)
    np.testing.assert_allclose(grey.rgb, 0.75 * black.rgb + 0.25 * white.rgb, atol=1e-6)
    for name in ("acc", "depth", "disparity", "weights"):
        np.testing.assert_array_equal(getattr(white, name), getattr(black, name))


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_empty_ray_shows_the_background_and_has_disparity_zero(background):
    _, rgb, edges, unit = random_ray_batch(2, ())
    edges[-1] = edges[-2] + ENDLESS
    ours = render(np.zeros(9), rgb, edges, unit, background)
    np.testing.assert_array_equal(ours.rgb, background)
    np.testing.assert_array_equal(ours.weights, 0.0)
    assert ours.acc == ours.depth == ours.disparity == 0.0


@jax.jit
@functools.partial(jax.grad, argnums=(0, 1, 2, 3))
def gradient_of_total(*args) -> jax.Array:
    ours = composite(*args)
    return ours.rgb.sum() + ours.acc.sum() + ours.depth.sum() + ours.disparity.sum()


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e20])
@pytest.mark.parametrize("endless", [False, True])
def test_gradients_are_finite_from_empty_to_opaque(scale, endless):
    density, rgb, edges, unit = random_ray_batch(4)
    if endless:
        edges[:, -1] = edges[:, -2] + ENDLESS
    gradients = gradient_of_total(*map(np.float32, (density * scale, rgb, edges, unit)))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_opaque_first_sample_hides_the_rest_up_to_the_leak():
    _, rgb, edges, unit = random_ray_batch(5)
    density = np.ones((5, 9))
    density[:, 0] = 1e8
    ours = jax.tree.map(np.asarray, render(density, rgb, edges, unit))
    np.testing.assert_array_equal(ours.weights[:, 0], 1.0)
    assert (ours.weights[:, 1:].sum(axis=-1) <= 2 * LEAK).all()
    np.testing.assert_allclose(ours.rgb, rgb[:, 0], rtol=0, atol=2 * LEAK)
    np.testing.assert_allclose(ours.disparity, 1 / edges[:, 0], rtol=1e-3)


def test_disparity_is_the_inverse_of_the_depth_of_what_was_hit():
    edges = np.array([[1.0, 2.0, 4.0, 1e10]])
    for i, thin in ((0, 0.01), (1, 1e-3), (2, 10.0)):
        density = thin * np.eye(3)[i : i + 1]
        ours = render(density, np.ones((1, 3, 3)), edges, np.ones((1, 1)))
        np.testing.assert_allclose(ours.disparity, 1 / edges[:, i], rtol=1e-5)


@pytest.mark.usefixtures("float64")
def test_unit_scales_density_and_density_times_length_is_all_that_counts():
    density, rgb, edges, unit = random_ray_batch(6)
    ours = render(density, rgb, edges, 2.0 * unit)
    for twin in (
        render(2.0 * density, rgb, edges, unit),
        render(density * unit, rgb, edges, 2.0 * np.ones_like(unit)),
        render(density, rgb, 2.0 * edges, unit),
    ):
        np.testing.assert_allclose(ours.weights, twin.weights, rtol=1e-12)
        np.testing.assert_allclose(ours.rgb, twin.rgb, rtol=1e-12)


@jax.jit
def outputs(*args) -> list[jax.Array]:
    ours = composite(*args, background=0.5)
    return [ours.rgb, ours.acc, ours.depth, ours.weights]


@jax.jit
def disparity(*args) -> jax.Array:
    return composite(*args).disparity


@pytest.mark.usefixtures("float64")
def test_gradients_equal_finite_differences():
    args = random_ray_batch(7, (2,), num=5)
    assert (args[0] == 0).any()
    args = tuple(map(jnp.asarray, args))
    check_grads(outputs, args, order=1, atol=1e-6, rtol=1e-6, eps=1e-6)
    hit = (args[0] + 0.1, *args[1:])
    check_grads(disparity, hit, order=1, atol=1e-6, rtol=1e-6, eps=1e-6)


@pytest.mark.usefixtures("float64")
def test_gradients_equal_finite_differences_on_empty_and_opaque_rays():
    density, *others = random_ray_batch(8, (2,), num=5)
    density[0], density[1] = 0.0, 50.0
    args = tuple(map(jnp.asarray, (density, *others)))
    check_grads(outputs, args, order=1, atol=1e-5, rtol=1e-5, eps=1e-6)


@pytest.mark.parametrize("num_edges", [4, 5, 7])
def test_edges_must_be_one_more_than_samples(num_edges):
    with pytest.raises(ValueError, match=f"{num_edges} edges for 5 samples"):
        composite(jnp.ones(5), jnp.ones((5, 3)), jnp.ones(num_edges), jnp.ones(1))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_leading_dimensions_are_free(shape):
    ours = jax.eval_shape(composite, *(np.float32(x) for x in random_ray_batch(9, shape)))
    assert ours.rgb.shape == (*shape, 3)
    assert ours.acc.shape == ours.depth.shape == ours.disparity.shape == shape
    assert ours.weights.shape == (*shape, 9)
