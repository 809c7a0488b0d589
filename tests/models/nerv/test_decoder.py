"""The decoder of a clip: its shapes and params, and its parts against plain ones."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models import convolution, nerv
from inv_jax.models.nerv import DECODER, NETWORK, Nerv
from inv_jax.sampling.views import VIEWS
from inv_jax.types import InvError, Places


@pytest.fixture(scope="module")
def num_params(shapes_of) -> Callable[[Nerv], int]:
    return lambda model: sum(leaf.size for leaf in jax.tree.leaves(shapes_of(model)))


def show(model: Nerv, times=(0.0, 0.5), **settings):
    model = dataclasses.replace(model, **settings)
    params = model.init(jax.random.key(0))
    pictures = jax.jit(model.predict)(params, jnp.asarray(times, jnp.float32))
    return model, params, {name: np.asarray(one.rgb) for name, one in pictures.items()}


@pytest.mark.parametrize(
    ("channels", "expected"), [(26, 3_201_905), (58, 6_282_001), (112, 12_524_563)]
)
def test_the_published_sizes_have_their_params(channels, expected, published, num_params):
    model = dataclasses.replace(published, channels=channels)
    assert num_params(model) == expected
    assert model.size == (720, 1280)


def test_layers_have_the_published_shapes(published):
    assert dataclasses.replace(published, channels=112).layer_shapes() == {
        "stem_0": (80, 512),
        "stem_1": (512, 16128),
        "block_0": (3, 3, 112, 2800),
        "block_1": (3, 3, 112, 384),
        "block_2": (3, 3, 96, 384),
        "block_3": (3, 3, 96, 384),
        "block_4": (3, 3, 96, 384),
        "head_4": (1, 1, 96, 3),
    }


def test_params_follow_the_layers_and_have_one_role(tiny, shapes_of):
    for settings in ({}, {"norm": "bn"}, {"upsampling": "deconv"}, {"num_blocks": 2}):
        model = dataclasses.replace(tiny, **settings)
        leaves = params_lib.flatten(shapes_of(model))
        for name, shape in model.layer_shapes().items():
            assert leaves[f"{NETWORK}/{DECODER}/{name}/kernel"].shape == shape
            assert leaves[f"{NETWORK}/{DECODER}/{name}/bias"].shape == shape[-1:]
        assert {params_lib.role_of(path) for path in leaves} == set(model.roles.own)
    assert not tiny.roles.shared


@pytest.mark.parametrize("upsampling", nerv.UPSAMPLINGS)
def test_fresh_params_fill_the_bounds_of_the_original(upsampling, tiny):
    model = dataclasses.replace(tiny, stem_width=64, channels=16, upsampling=upsampling)
    layers = model.init(jax.random.key(0))[NETWORK][DECODER]
    for name, shape in model.layer_shapes().items():
        # A transposed convolution's `fan_in` is counted over what comes out.
        is_deconv = upsampling == "deconv" and name.startswith("block")
        fan_in = np.prod(shape[:-2]) * (shape[-1] if is_deconv else shape[-2])
        for leaf in ("kernel", "bias"):
            largest = np.abs(layers[name][leaf]).max() * np.sqrt(fan_in)
            assert largest <= 1.0
            if layers[name][leaf].size > 100:
                assert largest > 0.9
    first, second = (model.init(jax.random.key(seed)) for seed in (0, 1))
    jax.tree.map(lambda a, b: np.testing.assert_(not np.allclose(a, b)), first, second)


@pytest.mark.parametrize("upsampling", nerv.UPSAMPLINGS)
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_pictures_have_the_size_of_the_grid_times_the_strides(upsampling, num_blocks, tiny):
    model, params, found = show(
        tiny, upsampling=upsampling, num_blocks=num_blocks, single_res=False
    )
    assert list(found) == ["head_0", "head_1"]
    assert [one.shape for one in found.values()] == [(2, 6, 9, 3), (2, 12, 18, 3)]
    assert model.size == (12, 18)
    assert len(model.blocks()) == 2 * num_blocks
    for one in found.values():
        assert (one >= 0).all()
        assert (one <= 1).all()
        assert one.std() > 0
    only = dataclasses.replace(model, single_res=True)
    layers = {n: x for n, x in params[NETWORK][DECODER].items() if n != "head_0"}
    last = jax.jit(only.predict)({NETWORK: {DECODER: layers}}, jnp.asarray([0.0, 0.5]))
    assert list(last) == ["head_1"]
    np.testing.assert_allclose(last["head_1"].rgb, found["head_1"], rtol=1e-5, atol=1e-6)


def test_a_block_is_a_convolution_whose_channels_become_pixels(tiny):
    model, params, _ = show(tiny)
    layer = params[NETWORK][DECODER]["block_0"]
    x = np.random.default_rng(0).normal(size=(2, 5, 2, 3)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel, s, channels = np.asarray(layer["kernel"]), 3, 7
    made = np.zeros((2, channels, 2 * s, 3 * s))
    for y, x_ in np.ndindex(2, 3):
        patch = padded[:, :, y : y + 3, x_ : x_ + 3]
        out = np.einsum("bcij,ijcd->bd", patch, kernel) + np.asarray(layer["bias"])
        for k, a, b in np.ndindex(channels, s, s):
            made[:, k, y * s + a, x_ * s + b] = out[:, k * s * s + a * s + b]
    made = made / (1 + np.exp(-made))
    ours = model.through(params[NETWORK][DECODER], 0, convolution.from_nchw(jnp.asarray(x)))
    np.testing.assert_allclose(convolution.to_nchw(ours), made, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("leaky01", lambda x: np.where(x > 0, x, 0.1 * x)),
        ("relu6", lambda x: np.clip(x, 0, 6)),
        ("gelu", lambda x: x * 0.5 * (1 + np.vectorize(__import__("math").erf)(x / np.sqrt(2)))),
        ("swish", lambda x: x / (1 + np.exp(-x))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ],
)
def test_activations_are_their_formulas(name, formula):
    x = np.linspace(-8, 8, 161).astype(np.float32)
    ours = nerv.ACTIVATIONS[name](jnp.asarray(x))
    np.testing.assert_allclose(ours, formula(x.astype(float)), rtol=1e-5, atol=1e-6)


def test_all_activations_are_tried():
    assert len(nerv.ACTIVATIONS) == 8


def test_colors_are_a_sigmoid_or_a_tanh_between_zero_and_one(tiny):
    _, _, plain = show(tiny)
    _, _, squashed = show(tiny, sigmoid=True)
    x = np.arctanh(2 * plain["head_1"].astype(float) - 1)
    np.testing.assert_allclose(squashed["head_1"], 1 / (1 + np.exp(-x)), rtol=1e-4)


def test_instance_norm_leaves_each_channel_of_each_picture_with_mean_0_and_variance_1(tiny):
    model = dataclasses.replace(tiny, norm="in", activation="leaky")
    planes = jnp.asarray(np.random.default_rng(0).normal(3, 2, size=(2, 5, 8, 9)), jnp.float32)
    normed = convolution.to_nchw(model._normed({}, convolution.from_nchw(planes)))
    np.testing.assert_allclose(np.mean(normed, (2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.var(normed, (2, 3)), 1, rtol=1e-4)


def test_batch_norm_is_shown_and_not_trained(tiny, make_cameras, num_params):
    model, params, found = show(tiny, norm="bn")
    assert num_params(model) == num_params(tiny) + 4 * sum(b.fan_out for b in tiny.blocks())
    plain = {
        name: {leaf: x for leaf, x in layer.items() if leaf in ("kernel", "bias")}
        for name, layer in params[NETWORK][DECODER].items()
    }
    unnormed = tiny.predict({NETWORK: {DECODER: plain}}, jnp.asarray([0.0, 0.5]))
    np.testing.assert_allclose(found["head_1"], unnormed["head_1"].rgb, atol=1e-4)  # as it begins
    times, keys = jnp.zeros(2), jax.random.split(jax.random.key(0), 2)
    with pytest.raises(InvError, match=r"model\.norm='bn' can be shown but not trained"):
        model.predict(params, times, keys=keys)
    with pytest.raises(InvError, match="not trained"):
        model.check_views(make_cameras(12, 18), 2)


def test_a_row_is_a_view_and_its_input_the_time(tiny, make_cameras):
    assert tiny.rows is VIEWS
    times = jnp.asarray([0.25, 0.5])
    places = Places(cams=jnp.zeros(2, jnp.int32), times=times)
    np.testing.assert_array_equal(tiny.inputs(make_cameras(12, 18), places), times)


def test_pictures_of_a_batch_do_not_depend_on_each_other(tiny):
    for norm in ("none", "in"):
        model, params, both = show(tiny, norm=norm)
        for i, time in enumerate((0.0, 0.5)):
            one = model.predict(params, jnp.asarray([time]))["head_1"].rgb
            np.testing.assert_allclose(one[0], both["head_1"][i], rtol=1e-5, atol=1e-6)


def test_keys_change_nothing(tiny):
    model, params, found = show(tiny)
    keys = jax.random.split(jax.random.key(0), 2)
    again = model.predict(params, jnp.asarray([0.0, 0.5]), keys=keys)["head_1"].rgb
    np.testing.assert_allclose(again, found["head_1"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_lower_precision_shows_about_the_same(precision, tiny):
    _, _, exact = show(tiny)
    _, _, rough = show(tiny, precision=precision)
    np.testing.assert_allclose(rough["head_1"], exact["head_1"], atol=0.02)
