"""Rows that are whole views: an epoch shows each of them once, with its own camera and time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.sampling.rows import DYNAMIC
from inv_jax.sampling.views import VIEWS
from inv_jax.types import Batch, Cameras, Places, Views

NUM_VIEWS, HEIGHT, WIDTH = 11, 3, 4
BATCH = 4
STEPS = NUM_VIEWS // BATCH  # per epoch; a remainder of 3 views rests

jitted = jax.jit(VIEWS.sample, static_argnums=(0, 4, 7))


def inputs(cameras: Cameras, places: Places) -> Places:
    del cameras
    return places


def make_cameras() -> Cameras:
    return Cameras(
        jnp.tile(jnp.eye(3, 4), (3, 1, 1)),
        jnp.tile(jnp.eye(3), (3, 1, 1)),
        near=jnp.float32(0.0),
        far=jnp.float32(1.0),
        height=HEIGHT,
        width=WIDTH,
    )


def make_views() -> Views:
    rng = np.random.default_rng(0)
    return Views(
        images=rng.integers(0, 256, (NUM_VIEWS, HEIGHT, WIDTH, 3), np.uint8),
        index=np.int32(7),
        cams=np.arange(NUM_VIEWS, dtype=np.int32) % 3,
        times=np.arange(NUM_VIEWS, dtype=np.float32) / 16,
    )


def draw(step: int, ids=None, batch: int = BATCH, seed: int = 0, views: Views | None = None):
    ids = jnp.arange(batch) if ids is None else ids
    key, views = jax.random.key(seed), views or make_views()
    return jitted(inputs, key, jnp.int32(step), ids, batch, views, make_cameras(), "all")


def views_of(batch: Batch) -> np.ndarray:
    """Which view each row is, by its time."""
    return np.rint(16 * np.asarray(batch.inputs.times)).astype(int)


def epoch_of(number: int, seed: int = 0) -> list[int]:
    steps = range(number * STEPS, (number + 1) * STEPS)
    return [view for step in steps for view in views_of(draw(step, seed=seed))]


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_an_epoch_shows_views_without_replacement(epoch):
    found = epoch_of(epoch)
    assert len(found) == STEPS * BATCH > NUM_VIEWS - BATCH
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(NUM_VIEWS))


def test_epochs_and_segments_have_their_own_order_and_rest():
    orders = [epoch_of(0), epoch_of(1), epoch_of(0, seed=1)]
    assert len({tuple(order) for order in orders}) == 3
    rests = {frozenset(range(NUM_VIEWS)) - frozenset(epoch_of(n)) for n in range(4)}
    assert len(rests) > 1


def test_a_row_is_its_views_picture_camera_and_time():
    views, batch = make_views(), draw(1)
    which = views_of(batch)
    np.testing.assert_allclose(batch.target, views.images[which] / np.float32(255), rtol=1e-6)
    assert batch.target.dtype == jnp.float32
    np.testing.assert_array_equal(batch.inputs.cams, views.cams[which])
    assert batch.inputs.cols is batch.inputs.rows is batch.is_dynamic is None


def test_views_that_say_nothing_are_one_of_each_camera_at_the_beginning():
    plain = make_views().replace(cams=None, times=None)
    batch = draw(0, views=plain)
    pictures = [np.asarray(plain.images[cam] / np.float32(255)) for cam in batch.inputs.cams]
    np.testing.assert_allclose(batch.target, pictures, rtol=1e-6)
    np.testing.assert_array_equal(batch.inputs.times, 0.0)


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_devices_together_see_the_same_batch(num_devices):
    whole, share = draw(3), BATCH // num_devices
    parts = [draw(3, first + jnp.arange(share)) for first in range(0, BATCH, share)]
    together = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
    jax.tree.map(np.testing.assert_array_equal, together, whole)


def test_steps_and_keys_are_traced():
    before = jitted._cache_size()
    for step in (0, 6, 1000):
        draw(step, seed=step, batch=3)
    assert jitted._cache_size() == before + 1


def test_more_pictures_than_views_are_refused():
    assert sorted(views_of(draw(0, batch=NUM_VIEWS))) == list(range(NUM_VIEWS))
    with pytest.raises(ValueError, match=f"{NUM_VIEWS + 1} pictures a step.*{NUM_VIEWS} views"):
        draw(0, batch=NUM_VIEWS + 1)


def test_a_picture_has_no_regions():
    key, ids = jax.random.key(0), jnp.arange(BATCH)
    with pytest.raises(ValueError, match="cannot go through dynamic pixels alone"):
        VIEWS.sample(
            *(inputs, key, jnp.int32(0), ids, BATCH), make_views(), make_cameras(), DYNAMIC
        )


def test_a_view_has_one_row():
    assert VIEWS.in_view(HEIGHT, WIDTH) == 1
    places = VIEWS.places(make_cameras(), jnp.int32(2), jnp.float32(0.5), jnp.arange(1))
    np.testing.assert_array_equal(places.cams, [2])
    np.testing.assert_array_equal(places.times, [0.5])
    rows = np.arange(2 * HEIGHT * WIDTH).reshape(2, HEIGHT, WIDTH)
    np.testing.assert_array_equal(VIEWS.image(rows, HEIGHT, WIDTH), rows[0])
