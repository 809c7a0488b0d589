"""Losses against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.sampling.rays import regions
from inv_jax.train import losses
from inv_jax.types import Batch, Frame, InvError, Rendering


def rendering(rgb) -> Rendering:
    rgb = jnp.asarray(rgb)
    none = jnp.zeros(rgb.shape[:1])
    return Rendering(rgb=rgb, acc=none, depth=none, disparity=none, weights=none)


def make_batch(num: int = 6) -> tuple[dict[str, np.ndarray], Batch]:
    rng = np.random.default_rng(0)
    target = rng.uniform(size=(num, 3)).astype(np.float32)
    scale = 10.0 ** rng.uniform(-5, 0, (2, num, 3))  # on both sides of Huber's delta
    colors = (target + scale * rng.choice([-1, 1], scale.shape)).astype(np.float32)
    batch = Batch(inputs=None, target=jnp.asarray(target), ids=jnp.arange(num))
    return {"coarse": colors[0], "fine": colors[1]}, batch


def predictions(colors: dict[str, np.ndarray]) -> dict[str, Rendering]:
    return {name: rendering(rgb) for name, rgb in colors.items()}


def loop_mse(error: float) -> float:
    return error**2


def loop_huber(error: float, delta: float = 0.001) -> float:
    if abs(error) <= delta:
        return 0.5 * error**2
    return delta * (abs(error) - 0.5 * delta)


@pytest.mark.parametrize(("name", "penalty"), [("mse", loop_mse), ("huber", loop_huber)])
def test_losses_are_means_over_rays_and_channels_summed_over_networks(name, penalty):
    colors, batch = make_batch()
    errors = [rgb.astype(float) - np.asarray(batch.target, float) for rgb in colors.values()]
    small = np.abs(errors[0]) < 0.001
    assert small.any()
    assert not small.all()
    expected = sum(np.mean([penalty(e) for e in error.reshape(-1)]) for error in errors)
    ours = losses.get(name)(predictions(colors), batch)
    assert ours.shape == ()
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["mse", "huber"])
def test_a_perfect_prediction_costs_nothing_and_pulls_nowhere(name):
    _, batch = make_batch()
    value, gradient = jax.value_and_grad(
        lambda rgb: losses.get(name)({"fine": rendering(rgb)}, batch)
    )(batch.target)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    ("name", "slope"),
    [("mse", lambda e: 2 * e), ("huber", lambda e: np.clip(e, -0.001, 0.001))],
)
def test_gradients_equal_the_slope_of_the_formula(name, slope):
    colors, batch = make_batch()
    error = colors["fine"].astype(float) - np.asarray(batch.target, float)
    gradient = jax.grad(lambda rgb: losses.get(name)({"fine": rendering(rgb)}, batch))(
        jnp.asarray(colors["fine"])
    )
    np.testing.assert_allclose(gradient, slope(error) / error.size, rtol=1e-3, atol=1e-8)


def test_delta_is_where_huber_turns_linear():
    batch = Batch(inputs=None, target=jnp.zeros((1, 3)), ids=jnp.arange(1))
    for delta in (0.1, 1.0):
        for error in (0.5 * delta, delta, 3.0 * delta):
            ours = losses.huber({"fine": rendering(jnp.full((1, 3), error))}, batch, delta)
            np.testing.assert_allclose(ours, loop_huber(error, delta), rtol=1e-5)


def test_an_unknown_loss_is_refused_and_the_known_ones_named():
    with pytest.raises(InvError, match=r"train\.loss='l1'.*huber, mse"):
        losses.get("l1")


def split_rays(num: int = 12) -> tuple[dict[str, Rendering], Batch, Frame]:
    """What the dynamic field shows at all pixels of a frame, a third of which move."""
    rng = np.random.default_rng(1)
    is_dynamic = np.arange(num) % 3 == 0
    layer = Rendering(
        jnp.asarray(rng.uniform(size=(num, 3))), acc=jnp.asarray(rng.uniform(size=num))
    )
    blend = Rendering(rgb=jnp.zeros((num, 3)), layers={"dynamic": layer})
    frame = Frame(np.zeros((1, 1, num, 3), np.uint8), 1, regions(is_dynamic[None, None]))
    zeros = jnp.zeros((num, 3))
    batch = Batch(None, zeros, jnp.arange(num), is_dynamic=jnp.asarray(is_dynamic))
    return {"coarse": blend, "fine": blend}, batch, frame


def test_emptiness_is_the_mean_of_colors_and_opacity_on_static_pixels():
    shown, batch, frame = split_rays()
    layer, static = shown["fine"].layers["dynamic"], ~np.asarray(batch.is_dynamic)
    colors, opacity = np.asarray(layer.rgb)[static].mean(), np.asarray(layer.acc)[static].mean()
    wanted = 2 * (0.01 * colors + 0.003 * opacity)  # of both networks
    assert losses.Emptiness()(shown, batch, frame) == pytest.approx(wanted, rel=1e-5)


def test_emptiness_adds_up_over_passes():
    shown, batch, frame = split_rays()
    half = lambda tree, i: jax.tree.map(lambda x: x.reshape(2, 6, *x.shape[1:])[i], tree)  # noqa: E731
    parts = [losses.Emptiness()(half(shown, i), half(batch, i), frame) for i in range(2)]
    assert np.mean(parts) == pytest.approx(float(losses.Emptiness()(shown, batch, frame)), rel=1e-5)


@pytest.mark.parametrize("weights", [{"rgb": -1.0}, {"acc": float("nan")}])
def test_emptiness_of_a_weight_below_zero_is_an_error(weights):
    with pytest.raises(InvError, match="want 0 or more"):
        losses.Emptiness(**weights)
