"""Two fields: their params and roles, what the blend shows, what a field shows alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models import split
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.models.split import SplitNerf
from inv_jax.types import InvError, Rays

_FIELDS = {
    "mlp": NerfMlp(width=8, depth=3, structure_layers=1, position_octaves=3, direction_octaves=1),
    "coarse_samples": 6,
    "fine_samples": 5,
}
MODEL, PLAIN = SplitNerf(**_FIELDS), Nerf(**_FIELDS)

predict = jax.jit(
    lambda model, params, rays, keys=None: model.predict(params, rays, keys=keys), static_argnums=0
)


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: np.float32(0.6 * rng.normal(size=leaf.shape)), shapes)


@pytest.fixture(scope="module")
def rays() -> Rays:
    rng = np.random.default_rng(0)
    directions = np.float32(rng.normal(size=(7, 3)))
    viewdirs = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    near = np.full((7, 1), 0.3, np.float32)
    origins = np.float32(rng.normal(size=(7, 3)))
    return Rays(*(jnp.asarray(x) for x in (origins, directions, viewdirs, near, near + 1.5)))


def _plain_params(params):
    """The static field's params as those of a NeRF."""
    return params_lib.nest(
        {
            path.replace("static_", ""): leaf
            for path, leaf in params_lib.flatten(params).items()
            if path.startswith("static")
        }
    )


def _equal(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


def test_layers_have_the_roles_of_their_field():
    found = {
        (path.split("/")[0], params_lib.role_of(path))
        for path in params_lib.flatten(jax.eval_shape(MODEL.init, jax.random.key(0)))
    }
    levels = ("coarse", "fine")
    static = {(f"static_{level}", role) for level in levels for role in params_lib.STATIC_ROLES}
    dynamic = {(f"dynamic_{level}", role) for level in levels for role in ("structure", "color")}
    assert found == static | dynamic


def test_a_part_begins_with_the_params_of_the_whole():
    whole, part = (model.init(jax.random.key(5)) for model in (MODEL, MODEL.part(split.STATIC)))
    jax.tree.map(np.testing.assert_array_equal, part, whole)


def test_the_static_field_alone_is_a_nerf(params, rays):
    keys = jax.random.split(jax.random.key(3), 7)
    alone = predict(MODEL.part(split.STATIC), params, rays, keys)
    _equal(alone, predict(PLAIN, _plain_params(params), rays, keys), rtol=0, atol=1e-6)


@pytest.mark.parametrize("blend", ["softmax", "density"])
def test_an_absent_dynamic_field_leaves_the_density_of_the_static_one(params, rays, blend):
    leaves = params_lib.flatten(params)
    gone = {path: 0 * leaf for path, leaf in leaves.items() if "dynamic" in path}
    if blend == "density":  # there the density is softplus of this
        gone |= {path: leaf - 20 for path, leaf in gone.items() if path.endswith("density/bias")}
    empty = params_lib.fill(params, leaves | gone)
    picture = predict(dataclasses.replace(MODEL, blend=blend), empty, rays)["fine"]
    alone = predict(MODEL.part(split.STATIC), empty, rays)["fine"]
    np.testing.assert_allclose(picture.weights, alone.weights, atol=1e-5)
    np.testing.assert_allclose(picture.layers["static"].rgb, alone.rgb, atol=1e-5)
    np.testing.assert_allclose(picture.layers["dynamic"].acc, 0, atol=1e-3)
    is_its_color = np.allclose(picture.rgb, alone.rgb, atol=1e-3)
    assert is_its_color == (blend == "density")  # softmax mixes in the color of what is not there


def test_dynamic_layer_lies_over_black_whatever_is_behind_the_scene(params, rays):
    model = dataclasses.replace(MODEL, background=1.0)
    layer = predict(model, params, rays)["fine"].layers["dynamic"]
    assert np.any(np.asarray(layer.acc) < 0.5)
    assert np.all(np.asarray(layer.rgb) <= np.asarray(layer.acc)[..., None] + 1e-5)


def test_blend_is_no_less_opaque_than_either_field_at_its_samples(params, rays):
    model, leaves = dataclasses.replace(MODEL, blend="density"), params_lib.flatten(params)
    there = {
        path: leaf + 8
        for path, leaf in leaves.items()
        if "dynamic" in path and path.endswith("density/bias")
    }
    picture = predict(model, params_lib.fill(params, leaves | there), rays)["fine"]
    assert set(picture.layers) == {split.STATIC, split.DYNAMIC}
    for layer in picture.layers.values():
        assert layer.weights.shape == picture.weights.shape
        assert np.all(np.asarray(layer.acc) <= np.asarray(picture.acc) + 1e-3)
        assert np.any(np.asarray(layer.acc) > 0.1)


def test_frozen_static_field_costs_its_way_forward_only():
    frozen, full = MODEL.work(("structure",)), MODEL.work(MODEL.roles.all)
    static, dynamic = frozen.networks[0], frozen.networks[1]
    assert not any(map_.is_differentiated for map_ in static.maps)
    assert any(map_.trains for map_ in dynamic.maps)
    assert len(static.maps) == len(full.networks[0].maps)  # its color counts in the blend
    assert static.kept == static.kept_bytes == 0


def test_unknown_part_and_rule_are_errors():
    with pytest.raises(ValueError, match="no part 'fog'"):
        MODEL.part("fog")
    with pytest.raises(ValueError, match="no part 'dynamic'"):
        MODEL.part("dynamic")
    with pytest.raises(ValueError, match="no part 'static'"):
        PLAIN.part("static")
    with pytest.raises(InvError, match=r"model\.blend='mean'"):
        SplitNerf(**_FIELDS, blend="mean")
