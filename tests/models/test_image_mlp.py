"""The network of a picture: the original's four, coordinates, roles, what it costs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from inv_jax import params as params_lib
from inv_jax.cost import count, memory
from inv_jax.models import convert, linear, registry
from inv_jax.models.encodings import GaussianFourier, Octaves
from inv_jax.models.image_mlp import ImageMlp
from inv_jax.types import Cameras, InvError, Places

FOUR = [(a, e) for a in ("mlp", "siren") for e in ("posenc", "fourier")]
SMALL = ImageMlp(Octaves(2), width=8, depth=3)


@dataclasses.dataclass(frozen=True)
class Recorded(GaussianFourier):
    """The frequencies of a fixture: `num` is their number, whatever they are."""

    values: tuple = ()

    def frequencies(self) -> np.ndarray:
        return np.array(self.values, np.float32).T


def original(parity, activation: str, encoding: str):
    arrays = np.load(parity / "inv" / f"image_{activation}_{encoding}.npz")
    recorded = tuple(map(tuple, arrays["fourier_B"].tolist()))
    model = ImageMlp(
        Octaves(10) if encoding == "posenc" else Recorded(24, 10.0, values=recorded),
        width=32,
        activation="siren" if activation == "siren" else "relu",
    )
    state = {name[6:]: arrays[name] for name in arrays.files if name.startswith("param/")}
    return model, arrays, state


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("activation", "encoding"), FOUR)
def test_the_four_networks_are_the_originals(parity, monkeypatch, activation, encoding, axis):
    monkeypatch.setattr(linear, "features_axis", lambda: axis)
    model, arrays, state = original(parity, activation, encoding)
    template = jax.eval_shape(model.init, jax.random.key(0))
    params = convert.import_state_dicts({"image": state}, template)
    points = jnp.asarray(arrays["grid"])

    @jax.jit
    def show(params, points):
        encoded = model.encoding.encode(linear.as_matrix(points, axis), axis)
        shape = points.shape[:-1]
        return linear.as_points(encoded, shape, axis), model.predict(params, points)["image"].rgb

    encoded, outputs = show(params, points)
    # Angles of the Fourier features are up to 170: there float32 has steps of 1.5e-5.
    tolerance = 3e-5 if encoding == "fourier" else 1e-6
    np.testing.assert_allclose(encoded, arrays["encoded"], atol=tolerance)
    expected = arrays["outputs"]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("activation", ["mlp", "siren"])
def test_state_dicts_of_the_original_come_back(parity, activation):
    model, _, state = original(parity, activation, "posenc")
    params = convert.import_state_dicts(
        {"image": state}, jax.eval_shape(model.init, jax.random.key(0))
    )
    back = convert.export_state_dicts(params, is_siren=activation == "siren")["image"]
    assert back.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array)


def test_a_wave_has_the_gradient_of_the_sine():
    x = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
    found = jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(linear.sine(x, 30.0, "float32")))))(x)
    np.testing.assert_allclose(found, 30.0 * np.sin(60.0 * np.asarray(x)), rtol=1e-4, atol=1e-4)


def test_coordinates_go_from_the_first_pixel_to_the_last():
    rows, cols = np.meshgrid(np.arange(3), np.arange(5), indexing="ij")
    found = SMALL.inputs(cameras(3, 5), places(cols, rows))
    expected = np.stack(
        np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 5), indexing="ij"), axis=-1
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_row_of_one_pixel_is_at_zero():
    found = SMALL.inputs(cameras(1, 2), places(np.arange(2), np.zeros(2, int)))
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])


def places(cols: np.ndarray, rows: np.ndarray) -> Places:
    zeros = jnp.zeros(rows.shape, jnp.int32)
    return Places(zeros, jnp.zeros(rows.shape), *map(jnp.asarray, (cols, rows)))


def cameras(height: int, width: int, count: int = 1) -> Cameras:
    pose, one = np.tile(np.eye(3, 4), (count, 1, 1)), np.tile(np.eye(3), (count, 1, 1))
    return Cameras(pose, one, np.float32(0), np.float32(1), height=height, width=width)


def test_the_first_layers_are_structure():
    params = jax.eval_shape(dataclasses.replace(SMALL, structure_layers=2).init, jax.random.key(0))
    assert list(params["image"]["structure"]) == ["layer_0", "layer_1"]
    assert sorted(params["image"]["color"]) == ["layer_2", "rgb"]
    assert params_lib.layer_numbers(params) == {"layer_0": 0, "layer_1": 1, "layer_2": 2, "rgb": 3}


def test_params_start_within_the_originals_bounds():
    model = ImageMlp(Octaves(10), width=64, depth=2, activation="siren", w0=30.0)
    leaves = params_lib.flatten(model.init(jax.random.key(0)))
    first, middle = (
        np.abs(leaves[f"image/{name}/kernel"]) for name in ("structure/layer_0", "color/layer_1")
    )
    assert 0.95 / 42 < first.max() <= 1 / 42
    assert 0.95 * np.sqrt(6 / 64) / 30 < middle.max() <= np.sqrt(6 / 64) / 30


def test_random_frequencies_are_the_same_everywhere():
    encoding = GaussianFourier(256, 10.0)
    found = encoding.frequencies()
    assert found.shape == (2, 256) and encoding.features == 512
    # Numbers of numpy's RandomState(0), which are frozen.
    np.testing.assert_allclose(found[:, 0], [17.640524, 4.001572], rtol=1e-6)
    assert 9.0 < found.std() < 11.0
    assert not np.array_equal(found, dataclasses.replace(encoding, seed=1).frequencies())


@pytest.mark.parametrize(
    ("roles", "flops"),
    [
        # Layers are 10 -> 8 -> 8 -> 8 -> 3; the coordinates have no gradient.
        (SMALL.roles.all, 2 * (80 + 64 + 64 + 24) + (64 + 64 + 24)),
        ((params_lib.STRUCTURE,), (80 + 64 + 64 + 24) + 80 + (64 + 64 + 24)),
        ((), 80 + 64 + 64 + 24),
    ],
)
def test_counted_products_are_those_of_the_layers(roles, flops):
    counted = count.step(SMALL, rows=7, rows_per_pass=7, roles=roles)
    assert counted.product_flops == 2 * 7 * flops
    assert count.num_params(SMALL, SMALL.roles.all) == 80 + 64 + 64 + 24 + 3 * 8 + 3


@pytest.mark.parametrize("activation", ["relu", "siren"])
def test_counted_memory_is_the_compilers(activation):
    model = ImageMlp(Octaves(4), width=64, depth=3, activation=activation)
    points = jnp.ones((512, 2))

    def loss(params):
        return jnp.sum(jnp.square(model.predict(params, points)["image"].rgb))

    params = jax.eval_shape(model.init, jax.random.key(0))
    found = jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes
    assert found / 2 < memory.activations(model, 512, model.roles.all) < 2 * found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "imag"}, "models are grid, image, joint, nerf"),
        ({"encoding": "waves"}, "fourier, none, octaves"),
        ({"activation": "tanh"}, "relu, siren"),
        ({"w0": 0.0}, "model.w0"),
        ({"position_octaves": 129}, "0 to 128"),
        ({"encoding": "fourier", "fourier_features": 0}, "fourier_features"),
        ({"encoding": "fourier", "fourier_scale": float("nan")}, "fourier_scale"),
        ({"encoding": "fourier", "fourier_seed": -1}, "fourier_seed"),
        ({"structure_layers": 5}, "choose 0 to 4"),
        ({"width": 0}, "model.width"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes, message):
    settings = base.get_config("image").model.to_dict() | {"depth": 4} | changes
    with pytest.raises(InvError, match=message):
        registry.make(settings)


def test_pictures_of_several_cameras_are_refused():
    SMALL.check_views(cameras(3, 5), 1)
    with pytest.raises(InvError, match="what one camera sees, and 2 would be trained on"):
        SMALL.check_views(cameras(3, 5, 2), 1)


def test_clips_are_refused():
    with pytest.raises(InvError, match=r"train\.segment_frames=4: .* set train\.segment_frames=1"):
        SMALL.check_views(cameras(3, 5), 4)


def test_bfloat16_shows_nearly_the_same_picture():
    model = ImageMlp(Octaves(0), width=32, depth=1, activation="siren")
    params = model.init(jax.random.key(1))
    points = jnp.asarray(np.random.default_rng(0).random((64, 2), np.float32))
    narrow, wide = (
        jax.jit(dataclasses.replace(model, precision=name).predict)(params, points)["image"].rgb
        for name in ("bfloat16", "float32")
    )
    np.testing.assert_allclose(narrow, wide, atol=0.02)
