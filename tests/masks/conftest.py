"""A small capture in which a square moves over a still, noisy picture."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from inv_jax.data import recognise
from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks, open_masks

_HEIGHT, _WIDTH, _SIDE, _STEP = 60, 80, 16, 3


@dataclasses.dataclass(frozen=True)
class Scene:
    """The capture's folder, and where its square is: `truth[frame, cam]`."""

    folder: pathlib.Path
    truth: dict[tuple[int, int], np.ndarray]

    def open(self) -> Capture:
        return recognise.open_footage(self.folder)

    def masks(self, folder: pathlib.Path) -> Masks:
        return open_masks(folder, ("cam00", "cam01"), _HEIGHT, _WIDTH)


@pytest.fixture(scope="session")
def scene(tmp_path_factory) -> Scene:
    """Two cameras, 6 frames; the square goes 3 pixels a frame, to the right or down."""
    folder = tmp_path_factory.mktemp("scene")
    rng, truth = np.random.default_rng(0), {}
    (folder / "frames_2").mkdir()
    rows = np.zeros((2, 17))
    for cam, row in enumerate(rows):
        # Columns: down, right, backwards, center, (H, W, focal) at factor 1.
        row[:15] = np.ravel(
            [[0, 1, 0, 0.3 * cam, 2 * _HEIGHT], [-1, 0, 0, 0, 2 * _WIDTH], [0, 0, 1, 0, 100]]
        )
        row[15:] = 3.0, 20.0
        wall, square = rng.normal(120, 30, (_HEIGHT, _WIDTH, 3)), rng.normal(60, 40, (16, 16, 3))
        wall[:, : _WIDTH // 2] = 120  # without texture
        for frame in range(1, 7):
            y, x = (20, 12 + _STEP * frame) if cam == 0 else (8 + _STEP * frame, 30)
            image = wall.copy()
            image[y : y + _SIDE, x : x + _SIDE] = square
            image += rng.normal(0, 1.5, image.shape)
            pixels = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "frames_2" / f"frame{frame:04d}cam{cam:02d}.png")
            truth[frame, cam] = np.zeros((_HEIGHT, _WIDTH), bool)
            truth[frame, cam][y : y + _SIDE, x : x + _SIDE] = True
    np.save(folder / "poses_bounds.npy", rows)
    return Scene(folder, truth)
