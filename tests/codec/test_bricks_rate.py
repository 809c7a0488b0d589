"""What the codec of grids changes, and what it leaves: by what shows."""

import itertools

import numpy as np

from inv_jax.codec import bricks_rate
from inv_jax.codec.base import Layout
from inv_jax.codec.blocks import Blocks
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.rate import RelativeGauge

_GRID, _POOL = "field/structure/level_0/kernel", "field/structure/bricks/kernel"
_LAYOUT = Layout(((_GRID, (8, 6, 5, 3)), (_POOL, (4, 4, 4, 4, 3))))


class _Half:
    """Sees the first half of each leaf's first axis alone."""

    def mse(self, true, changed) -> float:
        return float(
            np.mean(
                [
                    np.mean(np.square(leaf - changed[path])[: len(leaf) // 2], dtype=np.float64)
                    for path, leaf in true.items()
                ]
            )
        )

    def keenness(self, true) -> dict[str, np.ndarray]:
        seen = {path: np.arange(len(leaf)) < len(leaf) // 2 for path, leaf in true.items()}
        return {
            path: 2.0 * np.broadcast_to(seen[path].reshape(-1, *[1] * (leaf.ndim - 1)), leaf.shape)
            for path, leaf in true.items()
        }


def _frames(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    leaf = {path: rng.normal(size=shape) for path, shape in _LAYOUT.shapes}
    frames = []
    for _ in range(count):
        frames.append({path: one.astype(np.float32) for path, one in leaf.items()})
        leaf = {path: one + 0.3 * rng.normal(size=one.shape) for path, one in leaf.items()}
    return frames


def _encode(gauge, frames) -> tuple[list[int], list[dict[str, np.ndarray]]]:
    encoder, sizes, decoded = BricksCodec(fidelity=25.0).encoder(_LAYOUT, gauge), [], []
    for number, leaves in enumerate(frames, 1):
        (packet,) = encoder.push(number, leaves)
        assert packet.is_key == (number == 1)
        sizes.append(len(packet.payload))
        decoded.append(encoder.decoded())
    return sizes, decoded


def test_what_a_node_shows_is_spread_over_those_next_to_it():
    nodes = np.random.default_rng(0).random((2, 3, 4, 1))
    found = bricks_rate._spread(nodes)
    for g, *at in np.ndindex(nodes.shape):
        expected = 0.0
        for move in itertools.product((-1, 0, 1), repeat=3):
            place = [min(max(i + d, 0), n - 1) for i, d, n in zip(at, move, (3, 4, 1), strict=True)]
            expected += nodes[g, *place] * 0.5 ** (3 + sum(map(abs, move)))
        np.testing.assert_allclose(found[g, *at], expected)


def test_channels_count_alike_in_what_a_node_shows():
    grid, (leaves,) = Blocks.of(_LAYOUT), _frames(1)

    class Loud(_Half):
        def keenness(self, true):
            loud = np.array([1000.0, 1.0, 1.0])
            return {path: loud * one for path, one in super().keenness(true).items()}

    plain, loud = (bricks_rate.keenness(grid, _LAYOUT, one, leaves) for one in (_Half(), Loud()))
    for left, right, (_, shape) in zip(plain, loud, _LAYOUT.shapes, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5)
        assert left.min() > 0.0  # none is nothing
        shown = left.reshape(shape[:-1])
        assert shown[0].min() > 5 * shown[-1].max()


def test_a_gauge_that_does_not_know_says_that_all_nodes_show_alike():
    grid, (leaves,) = Blocks.of(_LAYOUT), _frames(1)
    for one in bricks_rate.keenness(grid, _LAYOUT, RelativeGauge(), leaves):
        np.testing.assert_array_equal(one, 1.0)


def test_bytes_go_where_it_shows():
    class Vague:
        mse = _Half.mse

    frames = _frames(4)
    sizes, decoded = _encode(_Half(), frames)
    assert sum(sizes[1:]) < 0.8 * sum(_encode(Vague(), frames)[0][1:])
    errors = [
        [np.mean(np.square(leaf - found[path])[half]) for path, leaf in true.items()]
        for true, found in zip(frames[1:], decoded[1:], strict=True)
        for half in (slice(0, 2), slice(-2, None))
    ]
    assert np.mean(errors[::2]) < 0.3 * np.mean(errors[1::2])
    assert -10 * np.log10(_Half().mse(frames[3], decoded[3])) >= 24.7
