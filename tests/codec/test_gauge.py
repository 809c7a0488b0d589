"""The gauge on rays and on pictures: deterministic, and right about what matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.assembly import build
from inv_jax.codec import rate
from inv_jax.codec.base import Layout
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.gauge import KeenGauge, PictureGauge
from inv_jax.data import capture as capture_lib
from inv_jax.sampling.views import VIEWS
from inv_jax.types import Rendering

_NUM_RAYS = 96


@pytest.fixture(scope="module")
def scene(tiny_capture):
    """A model, its params and cameras; the field is made dense, so that colors differ."""
    from configs import base

    config = base.get_config()
    with config.unlocked():
        config.model.update(width=8, depth=2, structure_layers=1, coarse_samples=4, fine_samples=4)
    nerf = build.model(config)
    shots = capture_lib.open_capture(
        "n3dv", tiny_capture(), factor=2, first_frame=1, num_frames=1, holdout=(0,), near=0.2,
        ndc=True, pixel_center=0.0,
    )  # fmt: skip
    params = nerf.init(jax.random.key(0))
    params["fine"]["color"]["density"]["bias"] += 2.0
    params["coarse"]["color"]["density"]["bias"] += 2.0
    return nerf, params, shots.cameras


@pytest.fixture(scope="module")
def gauge(scene) -> PictureGauge:
    nerf, params, cameras = scene
    return PictureGauge(nerf, cameras, params, num_rows=_NUM_RAYS, rows_per_pass=32)


@pytest.fixture(scope="module")
def leaves(scene):
    return Layout.of(scene[1], "structure").pick(scene[1])


def _shaken(leaves, path: str, amplitude: float, seed: int = 0):
    noise = np.random.default_rng(seed).normal(size=leaves[path].shape)
    return dict(leaves) | {path: (leaves[path] + amplitude * noise).astype(np.float32)}


_KERNEL = "fine/structure/layer_0/kernel"


def test_equal_params_make_equal_pictures(gauge, leaves):
    assert gauge.mse(leaves, leaves) == 0.0


def test_the_same_question_has_the_same_answer_in_another_gauge(scene, gauge, leaves):
    nerf, params, cameras = scene
    changed = _shaken(leaves, _KERNEL, 0.1)
    first = gauge.mse(leaves, changed)
    again = PictureGauge(nerf, cameras, params, num_rows=_NUM_RAYS, rows_per_pass=32)
    assert first > 0
    assert again.mse(leaves, changed) == first == gauge.mse(leaves, changed)


def test_the_true_picture_is_not_kept_beyond_its_params(gauge, leaves):
    changed = _shaken(leaves, _KERNEL, 0.1)
    there, back = gauge.mse(leaves, changed), gauge.mse(changed, leaves)
    assert there == back
    leaves_in_place = {path: leaf.copy() for path, leaf in leaves.items()}
    gauge.mse(leaves_in_place, changed)
    leaves_in_place[_KERNEL][:] = changed[_KERNEL]
    assert gauge.mse(leaves_in_place, changed) == 0.0


def test_keenness_predicts_the_error_of_small_changes(gauge, leaves):
    """Of independent changes with the same spread: in the mean over many, where keen is large."""
    assert isinstance(gauge, KeenGauge)
    keen = gauge.keenness(leaves)[_KERNEL]
    assert keen.mean() == pytest.approx(1.0)
    order = np.argsort(keen.ravel())
    errors = []
    for places in (order[: keen.size // 4], order[-keen.size // 4 :]):
        found = []
        for seed in range(6):
            noise = np.zeros(keen.size)
            noise[places] = 1e-2 * np.random.default_rng(seed).normal(size=places.size)
            change = leaves[_KERNEL] + noise.reshape(keen.shape)
            changed = dict(leaves) | {_KERNEL: change.astype(np.float32)}
            found.append(gauge.mse(leaves, changed))
        errors.append(np.mean(found))
    low, high = errors
    assert high > 2 * low


def test_leaves_that_no_one_changes_come_from_the_params_that_were_shown(scene, leaves):
    nerf, params, cameras = scene
    gauge = PictureGauge(nerf, cameras, params, num_rows=_NUM_RAYS, rows_per_pass=32)
    before = gauge.picture(leaves)
    gauge.show(jax.tree.map(lambda x: x * 0.5, params))
    assert np.abs(gauge.picture(leaves) - before).max() > 1e-3


def test_an_encoder_holds_the_fidelity_in_the_picture(scene, gauge, leaves):
    layout = Layout.of(scene[1], "structure")
    encoder = DeltaCodec(fidelity=45.0).encoder(layout, gauge)
    for frame in range(3):
        moved = _shaken(leaves, _KERNEL, 0.02 * frame)
        encoder.push(frame, moved)
        assert -10 * np.log10(gauge.mse(moved, encoder.decoded())) > 44.7
    weights = layout.unravel(rate.importance(layout, leaves, gauge, 1e-4))
    coarse, fine = (weights[f"{name}/structure/layer_0/kernel"] for name in ("coarse", "fine"))
    assert fine.mean() > coarse.mean()


class _Clip:
    """A stub of a decoder: a picture is a color that fades with time, brighter from row to row."""

    rows = VIEWS

    def inputs(self, cameras, places):
        assert places.cols is None and places.rows is None
        return places.times, places.cams, jnp.linspace(0.1, 1.0, cameras.height)

    def predict(self, params, inputs):
        times, cams, heights = inputs
        color = params["net"]["own"]["layer_0"]["kernel"]
        color = color * (1.0 - times[:, None]) + cams[:, None]
        large = jnp.einsum("bc,h,w->bhwc", color, heights, jnp.ones(16))
        return {"low": Rendering(rgb=large[:, ::2, ::2]), "high": Rendering(rgb=large)}


def test_whole_pictures_at_times_all_over_the_segment(scene):
    """The mean error of a color is that of its pictures, times and heights on average."""
    _, _, cameras = scene
    leaves = {"net/own/layer_0/kernel": np.ones((1, 3), np.float32)}
    params = {"net": {"own": {"layer_0": {"kernel": np.ones((1, 3), np.float32)}}}}
    gauge = PictureGauge(_Clip(), cameras, params, num_frames=8)
    assert gauge.picture(leaves).shape == (11 * 12 * 16, 3)  # so many hold 2048 pixels
    few = PictureGauge(_Clip(), cameras, params, num_frames=8, num_rows=4)
    changed = {path: leaf + np.float32(0.5) for path, leaf in leaves.items()}
    times, heights = np.float64([1, 3, 5, 7]) / 8, np.linspace(0.1, 1.0, 12)
    wanted = 0.25 * np.mean((1 - times) ** 2) * np.mean(heights**2)
    assert few.mse(leaves, changed) == pytest.approx(wanted, rel=1e-5)
    assert few.mse(leaves, leaves) == 0.0
    keen = few.keenness(leaves)["net/own/layer_0/kernel"]
    assert keen.shape == (1, 3) and keen.mean() == pytest.approx(1.0) and keen.min() >= 0
    frame = PictureGauge(_Clip(), cameras, params, num_rows=2)
    assert frame.mse(leaves, changed) == pytest.approx(0.25 * np.mean(heights**2), rel=1e-5)
