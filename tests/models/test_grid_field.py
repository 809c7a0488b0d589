"""What the fast field shows, against a plain loop, and its gradients against finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import places
import pytest

from inv_jax import params as params_lib
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry.boxes import PROJECTIVE, Box, BoxRays
from inv_jax.models import grid_field, grids, guide
from inv_jax.models.grid_field import GridField
from inv_jax.types import Cameras, Places, Rays

BOX = Box(PROJECTIVE, (-0.75, -0.5, 1.5), (0.875, 0.5, 6.0), center=0.5)
MODEL = GridField(
    BOX,
    levels=((4, 3, 4), (6, 5, 3)),
    features=4,
    samples=5,
    probes=6,
    guide_shape=(4, 3, 5),
    width=6,
    depth=2,
)
COLORS = ("color_0", "color_1", "color_2")
NUM = 6


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def make_rays(num: int = NUM) -> BoxRays:
    rng = np.random.default_rng(0)
    origins = rng.normal(size=(num, 3)) * 0.2
    directions = np.c_[rng.uniform(-0.4, 0.4, (num, 2)), -np.ones(num)]
    viewdirs = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    bounds = np.zeros((2, num, 1))
    rays = Rays(*map(jnp.asarray, (origins, directions, viewdirs, *bounds)))
    return jax.jit(BOX.rays)(rays)


def make_params():
    """Of a scene that is neither empty nor opaque."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), shapes)


def make_keys(num: int = NUM, seed: int = 3) -> jax.Array:
    return jax.random.split(jax.random.key(seed), num)


predict = jax.jit(
    lambda params, rays, keys=None, at=None: MODEL.predict(params, rays, keys=keys, guide=at)
)
read = jax.jit(lambda levels, points: grids.read_all(levels, BOX.squeeze(points)))


make_guide = jax.jit(MODEL.guide)


def loop_color(layers, features: np.ndarray, viewdir: np.ndarray) -> np.ndarray:
    hidden = np.concatenate([features, viewdir])
    for name in COLORS:
        hidden = hidden @ np.asarray(layers[name]["kernel"]) + np.asarray(layers[name]["bias"])
        hidden = hidden if name == COLORS[-1] else np.maximum(hidden, 0)
    return 1 / (1 + np.exp(-features[:3] - hidden))


def loop_render(params, rays: BoxRays, edges: np.ndarray, n: int):
    """Color, weights and depth of ray n, sample by sample."""
    field = params["field"]
    levels = [field["structure"][f"level_{i}"]["kernel"] for i in (0, 1)]
    light, seen, weights, depth = 1.0, np.zeros(MODEL.features), [], 0.0
    for i in range(MODEL.samples):
        middle, length = (edges[i] + edges[i + 1]) / 2, edges[i + 1] - edges[i]
        point = np.asarray(rays.starts[n]) + middle * np.asarray(rays.spans[n])
        features = np.asarray(read(levels, jnp.asarray(point[None])))[0]
        density = grid_field.DENSEST * np.log1p(np.exp(features[0] - 3.0))
        stays = np.exp(-density * length)
        weights.append(light if i == MODEL.samples - 1 else light * (1 - stays))
        acc = 1 - light * stays
        light *= stays
        seen += weights[-1] * features[1:]
        near, far, bend = (float(x[n, 0]) for x in (rays.near, rays.far, rays.bend))
        depth += weights[-1] * (near + (far - near) * middle / (middle + bend * (1 - middle)))
    return loop_color(field["color"], seen, np.asarray(rays.viewdirs[n])), weights, depth, acc


def show(params, rays: BoxRays):
    """The picture of NUM rays in two rows."""
    return predict(params, jax.tree.map(lambda x: x.reshape(2, NUM // 2, -1), rays))


def test_a_picture_is_a_loop_over_rays_and_samples():
    params, rays = make_params(), make_rays()
    (name, found), *rest = show(params, rays).items()
    assert (name, rest) == ("field", [])
    assert found.rgb.shape == (2, 3, 3) and found.depth.shape == (2, 3)
    along = np.asarray(guide.probes(MODEL.probes, None))[0]
    points = rays.starts[:, None] + along[None, :, None] * rays.spans[:, None]

    @jax.jit
    def place(densities, points):
        weights = guide.weights(guide.look_up(densities, BOX.squeeze(points)))
        return guide.edges(weights, MODEL.samples, MODEL.even, None)

    edges = place(make_guide(params).densities, points)
    assert np.mean((found.weights > 0.01) & (found.weights < 0.9)) > 0.3
    found = jax.tree.map(lambda x: np.asarray(x).reshape(NUM, *x.shape[2:]), found)
    for n in range(NUM):
        rgb, weights, depth, acc = loop_render(params, rays, np.asarray(edges[n]), n)
        np.testing.assert_allclose(found.rgb[n], rgb, rtol=1e-5)
        np.testing.assert_allclose(found.weights[n], weights, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.depth[n], depth, rtol=1e-5)
        np.testing.assert_allclose(found.acc[n], acc, rtol=1e-5)


def test_the_guide_is_the_density_at_its_cells_centers():
    params = make_params()
    levels = [params["field"]["structure"][f"level_{i}"]["kernel"] for i in (0, 1)]
    raw = jax.jit(grids.read_all)(levels, jnp.asarray(places.cell_centers(MODEL.guide_shape)))[:, 0]
    expected = grid_field.DENSEST * np.log1p(np.exp(np.asarray(raw, float) - 3))
    found = make_guide(params).densities
    assert found.shape == MODEL.guide_shape
    np.testing.assert_allclose(found.reshape(-1), expected, rtol=1e-5)


def test_a_wall_is_seen_where_it_is():
    """Grids that are empty up to half the depth of the box, and opaque behind it."""
    model = dataclasses.replace(MODEL, levels=((2, 2, 17),), samples=24, probes=48)
    model = dataclasses.replace(model, guide_shape=(2, 2, 32), even=0.1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    kernel = np.full((2, 2, 17, 5), -20.0, np.float32)
    kernel[:, :, 8:] = 20.0
    params["field"]["structure"]["level_0"]["kernel"] = jnp.asarray(kernel)
    rays = make_rays()
    found = jax.jit(model.predict)(params, rays)["field"]
    expected = np.asarray(rays.distance(jnp.full((NUM, 1), 0.5)))[:, 0]
    np.testing.assert_allclose(found.depth, expected, rtol=0.05)
    np.testing.assert_allclose(found.acc, 1.0, atol=1e-3)


# Gradients.


def loss_of(params, rays, keys, at=None) -> jax.Array:
    found = MODEL.predict(params, rays, keys=keys, guide=at)["field"]
    return jnp.sum(jnp.square(found.rgb - 0.3)) + 0.1 * jnp.sum(found.depth)


def test_the_gradient_of_every_leaf_equals_finite_differences_where_the_guide_stays():
    """The guide is made of the params on the way; no gradient goes through it."""
    params, rays, keys = make_params(), make_rays(), make_keys()
    at, loss, gap = make_guide(params), jax.jit(loss_of), 1e-6
    found = params_lib.flatten(jax.jit(jax.grad(loss_of))(params, rays, keys))
    leaves = params_lib.flatten(params)
    for path, leaf in leaves.items():
        way = np.random.default_rng(4).normal(size=leaf.shape)
        ends = [
            params_lib.fill(params, leaves | {path: leaf + sign * gap * way}) for sign in (1, -1)
        ]
        high, low = (float(loss(end, rays, keys, at)) for end in ends)
        expected = (high - low) / (2 * gap)
        assert abs(expected) > 1e-4, path
        assert float((found[path] * way).sum()) == pytest.approx(expected, rel=1e-5), path


# Rays.


def test_light_is_neither_lost_nor_made():
    found = predict(make_params(), make_rays(), make_keys())["field"]
    np.testing.assert_allclose(found.weights.sum(-1), 1.0, atol=1e-5)
    assert (found.weights >= 0).all()
    assert ((found.acc >= 0) & (found.acc <= 1)).all()
    assert ((found.rgb > 0) & (found.rgb < 1)).all()


def test_rays_do_not_know_each_other():
    params, rays, keys = make_params(), make_rays(), make_keys()
    whole = jax.tree.map(np.asarray, predict(params, rays, keys)["field"])
    order = np.array([4, 1, 1, 5, 0, 2])
    some = predict(params, jax.tree.map(lambda x: x[order], rays), keys[order])["field"]
    for found, expected in zip(jax.tree.leaves(some), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, expected[order], rtol=1e-5, atol=1e-6)


def test_a_picture_with_its_own_guide_is_the_picture():
    params, rays = make_params(), make_rays()
    guided = jax.jit(MODEL.guided)(params, rays, make_guide(params))["field"].rgb
    plain = np.asarray(show(params, rays)["field"].rgb).reshape(NUM, 3)
    np.testing.assert_allclose(guided, plain, rtol=1e-5)


def test_training_moves_samples_by_key_and_evaluation_does_not():
    params, rays = make_params(), make_rays()
    shown = [np.asarray(predict(params, rays, make_keys())["field"].rgb) for _ in range(2)]
    np.testing.assert_array_equal(*shown)
    still = np.asarray(show(params, rays)["field"].rgb).reshape(NUM, 3)
    assert np.abs(shown[0] - still).max() > 1e-4


@pytest.mark.parametrize("ndc", [False, True])
def test_inputs_are_the_pixels_world_rays_in_the_box(ndc):
    pose, intrinsics = np.eye(3, 4)[None], [[[30, 0, 4], [0, 30, 3], [0, 0, 1]]]
    arrays = (jnp.asarray(x, jnp.float32) for x in (pose, intrinsics, 0, 1))
    cameras = Cameras(*arrays, height=6, width=8)
    places = Places(*map(jnp.asarray, (np.zeros(3, int), np.zeros(3), [0, 3, 7], [5, 1, 2])))
    found = jax.jit(MODEL.inputs)(cameras.replace(ndc=ndc), places)
    cast = jax.jit(cameras_lib.cast_rays)
    expected = jax.jit(BOX.rays)(cast(cameras, places.cams, places.cols, places.rows))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_bfloat16_shows_and_learns_nearly_the_same():
    rays = jax.tree.map(lambda x: x.astype(jnp.float32), make_rays(16))
    params = jax.tree.map(lambda x: x.astype(jnp.float32), make_params())
    at, found = make_guide(params), []
    for precision in ("float32", "bfloat16"):
        model = dataclasses.replace(MODEL, precision=precision)

        def loss(params, model=model):
            rgb = model.predict(params, rays, guide=at)["field"].rgb
            return jnp.sum(jnp.square(rgb - 0.3)), rgb

        gradient, rgb = jax.jit(jax.grad(loss, has_aux=True))(params)
        found.append((rgb, params_lib.flatten(gradient)))
    (wide, exact), (narrow, rounded) = found
    np.testing.assert_allclose(narrow, wide, atol=0.05)
    for path, leaf in exact.items():
        assert rounded[path].dtype == np.float32
        gap = np.linalg.norm(rounded[path] - leaf)
        assert gap < 0.05 * np.linalg.norm(leaf), path
