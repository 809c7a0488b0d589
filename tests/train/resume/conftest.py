"""A run that is killed goes on with the same bits, wherever it was killed.

The kills come in three kinds: an exception between two dispatches (a crash, in this process), a
finished workdir made to look as a kill at one certain moment leaves it, and signals to a process.
"""

import json
import pathlib
from collections.abc import Callable

import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore

_MEASURED = ("seconds", "_per_second", "_bytes")  # ends of names of what no two runs share


@pytest.fixture(scope="session")
def three_frames() -> dict:
    """Settings: frame 1 has states at steps 3, 6 and 9 of 10, frames 2 and 3 (frozen) at 3 of 6."""
    return {"data.num_frames": 3, "train.freeze_frame": 2, "train.save_every": 3}


@pytest.fixture(scope="session")
def straight(train, three_frames, tmp_path_factory) -> pathlib.Path:
    """The run that nothing interrupts; to look at only."""
    workdir = tmp_path_factory.mktemp("straight")
    train(workdir, three_frames)
    return workdir


@pytest.fixture(scope="session")
def rows_of() -> Callable[[pathlib.Path], list[dict]]:
    """`rows_of(workdir)`: the journal, without what no two runs share."""

    def read(workdir: pathlib.Path) -> list[dict]:
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if not k.endswith(_MEASURED)} for row in rows]

    return read


@pytest.fixture(scope="session")
def images_of() -> Callable[[pathlib.Path], dict[str, bytes]]:
    """`images_of(workdir)`: the pictures that were written, by path."""

    def read(workdir: pathlib.Path) -> dict[str, bytes]:
        paths = sorted(workdir.glob("nerf_esti/**/*.png"))
        return {str(path.relative_to(workdir)): path.read_bytes() for path in paths}

    return read


@pytest.fixture(scope="session")
def assert_same_run(rows_of, images_of) -> Callable[[pathlib.Path, pathlib.Path], None]:
    """`assert_same_run(found, expected)`: the same bits, rows and pictures, nothing left over."""

    def check(found: pathlib.Path, expected: pathlib.Path) -> None:
        assert _all_bits(found) == _all_bits(expected)
        assert rows_of(found) == rows_of(expected)
        assert images_of(found) == images_of(expected)
        names = [path.name for path in (found / "frames").iterdir()]
        assert sorted(names) == [f"{frame:06d}" for frame in FrameStore(found).frames()]
        assert not list((found / "partial").iterdir())
        assert not list(found.rglob("*.tmp"))

    return check


def _all_bits(workdir: pathlib.Path) -> dict[tuple[int, str], bytes]:
    store = FrameStore(workdir)
    bits = {}
    for frame in store.frames():
        for path, leaf in params_lib.flatten(store.params(frame)).items():
            bits[frame, path] = leaf.tobytes()
    for path, leaf in store.optimizer(store.frames()[-1]).items():
        bits[store.frames()[-1], f"optimizer/{path}"] = leaf.tobytes()
    return bits
