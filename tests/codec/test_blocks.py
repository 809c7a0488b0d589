"""Blocks of nodes: every node in one of them, and neighbours where they should be."""

import itertools
import math

import numpy as np
import pytest

from inv_jax.codec.base import Layout
from inv_jax.codec.blocks import LOCAL, NODES, WAVES, Blocks

_SHAPES = [(3,), (5, 6), (2, 3, 4), (7, 4, 9, 2), (5, 4, 4, 4, 3), (1, 1, 1, 1), (9, 1, 5, 1)]
_LAYOUT = Layout(tuple((f"net/own/l{i}/x", shape) for i, shape in enumerate(_SHAPES)))


@pytest.fixture(scope="module")
def grid() -> Blocks:
    return Blocks.of(_LAYOUT)


def _of_all(part):
    return part.inside(np.arange(part.places.size), np.arange(NODES))


def test_a_leaf_is_cut_into_nodes_with_its_last_axis_as_channels(grid):
    flat = np.arange(grid.size)
    leaves = _LAYOUT.unravel(flat)
    for part, (path, shape) in zip(grid.parts, _LAYOUT.shapes, strict=True):
        assert math.prod(part.shape) == math.prod(shape)
        nodes = part.nodes(flat)
        assert nodes.shape == (part.num_nodes, shape[-1])
        np.testing.assert_array_equal(nodes.ravel(), leaves[path].ravel())


def test_every_node_is_in_one_block(grid):
    seen = []
    for part in grid.parts:
        places, nodes = _of_all(part)
        np.testing.assert_array_equal(np.sort(nodes), np.arange(part.num_nodes))
        seen.append(places)
        found, blocks = part.of_nodes(nodes)
        np.testing.assert_array_equal(found, places)
        count = np.bincount(blocks, minlength=part.places.size)
        assert count.min() >= 1
        assert count.max() <= NODES
    joined = np.concatenate(seen)
    assert np.unique(joined).size == joined.size  # no place is that of two leaves
    assert 0 <= joined.min() <= joined.max() < grid.num_node_places


def test_nodes_of_a_block_are_next_to_each_other(grid):
    for part in grid.parts:
        for block in range(part.places.size):
            _, nodes = part.inside(np.array([block]), np.arange(NODES))
            corners = np.stack(np.unravel_index(nodes, part.shape[:-1]))
            assert (corners.max(axis=1) - corners.min(axis=1) < 4).all()
            assert (corners[1:].min(axis=1) % 4 == 0).all()


@pytest.mark.parametrize("of_blocks", [True, False])
def test_what_is_next_to_a_place_is_a_step_away(grid, of_blocks):
    for part in grid.parts:
        if of_blocks:
            counts = (part.shape[0], *(-(-n // 4) for n in part.shape[1:-1]))
            places, around = part.places, part.around
        else:
            counts, around = part.shape[:-1], part.node_around
            places, nodes = _of_all(part)
            places = places[np.argsort(nodes)]
        there = dict(zip(itertools.product(*map(range, counts)), places.tolist(), strict=True))
        own = set(there.values())
        for at, place in there.items():
            for (side, axis), step in zip(
                itertools.product((1, -1), (1, 2, 3)), around.tolist(), strict=True
            ):
                beside = tuple(x + side * (i == axis) for i, x in enumerate(at))
                if beside in there:
                    assert there[beside] == place + step
                else:
                    assert place + step not in own


def test_neighbours_are_in_different_waves(grid):
    for part in grid.parts:
        waves = np.empty(part.places.size, int)
        for wave, blocks in enumerate(part.waves):
            waves[blocks] = wave
        by_place = dict(zip(part.places.tolist(), waves, strict=True))
        for place, wave in by_place.items():
            for step in part.around.tolist():
                assert by_place.get(place + step, wave + 1) != wave
    assert WAVES == 2
    assert LOCAL.shape == (NODES, 3)


def test_equal_layouts_share_what_is_made_once(grid):
    assert Blocks.of(Layout(_LAYOUT.shapes)) is grid
