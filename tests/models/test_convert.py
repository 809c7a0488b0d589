"""State dicts of the original, in and out, without a bit lost; what does not fit is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models.convert import export_state_dicts, import_state_dicts
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.types import InvError

WIDTH, DEPTH = 6, 3
POSITION, DIRECTION = 3 * (1 + 2 * 2), 3 * (1 + 2 * 1)


def template(**settings):
    mlp = NerfMlp(width=WIDTH, depth=DEPTH, position_octaves=2, direction_octaves=1, **settings)
    model = Nerf(mlp)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def state_dicts() -> dict[str, dict[str, np.ndarray]]:
    """What the original stores for a network of depth 3 with a skip behind layer 0."""
    shapes = {
        "pts_linears.0": (WIDTH, POSITION),
        "pts_linears.1": (WIDTH, POSITION + WIDTH),
        "pts_linears.2": (WIDTH, WIDTH),
        "alpha_linear": (1, WIDTH),
        "feature_linear": (WIDTH, WIDTH),
        "views_linears.0": (WIDTH // 2, WIDTH + DIRECTION),
        "rgb_linear": (3, WIDTH // 2),
    }
    rng = np.random.default_rng(0)
    make = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return {
        network: {f"{name}.weight": make(*shape) for name, shape in shapes.items()}
        | {f"{name}.bias": make(shape[0]) for name, shape in shapes.items()}
        for network in ("coarse", "fine")
    }


def test_kernels_are_transposed_weights_under_our_names():
    states = state_dicts()
    params = import_state_dicts(states, template(skip_layer=0, structure_layers=1))
    names = {
        "structure/layer_0": "pts_linears.0",
        "color/layer_1": "pts_linears.1",
        "color/layer_2": "pts_linears.2",
        "color/density": "alpha_linear",
        "color/feature": "feature_linear",
        "color/views_0": "views_linears.0",
        "color/rgb": "rgb_linear",
    }
    flat = params_lib.flatten(params)
    assert len(flat) == 2 * 2 * len(names)
    for network in ("coarse", "fine"):
        for ours, original in names.items():
            kernel, bias = (flat[f"{network}/{ours}/{kind}"] for kind in ("kernel", "bias"))
            np.testing.assert_array_equal(kernel, states[network][f"{original}.weight"].T)
            np.testing.assert_array_equal(bias, states[network][f"{original}.bias"])


@pytest.mark.parametrize("structure_layers", [0, 2, 3])
@pytest.mark.parametrize("structure_heads", [(), ("density", "rgb")])
def test_round_trip_is_exact_for_any_partition(structure_layers, structure_heads):
    states = state_dicts()
    goal = template(
        skip_layer=0, structure_layers=structure_layers, structure_heads=structure_heads
    )
    params = import_state_dicts(states, goal)
    assert jax.tree.structure(params) == jax.tree.structure(goal)
    exported = export_state_dicts(params)
    assert {net: set(state) for net, state in exported.items()} == {
        net: set(state) for net, state in states.items()
    }
    for network, state in states.items():
        for name, array in state.items():
            np.testing.assert_array_equal(exported[network][name], array)
            assert exported[network][name].flags.c_contiguous
    again = import_state_dicts(exported, goal)
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_params_become_float32_arrays_of_jax():
    states = {
        net: {name: array.astype(np.float64) for name, array in state.items()}
        for net, state in state_dicts().items()
    }
    for leaf in jax.tree.leaves(import_state_dicts(states, template(skip_layer=0))):
        assert isinstance(leaf, jax.Array)
        assert leaf.dtype == jnp.float32


@pytest.mark.parametrize(
    "name", ["pts_linears.1.weight", "rgb_linear.bias", "views_linears.0.bias"]
)
def test_a_missing_layer_is_named(name):
    states = state_dicts()
    del states["fine"][name]
    with pytest.raises(InvError, match=f"'fine' has no {name}"):
        import_state_dicts(states, template(skip_layer=0))


def test_a_missing_network_is_named():
    states = state_dicts()
    del states["coarse"]
    with pytest.raises(InvError, match="'coarse' has no"):
        import_state_dicts(states, template(skip_layer=0))


def test_layers_left_over_are_named():
    states = state_dicts()
    states["fine"]["pts_linears.3.bias"] = np.zeros(WIDTH, np.float32)
    with pytest.raises(InvError, match=r"no place for fine:pts_linears\.3\.bias.*depth"):
        import_state_dicts(states, template(skip_layer=0))
    states = state_dicts() | {"static": {"alpha_linear.bias": np.zeros(1, np.float32)}}
    with pytest.raises(InvError, match=r"static:alpha_linear\.bias"):
        import_state_dicts(states, template(skip_layer=0))


def test_layers_of_another_shape_are_named():
    with pytest.raises(
        InvError, match=r"coarse/structure/layer_1/kernel has shape \(21, 6\).*\(6, 6\)"
    ):
        import_state_dicts(state_dicts(), template(skip_layer=None))
