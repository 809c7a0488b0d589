"""The NeRF network against the textbook: one point, one layer, one concatenation at a time."""

import dataclasses
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

from inv_jax import params as params_lib
from inv_jax.models import linear
from inv_jax.models.mlp import HEADS, NerfMlp
from inv_jax.types import InvError

SMALL = NerfMlp(width=6, depth=3, position_octaves=2, direction_octaves=1)


def points(seed: int = 0, num_rays: int = 3, num_samples: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    viewdirs = rng.normal(size=(num_rays, 3))
    viewdirs /= np.linalg.norm(viewdirs, axis=-1, keepdims=True)
    return rng.normal(size=(num_rays, num_samples, 3)), viewdirs


def init(mlp: NerfMlp):
    positions, viewdirs = jnp.zeros((1, 1, 3)), jnp.zeros((1, 3))
    return jax.jit(mlp.init)(jax.random.key(0), positions, viewdirs)["params"]


def random_params(mlp: NerfMlp):
    """Params in float64, biases included, without a program that starts them."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: init(mlp))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape) * 0.5, shapes)


apply = jax.jit(lambda mlp, params, *args: mlp.apply({"params": params}, *args), static_argnums=0)


def layers_of(params) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each layer by its name, whatever its role, in float64."""
    flat = params_lib.flatten(params)
    names = {path.split("/")[1] for path in flat}
    leaf = lambda name, kind: next(  # noqa: E731
        np.asarray(x, np.float64) for path, x in flat.items() if path.endswith(f"{name}/{kind}")
    )
    return {name: (leaf(name, "kernel"), leaf(name, "bias")) for name in names}


def encode(x: np.ndarray, num: int) -> np.ndarray:
    waves = [wave(2.0**k * x) for k in range(num) for wave in (np.sin, np.cos)]
    return np.concatenate([x, *waves])


def textbook(mlp: NerfMlp, params, position: np.ndarray, viewdir: np.ndarray):
    """Raw density and raw color of one point (NeRF, figure 7), in float64."""
    layers = layers_of(params)
    affine = lambda x, name: x @ layers[name][0] + layers[name][1]  # noqa: E731
    relu = lambda x: np.maximum(x, 0.0)  # noqa: E731
    encoded = encode(position, mlp.position_octaves)
    hidden = encoded
    for i in range(mlp.depth):
        hidden = relu(affine(hidden, f"layer_{i}"))
        if i == mlp.skip_layer:
            hidden = np.concatenate([encoded, hidden])
    density = affine(hidden, "density")[0]
    feature = affine(hidden, "feature")
    views = np.concatenate([feature, encode(viewdir, mlp.direction_octaves)])
    return density, affine(relu(affine(views, "views_0")), "rgb")


@pytest.mark.parametrize(
    ("depth", "skip_layer", "structure_layers", "structure_heads"),
    [
        (1, None, 0, ()),
        (1, None, 1, HEADS),
        (2, 0, 1, ()),
        (3, 1, 3, ("density",)),
        (4, 0, 2, ()),
        (6, None, 3, ("feature", "views_0")),
        (8, 4, 3, ()),
        (8, 6, 8, ("rgb",)),
    ],
)
def test_network_equals_the_textbook(depth, skip_layer, structure_layers, structure_heads):
    mlp = NerfMlp(
        width=7,
        depth=depth,
        structure_layers=structure_layers,
        structure_heads=structure_heads,
        skip_layer=skip_layer,
        position_octaves=3,
        direction_octaves=2,
    )
    params = random_params(mlp)
    positions, viewdirs = points()
    twin = [
        [textbook(mlp, params, x, d) for x in row]
        for row, d in zip(positions, viewdirs, strict=True)
    ]
    expected = [np.array([[pair[n] for pair in row] for row in twin]) for n in range(2)]

    with jax.enable_x64(True):
        ours = apply(mlp, params, positions, viewdirs)
    for x, y in zip(ours, expected, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-11 * np.abs(y).max())


def test_samples_see_their_own_rays_direction_and_density_sees_none():
    params = random_params(SMALL)
    positions, viewdirs = points()
    turned = viewdirs * np.array([[1], [-1], [1]])
    (density, rgb), (same_density, other_rgb) = (
        map(np.asarray, apply(SMALL, params, positions, x)) for x in (viewdirs, turned)
    )
    np.testing.assert_array_equal(density, same_density)
    changed = np.abs(rgb - other_rgb).max(axis=-1) > 1e-4
    np.testing.assert_array_equal(
        changed, np.array([[False], [True], [False]]) * np.ones((1, 4), bool)
    )


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_leading_dimensions_are_free(shape):
    density, rgb = jax.eval_shape(
        lambda: SMALL.apply(
            {"params": init(SMALL)}, jnp.ones((*shape, 4, 3)), jnp.ones((*shape, 3))
        )
    )
    assert density.shape == (*shape, 4)
    assert rgb.shape == (*shape, 4, 3)


@pytest.mark.parametrize("structure_layers", [0, 2, 3])
@pytest.mark.parametrize("structure_heads", [(), ("density", "rgb"), HEADS])
def test_first_layers_and_named_heads_are_structure_and_all_else_is_color(
    structure_layers, structure_heads
):
    mlp = dataclasses.replace(
        SMALL, structure_layers=structure_layers, structure_heads=structure_heads
    )
    structure = {f"layer_{i}" for i in range(structure_layers)} | set(structure_heads)
    every = {"layer_0", "layer_1", "layer_2", *HEADS}
    expected = {
        f"{role}/{name}/{kind}"
        for role, names in (("structure", structure), ("color", every - structure))
        for name in names
        for kind in ("kernel", "bias")
    }
    params = jax.eval_shape(lambda: init(mlp))
    assert set(params_lib.flatten(params)) == expected
    for name in every:
        assert mlp.layer_role(name) == ("structure" if name in structure else "color")


@pytest.mark.parametrize("skip_layer", [None, 4])
def test_layers_have_the_shapes_of_the_original(skip_layer):
    mlp = NerfMlp(skip_layer=skip_layer)
    shapes = {f"layer_{i}": (256, 256) for i in range(8)}
    shapes |= {"layer_0": (63, 256), "layer_5": (256 if skip_layer is None else 319, 256)}
    shapes |= {"density": (256, 1), "feature": (256, 256), "views_0": (283, 128), "rgb": (128, 3)}
    assert mlp.layer_shapes() == shapes
    flat = params_lib.flatten(jax.eval_shape(lambda: init(mlp)))
    for name, shape in shapes.items():
        role = mlp.layer_role(name)
        assert flat[f"{role}/{name}/kernel"].shape == shape
        assert flat[f"{role}/{name}/bias"].shape == shape[1:]


def test_structure_of_a_full_network_has_147968_params():
    params = jax.eval_shape(lambda: init(NerfMlp()))
    expected = (63 * 256 + 256) + 2 * (256 * 256 + 256)
    assert sum(leaf.size for leaf in jax.tree.leaves(params["structure"])) == expected == 147_968


def test_params_start_uniform_within_one_over_the_root_of_fan_in():
    mlp = NerfMlp(width=96, depth=2, structure_layers=1, skip_layer=0)
    params = init(mlp)
    for path, leaf in params_lib.flatten(params).items():
        fan_in = mlp.layer_shapes()[path.split("/")[1]][0]  # of a bias too
        places = (np.asarray(leaf, np.float64).reshape(-1) * np.sqrt(fan_in) + 1.0) / 2.0
        assert leaf.dtype == jnp.float32
        assert places.min() >= 0.0
        assert places.max() <= 1.0
        # Kolmogorov-Smirnov distance to the uniform distribution; 1.63 is its 99% point.
        steps = np.arange(len(places) + 1) / len(places)
        ordered = np.sort(places)
        distance = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
        assert distance < 2.2 / np.sqrt(len(places)), path


def test_equal_keys_start_equal_and_every_leaf_has_its_own_numbers():
    mlp = dataclasses.replace(SMALL, depth=1, structure_layers=1)
    start = jax.jit(lambda key: mlp.init(key, jnp.zeros((1, 1, 3)), jnp.zeros((1, 3))))
    first, again, other = (start(jax.random.key(seed)) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    numbers = [np.asarray(x).reshape(-1) for x in jax.tree.leaves((first, other))]
    normed = np.concatenate([x / np.abs(x).max() for x in numbers if x.size > 1])
    assert len(np.unique(normed)) > 0.95 * len(normed)


def test_gradients_equal_finite_differences():
    mlp = dataclasses.replace(SMALL, skip_layer=1)
    with jax.enable_x64(True):
        args = jax.tree.map(jnp.asarray, (random_params(mlp), *points(num_rays=2, num_samples=2)))
        outputs = lambda *args: apply(mlp, *args)  # noqa: E731
        check_grads(outputs, args, order=1, modes=["rev"], atol=1e-5, rtol=1e-5, eps=1e-7)


def loss_and_gradients(mlp: NerfMlp, params, positions, viewdirs):
    """A number that hangs on all of the network's results, and its gradient by the params."""

    @jax.jit  # a new function each time: the layout is chosen while tracing
    def value_and_grad(params):
        def loss(params):
            density, rgb = mlp.apply({"params": params}, positions, viewdirs)
            return jnp.mean(jnp.square(density - 1)) + jnp.mean(jnp.square(rgb - 0.5))

        return jax.value_and_grad(loss)(params)

    return value_and_grad(params)


def as_float32(*trees):
    return jax.tree.map(jnp.float32, trees)


@pytest.mark.parametrize("precision", linear.PRECISIONS)
@pytest.mark.parametrize("skip_layer", [None, 1])
def test_both_layouts_give_the_same(precision, skip_layer, monkeypatch):
    mlp = dataclasses.replace(SMALL, skip_layer=skip_layer, precision=precision)
    args = as_float32(random_params(mlp), *points())
    results = []
    for axis in (0, 1):
        monkeypatch.setattr(linear, "features_axis", lambda axis=axis: axis)
        results.append(loss_and_gradients(mlp, *args))
    tolerance = 1e-2 if precision == "bfloat16" else 1e-5  # another order may round another way
    for x, y in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * np.abs(y).max())


@pytest.mark.parametrize(
    ("skip_layer", "structure_heads"), [(None, ()), (4, ("density", "rgb")), (0, HEADS)]
)
def test_float32_gradients_of_a_full_network_equal_those_in_float64(skip_layer, structure_heads):
    """At this size XLA's CPU backend merges and rewrites products; small ones it leaves alone."""
    mlp = NerfMlp(skip_layer=skip_layer, structure_heads=structure_heads)
    args = as_float32(jax.jit(lambda: init(mlp))(), *points(num_rays=16, num_samples=64))
    single = loss_and_gradients(mlp, *args)
    with jax.enable_x64(True):
        double = loss_and_gradients(mlp, *jax.tree.map(lambda x: jnp.asarray(x, float), args))
    for x, y in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-4 * np.abs(y).max())


def equations(jaxpr, name: str):
    """Equations of a primitive in a jaxpr and all that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner, name)


def test_in_bfloat16_only_products_and_what_lies_between_layers_are_bfloat16():
    mlp = dataclasses.replace(SMALL, precision="bfloat16", skip_layer=0)
    params, positions, viewdirs = as_float32(random_params(mlp), *points())
    forward = lambda params: mlp.apply({"params": params}, positions, viewdirs)  # noqa: E731
    jaxpr = jax.make_jaxpr(forward)(params).jaxpr
    assert all(out.aval.dtype == jnp.float32 for out in jaxpr.outvars)
    factors = [[v.aval.dtype.name for v in eqn.invars] for eqn in equations(jaxpr, "dot_general")]
    # Trunk (a product more for the skip), density, color, rgb; in float32 what is computed once a
    # ray or once a call: the direction's part, and feature with views_0 (kernels, and bias).
    assert sorted(factors) == [["bfloat16"] * 2] * 7 + [["float32"] * 2] * 3
    for name in ("sin", "cos", "add"):
        assert {v.aval.dtype.name for eqn in equations(jaxpr, name) for v in eqn.invars} == {
            "float32"
        }
    stored = [eqn.outvars[0].aval.dtype.name for eqn in equations(jaxpr, "custom_vjp_call")]
    assert stored.count("bfloat16") == mlp.depth + 1  # behind each ReLU


@pytest.mark.parametrize(
    ("precision", "asked"), [("float32", lax.Precision.HIGHEST), ("tf32", lax.Precision.HIGH)]
)
def test_every_product_and_gradient_asks_for_its_precision(precision, asked):
    """JAX's default on a GPU is TF32, which would creep in wherever nothing is asked for."""
    mlp = dataclasses.replace(SMALL, precision=precision, skip_layer=0)
    params, positions, viewdirs = as_float32(random_params(mlp), *points())

    def loss(params):
        density, rgb = mlp.apply({"params": params}, positions, viewdirs)
        return jnp.sum(density) + jnp.sum(rgb)

    jaxpr = jax.make_jaxpr(jax.grad(loss))(params).jaxpr
    products = [eqn.params["precision"] for eqn in equations(jaxpr, "dot_general")]
    # Each product has two gradients. At every point: the trunk's (one more for the skip) and those
    # of density, color and rgb. In float32 in any case: the three that are done once a ray or call.
    at_points, others = 3 * (mlp.depth + 1 + 3), 3 * 3
    assert Counter(products) == Counter(
        [(asked, asked)] * at_points + [(lax.Precision.HIGHEST,) * 2] * others
    )


def test_bfloat16_gradients_point_where_float32_ones_do():
    args = as_float32(init(NerfMlp(width=32)), *points(num_rays=16, num_samples=16))
    (loss, grads), (loss16, grads16) = (
        loss_and_gradients(NerfMlp(width=32, precision=p), *args) for p in ("float32", "bfloat16")
    )
    np.testing.assert_allclose(loss16, loss, rtol=1e-2)
    grads, grads16 = (params_lib.flatten(jax.tree.map(np.asarray, g)) for g in (grads, grads16))
    for path, x in grads.items():
        y = grads16[path]
        assert y.dtype == np.float32
        cosine = np.vdot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))
        assert cosine > 0.99, path
        assert np.any(x != y), path


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"width": 1}, "width=1"),
        ({"depth": 0, "structure_layers": 0}, "depth=0"),
        ({"structure_layers": -1}, "structure_layers=-1.*0 to 8"),
        ({"structure_layers": 9}, "structure_layers=9.*8 trunk layers"),
        ({"structure_heads": ("alpha",)}, "alpha.*density, feature, views_0, rgb"),
        ({"skip_layer": -1}, "skip_layer=-1"),
        ({"skip_layer": 7}, r"skip_layer=7.*0 \.\. 6"),
        ({"precision": "half"}, "precision='half'.*float32, tf32, bfloat16"),
    ],
)
def test_contradicting_settings_are_refused_in_one_line(settings, text):
    with pytest.raises(InvError, match=text) as caught:
        NerfMlp(**settings)
    assert "\n" not in str(caught.value)
