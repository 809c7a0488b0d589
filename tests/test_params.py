"""Roles split a tree in two halves, and merging gives back the very same objects."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax import params as params_lib
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
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


def test_role_is_the_second_part_of_a_leafs_path_whatever_it_is_called():
    assert params_lib.role_of("fine/structure/layer_0/kernel") == "structure"
    assert params_lib.role_of("nerv/decoder/block_0/bias") == "decoder"
    for path in ("fine/layer_0/kernel", "color/rgb", ""):
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


# Layer surgery.


@pytest.fixture(scope="module")
def nerf_params():
    """Base and donor of a NeRF with a trunk of 8, as different as can be."""
    model = Nerf(NerfMlp(width=8, depth=8, position_octaves=2, direction_octaves=1))
    return model.init(jax.random.key(0)), model.init(jax.random.key(1))


def _from(params, base, donor):
    """For each leaf, whose it is."""
    found = {}
    for path, leaf in params_lib.flatten(params).items():
        owners = {"base": params_lib.flatten(base)[path], "donor": params_lib.flatten(donor)[path]}
        same = [name for name, theirs in owners.items() if np.array_equal(leaf, theirs)]
        assert len(same) == 1, path
        found[path] = same[0]
    return found


def test_layers_are_numbered_as_in_the_original(nerf_params):
    numbers = params_lib.layer_numbers(nerf_params[0])
    trunk = {f"layer_{i}": i for i in range(8)}
    assert numbers == trunk | {"feature": 8, "views_0": 9, "rgb": 10, "density": 11}


@pytest.mark.parametrize("n", range(12))
def test_a_swap_takes_kernels_and_biases_of_the_first_n_layers(nerf_params, n):
    base, donor = nerf_params
    swapped = params_lib.swap(base, donor, layers=range(n))
    numbers = params_lib.layer_numbers(base)
    for path, owner in _from(swapped, base, donor).items():
        assert owner == ("donor" if numbers[params_lib.layer_of(path)] < n else "base")


def test_a_swap_of_names_roles_and_networks(nerf_params):
    base, donor = nerf_params
    swapped = params_lib.swap(base, donor, layers=["density", 0], networks=["fine"])
    donors = {path for path, owner in _from(swapped, base, donor).items() if owner == "donor"}
    assert {path.rsplit("/", 1)[0] for path in donors} == {
        "fine/color/density",
        "fine/structure/layer_0",
    }
    structure = params_lib.swap(base, donor, roles=["structure"])
    for path, owner in _from(structure, base, donor).items():
        assert (owner == "donor") == (params_lib.role_of(path) == "structure")


def test_a_swap_matches_layers_that_have_another_role(nerf_params):
    base, _ = nerf_params
    other = Nerf(
        NerfMlp(width=8, depth=8, structure_layers=6, position_octaves=2, direction_octaves=1)
    ).init(jax.random.key(3))
    swapped = params_lib.swap(base, other, layers=[5])
    flat, donor = params_lib.flatten(swapped), params_lib.flatten(other)
    np.testing.assert_array_equal(
        flat["fine/color/layer_5/kernel"], donor["fine/structure/layer_5/kernel"]
    )


def test_surgery_changes_nothing_in_place(nerf_params):
    base, donor = (params_lib.copy(params) for params in nerf_params)
    before = params_lib.copy(base)
    swapped = params_lib.swap(base, donor, layers=[0])
    params_lib.interpolate(base, donor, 0.5)
    jax.tree.map(np.testing.assert_array_equal, base, before)
    copied = params_lib.copy(swapped)
    jax.tree.leaves(copied)[0][:] = 7
    assert not np.array_equal(jax.tree.leaves(copied)[0], jax.tree.leaves(swapped)[0])


@pytest.mark.parametrize("where", [{}, {"layers": [0, 11]}, {"roles": ["color"]}])
def test_interpolation_goes_from_one_to_the_other(nerf_params, where):
    base, donor = nerf_params
    at = lambda amount: params_lib.interpolate(base, donor, amount, **where)  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, at(0), base)
    jax.tree.map(np.testing.assert_array_equal, at(1), params_lib.swap(base, donor, **where))
    moved = params_lib.difference(base, donor, **where)
    for amount in (-0.5, 0.25, 2.0):
        expected = jax.tree.map(lambda a, d, amount=amount: a + amount * d, base, moved)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6),
            at(amount),
            expected,
        )


def test_a_difference_is_zero_where_it_was_not_asked_for(nerf_params):
    moved = params_lib.difference(*nerf_params, layers=[3])
    for path, leaf in params_lib.flatten(moved).items():
        assert np.any(leaf) == (params_lib.layer_of(path) == "layer_3")


def test_norms_are_those_of_kernel_and_bias_together(nerf_params):
    base, donor = nerf_params
    layer = base["fine"]["structure"]["layer_2"]
    both = np.concatenate([np.ravel(layer["kernel"]), np.ravel(layer["bias"])])
    norms = params_lib.norms(base)
    assert norms["fine/layer_2"] == pytest.approx(float(np.linalg.norm(both)))
    assert list(norms)[:12] == [f"coarse/{n}" for n in params_lib.layer_numbers(base)]
    half = params_lib.interpolate(base, params_lib.swap(base, donor, layers=[0]), 0.5)
    change = params_lib.relative_change(base, half)
    assert change["fine/layer_1"] == 0.0
    moved = params_lib.norms(params_lib.difference(base, donor))["fine/layer_0"]
    assert change["fine/layer_0"] == pytest.approx(0.5 * moved / norms["fine/layer_0"], rel=1e-5)


def test_the_table_of_layers_adds_up(nerf_params):
    base, _ = nerf_params
    rows = params_lib.layer_table(base)
    assert sum(row.num_bytes for row in rows) == params_lib.num_bytes(base)
    assert [row.number for row in rows] == [*range(12), *range(12)]
    first = rows[0]
    assert (first.name, first.network, first.role) == ("layer_0", "coarse", "structure")
    assert first.shapes == {"kernel": (15, 8), "bias": (8,)}


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"layers": [12]}, "11 density"),
        ({"roles": ["colour"]}, "color"),
        ({"networks": ["f"]}, "fine"),
    ],
)
def test_what_is_not_there_is_named(nerf_params, where, named):
    with pytest.raises(InvError, match=named):
        params_lib.swap(*nerf_params, **where)


def test_a_donor_of_another_shape_is_refused(nerf_params):
    base, _ = nerf_params
    wide = Nerf(NerfMlp(width=16, position_octaves=2, direction_octaves=1)).init(jax.random.key(0))
    with pytest.raises(InvError, match=r"shape \(16,\)|shape \(15, 16\)"):
        params_lib.swap(base, wide, layers=[0])
