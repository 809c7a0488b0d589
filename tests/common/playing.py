"""What a run or a file shows, as commands write it."""

import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import training
from PIL import Image


def pictures(folder: pathlib.Path) -> np.ndarray:
    """All of a folder, in order: (n, H, W, 3) uint8."""
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def psnr(shown: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of pictures, one by one."""
    error = np.square(shown.astype(float) / 255 - truth.astype(float) / 255)
    return -10 * np.log10(error.mean(axis=(1, 2, 3)))


def encoded(
    workdir: pathlib.Path, folder: pathlib.Path, flags: Mapping[str, Sequence[str]]
) -> dict[str, pathlib.Path]:
    """The run as files, by name: each encoded with its flags."""
    made = {name: folder / f"{name}.inv" for name in flags}
    for name, path in made.items():
        assert training.run("encode", f"--workdir={workdir}", *flags[name], f"--out={path}") == 0
    return made


def measured(
    path: pathlib.Path, capture: pathlib.Path, frames: Sequence[int], folder: pathlib.Path
) -> np.ndarray:
    """PSNR by frame, as `inv-jax eval` has it, of a run or a file that has these frames."""
    table = folder / f"{path.stem}.json"
    flags = ["--metrics=psnr", f"--out={table}", f"--data_path={capture}"]
    assert training.run("eval", f"--workdir={path}", *flags) == 0
    rows = json.loads(table.read_text())
    assert [row["frame"] for row in rows] == list(frames)
    return np.array([row["psnr"] for row in rows])
