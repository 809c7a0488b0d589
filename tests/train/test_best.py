"""The best params of a segment: when they are measured, what is kept, what is taken in the end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.models import registry
from inv_jax.settings import compose
from inv_jax.train import best
from inv_jax.train.best import Best, Moments
from inv_jax.types import Cameras, InvError, Views


def due(moments: Moments, epochs: int, steps_per_epoch: int) -> list[int]:
    """The steps, of all, after which params are measured."""
    total = epochs * steps_per_epoch
    at = jax.jit(moments.are_at, static_argnums=2)
    steps = range(1, total + 1)
    return [n for n in steps if at(jnp.int32(n), jnp.int32(total), steps_per_epoch)]


def test_moments_are_those_of_the_original():
    expected = [50, 100, *range(142, 151)]  # every 50 epochs, and in the last 9 of 150
    assert due(Moments(50, 9), 150, 1) == expected
    assert due(Moments(50, 9), 150, 3) == [3 * epoch for epoch in expected]


def test_the_last_step_always_is_one():
    assert due(Moments(4, 0), 6, 2) == [8, 12]
    assert due(Moments(0, 1), 3, 2) == [6]


@pytest.mark.parametrize("numbers", [(0, 0), (-1, 2), (2, -1)])
def test_moments_that_cannot_be_are_refused(numbers):
    with pytest.raises(InvError, match=r"train\.best_every=.*want epochs, 0 or more"):
        Moments(*numbers)


@pytest.fixture(scope="module")
def model():
    settings = compose(model="image", layout="video").model.to_dict()
    return registry.make({**settings, "width": 8, "depth": 2, "structure_layers": 1})


def views() -> tuple[Views, Cameras]:
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), np.uint8)
    eye = np.eye(4, dtype=np.float32)
    cameras = Cameras(
        cam_to_world=jnp.asarray(np.stack([eye[:3], eye[:3]])),
        intrinsics=jnp.asarray(np.stack([eye[:3, :3]] * 2)),
        near=jnp.float32(0.1),
        far=jnp.float32(1.0),
        height=6,
        width=8,
    )
    return Views(images=jnp.asarray(images), index=jnp.int32(1)), cameras


def test_psnr_is_the_mean_over_views(model):
    params, (shown, cameras) = model.init(jax.random.key(0)), views()

    @jax.jit
    def of(params):
        rows = jnp.arange(48)
        found = []
        for cam in range(2):
            places = model.rows.places(cameras, jnp.int32(cam), jnp.float32(0), rows)
            rgb = list(model.predict(params, model.inputs(cameras, places)).values())[-1].rgb
            error = jnp.square(rgb - shown.images[cam].reshape(48, 3) / 255.0)
            found.append(-10.0 * jnp.log10(jnp.mean(error)))
        return sum(found) / 2

    measured = jax.jit(best.psnr, static_argnums=0)(model, params, shown, cameras)
    np.testing.assert_allclose(measured, of(params), rtol=1e-5)


def test_the_better_ones_are_kept_whole(model):
    shown, cameras = views()
    better = jax.jit(best.better, static_argnums=1)
    first, second = model.init(jax.random.key(0)), model.init(jax.random.key(1))
    found = [better(best.nothing(model), model, p, shown, cameras) for p in (first, second)]
    worse, good = sorted(found, key=lambda one: float(one.psnr))
    assert np.isfinite(worse.psnr)
    assert worse.psnr < good.psnr
    for known, new in ((worse, good), (good, worse)):
        result: Best = better(known, model, new.params, shown, cameras)
        np.testing.assert_array_equal(result.psnr, good.psnr)
        jax.tree.map(np.testing.assert_array_equal, result.params, good.params)
