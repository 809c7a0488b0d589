"""Coarse, then fine: what is sampled, what is random, and that rays do not know each other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.types import InvError, Rays

MODEL = Nerf(
    NerfMlp(width=8, depth=2, structure_layers=1, position_octaves=3, direction_octaves=1),
    coarse_samples=6,
    fine_samples=5,
)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def make_rays(num: int = 7) -> Rays:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(num, 3)) * 2.0
    viewdirs = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    near = rng.uniform(0.2, 0.5, (num, 1))
    arrays = rng.normal(size=(num, 3)), directions, viewdirs, near, near + 1.5
    return Rays(*(jnp.asarray(x) for x in arrays))


def ray_keys(num: int = 7, seed: int = 5) -> jax.Array:
    return jax.random.split(jax.random.key(seed), num)


def make_params(scale: float = 0.6):
    """Params of a scene that is neither empty nor opaque."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: scale * rng.normal(size=leaf.shape), shapes)
    for network in params.values():
        network["color"]["density"]["bias"][:] = scale
    return params


predict = jax.jit(
    lambda model, params, rays, keys=None: model.predict(params, rays, keys=keys), static_argnums=0
)


def encode(x: np.ndarray, num: int) -> np.ndarray:
    waves = [wave(2.0**k * x) for k in range(num) for wave in (np.sin, np.cos)]
    return np.concatenate([x, *waves])


def loop_field(params, position, viewdir) -> tuple[float, np.ndarray]:
    """Density and color of a point."""
    flat = {path.split("/", 1)[1]: np.asarray(x) for path, x in params_lib.flatten(params).items()}
    affine = lambda x, name: x @ flat[f"{name}/kernel"] + flat[f"{name}/bias"]  # noqa: E731
    hidden = encode(position, MODEL.mlp.position_octaves)
    for i in range(MODEL.mlp.depth):
        hidden = np.maximum(affine(hidden, f"layer_{i}"), 0.0)
    views = np.concatenate(
        [affine(hidden, "feature"), encode(viewdir, MODEL.mlp.direction_octaves)]
    )
    raw = affine(np.maximum(affine(views, "views_0"), 0.0), "rgb")
    return max(affine(hidden, "density")[0], 0.0), 1.0 / (1.0 + np.exp(-raw))


def loop_render(params, rays: Rays, n: int, distances) -> tuple[np.ndarray, np.ndarray]:
    """Color and weights of ray n at the given distances."""
    origin, direction = np.asarray(rays.origins[n]), np.asarray(rays.directions[n])
    color, weights, transmittance = np.zeros(3), [], 1.0
    for distance, following in zip(distances, [*distances[1:], np.inf], strict=True):
        point = origin + distance * direction
        density, rgb = loop_field(params, point, np.asarray(rays.viewdirs[n]))
        length = min(following - distance, 1e10) * np.sqrt((direction**2).sum())
        alpha = 1.0 - np.exp(-density * length)
        weights.append(alpha * transmittance)
        color = color + weights[-1] * rgb
        transmittance *= 1.0 - alpha + 1e-5
    return color, np.array(weights)


def loop_importance(distances, weights, num: int) -> list[float]:
    """Even steps through the distribution of the inner weights over the mid-points."""
    middles = (distances[1:] + distances[:-1]) / 2
    mass = weights[1:-1] + 1e-5
    cdf = np.concatenate([[0.0], np.cumsum(mass / mass.sum())])
    return [np.interp(u, cdf, middles) for u in np.linspace(0.0, 1.0, num)]


def test_evaluation_equals_a_loop_over_rays_and_points():
    rays, params = make_rays(), make_params()
    ours = predict(MODEL, params, rays)
    assert np.mean((ours["coarse"].weights > 0.01) & (ours["coarse"].weights < 0.9)) > 0.3
    for n in range(7):
        near, far = float(rays.near[n, 0]), float(rays.far[n, 0])
        distances = np.linspace(near, far, MODEL.coarse_samples)
        color, weights = loop_render(params["coarse"], rays, n, distances)
        np.testing.assert_allclose(ours["coarse"].rgb[n], color, rtol=1e-9)
        np.testing.assert_allclose(ours["coarse"].weights[n], weights, rtol=1e-9, atol=1e-12)
        more = loop_importance(distances, weights, MODEL.fine_samples)
        distances = np.sort(np.concatenate([distances, more]))
        color, weights = loop_render(params["fine"], rays, n, distances)
        np.testing.assert_allclose(ours["fine"].rgb[n], color, rtol=1e-9)
        np.testing.assert_allclose(ours["fine"].weights[n], weights, rtol=1e-9, atol=1e-12)


def test_coarse_runs_first_and_fine_sees_both_kinds_of_samples():
    ours = predict(MODEL, make_params(), make_rays())
    assert list(ours) == ["coarse", "fine"]
    assert ours["coarse"].weights.shape == (7, 6)
    assert ours["fine"].weights.shape == (7, 11)
    for rendering in ours.values():
        assert rendering.rgb.shape == (7, 3)
        assert rendering.acc.shape == rendering.depth.shape == rendering.disparity.shape == (7,)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_leading_dimensions_are_free(shape):
    ones = np.ones((*shape, 3), np.float32)
    rays = Rays(ones, ones, ones, 0.5 * ones[..., :1], ones[..., :1])
    for keys in (None, jax.random.split(jax.random.key(0), shape)):
        ours = jax.eval_shape(predict, MODEL, make_params(), rays, keys)
        assert ours["fine"].rgb.shape == (*shape, 3)
        assert ours["fine"].weights.shape == (*shape, 11)


def test_networks_start_with_other_numbers_and_equal_keys_with_equal_ones():
    init = jax.jit(MODEL.init)
    params = init(jax.random.key(0))
    assert list(params) == ["coarse", "fine"]
    for coarse, fine in zip(*map(jax.tree.leaves, params.values()), strict=True):
        assert (np.asarray(coarse) != np.asarray(fine)).all()
    jax.tree.map(np.testing.assert_array_equal, params, init(jax.random.key(0)))


def test_full_size_structure_of_both_networks_is_1_13_mib():
    full = jax.eval_shape(Nerf(NerfMlp()).init, jax.random.key(0))
    structure, color = params_lib.split(full, (params_lib.STRUCTURE,))
    hidden = 256 * 256 + 256
    assert params_lib.num_bytes(structure) == 4 * 2 * (63 * 256 + 256 + 2 * hidden)
    assert round(params_lib.num_bytes(structure) / 2**20, 2) == 1.13
    heads = (256 + 1) + hidden + (283 * 128 + 128) + (128 * 3 + 3)
    assert params_lib.num_bytes(color) == 4 * 2 * (5 * hidden + heads)


def test_without_keys_noise_counts_for_nothing():
    params, rays = make_params(), make_rays()
    loud = dataclasses.replace(MODEL, density_noise=5.0)
    jax.tree.map(
        np.testing.assert_array_equal, predict(MODEL, params, rays), predict(loud, params, rays)
    )


def test_keys_jitter_the_samples_and_add_noise_to_the_density():
    params, rays, keys = make_params(), make_rays(), ray_keys()
    quiet = dataclasses.replace(MODEL, density_noise=0.0)
    still, jittered = predict(MODEL, params, rays), predict(quiet, params, rays, keys)
    noisy = predict(MODEL, params, rays, keys)
    for network in ("coarse", "fine"):
        for first, second in ((still, jittered), (jittered, noisy)):
            changed = np.abs(np.asarray(first[network].rgb - second[network].rgb)) > 1e-6
            assert changed.any(axis=-1).all()
    # The same numbers from the same keys, others from others.
    jax.tree.map(np.testing.assert_array_equal, noisy, predict(MODEL, params, rays, keys))
    other = predict(MODEL, params, rays, ray_keys(seed=6))
    assert (np.asarray(other["fine"].rgb) != np.asarray(noisy["fine"].rgb)).all()


def test_noise_is_drawn_around_zero_anew_for_every_sample_and_network():
    """With all params at zero raw density is noise alone: half of the samples are empty."""
    params, num = jax.tree.map(np.zeros_like, make_params()), 400
    rays = jax.tree.map(lambda x: np.repeat(x[:1], num, axis=0), make_rays())
    ours = predict(MODEL, params, rays, ray_keys(num))
    coarse = np.asarray(ours["coarse"].weights) > 0
    fine = np.asarray(ours["fine"].weights) > 0
    five_sigma = 5 * 0.5 / np.sqrt(num)
    for hit in (coarse, fine):
        assert (np.abs(hit.mean(axis=0) - 0.5) < five_sigma).all()
        assert (np.abs((hit[:, 1:] == hit[:, :-1]).mean(axis=0) - 0.5) < five_sigma).all()
    assert abs(np.mean(coarse[:, 0] == fine[:, 0]) - 0.5) < five_sigma


def test_a_part_of_the_rays_renders_to_that_part_of_the_rendering():
    params, rays, keys, part = make_params(), make_rays(), ray_keys(), np.array([5, 1, 2])
    whole = predict(MODEL, params, rays, keys)
    few = predict(MODEL, params, jax.tree.map(lambda x: x[part], rays), keys[part])
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x[part], y, rtol=1e-9, atol=1e-12), whole, few
    )


def test_background_is_seen_where_the_field_is_empty():
    params = jax.tree.map(np.zeros_like, make_params())
    for background in (0.0, 1.0):
        model = dataclasses.replace(MODEL, background=background)
        for rendering in predict(model, params, make_rays()).values():
            np.testing.assert_array_equal(rendering.rgb, background)


def test_the_fine_picture_does_not_train_the_coarse_network():
    rays, keys = make_rays(), ray_keys()
    picture = lambda params: predict(MODEL, params, rays, keys)["fine"].rgb.sum()  # noqa: E731
    gradients = jax.jit(jax.grad(picture))(make_params())
    for leaf in jax.tree.leaves(gradients["coarse"]):
        np.testing.assert_array_equal(leaf, 0.0)
    for leaf in jax.tree.leaves(gradients["fine"]):
        assert np.isfinite(leaf).all()
        assert np.any(leaf)


@pytest.mark.parametrize("settings", [{"coarse_samples": 2}, {"fine_samples": 0}])
def test_too_few_samples_are_refused(settings):
    ((name, number),) = settings.items()
    with pytest.raises(InvError, match=f"{name}={number}.*want 3 and 1"):
        Nerf(NerfMlp(), **settings)
