"""Losses against their formulas, slow twins, and the original's numbers."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.sampling.rays import RAYS, regions
from inv_jax.sampling.views import VIEWS
from inv_jax.train import losses
from inv_jax.types import Batch, InvError, Rendering, Views


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


@pytest.mark.parametrize("name", ["mse", "huber", "l1", "l2"])
def test_a_perfect_prediction_costs_nothing_and_pulls_nowhere(name):
    _, batch = make_batch()
    value, gradient = jax.value_and_grad(
        lambda rgb: losses.get(name)({"fine": rendering(rgb)}, batch)
    )(batch.target)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("mse", lambda e: 2 * e),
        ("huber", lambda e: np.clip(e, -0.001, 0.001)),
        ("l1", np.sign),
    ],
)
def test_gradients_equal_the_slope_of_the_formula(name, slope):
    colors, batch = make_batch()
    error = colors["fine"].astype(float) - np.asarray(batch.target, float)
    gradient = jax.grad(lambda rgb: losses.get(name)({"fine": rendering(rgb)}, batch))(
        jnp.asarray(colors["fine"])
    )
    np.testing.assert_allclose(gradient, slope(error) / error.size, rtol=1e-3, atol=1e-8)


def test_delta_is_where_huber_turns_linear():
    for delta in (0.1, 1.0):
        for error in (0.5 * delta, delta, 3.0 * delta):
            ours = losses.huber(jnp.full((1, 3), error), jnp.zeros((1, 3)), delta)
            np.testing.assert_allclose(ours, loop_huber(error, delta), rtol=1e-5)


def test_an_unknown_loss_is_refused_and_the_known_ones_named():
    with pytest.raises(InvError, match=r"train\.loss='l3'.*fusion6, .*huber, l1, l2, mse, ssim"):
        losses.get("l3")


# What the sums of NeRV's losses are, `--loss_type` by `--loss_type`: parts of L1, L2, 1 - SSIM and
# 1 - MS-SSIM.
FUSIONS = {
    "l1": (1, 0, 0, 0),
    "l2": (0, 1, 0, 0),
    "mse": (0, 1, 0, 0),
    "ssim": (0, 0, 1, 0),
    "fusion1": (0, 0.3, 0.7, 0),
    "fusion2": (0.3, 0, 0.7, 0),
    "fusion3": (0, 0.5, 0.5, 0),
    "fusion4": (0.5, 0, 0.5, 0),
    "fusion5": (0, 0.7, 0.3, 0),
    "fusion6": (0.7, 0, 0.3, 0),
    "fusion7": (0.3, 0.7, 0, 0),
    "fusion8": (0.5, 0.5, 0, 0),
    "fusion9": (0.9, 0, 0.1, 0),
    "fusion10": (0.7, 0, 0, 0.3),
    "fusion11": (0.9, 0, 0, 0.1),
    "fusion12": (0.8, 0, 0, 0.2),
}


def slow_maps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast part of every 11x11 window, in float64."""
    taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    one, two = (
        np.lib.stride_tricks.sliding_window_view(p.astype(float), (11, 11), (1, 2)) for p in (a, b)
    )
    mean = lambda values: np.einsum("...yx,yx->...", values, window)  # noqa: E731
    m1, m2 = mean(one), mean(two)
    v1, v2, cov = (mean(p * q) - mean(p) * mean(q) for p, q in ((one, one), (two, two), (one, two)))
    contrast = (2 * cov + 9e-4) / (v1 + v2 + 9e-4)
    return (2 * m1 * m2 + 1e-4) / (m1**2 + m2**2 + 1e-4) * contrast, contrast


def slow_ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    exponents, made = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333), 1.0
    for scale, exponent in enumerate(exponents):
        ssim, contrast = (m.mean((1, 2)) for m in slow_maps(a, b))
        made = made * np.maximum(ssim if scale == 4 else contrast, 0) ** exponent
        a, b = (halved(p) for p in (a, b))
    return float(np.mean(made))


def halved(p: np.ndarray) -> np.ndarray:
    batch, height, width, channels = p.shape
    odd = height % 2, width % 2  # the original's pooling has a row of zeros in front of odd sides
    p = np.pad(p, ((0, 0), (odd[0], odd[0]), (odd[1], odd[1]), (0, 0)))
    p = p[:, : p.shape[1] // 2 * 2, : p.shape[2] // 2 * 2]
    return p.reshape(batch, p.shape[1] // 2, 2, p.shape[2] // 2, 2, channels).mean((2, 4))


def pictures(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A target of waves, and a noisy, darker copy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / 9.0
    target = 0.5 + 0.3 * np.stack([np.sin(x + y), np.cos(y), np.sin(x)], -1)
    shown = 0.9 * target + 0.05 * rng.normal(size=target.shape)
    return shown[None].astype(np.float32), target[None].astype(np.float32)


def of_pictures(name: str, shown: dict[str, np.ndarray], target: np.ndarray, **settings):
    batch = Batch(inputs=None, target=jnp.asarray(target), ids=jnp.arange(len(target)))
    heads = {head: Rendering(rgb=jnp.asarray(rgb)) for head, rgb in shown.items()}
    return jax.jit(losses.get(name, **settings))(heads, batch)


@pytest.fixture(scope="module")
def parts() -> dict[int, tuple[float, ...]]:
    """L1, L2, 1 - SSIM and 1 - MS-SSIM of `pictures`, by twins; of a small and a large size."""
    found = {}
    for side in (20, 164):
        shown, target = pictures(side, side + 5)
        error = shown.astype(float) - target
        ssim = 1 - slow_maps(shown, target)[0].mean()
        ms_ssim = 1 - slow_ms_ssim(shown, target) if side > 160 else np.nan
        found[side] = np.abs(error).mean(), np.square(error).mean(), ssim, ms_ssim
    return found


@pytest.mark.parametrize("name", FUSIONS)
def test_every_loss_is_the_sum_of_its_slow_parts(name, parts):
    side = 164 if FUSIONS[name][3] else 20
    shown, target = pictures(side, side + 5)
    wanted = sum(w * part for w, part in zip(FUSIONS[name], parts[side], strict=True) if w)
    ours = of_pictures(name, {"head": shown}, target)
    np.testing.assert_allclose(ours, wanted, rtol=1e-4)


def test_all_losses_are_here():
    assert set(losses.LOSSES) == {*FUSIONS, "huber"}


def test_a_smaller_head_is_compared_with_a_pooled_target():
    shown, target = pictures(24, 22)
    small = shown[:, ::2, ::2]
    whole = of_pictures("fusion6", {"head": shown}, target)
    pooled = target.reshape(1, 12, 2, 11, 2, 3).mean((2, 4))
    first = of_pictures("fusion6", {"head": small}, pooled)
    for weight in (1.0, 0.25):
        both = of_pictures("fusion6", {"a": small, "b": shown}, target, head_weight=weight)
        np.testing.assert_allclose(both, weight * first + whole, rtol=1e-5)


def test_a_batch_is_the_mean_of_its_pictures():
    shown, target = pictures(20, 18)
    more, others = np.concatenate([shown, target]), np.concatenate([target, target])
    for name in ("fusion6", "l1", "ssim"):
        one = of_pictures(name, {"head": shown}, target)
        np.testing.assert_allclose(of_pictures(name, {"head": more}, others), one / 2, rtol=1e-4)


def test_losses_and_gradients_equal_the_originals(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "losses_metrics.npz")
    shown, target = (
        jnp.asarray(arrays[name].transpose(1, 2, 0)[None].astype(np.float32) / np.float32(255))
        for name in ("pred_u8", "target_u8")
    )
    names = [name.removeprefix("loss/") for name in arrays.files if name.startswith("loss/")]
    assert len(names) == 15
    # Each term once: compiling the 15 sums takes far longer.
    terms = {term for name in names for _, term in losses.LOSSES[name.lower()]}
    found = {
        term: jax.jit(jax.value_and_grad(lambda rgb, term=term: term.of(rgb, target)))(shown)
        for term in terms
    }
    for name in names:
        parts = [(weight, *found[term]) for weight, term in losses.LOSSES[name.lower()]]
        value = sum(weight * value for weight, value, _ in parts)
        gradient = sum(weight * gradient for weight, _, gradient in parts)
        close = lambda ours, theirs, floor, name=name: np.testing.assert_allclose(  # noqa: E731
            ours, theirs, rtol=1e-4, atol=floor, err_msg=name
        )
        close(value, arrays[f"loss/{name}"], 1e-5)
        close(np.abs(gradient).sum(dtype=np.float64), arrays[f"gradsum_abs/{name}"], 1e-5)
        theirs = arrays[f"grad_patch/{name}"]
        patch = np.asarray(gradient)[0, 60:66, 70:76].transpose(2, 0, 1)
        close(patch, theirs, 1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_what_compares_pictures_is_refused_for_rays(name):
    loss = losses.get(name)
    assert loss.wants_pictures == any(FUSIONS[name][2:])
    loss.check(VIEWS, 161, 161)
    if not loss.wants_pictures:
        loss.check(RAYS, 3, 3)
        return
    with pytest.raises(InvError, match=rf"train.loss='{name}' compares whole pictures.*rays.*l1"):
        loss.check(RAYS, 500, 500)


@pytest.mark.parametrize(("name", "least"), [("fusion6", 11), ("ssim", 11), ("fusion10", 161)])
def test_pictures_that_are_too_small_are_refused(name, least):
    loss = losses.get(name)
    assert loss.least_side == least
    loss.check(VIEWS, least, 1000)
    with pytest.raises(InvError, match=rf"'{name}' wants pictures of {least} pixels.*{least - 1}x"):
        loss.check(VIEWS, least - 1, 1000)
    small = np.zeros((1, least - 1, 200, 3), np.float32)
    with pytest.raises(InvError, match="wants pictures"):
        of_pictures(name, {"head": small}, small)


def test_a_head_weight_below_zero_is_refused():
    with pytest.raises(InvError, match=r"train\.head_weight=-1"):
        losses.get("l1", head_weight=-1.0)


def split_rays(num: int = 12) -> tuple[dict[str, Rendering], Batch, Views]:
    """What the dynamic field shows at all pixels of a frame, a third of which move."""
    rng = np.random.default_rng(1)
    is_dynamic = np.arange(num) % 3 == 0
    layer = Rendering(
        jnp.asarray(rng.uniform(size=(num, 3))), acc=jnp.asarray(rng.uniform(size=num))
    )
    blend = Rendering(rgb=jnp.zeros((num, 3)), layers={"dynamic": layer})
    frame = Views(np.zeros((1, 1, num, 3), np.uint8), 1, regions=regions(is_dynamic[None, None]))
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
