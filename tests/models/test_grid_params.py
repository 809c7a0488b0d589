"""The params of the fast field: roles, layers, learning rates, what they cost; and its settings."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from configs import base
from inv_jax import params as params_lib
from inv_jax.cost import count
from inv_jax.geometry.boxes import PROJECTIVE, Box
from inv_jax.models import grids, registry
from inv_jax.models.grid_field import GridField
from inv_jax.types import InvError

BOX = Box(PROJECTIVE, (-0.75, -0.5, 1.5), (0.875, 0.5, 6.0), center=0.5)
MODEL = GridField(
    BOX, levels=((4, 3, 4), (6, 5, 3)), features=4, guide_shape=(4, 3, 5), width=6, depth=2
)
COLORS = ("color_0", "color_1", "color_2")


def test_grids_are_structure_and_the_network_is_color():
    params = jax.eval_shape(MODEL.init, jax.random.key(0))
    assert list(params) == ["field"]
    shapes = {path: leaf.shape for path, leaf in params_lib.flatten(params).items()}
    assert {path: shape for path, shape in shapes.items() if "structure" in path} == {
        "field/structure/level_0/kernel": (4, 3, 4, 5),
        "field/structure/level_1/kernel": (6, 5, 3, 5),
    }
    kernels = [shapes[f"field/color/{name}/kernel"] for name in COLORS]
    assert kernels == [(7, 6), (6, 6), (6, 3)]
    assert params_lib.layer_numbers(params) == {
        name: number for number, name in enumerate(("level_0", "level_1", *COLORS))
    }
    assert MODEL.roles == params_lib.Roles(own=("structure",), shared=("color",))


def test_layers_are_numbered_as_they_are_counted_not_as_they_are_spelled():
    levels = tuple((2, 2, 2) for _ in range(11))
    params = jax.eval_shape(dataclasses.replace(MODEL, levels=levels).init, jax.random.key(0))
    numbers = params_lib.layer_numbers(params)
    assert [numbers[f"level_{i}"] for i in range(11)] == list(range(11))
    assert numbers["color_0"] == 11


def test_equal_keys_give_equal_params_and_every_leaf_its_own():
    first, again, other = (params_lib.flatten(MODEL.init(jax.random.key(k))) for k in (0, 0, 1))
    for path, leaf in first.items():
        np.testing.assert_array_equal(leaf, again[path])
        if not path.endswith("/bias"):
            assert np.abs(leaf - other[path]).min() > 0
            assert np.unique(leaf).size == leaf.size
    assert first["field/structure/level_0/kernel"].std() == pytest.approx(0.01, rel=0.2)


def test_the_model_adds_roughness_and_rates_around_the_optimizer():
    params = MODEL.init(jax.random.key(2))
    grads = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), params)
    model = dataclasses.replace(MODEL, roughness=0.1, edge=0.2, density_rate=3.0, color_rate=0.125)
    around = model.around(optax.scale(2.0))
    found, _ = jax.jit(around.update)(grads, around.init(params), params)
    found, leaves = params_lib.flatten(found), params_lib.flatten(params)
    for path, leaf in leaves.items():
        expected = np.full(leaf.shape, 2 * 0.5 * 0.125)
        if leaf.ndim == 4:
            expected = 2 * (
                0.5
                + 0.1 * np.asarray(jax.jit(grids.roughness_gradient, static_argnums=1)(leaf, 0.2))
            )
            expected[..., 0] *= 3.0
        np.testing.assert_allclose(found[path], expected, rtol=1e-5, err_msg=path)


@pytest.mark.parametrize(
    ("roles", "flops"),
    [
        # Layers are 7 -> 6 -> 6 -> 3, once a ray.
        (("structure", "color"), 3 * (42 + 36 + 18)),
        (("structure",), 2 * (42 + 36 + 18)),
        (("color",), 2 * (42 + 36 + 18) + (36 + 18)),
        ((), 42 + 36 + 18),
    ],
)
def test_counted_products_are_those_of_the_color_network(roles, flops):
    counted = count.step(MODEL, rows=8, rows_per_pass=4, roles=roles)
    assert counted.product_flops == 2 * 8 * flops
    assert count.num_params(MODEL, ("structure",)) == 5 * (48 + 90)


# Settings.


def make(**changes) -> GridField:
    settings = base.get_config("grid").model.to_dict()
    fitted = {"space": PROJECTIVE, "box": BOX.numbers, "levels": (4, 3, 4), "guide": (4, 3, 5)}
    model = registry.make(settings | fitted | changes)
    assert isinstance(model, GridField)
    return model


def test_settings_become_the_model():
    model = make(levels=(4, 3, 4, 6, 5, 3), features=4, samples=5, even=0.4, guide_every=3)
    assert (model.box, model.levels, model.guide_shape) == (BOX, MODEL.levels, (4, 3, 5))
    assert (model.features, model.samples, model.even, model.guide_every) == (4, 5, 0.4, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": 2}, "model.features=2; want 3 or more"),
        ({"samples": 1}, "model.samples=1; want 2 or more"),
        ({"probes": 1}, "model.probes=1; want 2 or more"),
        ({"width": 0}, "model.width=0; want 1 or more"),
        ({"guide_every": 0}, "model.guide_every=0; want 1 or more"),
        ({"guide_every": -2}, "model.guide_every=-2; want 1 or more"),
        ({"levels": ()}, r"model.levels=\(\); want one or more"),
        ({"levels": (4, 1, 4)}, "each with 2 nodes a side"),
        ({"levels": (4, 3, 4, 5)}, "want nodes in x, y and z of each level"),
        ({"guide": (4, 3)}, "three numbers of cells"),
        ({"even": 0.0}, "model.even=0.0; want above 0"),
        ({"even": 1.5}, "model.even=1.5"),
        ({"precision": "half"}, "model.precision='half'"),
        ({"space": ""}, "model.space=''"),
        ({"box": ()}, "model.box=.*want nine finite numbers"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes, said):
    with pytest.raises(InvError, match=said):
        make(**changes)
