"""Small captures on disk, and where the recorded and the real ones are."""

import os
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from inv_jax.data import capture as capture_lib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def _root(variable: str, default: str, folder: str = "") -> pathlib.Path:
    root = (REPOSITORY / os.environ.get(variable, default) / folder).resolve()
    if not root.is_dir():
        pytest.skip(f"{root} is absent; set {variable} to run this test")
    return root


@pytest.fixture(scope="session")
def parity_root() -> pathlib.Path:
    """The arrays and captures recorded from the original implementation."""
    return _root("INV_JAX_PARITY", "../shared/parity", "inv")


@pytest.fixture(scope="session")
def data_root() -> pathlib.Path:
    """Real captures."""
    return _root("INV_JAX_DATA", "../shared/data")


@pytest.fixture(scope="session")
def pixels():
    """The image of one frame and camera, in 8-bit RGB."""

    def make(frame: int, cam: int, height: int = 6, width: int = 8) -> np.ndarray:
        return np.random.default_rng([frame, cam]).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture(scope="session")
def forward_rows():
    """LLFF rows of cameras side by side that look down -z, of focal length 10 at 12x16."""

    def make(num_cams: int = 3) -> np.ndarray:
        rows = np.zeros((num_cams, 17))
        for i, row in enumerate(rows):
            # Columns: down, right, backwards, center, (H, W, focal).
            matrix = [[0, 1, 0, 0.4 * i, 12], [-1, 0, 0, 0.1 * i, 16], [0, 0, 1, 0.02 * i, 10]]
            row[:15] = np.ravel(matrix)
            row[15:] = 3.0 + 0.1 * i, 20.0 + i
        return rows

    return make


@pytest.fixture
def write_meta(tmp_path, pixels, forward_rows):
    """Writes a META capture: 3 cameras, frames 1 to 3, 6x8 images of factor 2."""

    def write(cams=range(3), frames=range(1, 4), rows=None, folder="frames_2") -> pathlib.Path:
        (tmp_path / folder).mkdir()
        np.save(tmp_path / "poses_bounds.npy", forward_rows(len(cams)) if rows is None else rows)
        for frame in frames:
            for cam in cams:
                file = tmp_path / folder / f"frame{frame:04d}cam{cam:02d}.png"
                Image.fromarray(pixels(frame, cam)).save(file)
        return tmp_path

    return write


@pytest.fixture
def write_little_falls(tmp_path, pixels):
    """Writes a Little Falls capture: frame 1, 12x16 images of factor 1."""

    def write(num_cams: int = 4) -> pathlib.Path:
        (tmp_path / "calibration").mkdir()
        (tmp_path / "frames").mkdir()
        everyone = cv2.FileStorage(
            str(tmp_path / "calibration" / "fv_AllExtrinsics.yml"), cv2.FILE_STORAGE_WRITE
        )
        for cam in range(num_cams):
            everyone.write(f"R{cam}", np.eye(3))
            everyone.write(f"T{cam}", np.array([[300.0 * cam], [20.0 * cam], [0.0]]))
            file = cv2.FileStorage(
                str(tmp_path / "calibration" / f"fv_cam{cam:02d}.yml"), cv2.FILE_STORAGE_WRITE
            )
            file.write("Intrinsics", np.array([[20.0 + cam, 0, 8.5], [0, 21.0, 5.5], [0, 0, 1]]))
            file.startWriteStruct("Resolution", cv2.FileNode_SEQ)
            for side in (16.0, 12.0):
                file.write("", side)
            file.endWriteStruct()
            file.release()
            Image.fromarray(pixels(1, cam, 12, 16)).save(
                tmp_path / "frames" / f"frame0001cam{cam:02d}.png"
            )
        everyone.release()
        return tmp_path

    return write


@pytest.fixture(scope="session")
def open_meta():
    """`open_capture` with the settings that fit `write_meta`; a test names what differs."""

    def open_it(path, **changes) -> capture_lib.Capture:
        settings = {
            "layout": "n3dv",
            "factor": 2,
            "first_frame": 1,
            "num_frames": 0,
            "holdout": [0],
            "near": 0.25,
            "ndc": True,
            "pixel_center": 0.0,
        } | changes
        return capture_lib.open_capture(path=path, **settings)

    return open_it


@pytest.fixture(scope="session")
def open_little_falls(open_meta):
    """The same for `write_little_falls`."""

    def open_it(path, **changes) -> capture_lib.Capture:
        return open_meta(path, **({"layout": "little_falls", "factor": 1} | changes))

    return open_it
