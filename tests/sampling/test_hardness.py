"""Hard rays: who wins a tournament, what is noted, and that rows know themselves by id alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.sampling.hardness import Hardness, HardRows, encode
from inv_jax.sampling.permutation import permute
from inv_jax.sampling.rays import RAYS
from inv_jax.sampling.rows import DYNAMIC
from inv_jax.sampling.views import ViewRows
from inv_jax.types import Batch, Cameras, InvError, Places, Views

NUM_CAMS, HEIGHT, WIDTH = 3, 5, 7
NUM_PIXELS = NUM_CAMS * HEIGHT * WIDTH
BATCH, EVEN = 16, 10
HARD = HardRows(share=0.375, candidates=4, change=4.0)


def make_hardness(rows: HardRows = HARD) -> Hardness:
    """All errors differ."""
    errors = np.random.default_rng(0).permutation(NUM_PIXELS).astype(np.uint8)
    return Hardness(jnp.asarray(errors), rows)


draw = jax.jit(Hardness.draw)


# Tournaments.


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [(16, 0.375, 10), (16, 0.5, 8), (1, 0.9, 1), (10, 0.99, 1), (32, 0.01, 32), (1024, 0.5, 512)],
)
def test_even_rows_are_the_rest_and_one_at_least(rows, share, expected):
    assert make_hardness(HardRows(share=share)).num_even(rows) == expected


def test_the_winner_is_the_hardest_of_its_candidates():
    hardness, key, ids = make_hardness(), jax.random.key(1), jnp.arange(50)
    found = np.asarray(draw(hardness, key, ids))
    one = jax.jit(lambda row: jax.random.randint(jax.random.fold_in(key, row), (4,), 0, NUM_PIXELS))
    errors = np.asarray(hardness.errors)
    for row, pixel in zip(ids, found, strict=True):
        drawn = np.asarray(one(row))
        assert pixel in drawn
        assert errors[pixel] == errors[drawn].max()


def test_more_candidates_find_harder_pixels():
    means = []
    for candidates in (1, 4, 40):
        hardness = make_hardness(HardRows(candidates=candidates))
        found = draw(hardness, jax.random.key(2), jnp.arange(400))
        means.append(np.asarray(hardness.errors)[np.asarray(found)].mean())
    assert means[0] == pytest.approx((NUM_PIXELS - 1) / 2, rel=0.1)
    assert means[1] == pytest.approx(0.8 * NUM_PIXELS, rel=0.1)  # of four even ones
    assert means[2] > 0.95 * (NUM_PIXELS - 1)


def test_a_row_draws_by_its_id_whoever_is_asked_with_it():
    hardness, key = make_hardness(), jax.random.key(3)
    whole = np.asarray(draw(hardness, key, jnp.arange(BATCH)))
    ids = jnp.array([11, 2, 2, 15])
    np.testing.assert_array_equal(draw(hardness, key, ids), whole[np.asarray(ids)])
    assert np.any(draw(hardness, jax.random.key(4), jnp.arange(BATCH)) != whole)


# What is known.


def test_errors_are_roots_in_bytes():
    np.testing.assert_array_equal(
        encode(jnp.array([0.0, 0.01, 0.1, 0.25, 1.0])), [0, 26, 81, 128, 255]
    )
    np.testing.assert_array_equal(encode(jnp.array([-1.0, 2.0])), [0, 255])
    fresh = HARD.fresh(7)
    np.testing.assert_array_equal(fresh.errors, np.full(7, encode(jnp.float32(0.1))))
    assert fresh.errors.dtype == np.uint8 and fresh.rows == HARD


def test_what_was_shown_is_noted_and_the_larger_error_of_a_pixel_drawn_twice():
    hardness = make_hardness()
    pixels = jnp.array([5, 9, 5, 40, 9, 0])
    errors = jnp.array([0.04, 0.0, 0.25, 0.01, 0.01, 1.0])
    found = np.asarray(jax.jit(Hardness.noted)(hardness, pixels, errors).errors)
    expected = np.array(hardness.errors)
    expected[[5, 9, 40, 0]] = encode(jnp.array([0.25, 0.01, 0.01, 1.0]))
    np.testing.assert_array_equal(found, expected)
    order = np.array([3, 2, 5, 1, 4, 0])
    again = hardness.noted(pixels[order], errors[order]).errors
    np.testing.assert_array_equal(again, found)


def views_of(changes: np.ndarray | None) -> Views:
    images = np.random.default_rng(1).integers(0, 256, (NUM_CAMS, HEIGHT, WIDTH, 3), np.uint8)
    found = Views(jnp.asarray(images), jnp.int32(1))
    return found if changes is None else found.replace(changes=jnp.asarray(changes))


def test_a_segment_begins_with_the_errors_before_or_the_change_if_that_is_more():
    changes = np.zeros((NUM_CAMS, HEIGHT, WIDTH), np.uint8)
    changes[0, 0, 0], changes[1, 2, 3], changes[2, 4, 6] = 255, 10, 1
    hardness = make_hardness()
    found = np.asarray(hardness.begun(views_of(changes)).errors)
    expected = np.array(hardness.errors)
    for place, levels in ((0, 255), (35 + 2 * 7 + 3, 10), (NUM_PIXELS - 1, 1)):
        change = encode(jnp.float32(4.0 * levels / 255))
        expected[place] = max(expected[place], int(change))
    np.testing.assert_array_equal(found, expected)
    assert (found >= np.asarray(hardness.errors)).all()
    assert found[0] == 255


def test_without_changes_a_segment_begins_with_the_errors_before():
    hardness = make_hardness()
    assert hardness.begun(views_of(None)) is hardness


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"share": 0.0}, "train.hard_share=0.0"),
        ({"share": 1.0}, "train.hard_share=1.0"),
        ({"share": -0.5}, "train.hard_share=-0.5"),
        ({"share": float("nan")}, "train.hard_share=nan"),
        ({"candidates": 0}, "train.hard_candidates=0"),
        ({"change": -1.0}, "train.hard_change=-1.0"),
        ({"change": float("nan")}, "train.hard_change=nan"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_by_name(settings, named):
    with pytest.raises(InvError, match=named):
        HardRows(**settings)


# Rays.


def inputs(cameras: Cameras, places: Places) -> jax.Array:
    del cameras
    return jnp.stack([places.cams, places.rows, places.cols], axis=-1)


sample = jax.jit(RAYS.sample, static_argnums=(0, 4, 7))


def make_cameras() -> Cameras:
    pose, one = np.tile(np.eye(3, 4), (NUM_CAMS, 1, 1)), np.tile(np.eye(3), (NUM_CAMS, 1, 1))
    arrays = (jnp.asarray(x, jnp.float32) for x in (pose, one, 0.0, 1.0))
    return Cameras(*arrays, height=HEIGHT, width=WIDTH)


def batch_of(step: int, ids=None, hardness: Hardness | None = None) -> Batch:
    args = jax.random.key(0), jnp.int32(step), jnp.arange(BATCH) if ids is None else ids
    return sample(inputs, *args, BATCH, views_of(None), make_cameras(), "all", hardness)


def test_the_first_rows_are_an_epoch_of_the_permutation():
    key, steps = jax.random.key(0), NUM_PIXELS // EVEN
    shuffle = jax.jit(lambda key, places: permute(key, places, NUM_PIXELS))
    for epoch in (0, 1):
        found = [
            np.asarray(batch_of(step, hardness=make_hardness()).pixels)[:EVEN]
            for step in range(epoch * steps, (epoch + 1) * steps)
        ]
        places = jnp.arange(steps * EVEN)
        expected = shuffle(jax.random.fold_in(key, epoch), places)
        np.testing.assert_array_equal(np.concatenate(found), expected)
        assert len(set(np.concatenate(found).tolist())) == steps * EVEN


def test_the_other_rows_are_hard_and_others_in_each_step():
    hardness = make_hardness()
    found = [batch_of(step, hardness=hardness).pixels for step in range(40)]
    found = np.stack([np.asarray(pixels)[EVEN:] for pixels in found])
    assert np.asarray(hardness.errors)[found].mean() > 0.7 * NUM_PIXELS
    assert len({row.tobytes() for row in found}) == 40


def test_colors_and_places_are_those_of_the_pixels():
    hardness = make_hardness()
    assert batch_of(0, hardness=None).pixels is None  # nobody asks
    images = np.asarray(views_of(None).images).reshape(-1, 3)
    for step in (0, 3, 11):
        batch = batch_of(step, hardness=hardness)
        pixels = np.asarray(batch.pixels)
        np.testing.assert_allclose(batch.target, images[pixels] / 255, rtol=1e-6)
        places = np.stack(np.unravel_index(pixels, (NUM_CAMS, HEIGHT, WIDTH)), axis=-1)
        np.testing.assert_array_equal(batch.inputs, places)


@pytest.mark.parametrize("num_devices", [2, 4])
def test_devices_together_draw_the_batch_of_one(num_devices):
    hardness, share = make_hardness(), BATCH // num_devices
    whole = batch_of(5, hardness=hardness)
    parts = [batch_of(5, first + jnp.arange(share), hardness) for first in range(0, BATCH, share)]
    np.testing.assert_array_equal(np.concatenate([part.pixels for part in parts]), whole.pixels)


def test_hard_rays_of_a_region_and_of_pictures_are_refused():
    args = inputs, jax.random.key(0), jnp.int32(0), jnp.arange(2), 2, views_of(None), make_cameras()
    with pytest.raises(ValueError, match="not from the dynamic ones"):
        RAYS.sample(*args, DYNAMIC, make_hardness())
    with pytest.raises(ValueError, match="hard pixels alone"):
        ViewRows().sample(*args, "all", make_hardness())
