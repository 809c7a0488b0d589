"""Bricks: each part against the dense level that has zeros where no brick is."""

import jax
import jax.numpy as jnp
import numpy as np
import places
import pytest

from inv_jax.models import bricks, grids
from inv_jax.models.bricks import NONE, SIDE, Bricks
from inv_jax.types import InvError

LEVEL = Bricks((12, 8, 16), 14)  # 3x2x4 bricks
CHANNELS = 3

read = jax.jit(LEVEL.read)
roughness = jax.jit(LEVEL.roughness_gradient, static_argnums=2)
rearranged = jax.jit(LEVEL.rearranged)
table_of = jax.jit(LEVEL.table)


def make_cells(used: int = 11, seed: int = 0) -> np.ndarray:
    """Some bricks, the others of the slots empty, in any order."""
    rng = np.random.default_rng(seed)
    cells = np.full(LEVEL.capacity, NONE, np.int32)
    cells[rng.permutation(LEVEL.capacity)[:used]] = rng.permutation(LEVEL.count)[:used]
    return cells


def make_pool(seed: int = 1) -> np.ndarray:
    """Numbers in all slots, also in those of no brick, where they must not count."""
    shape = (LEVEL.capacity, SIDE, SIDE, SIDE, CHANNELS)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_points(num: int = 400) -> np.ndarray:
    """Within the cube and outside of it; on nodes, so also between two bricks."""
    rng = np.random.default_rng(2)
    nodes = rng.integers(0, LEVEL.shape, (num // 4, 3)) / (np.array(LEVEL.shape) - 1)
    return np.concatenate([rng.uniform(-0.2, 1.2, (num, 3)), nodes]).astype(np.float32)


def loop_dense(pool: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The whole level, node by node."""
    _, y, z = LEVEL.counts
    level = np.zeros((*LEVEL.shape, CHANNELS), np.float32)
    slots = {int(cell): slot for slot, cell in enumerate(cells) if cell != NONE}
    for node in np.ndindex(LEVEL.shape):
        brick, inner = np.array(node) // SIDE, np.array(node) % SIDE
        slot = slots.get(int((brick[0] * y + brick[1]) * z + brick[2]))
        if slot is not None:
            level[node] = pool[slot][tuple(inner)]
    return level


@pytest.mark.parametrize("used", [0, 11, 14])
def test_the_dense_level_is_a_loop_over_nodes(used):
    pool, cells = make_pool(), make_cells(used)
    found = LEVEL.dense(pool, cells)
    np.testing.assert_array_equal(found, loop_dense(pool, cells))
    assert np.count_nonzero(found) == used * SIDE**3 * CHANNELS


@pytest.mark.parametrize("used", [0, 1, 11, 14])
def test_reading_bricks_is_reading_the_dense_level(used):
    pool, cells, points = make_pool(), make_cells(used), make_points()
    found = read(pool, table_of(cells), points)
    expected = jax.jit(grids.read)(jnp.asarray(loop_dense(pool, cells)), jnp.asarray(points))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert bool(np.any(found)) == bool(used)


@pytest.mark.parametrize("cells", [(5, 3, 7), (13, 9, 2)])
def test_reading_bricks_in_cells_is_reading_at_their_centers(cells):
    pool, used = make_pool(), make_cells()
    found = jax.jit(LEVEL.read_cells, static_argnums=2)(pool, table_of(used), cells)
    expected = read(pool, table_of(used), places.cell_centers(cells))
    assert found.shape == (*cells, CHANNELS)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_bricks_is_that_of_the_dense_level_on_their_nodes():
    pool, cells, points = make_pool(), make_cells(), make_points()
    to_read = np.random.default_rng(3).normal(size=(len(points), CHANNELS)).astype(np.float32)
    table, dense = table_of(cells), jnp.asarray(loop_dense(pool, cells))
    of_bricks = jax.grad(lambda pool: jnp.vdot(read(pool, table, points), to_read))(pool)
    of_dense = jax.grad(lambda level: jnp.vdot(grids.read(level, jnp.asarray(points)), to_read))(
        dense
    )
    is_used = loop_dense(np.ones_like(pool), cells)
    np.testing.assert_allclose(
        loop_dense(np.asarray(of_bricks), cells), of_dense * is_used, rtol=1e-5, atol=1e-5
    )
    assert not np.any(np.asarray(of_bricks)[cells == NONE])


def test_the_gradient_of_a_node_equals_finite_differences():
    with jax.enable_x64(True):
        pool, cells = make_pool().astype(np.float64), make_cells()
        points, table = make_points().astype(np.float64), table_of(cells)
        loss = jax.jit(lambda pool: jnp.sum(jnp.sin(read(pool, table, points))))
        gradient, gap = jax.grad(loss)(pool), 1e-6
        slots = np.flatnonzero(cells != NONE)
        for i in range(12):
            place = (slots[i % len(slots)], i % 4, (i // 2) % 4, (3 * i) % 4, i % CHANNELS)
            ends = []
            for sign in (1, -1):
                moved = pool.copy()
                moved[place] += sign * gap
                ends.append(float(loss(moved)))
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * gap), abs=1e-7)


@pytest.mark.parametrize("edge", [0.1, 10.0])
@pytest.mark.parametrize("used", [0, 3, 14])
def test_total_variation_is_that_of_the_dense_level_on_the_bricks_nodes(edge, used):
    pool, cells = make_pool(), make_cells(used)
    found = np.asarray(roughness(pool, cells, edge))
    dense = jax.jit(grids.roughness_gradient, static_argnums=1)(
        jnp.asarray(loop_dense(pool, cells)), edge
    )
    expected = np.asarray(dense) * loop_dense(np.ones_like(pool), cells)
    np.testing.assert_allclose(loop_dense(found, cells), expected, rtol=1e-5, atol=1e-6)
    assert not np.any(found[cells == NONE])


# Who gets a slot.


def check_is_one_to_one(cells: np.ndarray) -> None:
    used = cells[cells != NONE]
    assert np.unique(used).size == used.size
    assert used.size == 0 or (used.min() >= 0 and used.max() < LEVEL.count)


@pytest.mark.parametrize("used", [0, 5, 11, 14])
@pytest.mark.parametrize("seed", range(6))
def test_the_bricks_that_are_wanted_most_have_slots(used, seed):
    rng, cells = np.random.default_rng(seed), make_cells(used, seed)
    wanted = rng.uniform(0, 1, LEVEL.count).astype(np.float32) * (rng.uniform(0, 1, 24) < 0.8)
    found, is_new = (np.asarray(x) for x in rearranged(cells, wanted))
    check_is_one_to_one(found)
    np.testing.assert_array_equal(found != cells, is_new)
    has = np.isin(np.arange(LEVEL.count), cells)
    counts = wanted * np.where(has, 1.5, 1.0)
    best = set(np.argsort(-counts)[: LEVEL.capacity]) & set(np.flatnonzero(counts > 0))
    assert best <= set(found)
    # A brick that leaves has lost its slot to another one.
    assert set(found) - {NONE} <= best | set(cells)


def test_nothing_moves_where_nothing_is_wanted_or_all_that_is_has_a_slot():
    cells = make_cells(14)
    for wanted in (np.zeros(LEVEL.count), np.isin(np.arange(LEVEL.count), cells)):
        found, is_new = rearranged(cells, wanted.astype(np.float32))
        np.testing.assert_array_equal(found, cells)
        assert not np.any(is_new)


def test_a_brick_keeps_its_slot_against_one_that_is_wanted_a_little_more():
    cells = np.arange(LEVEL.capacity, dtype=np.int32)
    wanted = np.zeros(LEVEL.count, np.float32)
    wanted[: LEVEL.capacity] = 1.0
    wanted[20], wanted[21] = 1.4, 1.6
    wanted[3] = 0.5
    found, _ = rearranged(cells, wanted)
    assert found[3] == 21  # in place of the one that is wanted least
    np.testing.assert_array_equal(np.delete(np.asarray(found), 3), np.delete(cells, 3))


def test_empty_slots_are_taken_first():
    cells = np.full(LEVEL.capacity, NONE, np.int32)
    cells[::2] = np.arange(7)
    wanted = np.zeros(LEVEL.count, np.float32)
    wanted[[10, 11, 12]] = 1.0
    found = np.asarray(rearranged(cells, wanted)[0])
    np.testing.assert_array_equal(found[::2], cells[::2])
    assert sorted(found[1::2][:3]) == [10, 11, 12]


def test_the_brick_of_a_point_is_that_of_the_node_below():
    points = make_points()
    found = LEVEL.brick_of(jnp.asarray(points))
    nodes, _ = grids.place(jnp.asarray(points), LEVEL.shape)
    expected = [np.ravel_multi_index(node // SIDE, LEVEL.counts) for node in np.asarray(nodes)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "capacity", "said"),
    [
        ((12, 8, 15), 3, "multiples of 4, for example 12,8,16"),
        ((0, 8, 16), 3, "multiples of 4, for example 4,8,16"),
        ((12, 8, 16), 0, "model.bricks: 0 of them; want 1 to 24"),
        ((12, 8, 16), 25, "model.bricks: 25 of them; want 1 to 24, all bricks of 12x8x16 nodes"),
    ],
)
def test_sizes_that_cannot_be_are_refused(shape, capacity, said):
    with pytest.raises(InvError, match=said):
        bricks.Bricks(shape, capacity)
