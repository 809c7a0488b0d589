"""Where samples lie: cells, the inverse of a cumulative distribution, and whose noise is whose."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from inv_jax.render import intervals

stratified = jax.jit(intervals.stratified, static_argnums=2)
invert_cdf = jax.jit(intervals.invert_cdf)
importance = jax.jit(intervals.importance, static_argnums=2)


def ray_keys(num: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), num)


def bounds(num_rays: int) -> tuple[np.ndarray, np.ndarray]:
    """Other bounds for every ray."""
    near = np.linspace(0.1, 2.0, num_rays, dtype=np.float32)[:, None]
    return near, near + np.linspace(0.5, 3.0, num_rays, dtype=np.float32)[:, None]


def random_bins(seed: int, num_rays: int, num_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted borders, and weights of which many are zero."""
    rng = np.random.default_rng(seed)
    bins = np.sort(rng.uniform(0.5, 4.0, (num_rays, num_bins + 1)), axis=-1)
    weights = rng.uniform(size=(num_rays, num_bins)) * (
        rng.uniform(size=(num_rays, num_bins)) < 0.6
    )
    return bins, weights


@pytest.mark.parametrize("num", [1, 2, 7])
def test_unjittered_samples_are_evenly_spaced_with_both_ends(num):
    near, far = bounds(4)
    distances = np.asarray(stratified(near, far, num))
    assert distances.shape == (4, num)
    for ray in range(4):
        start, end = float(near[ray, 0]), float(far[ray, 0])
        for i in range(num):
            expected = start + (end - start) * i / max(1, num - 1)
            np.testing.assert_allclose(distances[ray, i], expected, rtol=1e-6)


@pytest.mark.parametrize("num", [2, 9])
def test_jittered_samples_stay_in_their_cells(num):
    near, far = bounds(200)
    even = np.asarray(stratified(near, far, num))
    jittered = np.asarray(stratified(near, far, num, ray_keys(200)))
    for i in range(num):
        lower = even[:, i] if i == 0 else (even[:, i - 1] + even[:, i]) / 2
        upper = even[:, i] if i == num - 1 else (even[:, i] + even[:, i + 1]) / 2
        assert (jittered[:, i] >= lower - 1e-6).all()
        assert (jittered[:, i] <= upper + 1e-6).all()
        # The whole cell is used, evenly: mean 1/2 and variance 1/12 of its length.
        places = (jittered[:, i] - lower) / (upper - lower)
        assert abs(places.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 200)
        assert abs(places.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / 200)
    assert (np.diff(jittered, axis=-1) >= 0).all()


def loop_invert_cdf(bins: np.ndarray, weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """One number at a time, with a search in the cumulative distribution."""
    distances = np.zeros_like(u)
    for ray in range(len(bins)):
        mass = weights[ray] + 1e-5
        cdf = np.concatenate([[0.0], np.cumsum(mass / mass.sum())])
        for n, value in enumerate(u[ray]):
            above = np.searchsorted(cdf, value, side="right")
            low, high = max(above - 1, 0), min(above, len(cdf) - 1)
            inside = cdf[high] - cdf[low]
            fraction = (value - cdf[low]) / (inside if inside >= 1e-5 else 1.0)
            distances[ray, n] = bins[ray, low] + fraction * (bins[ray, high] - bins[ray, low])
    return distances


@pytest.mark.parametrize("num_bins", [1, 2, 22])
def test_invert_cdf_equals_a_loop_with_a_search(num_bins):
    bins, weights = random_bins(num_bins, num_rays=8, num_bins=num_bins)
    u = np.random.default_rng(0).uniform(size=(8, 33))
    u[:, 0] = 0.0
    with jax.enable_x64(True):
        ours = invert_cdf(bins, weights, u)
        np.testing.assert_allclose(ours, loop_invert_cdf(bins, weights, u), rtol=1e-9)


def test_ends_of_u_are_ends_of_the_bins():
    bins, weights = random_bins(3, num_rays=5, num_bins=16)
    weights[:, -1] = 0.5  # in a bin of almost no mass all numbers meet at its lower border
    u = np.tile(np.float32([0.0, 1.0]), (5, 1))
    ours = invert_cdf(np.float32(bins), np.float32(weights), u)
    np.testing.assert_allclose(ours, bins[:, [0, -1]], rtol=1e-5)


def test_equal_weights_map_evenly_and_no_weights_do_too():
    bins = np.linspace(2.0, 6.0, 9, dtype=np.float32)[None]
    u = np.linspace(0.0, 1.0, 21, dtype=np.float32)[None]
    for weight in (0.0, 0.3):
        ours = invert_cdf(bins, np.full((1, 8), weight, np.float32), u)
        np.testing.assert_allclose(ours, 2.0 + 4.0 * u, rtol=1e-5)


def test_a_single_heavy_bin_draws_everything_but_a_floor():
    weights = np.eye(10, dtype=np.float32)[6:7]
    u = np.linspace(0.001, 0.999, 500, dtype=np.float32)[None]
    ours = np.asarray(invert_cdf(np.arange(11, dtype=np.float32)[None], weights, u))
    assert ((ours >= 6.0) & (ours <= 7.0)).all()


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(-30.0, 3.0))
def test_drawn_distances_keep_the_order_of_u_within_the_bins(seed, log_scale):
    rng = np.random.default_rng(seed)
    bins, weights = random_bins(seed, num_rays=3, num_bins=12)
    u = np.sort(np.concatenate([[[0, 1]] * 3, rng.uniform(size=(3, 40))], axis=-1), axis=-1)
    args = bins, weights * np.exp(log_scale), u
    ours = np.asarray(invert_cdf(*(x.astype(np.float32) for x in args)))
    assert (np.diff(ours, axis=-1) >= -1e-5).all()
    assert (ours >= bins[:, :1] - 1e-5).all()
    assert (ours <= bins[:, -1:] + 1e-5).all()


@pytest.mark.parametrize("num_borders", [3, 4, 6])
def test_borders_must_be_one_more_than_bins(num_borders):
    with pytest.raises(ValueError, match=f"{num_borders} borders for 4 bins"):
        intervals.invert_cdf(jnp.ones((2, num_borders)), jnp.ones((2, 4)), jnp.ones((2, 3)))


def loop_importance(distances: np.ndarray, weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Bins between mid-points; the first and last weight belong to none."""
    middles = np.array([(row[:-1] + row[1:]) / 2 for row in distances])
    return loop_invert_cdf(middles, weights[:, 1:-1], u)


def test_importance_without_keys_takes_even_steps_through_the_distribution():
    distances, _ = random_bins(4, num_rays=6, num_bins=15)
    _, weights = random_bins(5, num_rays=6, num_bins=16)
    weights[:, -2] = 0.5
    u = np.tile(np.linspace(0, 1, 16), (6, 1))
    with jax.enable_x64(True):
        ours = importance(distances, weights, 16)
    expected = loop_importance(distances, weights, u)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    np.testing.assert_allclose(ours[:, -1], (distances[:, -1] + distances[:, -2]) / 2, rtol=1e-9)


def test_many_draws_follow_the_weights():
    num = 20_000
    distances = np.arange(8, dtype=np.float32)[None]
    weights = np.float32([[5.0, 0.1, 0.0, 0.4, 0.3, 0.2, 0.0, 5.0]])
    draws = np.asarray(importance(distances, weights, num, ray_keys(1)))[0]
    # Bin i lies around sample i; the first and last weight have no bin.
    expected = (weights[0, 1:-1] + 1e-5) / (weights[0, 1:-1] + 1e-5).sum() * num
    counts, _ = np.histogram(draws, bins=np.arange(0.5, 7.0))
    assert counts.sum() == num
    heavy = expected > 1
    chi_square = np.sum((counts - expected)[heavy] ** 2 / expected[heavy])
    assert chi_square < 3 + 6 * np.sqrt(2 * 3)
    assert counts[~heavy].sum() < 12
    # Even within a bin.
    inside = draws[(draws >= 2.5) & (draws < 3.5)] - 2.5
    assert abs(inside.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(inside))


def test_no_gradient_flows_through_importance():
    distances = np.tile(np.float32(0.3) * np.arange(6, dtype=np.float32), (4, 1))
    weights = np.random.default_rng(0).uniform(size=(4, 6)).astype(np.float32)
    for keys in (None, ray_keys(4)):
        total = lambda d, w, keys=keys: importance(d, w, 5, keys).sum()  # noqa: E731
        for gradient in jax.grad(total, argnums=(0, 1))(distances, weights):
            np.testing.assert_array_equal(gradient, 0.0)


def draw_both(keys: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Jittered samples and importance draws of rays that differ in their keys alone."""
    num = keys.shape[0]
    near, ones = np.zeros((num, 1), np.float32), np.ones((num, 6), np.float32)
    jittered = stratified(near, near + 1, 6, keys)
    distances = np.tile(np.linspace(0.0, 1.0, 6, dtype=np.float32), (num, 1))
    drawn = importance(distances, ones, 5, keys)
    return np.asarray(jittered), np.asarray(drawn)


def test_rays_with_distinct_keys_have_distinct_noise_and_equal_keys_equal_noise():
    keys = ray_keys(8)
    for draws in draw_both(keys):
        assert len(np.unique(draws)) == draws.size
    for draws in draw_both(keys[np.array([0, 3, 0, 1, 2, 4, 5, 6])]):
        np.testing.assert_array_equal(draws[0], draws[2])
        assert (draws[0] != draws[1]).all()


def test_permuted_rays_have_permuted_draws():
    keys, order = ray_keys(8), np.array([5, 0, 7, 1, 2, 6, 3, 4])
    for ours, moved in zip(draw_both(keys), draw_both(keys[order]), strict=True):
        np.testing.assert_array_equal(ours[order], moved)
    for ours, part in zip(draw_both(keys), draw_both(keys[:3]), strict=True):
        np.testing.assert_array_equal(ours[:3], part)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_leading_dimensions_are_free(shape):
    keys = jax.random.split(jax.random.key(0), shape)
    near = np.full((*shape, 1), 0.5, np.float32)
    for optional in (None, keys):
        distances = jax.eval_shape(stratified, near, near, 4, optional)
        assert distances.shape == (*shape, 4)
        drawn = jax.eval_shape(importance, distances, distances, 3, optional)
        assert drawn.shape == (*shape, 3)
    noise = jax.eval_shape(lambda keys: intervals.per_ray(jax.random.normal, keys, 6), keys)
    assert noise.shape == (*shape, 6)
