"""The fast field with its finest level in bricks, against the same field with a dense one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax import params as params_lib
from inv_jax.geometry.boxes import PROJECTIVE, Box, BoxRays
from inv_jax.models.bricks import NONE, Bricks
from inv_jax.models.grid_field import GridField
from inv_jax.types import InvError, Rays

BOX = Box(PROJECTIVE, (-0.75, -0.5, 1.5), (0.875, 0.5, 6.0), center=0.5)
FINE = Bricks((8, 8, 12), 12)  # all of them
DENSE = GridField(
    BOX, levels=((4, 3, 4), FINE.shape), features=4, guide_shape=(4, 3, 5), width=6, depth=2
)
MODEL = dataclasses.replace(DENSE, levels=DENSE.levels[:1], bricks=FINE)
NUM = 64


def make_rays(seed: int = 0) -> BoxRays:
    rng = np.random.default_rng(seed)
    origins = rng.normal(size=(NUM, 3)) * 0.2
    directions = np.c_[rng.uniform(-0.4, 0.4, (NUM, 2)), -np.ones(NUM)]
    viewdirs = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    bounds = np.zeros((2, NUM, 1))
    rays = (jnp.asarray(x, jnp.float32) for x in (origins, directions, viewdirs, *bounds))
    return jax.jit(BOX.rays)(Rays(*rays))


def make_params(seed: int = 0):
    """The params of both models, which show the same."""
    dense = DENSE.init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    cells = rng.permutation(FINE.count).astype(np.int32)
    pool = rng.normal(scale=0.5, size=(FINE.capacity, 4, 4, 4, 5)).astype(np.float32)
    structure = dense["field"]["structure"]
    structure["level_1"] = {"kernel": jnp.asarray(FINE.dense(pool, cells))}
    sparse = {"level_0": structure["level_0"], "level_1": {"kernel": jnp.asarray(pool)}}
    field = {
        "structure": sparse,
        "color": dense["field"]["color"],
        "index": {"level_1": {"cells": jnp.asarray(cells)}},
    }
    return dense, {"field": field}


def test_the_params_are_a_pool_and_what_is_in_its_slots():
    params = MODEL.init(jax.random.key(0))
    leaves = params_lib.flatten(params)
    assert leaves["field/structure/level_1/kernel"].shape == (12, 4, 4, 4, 5)
    assert leaves["field/index/level_1/cells"].dtype == np.int32
    assert not np.any(leaves["field/structure/level_1/kernel"])
    assert np.all(leaves["field/index/level_1/cells"] == NONE)
    assert MODEL.roles == params_lib.Roles(("structure",), ("color",), ("index",))


def test_bricks_everywhere_show_what_a_dense_level_shows():
    (dense, sparse), rays = make_params(), make_rays()
    keys = jax.random.split(jax.random.key(1), NUM)
    shown = jax.jit(MODEL.predict)(sparse, rays, keys=keys)["field"]
    expected = jax.jit(DENSE.predict)(dense, rays, keys=keys)["field"]
    for name in ("rgb", "depth", "weights"):
        np.testing.assert_allclose(
            getattr(shown, name), getattr(expected, name), rtol=1e-4, atol=1e-5
        )


def train(model: GridField, params, steps: int = 5):
    """Some steps of Adam with all that the model adds; structure, and what it ends as."""
    trainable, frozen = params_lib.split(params, model.roles.own)
    optimizer, rays = model.around(optax.scale_by_adam()), make_rays()
    state = optimizer.init(trainable)

    @jax.jit
    def step(trainable, state):
        def loss(trainable):
            shown = model.predict(params_lib.merge(trainable, frozen), rays)["field"]
            return jnp.mean(jnp.square(shown.rgb - 0.3))

        grads = jax.grad(loss)(trainable)
        updates, state = optimizer.update(grads, state, trainable, frozen=frozen)
        return jax.tree.map(lambda p, u: p - 0.02 * u, trainable, updates), state

    for _ in range(steps):
        trainable, state = step(trainable, state)
    return params_lib.flatten(params_lib.merge(trainable, frozen))


def test_bricks_everywhere_are_trained_as_a_dense_level_is():
    """Gradient, Adam, total variation and learning rates, step by step."""
    model = dataclasses.replace(MODEL, roughness=1e-2)
    of_dense = dataclasses.replace(DENSE, roughness=1e-2)
    dense, sparse = make_params()
    before = np.asarray(dense["field"]["structure"]["level_1"]["kernel"])
    expected = train(of_dense, dense)["field/structure/level_1/kernel"]
    found = train(model, sparse)
    level = FINE.dense(
        np.asarray(found["field/structure/level_1/kernel"]),
        np.asarray(found["field/index/level_1/cells"]),
    )
    assert np.abs(expected - before).max() > 0.05
    np.testing.assert_allclose(level, expected, atol=2e-3)


def test_bricks_go_where_colors_are_wrong_and_the_picture_stays():
    model = dataclasses.replace(MODEL, bricks=Bricks((16, 16, 16), 20), samples=24)
    params, rays = model.init(jax.random.key(3)), make_rays()
    shown = jax.jit(model.predict)(params, rays)["field"].rgb
    wrong = np.zeros(NUM, bool)
    wrong[5] = True
    target = jnp.asarray(np.where(wrong[:, None], np.asarray(shown) + 0.5, shown), jnp.float32)
    moved = jax.jit(model.rearranged)(params, rays, target)
    cells = np.asarray(moved["field"]["index"]["level_1"]["cells"])
    used = cells[cells != NONE]
    assert 0 < used.size < 20
    along = np.linspace(0, 1, 400, dtype=np.float32)[:, None]
    ray = np.asarray(rays.starts[5]) + along * np.asarray(rays.spans[5])
    points = jnp.asarray(np.asarray(model.box.squeeze(jnp.asarray(ray)), np.float32))
    assert set(used) <= set(np.asarray(model.bricks.brick_of(points)))
    np.testing.assert_allclose(jax.jit(model.predict)(moved, rays)["field"].rgb, shown, atol=1e-6)


def test_what_a_brick_held_is_gone_when_its_slot_is_anothers():
    model = dataclasses.replace(MODEL, bricks=Bricks((8, 8, 12), 2))
    params, rays = model.init(jax.random.key(3)), make_rays()
    params["field"]["structure"]["level_1"]["kernel"] = jnp.ones((2, 4, 4, 4, 5))
    moved = jax.jit(model.rearranged)(params, rays, jnp.ones((NUM, 3)))
    assert not np.any(moved["field"]["structure"]["level_1"]["kernel"])
    again = jax.tree.map(lambda leaf: leaf, moved)
    again["field"]["structure"]["level_1"]["kernel"] = jnp.full((2, 4, 4, 4, 5), 1e-3)
    stays = jax.jit(model.rearranged)(again, rays, jnp.ones((NUM, 3)))
    for path, leaf in params_lib.flatten(again).items():
        np.testing.assert_array_equal(leaf, params_lib.flatten(stays)[path])


def test_a_field_without_bricks_is_not_rearranged():
    params = DENSE.init(jax.random.key(0))
    assert DENSE.rearrange_every == 0 and MODEL.rearrange_every == MODEL.bricks_every
    assert DENSE.rearranged(params, make_rays(), jnp.ones((NUM, 3))) is params


def test_settings_of_bricks_are_checked():
    with pytest.raises(InvError, match=r"model.bricks_every=0; want 1 or more"):
        dataclasses.replace(MODEL, bricks_every=0)
