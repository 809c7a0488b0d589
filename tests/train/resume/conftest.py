"""A run that is killed goes on with the same bits, wherever it was killed.

The kills come in three kinds: an exception between two dispatches (a crash, in this process), a
finished workdir made to look as a kill at one certain moment leaves it, and signals to a process.
"""

import pathlib
from collections.abc import Callable

import pytest
import stored


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
    return stored.rows_of


@pytest.fixture(scope="session")
def images_of() -> Callable[[pathlib.Path], dict[str, bytes]]:
    """`images_of(workdir)`: the pictures that were written, by path."""
    return stored.images_of


@pytest.fixture(scope="session")
def assert_same_run() -> Callable[[pathlib.Path, pathlib.Path], None]:
    """`assert_same_run(found, expected)`: the same bits, rows and pictures, nothing left over."""
    return stored.assert_same_run
