"""A clip that is stopped or killed goes on with the same bits, pruned on the way or not.

Stops are asked for between dispatches, in this process, or are signals to another one.
"""

import pathlib
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
import training
from stored import assert_same_run, rows_of
from training import stop_after

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo
from inv_jax.train import prune
from inv_jax.types import Stopped

_BY_STEP = {"train.dispatch_seconds": 0.0}  # a dispatch of each step
_PRUNED = {"train.epochs": 6, "prune.ratio": 0.4, "prune.steps": (0.0, 0.5)}  # at steps 0 and 6


def leaves(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    return params_lib.flatten(FrameStore(workdir).params(1))


def prunable(workdir: pathlib.Path) -> np.ndarray:
    """The params that pruning may take, as one list."""
    return np.concatenate([
        leaf.ravel()
        for path, leaf in leaves(workdir).items()
        if path.endswith("/kernel") and "head" not in path
    ])  # fmt: skip


# A stop within a clip.


@pytest.fixture(scope="module")
def straight(train, tmp_path_factory) -> pathlib.Path:
    """10 steps that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("straight")
    train(workdir)
    return workdir


@pytest.fixture(scope="module")
def pruned(train, tmp_path_factory) -> pathlib.Path:
    """12 steps, pruned twice."""
    workdir = tmp_path_factory.mktemp("pruned")
    train(workdir, _PRUNED)
    return workdir


def test_a_clip_that_is_stopped_goes_on_with_the_same_bits(train, straight, tmp_path):
    with pytest.raises(Stopped, match="frames 1 to 8 after step 3 of 10"):
        train(tmp_path, _BY_STEP, stop_after(3))
    train(tmp_path)
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.slow) for step in (1, 5, 7)] + [6]
)
def test_a_stop_beside_a_pruning_changes_nothing(train, pruned, tmp_path, step):
    """The second one is in front of step 6 (from 0): behind 5, at 6, behind it; and the first."""
    with pytest.raises(Stopped, match=f"after step {step} of 12"):
        train(tmp_path, {**_PRUNED, **_BY_STEP}, stop_after(step))
    train(tmp_path, _PRUNED)
    assert_same_run(tmp_path, pruned)


def test_what_is_pruned_is_zero_and_the_rest_is_what_was_promised(pruned):
    params = prunable(pruned)
    kept = np.count_nonzero(params) / params.size
    assert kept == pytest.approx(prune.remaining(0.4, 2), abs=2 / params.size)
    others = [leaf for path, leaf in leaves(pruned).items() if path.endswith("/bias")]
    assert all(np.count_nonzero(leaf) == leaf.size for leaf in others)


def test_a_run_is_pruned_that_another_one_has_trained(train, straight, tmp_path):
    """As `configs/nerv.py:prune` does: once, in front of the first step."""
    changes = {"train.init_from": str(straight), "prune.ratio": 0.4, "train.epochs": 1}
    train(tmp_path, changes)
    before, after = prunable(straight), prunable(tmp_path)
    gone = np.argsort(np.abs(before), kind="stable")[: round(0.6 * before.size)]
    assert not after[gone].any()
    assert np.count_nonzero(after) == before.size - gone.size


@pytest.mark.slow
def test_clips_of_a_run_are_stopped_between_and_go_on(train, tmp_path):
    changes = {"train.segment_frames": 4, "train.epochs": 3}
    train(tmp_path / "straight", changes)
    with pytest.raises(Stopped, match="frames 5 to 8"):
        train(tmp_path / "run", {**changes, **_BY_STEP}, stop_after(4))
    train(tmp_path / "run", changes)
    assert_same_run(tmp_path / "run", tmp_path / "straight")


# Files that are written meanwhile.


@pytest.mark.parametrize("codec", ["quant", pytest.param("delta", marks=pytest.mark.slow)])
def test_a_video_of_clips_is_the_same_file_behind_a_stop(train, tmp_path, codec):
    changes = {"train.segment_frames": 4, "codec.name": codec, "train.epochs": 3, **_BY_STEP}
    train(tmp_path / "straight", changes)
    for dispatches in (2, 2):  # within the first, within the second
        with pytest.raises(Stopped):
            train(tmp_path / "run", changes, stop_after(dispatches))
    train(tmp_path / "run", changes)
    found, expected = (tmp_path / name / "video.inv" for name in ("run", "straight"))
    assert found.read_bytes() == expected.read_bytes()
    assert NeuralVideo.open(found).frames() == list(range(1, 9))


# Commands in processes of their own.

_LONG = {
    **{**_PRUNED, "train.epochs": 600},
    "train.save_every": 100,
    "train.dispatch_seconds": 0.02,
}
_SECONDS = 120  # nothing here takes longer, also on a busy machine


@pytest.fixture(scope="module")
def command(arguments):
    """Starts `inv-jax train` in a process of its own."""

    def start(workdir: pathlib.Path, *extra: str, devices: int = 2) -> subprocess.Popen:
        flags = arguments(_LONG)
        return training.start(f"--workdir={workdir}", *flags, *extra, num_devices=devices)

    return start


@pytest.fixture(scope="module")
def straight_process(command, tmp_path_factory) -> pathlib.Path:
    """1200 steps, pruned in front of the first and of the 601st."""
    workdir = tmp_path_factory.mktemp("process") / "run"
    _finish(command(workdir))
    return workdir


def _finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "moment"),
    [
        (signal.SIGKILL, "partial/1000000100/*"),
        (signal.SIGKILL, "partial/1000000500/*"),
        (signal.SIGKILL, "partial/1000000700/*"),
        pytest.param(signal.SIGTERM, "partial/1000000100/*", marks=pytest.mark.in_ci),
        (signal.SIGKILL, "frames/*tmp*"),
    ],
)
def test_a_process_that_is_ended_within_a_clip_goes_on_with_the_same_bits(
    command, straight_process, tmp_path, ending, moment
):
    process = command(tmp_path)
    deadline = time.monotonic() + _SECONDS
    while not any(tmp_path.glob(moment)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    process.send_signal(ending)
    _, errors = process.communicate(timeout=_SECONDS)
    if ending == signal.SIGTERM:
        assert process.returncode == 128 + ending, errors
        assert "stopped in frames 1 to 8" in errors.splitlines()[-1]
    else:
        assert process.returncode == -ending, errors
    _finish(command(tmp_path))
    assert_same_run(tmp_path, straight_process)


@pytest.mark.slow
def test_two_processes_train_the_clip_of_one(command, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    short = "--config.train.epochs=4"
    job = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2", short]
    two = [command(tmp_path / "two", *job, f"--process_id={number}") for number in (0, 1)]
    for process in two:
        _finish(process)
    _finish(command(tmp_path / "one", short, devices=4))
    two, one = leaves(tmp_path / "two"), leaves(tmp_path / "one")
    for path, leaf in one.items():
        np.testing.assert_allclose(two[path], leaf, atol=2e-4, err_msg=path)
    assert [row["frame"] for row in rows_of(tmp_path / "two")] == list(range(1, 9))
