"""Signals to a process, at many moments."""

import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

# Many steps, so that there is a moment to hit.
_LONG = {
    "data.num_frames": 3,
    "train.freeze_frame": 2,
    "train.warmup_steps": 600,
    "train.steps": 400,
    "train.save_every": 50,
    "train.dispatch_seconds": 0.02,
}


def _until(process: subprocess.Popen, is_time: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_time():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)


@pytest.fixture(scope="module")
def straight_process(command, tmp_path_factory) -> Iterator[pathlib.Path]:
    workdir = tmp_path_factory.mktemp("process") / "run"
    process = command(workdir, _LONG)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    yield workdir


def _there(workdir: pathlib.Path, pattern: str) -> Callable[[], bool]:
    return lambda: any(workdir.glob(pattern))


def _finish(command, workdir: pathlib.Path) -> None:
    process = command(workdir, _LONG)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "delay"),
    [
        pytest.param("partial/1*", 0.0, marks=pytest.mark.in_ci),
        ("partial/1*", 0.03),
        ("partial/*tmp*", 0.0),
        ("partial/2*", 0.01),
        pytest.param("frames/*tmp*", 0.0, marks=pytest.mark.in_ci),
        ("frames/*tmp*", 0.005),
        ("frames/000002*", 0.0),
        ("frames/000002/commit_success.txt", 0.0),
        ("nerf_esti/cam00_frame0002*", 0.0),
    ],
)
def test_a_killed_process_goes_on_with_the_same_bits(
    command, straight_process, tmp_path, moment, delay, assert_same_run
):
    workdir = tmp_path / "run"
    process = command(workdir, _LONG)
    _until(process, _there(workdir, moment))
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    _finish(command, workdir)
    assert_same_run(workdir, straight_process)


@pytest.mark.slow
@pytest.mark.in_ci
def test_sigterm_stores_the_state_and_says_so(command, straight_process, tmp_path, assert_same_run):
    workdir = tmp_path / "run"
    process = command(workdir, {**_LONG, "train.save_every": 0})
    _until(process, _there(workdir, "frames/000001/commit_success.txt"))
    time.sleep(0.1)
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM == 143
    assert output == ""
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last.startswith("inv-jax: stopped "), errors
    assert "the same command goes on" in last
    _finish(command, workdir)
    assert_same_run(workdir, straight_process)
