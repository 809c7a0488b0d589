"""Kernels of convolutions, (height, width, in, out), go through every codec."""

import numpy as np
import pytest

from inv_jax.codec.base import Layout
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec, Matrices
from inv_jax.codec.history import Grid
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec

_LAYOUT = Layout(
    (
        ("decoder/own/stem_0/kernel", (16, 24)),
        ("decoder/own/block_0/kernel", (3, 3, 6, 32)),
        ("decoder/own/block_0/bias", (32,)),
        ("decoder/own/head/kernel", (1, 1, 8, 3)),
    )
)


def _clips(count: int = 3) -> list[dict[str, np.ndarray]]:
    rng, found = np.random.default_rng(0), []
    leaves = {path: rng.normal(size=shape) for path, shape in _LAYOUT.shapes}
    for _ in range(count):
        leaves = {p: leaf + 0.02 * rng.normal(size=leaf.shape) for p, leaf in leaves.items()}
        found.append({path: leaf.astype(np.float32) for path, leaf in leaves.items()})
    return found


@pytest.mark.parametrize(
    "codec, error",
    [
        (RawCodec(), 0.0),
        (FpzipCodec(32, 1), 0.0),
        (FpzipCodec(32, 0), 0.0),
        (DeltaCodec(fidelity=50.0), 5e-5),
        (QuantCodec(bits=12), 1e-6),
    ],
    ids=["raw", "twc", "groups", "delta", "quant"],
)
def test_kernels_of_convolutions_come_back(codec, error):
    encoder, decoder = codec.encoder(_LAYOUT), codec.decoder(_LAYOUT)
    clips, packets = _clips(), []
    for number, leaves in enumerate(clips):
        packets += encoder.push(number, leaves)
    found = {}
    for packet in [*packets, *encoder.finish()]:
        found |= decoder.decode(packet)
    for number, leaves in enumerate(clips):
        for path, leaf in leaves.items():
            difference = np.mean(np.square(found[number][path] - leaf)) / np.mean(np.square(leaf))
            assert difference <= error, path


def test_an_outputs_weights_are_a_column_of_the_grid_and_a_row_of_twc():
    grid, leaves = Grid.of(_LAYOUT), _clips(1)[0]
    assert grid.shapes == ((16, 24), (54, 32), (1, 32), (8, 3))
    kernel = leaves["decoder/own/block_0/kernel"]
    matrix = grid.matrices(_LAYOUT.ravel(leaves))[1]
    np.testing.assert_array_equal(matrix[:, 7], kernel[..., 7].ravel())
    matrices = Matrices(_LAYOUT)
    stacked = {len(one[0]): one[0] for one in matrices.stack([leaves])}
    assert stacked[32].shape == (32, 55)  # with the bias
    assert sorted(stacked[32][7]) == sorted(
        [*kernel[..., 7].ravel(), leaves["decoder/own/block_0/bias"][7]]
    )
