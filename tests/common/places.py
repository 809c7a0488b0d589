"""Places in the unit cube."""

import numpy as np


def cell_centers(shape: tuple[int, int, int]) -> np.ndarray:
    """Centers of the cells of a grid, (n, 3) float32, z fastest."""
    cells = np.array(list(np.ndindex(shape)), np.float32)
    return (cells + 0.5) / np.array(shape, np.float32)
