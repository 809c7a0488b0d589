"""The decoder of a clip: its shapes and params, its parts against plain ones, what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import count, memory
from inv_jax.models import convert_nerv, convolution, nerv, registry
from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import DECODER, NETWORK, Nerv
from inv_jax.sampling.views import VIEWS
from inv_jax.settings import compose
from inv_jax.train import losses
from inv_jax.types import Batch, Cameras, InvError, Places

PUBLISHED = Nerv(TimeWaves.of("1.25_40"))  # NeRV-S
TINY = Nerv(
    TimeWaves.of("1.25_4"),
    stem_width=7,
    grid=(2, 3),
    channels=5,
    strides=(3, 2),
    expansion=1.5,
    lower_width=4,
)


def shapes_of(model: Nerv):
    return jax.eval_shape(model.init, jax.random.key(0))


def num_params(model: Nerv) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes_of(model)))


def cameras(height: int, width: int, num_cams: int = 1) -> Cameras:
    return Cameras(
        jnp.zeros((num_cams, 3, 4)),
        jnp.zeros((num_cams, 3, 3)),
        near=jnp.float32(0),
        far=jnp.float32(1),
        height=height,
        width=width,
    )


def show(model: Nerv, times=(0.0, 0.5), **settings):
    model = dataclasses.replace(model, **settings)
    params = model.init(jax.random.key(0))
    pictures = jax.jit(model.predict)(params, jnp.asarray(times, jnp.float32))
    return model, params, {name: np.asarray(one.rgb) for name, one in pictures.items()}


@pytest.mark.parametrize(
    ("channels", "expected"), [(26, 3_201_905), (58, 6_282_001), (112, 12_524_563)]
)
def test_the_published_sizes_have_their_params(channels, expected):
    model = dataclasses.replace(PUBLISHED, channels=channels)
    assert num_params(model) == expected
    assert model.size == (720, 1280)


def test_layers_have_the_published_shapes():
    assert dataclasses.replace(PUBLISHED, channels=112).layer_shapes() == {
        "stem_0": (80, 512),
        "stem_1": (512, 16128),
        "block_0": (3, 3, 112, 2800),
        "block_1": (3, 3, 112, 384),
        "block_2": (3, 3, 96, 384),
        "block_3": (3, 3, 96, 384),
        "block_4": (3, 3, 96, 384),
        "head_4": (1, 1, 96, 3),
    }


def test_params_follow_the_layers_and_have_one_role():
    for settings in ({}, {"norm": "bn"}, {"upsampling": "deconv"}, {"num_blocks": 2}):
        model = dataclasses.replace(TINY, **settings)
        leaves = params_lib.flatten(shapes_of(model))
        for name, shape in model.layer_shapes().items():
            assert leaves[f"{NETWORK}/{DECODER}/{name}/kernel"].shape == shape
            assert leaves[f"{NETWORK}/{DECODER}/{name}/bias"].shape == shape[-1:]
        assert {params_lib.role_of(path) for path in leaves} == set(model.roles.own)
    assert not TINY.roles.shared


@pytest.mark.parametrize("upsampling", nerv.UPSAMPLINGS)
def test_fresh_params_fill_the_bounds_of_the_original(upsampling):
    model = dataclasses.replace(TINY, stem_width=64, channels=16, upsampling=upsampling)
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
def test_pictures_have_the_size_of_the_grid_times_the_strides(upsampling, num_blocks):
    model, params, found = show(
        TINY, upsampling=upsampling, num_blocks=num_blocks, single_res=False
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
    last = only.predict({NETWORK: {DECODER: layers}}, jnp.asarray([0.0, 0.5]))
    assert list(last) == ["head_1"]
    np.testing.assert_allclose(last["head_1"].rgb, found["head_1"], rtol=1e-5, atol=1e-6)


def test_a_block_is_a_convolution_whose_channels_become_pixels():
    model, params, _ = show(TINY)
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


def test_colors_are_a_sigmoid_or_a_tanh_between_zero_and_one():
    _, _, plain = show(TINY)
    _, _, squashed = show(TINY, sigmoid=True)
    x = np.arctanh(2 * plain["head_1"].astype(float) - 1)
    np.testing.assert_allclose(squashed["head_1"], 1 / (1 + np.exp(-x)), rtol=1e-4)


def test_instance_norm_leaves_each_channel_of_each_picture_with_mean_0_and_variance_1():
    model = dataclasses.replace(TINY, norm="in", activation="leaky")
    planes = jnp.asarray(np.random.default_rng(0).normal(3, 2, size=(2, 5, 8, 9)), jnp.float32)
    normed = convolution.to_nchw(model._normed({}, convolution.from_nchw(planes)))
    np.testing.assert_allclose(np.mean(normed, (2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.var(normed, (2, 3)), 1, rtol=1e-4)


def test_batch_norm_is_shown_and_not_trained():
    model, params, found = show(TINY, norm="bn")
    assert num_params(model) == num_params(TINY) + 4 * sum(b.fan_out for b in TINY.blocks())
    plain = {
        name: {leaf: x for leaf, x in layer.items() if leaf in ("kernel", "bias")}
        for name, layer in params[NETWORK][DECODER].items()
    }
    unnormed = TINY.predict({NETWORK: {DECODER: plain}}, jnp.asarray([0.0, 0.5]))
    np.testing.assert_allclose(found["head_1"], unnormed["head_1"].rgb, atol=1e-4)  # as it begins
    times, keys = jnp.zeros(2), jax.random.split(jax.random.key(0), 2)
    with pytest.raises(InvError, match=r"model\.norm='bn' can be shown but not trained"):
        model.predict(params, times, keys=keys)
    with pytest.raises(InvError, match="not trained"):
        model.check_views(cameras(12, 18), 2)


def test_a_row_is_a_view_and_its_input_the_time():
    assert TINY.rows is VIEWS
    times = jnp.asarray([0.25, 0.5])
    places = Places(cams=jnp.zeros(2, jnp.int32), times=times)
    np.testing.assert_array_equal(TINY.inputs(cameras(12, 18), places), times)


def test_pictures_of_a_batch_do_not_depend_on_each_other():
    for norm in ("none", "in"):
        model, params, both = show(TINY, norm=norm)
        for i, time in enumerate((0.0, 0.5)):
            one = model.predict(params, jnp.asarray([time]))["head_1"].rgb
            np.testing.assert_allclose(one[0], both["head_1"][i], rtol=1e-5, atol=1e-6)


def test_keys_change_nothing():
    model, params, found = show(TINY)
    keys = jax.random.split(jax.random.key(0), 2)
    again = model.predict(params, jnp.asarray([0.0, 0.5]), keys=keys)["head_1"].rgb
    np.testing.assert_allclose(again, found["head_1"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_lower_precision_shows_about_the_same(precision):
    _, _, exact = show(TINY)
    _, _, rough = show(TINY, precision=precision)
    np.testing.assert_allclose(rough["head_1"], exact["head_1"], atol=0.02)


@pytest.mark.parametrize(
    ("num_frames", "where", "message"),
    [
        (1, (12, 18, 1), "a clip of one frame has no time to learn.*data.num_frames"),
        (2, (12, 18, 3), "what one camera sees, and 3 would be trained on"),
        (
            2,
            (18, 12, 1),
            r"grid=\(2, 3\) .*strides=\(3, 2\).*12x18, .*18x12; .*data.height and data.width",
        ),
    ],
)
def test_what_it_cannot_show_is_refused_with_the_setting(num_frames, where, message):
    TINY.check_views(cameras(12, 18), 2)
    with pytest.raises(InvError, match=message) as error:
        TINY.check_views(cameras(*where), num_frames)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strides": ()}, r"model.strides=\(\)"),
        ({"strides": (2, 0)}, r"model.strides=\(2, 0\); want 1"),
        ({"grid": (2,)}, r"model.grid=\(2,\)"),
        ({"grid": (0, 2)}, "model.grid"),
        ({"channels": 0}, "model.channels=0"),
        ({"expansion": 0.1}, "model.expansion=0.1"),
        ({"reduction": 0}, "model.reduction=0"),
        ({"num_blocks": 0}, "model.num_blocks=0"),
        ({"stem_layers": -1}, "model.stem_layers=-1"),
        ({"activation": "sine"}, "model.activation='sine'.*hardswish"),
        ({"upsampling": "pool"}, "model.upsampling='pool'.*deconv"),
        ({"norm": "ln"}, "model.norm='ln'.*none, bn, in"),
        ({"precision": "float16"}, "model.precision='float16'"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings, message):
    with pytest.raises(InvError, match=message):
        dataclasses.replace(TINY, **settings)


@pytest.mark.parametrize(
    "name",
    ["1.25", "x_8", "1.25_0", "-1_4", "1.25_8_2", "", "2_129", "9_128", "1" + "0" * 300 + "_2"],
)
def test_a_name_of_no_encoding_is_refused(name):
    with pytest.raises(InvError, match=r"model\.embed="):
        TimeWaves.of(name)


def test_encodings_have_names():
    for name in ("1.25_40", "2_8", "none"):
        assert TimeWaves.of(name).name == name
    assert [TimeWaves.of(name).features for name in ("1.25_40", "none")] == [80, 1]


def test_the_model_of_the_settings_is_nerv_s():
    model = registry.make(compose(model="nerv", layout="video").model.to_dict())
    assert model == PUBLISHED


@pytest.mark.parametrize("upsampling", nerv.UPSAMPLINGS)
def test_state_dicts_come_and_go_without_a_bit_lost(upsampling):
    for settings in ({"norm": "bn"}, {"single_res": False, "stem_layers": 2}, {"num_blocks": 2}):
        model = dataclasses.replace(TINY, upsampling=upsampling, **settings)
        params = model.init(jax.random.key(0))
        state = convert_nerv.export_state_dict(params, model)
        back = convert_nerv.import_state_dict(state, model)
        jax.tree.map(np.testing.assert_array_equal, params, back)


def test_state_dicts_that_do_not_fit_are_refused():
    state = convert_nerv.export_state_dict(TINY.init(jax.random.key(0)), TINY)
    with pytest.raises(InvError, match="no place for extra"):
        convert_nerv.import_state_dict(state | {"extra.weight": np.zeros(1)}, TINY)
    with pytest.raises(InvError, match=r"has no stem.0.bias"):
        convert_nerv.import_state_dict({k: v for k, v in state.items() if k != "stem.0.bias"}, TINY)
    with pytest.raises(InvError, match="shape"):
        convert_nerv.import_state_dict(state | {"stem.0.weight": np.zeros((2, 2))}, TINY)


def compiled(model: Nerv, batch: int):
    """A step's loss and gradient, as the compiler sees it."""
    params = shapes_of(model)
    target = jax.ShapeDtypeStruct((batch, *model.size, 3), jnp.float32)

    def loss(params, times, target):
        return losses.get("l2")(model.predict(params, times), Batch(None, target, jnp.arange(1)))

    times = jax.ShapeDtypeStruct((batch,), jnp.float32)
    return jax.jit(jax.grad(loss)).lower(params, times, target).compile()


@pytest.mark.parametrize(
    "settings",
    [{}, {"activation": "relu"}, {"norm": "in"}, {"upsampling": "bilinear"}, {"single_res": False}],
)
def test_counts_are_about_the_compilers_of_the_librarys_convolutions(settings, monkeypatch):
    monkeypatch.setattr(convolution, "is_tiled", lambda: False)
    small = {"stem_width": 128, "channels": 24, "strides": (5, 2), "lower_width": 24}
    model = dataclasses.replace(PUBLISHED, **small, **settings)
    program = compiled(model, 1)
    cost = count.step(model, rows=1, rows_per_pass=1, roles=(DECODER,))
    flops = program.cost_analysis()["flops"]
    assert 0.9 * flops < cost.flops < 1.3 * flops
    found = program.memory_analysis().temp_size_in_bytes
    assert found / 1.5 < memory.activations(model, 1, (DECODER,)) < 2.0 * found


def test_a_step_at_640x360_has_the_products_of_its_layers():
    model = dataclasses.replace(PUBLISHED, strides=(5, 2, 2, 2))
    places = (9 * 16, 45 * 80, 90 * 160, 180 * 320)
    channels = ((26, 650), (26, 384), (96, 384), (96, 384))
    forward = sum(n * 9 * c * d for n, (c, d) in zip(places, channels, strict=True))
    forward += 80 * 512 + 512 * 9 * 16 * 26 + 360 * 640 * 96 * 3
    found = count.step(model, rows=1, rows_per_pass=1, roles=(DECODER,)).product_flops
    assert found == 2 * (3 * forward - 80 * 512)  # times have no gradient
    assert found == pytest.approx(145.8e9, rel=1e-3)
    assert count.image(model, rows=1, rows_per_chunk=1).product_flops == 2 * forward
