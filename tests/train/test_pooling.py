"""Adaptive average pooling against loops, and against the original's."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.train.pooling import adaptive_average_pool


def slow_pool(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bin by bin: `floor(k S / n)` to `ceil((k + 1) S / n)`."""
    batch, rows, columns, channels = pictures.shape
    made = np.zeros((batch, height, width, channels))
    for y in range(height):
        for x in range(width):
            top, bottom = y * rows // height, -(-(y + 1) * rows // height)
            left, right = x * columns // width, -(-(x + 1) * columns // width)
            made[:, y, x] = pictures[:, top:bottom, left:right].mean((1, 2))
    return made


@pytest.mark.parametrize("size", [(12, 10), (4, 5), (5, 4), (7, 3), (1, 1), (11, 9), (6, 7)])
def test_pooling_equals_its_slow_twin(size):
    pictures = np.random.default_rng(0).uniform(size=(2, 12, 10, 3)).astype(np.float32)
    ours = adaptive_average_pool(jnp.asarray(pictures), *size)
    np.testing.assert_allclose(ours, slow_pool(pictures, *size), rtol=1e-5)


def test_pooling_equals_the_originals(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "losses_metrics.npz")
    target = arrays["target_u8"].transpose(1, 2, 0)[None].astype(np.float32) / np.float32(255)
    names = [name for name in arrays.files if name.startswith("adaptive_avg_pool/")]
    assert names
    for name in names:
        height, width = map(int, name.split("/")[1].split("x"))
        ours = np.asarray(adaptive_average_pool(jnp.asarray(target), height, width))
        np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), arrays[name], rtol=1e-4, atol=1e-5)
