"""Small captures of smooth waves that move, and of whatever a test makes up, on disk."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

# Of a frame (from 1) and a camera (from 0): (H, W, 3) uint8.
Picture = Callable[[int, int], np.ndarray]


def write_meta(
    path: pathlib.Path,
    picture: Picture,
    frames: Sequence[int],
    centers: Sequence[tuple[float, float]],
    size: tuple[int, int],
    focal: float,
) -> pathlib.Path:
    """Writes a META capture of factor 2, of cameras that all look straight ahead.

    Args:
      path: Its folder, which is there.
      picture: The pictures.
      frames: Their numbers.
      centers: Each camera's place, to the right and up; depths are 3 to 20.
      size: (H, W) of a picture.
      focal: In pixels at factor 1, so twice that of a picture.
    """
    (path / "frames_2").mkdir()
    rows = np.zeros((len(centers), 17))
    for cam, (row, (right, up)) in enumerate(zip(rows, centers, strict=True)):
        # Columns: down, right, backwards, center, (H, W, focal) at factor 1.
        row[:15] = np.ravel(
            [[0, 1, 0, right, 2 * size[0]], [-1, 0, 0, up, 2 * size[1]], [0, 0, 1, 0, focal]]
        )
        row[15:] = 3.0, 20.0  # nearest and farthest depth
        for frame in frames:
            name = f"frame{frame:04d}cam{cam:02d}.png"
            Image.fromarray(picture(frame, cam)).save(path / "frames_2" / name)
    np.save(path / "poses_bounds.npy", rows)
    return path


def write_square(
    path: pathlib.Path, picture: Picture, frames: Sequence[int], size: tuple[int, int]
) -> pathlib.Path:
    """A META capture of four cameras: two by two, the first above on the left."""
    centers = [(0.3 * (cam % 2), -0.3 * (cam // 2)) for cam in range(4)]
    return write_meta(path, picture, frames, centers, size, focal=2 * size[1])


def waves(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """A picture of waves in two directions, (H, W, 3) uint8."""
    colors = [np.sin(across), np.cos(along), np.sin(across + along)]
    return np.uint8(255 * (0.5 + 0.4 * np.stack(colors, axis=-1)))


def write_clip(
    folder: pathlib.Path, frames: int, height: int, width: int, phase: float = 0.0
) -> pathlib.Path:
    """Writes a video of one camera as a folder of pictures: waves again."""
    y, x = np.mgrid[:height, :width]
    for frame in range(1, frames + 1):
        colors = [
            np.sin(0.15 * x + 0.2 * frame + phase),
            np.cos(0.2 * y + phase),
            np.sin(0.1 * (x + y)),
        ]
        pixels = np.rint(127.5 + 100 * np.stack(colors, -1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{frame:04d}.png")
    return folder
