"""A tiny run by command, and what a command with a mistake in it says."""

import pathlib
from collections.abc import Callable

import pytest

from inv_jax import cli

_BASE = pathlib.Path(__file__).parents[2] / "configs" / "base.py"
_HEIGHT, _WIDTH = 12, 17  # odd, which a video cannot be
_TINY = {
    "data.near": 0.0,
    "data.num_frames": 2,
    "model.width": 8,
    "model.depth": 2,
    "model.structure_layers": 1,
    "model.position_octaves": 2,
    "model.direction_octaves": 1,
    "model.coarse_samples": 4,
    "model.fine_samples": 4,
    "train.steps": 3,
    "train.warmup_steps": 3,
    "train.freeze_frame": 2,
    "train.rows_per_step": 16,
}


@pytest.fixture(scope="session")
def capture(tiny_capture) -> pathlib.Path:
    """A META capture of 3 cameras side by side and 3 frames of noise."""
    return tiny_capture(_HEIGHT, _WIDTH)


@pytest.fixture(scope="session")
def train_argv(capture) -> Callable[..., list[str]]:
    """`train_argv(workdir, flag, ...)`: a command that trains two frames of the capture."""

    def make(workdir: pathlib.Path, *more: str) -> list[str]:
        fields = {"data.path": capture, **_TINY}
        return [
            *("inv-jax", "train", f"--config={_BASE}", f"--workdir={workdir}"),
            *(f"--config.{name}={value}" for name, value in fields.items()),
            *more,
        ]

    return make


@pytest.fixture(scope="session")
def run(train_argv, tmp_path_factory) -> pathlib.Path:
    """A trained run of two frames; to look at only."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    assert cli.main(train_argv(workdir)) == 0
    return workdir


@pytest.fixture
def error_of(capsys) -> Callable[[list[str]], str]:
    """`error_of(argv)`: the one line that a command with a mistake in it says."""

    def call(argv: list[str]) -> str:
        capsys.readouterr()
        status = cli.main(argv)
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("inv-jax: ")
        assert errors.endswith("\n")
        assert errors.count("\n") == 1, errors
        assert status == 2
        return errors

    return call
