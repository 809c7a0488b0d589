"""Roles split a tree in two halves, and merging gives back the very same objects."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax import params as params_lib
from inv_jax.types import InvError

NETWORKS, LAYERS = ("coarse", "fine"), {"structure": ("layer_0", "layer_1"), "color": ("rgb",)}


def make_params():
    numbers = itertools.count(1)
    return {
        network: {
            role: {
                layer: {
                    "kernel": jnp.full((2, 3), next(numbers)),
                    "bias": jnp.full(3, next(numbers)),
                }
                for layer in layers
            }
            for role, layers in LAYERS.items()
        }
        for network in NETWORKS
    }


def paths(role: str) -> set[str]:
    return {
        f"{network}/{role}/{layer}/{kind}"
        for network in NETWORKS
        for layer in LAYERS[role]
        for kind in ("kernel", "bias")
    }


def test_paths_and_roles_are_read_from_the_tree():
    params = make_params()
    assert set(params_lib.flatten(params)) == paths("structure") | paths("color")
    roles = params_lib.flatten(params_lib.roles(params))
    assert roles == {path: role for role in LAYERS for path in paths(role)}
    networks = params_lib.flatten(params_lib.networks(params))
    assert networks == {path: path.split("/")[0] for path in roles}


def test_role_is_the_part_of_a_path_that_names_one():
    assert params_lib.role_of("fine/structure/layer_0/kernel") == "structure"
    assert params_lib.role_of("color/rgb") == "color"
    for path in ("fine/layer_0/kernel", "fine/colors/rgb", ""):
        with pytest.raises(ValueError, match="no role in the path"):
            params_lib.role_of(path)


@pytest.mark.parametrize("wanted", [("structure",), ("color",), ("structure", "color"), ()])
def test_split_is_a_partition_and_merge_gives_back_the_same_objects(wanted):
    params = make_params()
    chosen, rest = params_lib.split(params, wanted)
    expected = set().union(*(paths(role) for role in wanted))
    assert set(params_lib.flatten(chosen)) == expected
    assert set(params_lib.flatten(rest)) == (paths("structure") | paths("color")) - expected
    for merged in (params_lib.merge(chosen, rest), params_lib.merge(rest, chosen)):
        assert jax.tree.structure(merged) == jax.tree.structure(params)
        for ours, leaf in zip(jax.tree.leaves(merged), jax.tree.leaves(params), strict=True):
            assert ours is leaf


def test_select_marks_leaves_that_are_not_there():
    params = make_params()
    half = params_lib.select(params, ("color",))
    assert isinstance(half["fine"]["structure"]["layer_0"]["kernel"], optax.MaskedNode)
    assert half["fine"]["color"]["rgb"]["bias"] is params["fine"]["color"]["rgb"]["bias"]


def test_split_and_merge_can_be_traced_and_only_the_chosen_half_has_gradients():
    chosen, rest = params_lib.split(make_params(), ("structure",))
    chosen, rest = jax.tree.map(jnp.float32, (chosen, rest))

    @jax.jit
    def total(chosen):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params_lib.merge(chosen, rest)))

    gradients = jax.grad(total)(chosen)
    assert set(params_lib.flatten(gradients)) == paths("structure")
    for path, leaf in params_lib.flatten(gradients).items():
        np.testing.assert_array_equal(leaf, 2 * params_lib.flatten(chosen)[path])


def masked(tree):
    return jax.tree.map(lambda _: optax.MaskedNode(), tree)


def test_merge_takes_any_number_of_parts():
    params = make_params()
    structure, color = params_lib.split(params, ("structure",))
    coarse = {"coarse": structure["coarse"], "fine": masked(params["fine"])}
    fine = {"coarse": masked(params["coarse"]), "fine": structure["fine"]}
    merged = params_lib.merge(fine, color, coarse)
    for ours, leaf in zip(jax.tree.leaves(merged), jax.tree.leaves(params), strict=True):
        assert ours is leaf


def test_merge_refuses_leaves_that_are_missing_or_there_twice():
    params = make_params()
    structure, color = params_lib.split(params, ("structure",))
    with pytest.raises(ValueError, match="coarse/color/rgb/bias is in 0 of the 1 parts"):
        params_lib.merge(structure)
    with pytest.raises(ValueError, match="coarse/structure/layer_0/bias is in 0 of the 2 parts"):
        params_lib.merge(color, color | {"coarse": masked(params["coarse"])})
    with pytest.raises(ValueError, match="coarse/color/rgb/bias is in 2 of the 2 parts"):
        params_lib.merge(params, color)


def test_nest_is_the_inverse_of_flatten():
    params = make_params()
    nested = params_lib.nest(params_lib.flatten(params))
    assert jax.tree.structure(nested) == jax.tree.structure(params)
    for ours, leaf in zip(jax.tree.leaves(nested), jax.tree.leaves(params), strict=True):
        assert ours is leaf
    assert params_lib.nest({}) == {}


def test_flatten_leaves_masked_leaves_out():
    half = params_lib.select(make_params(), ("structure",))
    assert set(params_lib.flatten(half)) == paths("structure")
    nested = params_lib.nest(params_lib.flatten(half))
    assert {network: list(roles) for network, roles in nested.items()} == {
        network: ["structure"] for network in NETWORKS
    }


def test_fill_puts_leaves_in_by_their_path():
    params = make_params()
    leaves = {path: -leaf for path, leaf in params_lib.flatten(params).items()}
    filled = params_lib.fill(params, dict(reversed(leaves.items())))
    assert jax.tree.structure(filled) == jax.tree.structure(params)
    for path, leaf in params_lib.flatten(filled).items():
        assert leaf is leaves[path]


def test_fill_fills_the_half_that_is_there():
    half = params_lib.select(make_params(), ("structure",))
    filled = params_lib.fill(half, params_lib.flatten(make_params()))
    assert set(params_lib.flatten(filled)) == paths("structure")
    assert isinstance(filled["fine"]["color"]["rgb"]["bias"], optax.MaskedNode)


def test_fill_names_what_is_missing_or_misshapen():
    params = make_params()
    leaves = params_lib.flatten(params)
    missing = {path: leaf for path, leaf in leaves.items() if path != "fine/color/rgb/bias"}
    with pytest.raises(InvError, match="parameter fine/color/rgb/bias is missing"):
        params_lib.fill(params, missing)
    misshapen = leaves | {"fine/color/rgb/kernel": np.zeros((3, 2))}
    with pytest.raises(InvError, match=r"fine/color/rgb/kernel has shape \(3, 2\).*\(2, 3\)"):
        params_lib.fill(params, misshapen)


def test_bytes_are_those_of_the_leaves_that_are_there():
    tree = {"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.uint8), "c": optax.MaskedNode()}
    assert params_lib.num_bytes(tree) == 4 * 15 + 7
    assert params_lib.num_bytes({}) == 0
