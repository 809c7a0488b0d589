"""Several processes as one job, on this machine: real commands that meet on loopback."""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import av
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo
from inv_jax.train import hosts

# A codec that loses nothing, by which every frame goes to the main process and comes back.
_SETTINGS = {"codec.name": "raw", "codec.from_decoded": True}
_SECONDS = 120  # no command here takes longer, also on a busy machine


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _places(count: int) -> list[tuple[str, ...]]:
    port = _free_port()
    return [
        (
            f"--coordinator=127.0.0.1:{port}",
            f"--num_processes={count}",
            f"--process_id={number}",
        )
        for number in range(count)
    ]


def _ended(processes: Sequence[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit status and standard error of each."""
    errors = [process.communicate(timeout=_SECONDS)[1] for process in processes]
    return [(p.returncode, error) for p, error in zip(processes, errors, strict=True)]


def _film(path: pathlib.Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _said(out: str) -> list[str]:
    """Lines of the standard output; those of the transport between processes are not ours."""
    return [line for line in out.splitlines() if not line.startswith("[Gloo]")]


@pytest.fixture
def job(command) -> Callable[..., list[subprocess.Popen]]:
    """Starts two processes of two devices each."""
    started: list[subprocess.Popen] = []

    def start(workdir: pathlib.Path, changes: dict | None = None) -> list[subprocess.Popen]:
        processes = [command(workdir, changes, place) for place in _places(2)]
        started.extend(processes)
        return processes

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def runs(command, tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path, list[str]]:
    """The same run by two processes of two devices, and by one of four; what the former said."""
    folder = tmp_path_factory.mktemp("runs")
    together = [command(folder / "two", _SETTINGS, place) for place in _places(2)]
    ended = _ended(together)
    assert [status for status, _ in ended] == [0, 0], ended
    [(status, error)] = _ended([command(folder / "one", _SETTINGS, num_devices=4)])
    assert status == 0, error
    return folder / "two", folder / "one", [error for _, error in ended]


def _largest_difference(a: pathlib.Path, b: pathlib.Path, frame: int) -> float:
    first, second = (params_lib.flatten(FrameStore(folder).params(frame)) for folder in (a, b))
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def test_two_processes_train_the_params_of_one_to_rounding(runs):
    two, one, _ = runs
    assert FrameStore(two).frames() == FrameStore(one).frames() == [1, 2, 3]
    for frame in (1, 2, 3):
        assert _largest_difference(two, one, frame) < 2e-4
    moved = params_lib.flatten(FrameStore(two).params(1))
    start = params_lib.flatten(FrameStore(two).params(3))
    assert max(np.abs(moved[name] - start[name]).max() for name in moved) > 2e-3


def test_frames_rows_and_images_are_written_once(runs):
    two, one, _ = runs
    rows = [json.loads(line) for line in (two / "metrics.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [1, 2, 3]
    assert all(row["psnr"] > 5 for row in rows)
    files = {
        folder: sorted(
            str(path.relative_to(folder).parent) for path in folder.rglob("*") if path.is_file()
        )
        for folder in runs[:2]
    }
    # Orbax names its data files at random, so folders are compared.
    assert set(files[two]) == set(files[one])
    assert len([name for name in files[two] if name.startswith("nerf_esti")]) == 6
    assert len(list((two / "tensorboard").iterdir())) == 1


def test_only_the_main_process_reports(runs):
    _, _, (main, other) = runs
    assert "in 2 processes" in main
    assert "is done" in main
    assert "is done" not in other


def test_two_processes_write_one_video_of_what_is_stored(runs):
    video, store = NeuralVideo.open(runs[0] / "video.inv"), FrameStore(runs[0])
    assert video.frames() == store.frames()
    for frame in video.frames():
        stored = params_lib.flatten(store.params(frame))
        for name, leaf in params_lib.flatten(video.params(frame)).items():
            np.testing.assert_array_equal(leaf, stored[name])


def test_two_processes_measure_and_render_of_a_video_what_one_does_of_a_run(
    runs, tmp_path, tiny_capture
):
    two, _, _ = runs
    outcomes = []
    for name, places, shown in (
        ("together", _places(2), (f"--workdir={two / 'video.inv'}", f"--data_path={tiny_capture}")),
        ("alone", [()], (f"--workdir={two}",)),
    ):
        table, video = tmp_path / f"{name}.json", tmp_path / f"{name}.mp4"
        for argv in (
            ("eval", "--cams=all", f"--out={table}"),
            ("render", "--path=test", f"--out={video}"),
        ):
            processes = [
                subprocess.Popen(
                    [sys.executable, "-m", "inv_jax", *argv, *shown, *place],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for place in places
            ]
            printed = [process.communicate(timeout=_SECONDS) for process in processes]
            assert [process.returncode for process in processes] == [0] * len(places), printed
            said = [_said(out) for out, _ in printed]
            assert said[0]
            assert not any(said[1:])
        outcomes.append((json.loads(table.read_text()), _film(video)))
    (together, film), (alone, alone_film) = outcomes
    assert len(together) == 3 * 4
    for row, expected in zip(together, alone, strict=True):
        assert row["psnr"] == pytest.approx(expected["psnr"], abs=1e-3)
    assert film.shape == alone_film.shape
    assert np.abs(film.astype(int) - alone_film.astype(int)).max() <= 8  # compression, rounding


def _wait_for_state(workdir: pathlib.Path, processes: Sequence[subprocess.Popen]) -> None:
    """Waits until a state within a frame is stored."""
    deadline = time.monotonic() + _SECONDS
    while not list((workdir / "partial").glob("[0-9]*/metadata")):
        assert all(process.poll() is None for process in processes), _ended(processes)
        assert time.monotonic() < deadline
        time.sleep(0.02)


_LONG = {"train.warmup_steps": 200_000, "train.save_every": 20, "data.num_frames": 1}


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(0, id="the main one"),
        pytest.param(1, id="another one", marks=pytest.mark.in_ci),
    ],
)
@pytest.mark.slow
def test_when_a_process_is_killed_the_other_stops_and_the_job_goes_on(job, tmp_path, victim):
    workdir = tmp_path / "run"
    processes = job(workdir, _LONG)
    _wait_for_state(workdir, processes)
    processes[victim].kill()
    start = time.monotonic()
    status, error = _ended(processes)[1 - victim]
    assert time.monotonic() - start < 30  # JAX's own watch would take 60
    # Without its coordinator JAX may be the first to end the process.
    assert status == hosts.TRY_AGAIN or (victim == 0 and status == -signal.SIGABRT)
    assert f"process {victim} of this job is gone" in error or status == -signal.SIGABRT
    stored = max(int(path.name) % 10**9 for path in (workdir / "partial").glob("[0-9]*"))
    again = job(workdir, {**_LONG, "train.warmup_steps": 200_000})
    while not list((workdir / "partial").glob(f"*{stored + 20:06d}")):
        assert all(process.poll() is None for process in again), _ended(again)
        time.sleep(0.02)
    again[0].send_signal(signal.SIGTERM)
    assert [status for status, _ in _ended(again)] == [143, 143]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_the_same_step(job, tmp_path):
    workdir = tmp_path / "run"
    processes = job(workdir, _LONG)
    _wait_for_state(workdir, processes)
    processes[1].send_signal(signal.SIGUSR1)
    (main_status, main), (status, other) = _ended(processes)
    assert status == 128 + signal.SIGUSR1
    assert main_status == 128 + signal.SIGTERM
    said = [line for line in (main + other).splitlines() if "stopped in frame 1" in line]
    assert len(said) == 2
    assert said[0].split("after step")[1] == said[1].split("after step")[1]


@pytest.mark.slow
def test_a_mistake_that_all_processes_find_ends_all(job, tmp_path):
    ended = _ended(job(tmp_path / "run", {"train.learning_rate": -1.0}))
    assert [status for status, _ in ended] == [2, 2]
    assert all("train.learning_rate=-1.0" in error for _, error in ended)


@pytest.mark.slow
def test_a_fault_that_only_the_main_process_meets_ends_all_with_its_status(job, tmp_path):
    (tmp_path / "file").write_text("no folder")
    ended = _ended(job(tmp_path / "file" / "run"))
    assert [status for status, _ in ended] == [2, 2]
    assert all("file" in error or "status 2" in error for _, error in ended)
