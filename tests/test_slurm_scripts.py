"""The batch files under a SLURM of stubs: what they start, when they requeue, where they end."""

import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from configs import n3dv

_ROOT = pathlib.Path(__file__).parents[1]
_FOLDER = _ROOT / "scripts" / "slurm"
_FILES = ("node.sbatch", "nodes.sbatch", "scenes.sbatch")
_LOST_A_PROCESS = 75  # the status of a process whose job has lost another one

_STUBS = {
    # Its own options are dropped; a process that a signal ended gives 128 + the signal.
    "srun": """
        printf '%s\\n' "$@" > "$STUB/srun"
        while [ "$1" != inv-jax ]; do shift; done
        "$@" 2>> "$STUB/stderr"
        exit $?
    """,
    # STATUS is its exit status, or `wait`: store something and leave when a signal says so.
    "inv-jax": """
        printf '%s\\n' "$@" > "$STUB/inv-jax"
        if [ -n "${STORES:-}" ]; then
            mkdir -p "$STORES/$(ls "$STORES" 2>/dev/null | wc -l)"
        fi
        [ "$STATUS" != wait ] && exit "$STATUS"
        trap 'exit 143' TERM
        trap 'exit 138' USR1
        echo $$ > "$STUB/pid.new" && mv "$STUB/pid.new" "$STUB/pid"
        for _ in $(seq 600); do sleep 0.05; done
    """,
    "scontrol": 'echo "$@" >> "$STUB/scontrol"; exit "${SCONTROL:-0}"',
}


class _Slurm:
    """A folder of stubs, and what they were called with."""

    def __init__(self, folder: pathlib.Path):
        self._stub = folder / "stub"
        self._stub.mkdir()
        for name, body in _STUBS.items():
            path = self._stub / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/usr/bin/env bash\n{body}\n")
            path.chmod(0o755)

    def start(self, file: str, *arguments: str | pathlib.Path, **variables: str | int):
        """Starts a batch file as a job would; `variables` are its environment's."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "INV_JAX_"))}
        return subprocess.Popen(
            ["bash", str(_FOLDER / file), *map(str, arguments)],
            env=kept
            | {
                "PATH": f"{self._stub / 'bin'}:{os.environ['PATH']}",
                "STUB": str(self._stub),
                "STATUS": "0",
                "SLURM_JOB_ID": "7",
                "SLURM_SUBMIT_DIR": str(_ROOT),
                "INV_JAX_VENV": "none",
            }
            | {name: str(value) for name, value in variables.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str | pathlib.Path, **variables: str | int) -> tuple[int, str]:
        """Its exit status, and what it said."""
        job = self.start(*map(str, arguments), **variables)
        said, _ = job.communicate(timeout=60)
        return job.returncode, said

    def signal_the_step(self, number: int) -> None:
        """Signals the processes that srun started, as SLURM does."""
        path = self._stub / "pid"
        for _ in range(600):
            if path.exists():
                break
            time.sleep(0.05)
        os.kill(int(path.read_text()), number)

    def lines(self, stub: str) -> list[str]:
        """The arguments of its last call, a line each; of `scontrol` a line for each call."""
        path = self._stub / stub
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path) -> _Slurm:
    return _Slurm(tmp_path)


@pytest.fixture
def submit(slurm, tmp_path) -> Callable[..., tuple[int, str]]:
    """Runs node.sbatch on a config and a workdir."""

    def run(**variables: str | int) -> tuple[int, str]:
        return slurm.run("node.sbatch", "configs/base.py", tmp_path / "run", **variables)

    return run


# When a job requeues itself.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_a_run_that_a_signal_ends_is_requeued_once(slurm, tmp_path, number):
    job = slurm.start("node.sbatch", "configs/base.py", tmp_path / "run", STATUS="wait")
    slurm.signal_the_step(number)
    said, _ = job.communicate(timeout=60)
    assert slurm.lines("scontrol") == ["requeue 7"], said
    assert job.returncode == 128 + number


@pytest.mark.parametrize("status", [134, 137, _LOST_A_PROCESS])
def test_a_run_that_lost_a_process_is_requeued(slurm, submit, status):
    submit(STATUS=status)
    assert slurm.lines("scontrol") == ["requeue 7"]


def test_a_finished_run_is_not_requeued(slurm, submit):
    status, _ = submit(STATUS=0)
    assert status == 0
    assert slurm.lines("scontrol") == []


@pytest.mark.parametrize("error", [1, 2, 128 + signal.SIGINT])
def test_an_error_ends_the_job_with_its_status(slurm, submit, error):
    status, said = submit(STATUS=error)
    assert status == error
    assert f"status {error}; not requeued" in said
    assert slurm.lines("scontrol") == []


def test_a_refused_requeue_ends_the_job_with_the_status_of_the_run(submit):
    status, said = submit(STATUS=138, SCONTROL=1)
    assert status == 138
    assert "the same sbatch command goes on" in said


def test_restarts_that_store_nothing_come_to_an_end(slurm, submit):
    ended = [submit(STATUS=138) for _ in range(5)]
    assert slurm.lines("scontrol") == ["requeue 7"] * 3
    assert "3 restarts have stored nothing" in ended[-1][1]
    submit(STATUS=138, SLURM_JOB_ID=8)  # a job that somebody submits may try again
    assert slurm.lines("scontrol")[3:] == ["requeue 8"]


@pytest.mark.parametrize("folder", ["frames", "partial"])
def test_restarts_that_store_something_go_on(slurm, submit, tmp_path, folder):
    for _ in range(8):
        submit(STATUS=138, STORES=tmp_path / "run" / folder)
    assert slurm.lines("scontrol") == ["requeue 7"] * 8


def test_a_state_of_any_frame_in_training_is_progress(slurm, submit, tmp_path):
    states = tmp_path / "run" / "partial"
    (states / "5000000002").mkdir(parents=True)
    for step in range(6):
        (states / f"200000000{step}").mkdir()
        submit(STATUS=138)
        (states / f"200000000{step}").rmdir()
    assert slurm.lines("scontrol") == ["requeue 7"] * 6


def test_a_write_that_was_cut_off_is_no_progress(slurm, submit, tmp_path):
    for count in range(5):
        submit(STATUS=138)
        (tmp_path / "run" / "frames" / f"00000{count}.orbax-checkpoint-tmp").mkdir(parents=True)
    assert slurm.lines("scontrol") == ["requeue 7"] * 3


def test_a_task_of_an_array_requeues_itself_alone(slurm, tmp_path):
    """The number of an array's last task is the array's, and would requeue all of it."""
    scenes = tmp_path / "scenes.txt"
    scenes.write_text(f"\nconfigs/base.py {tmp_path}/run\n")
    array = {"SLURM_ARRAY_JOB_ID": 7, "SLURM_ARRAY_TASK_ID": 2}
    slurm.run("scenes.sbatch", scenes, STATUS=143, **array)
    assert slurm.lines("scontrol") == ["requeue 7_2"]


# What a job starts.


@pytest.mark.parametrize("file", ["node.sbatch", "nodes.sbatch"])
def test_arguments_arrive_as_they_were_given(slurm, tmp_path, file):
    workdir = tmp_path / "a run"
    flags = ["--config.data.path=/a b/$HOME", "--config.data.holdout=(0, 7)", "--x=*'\"\\"]
    status, said = slurm.run(file, "configs/n3dv.py:flame_salmon_1", workdir, *flags)
    assert status == 0, said
    assert slurm.lines("inv-jax") == [
        "train",
        "--config=configs/n3dv.py:flame_salmon_1",
        f"--workdir={workdir}",
        *flags,
    ]


def test_a_task_trains_the_scene_of_its_line(slurm, tmp_path):
    scenes = tmp_path / "scenes.txt"
    scenes.write_text(
        "# a comment\n"
        "configs/base.py runs/a --config.train.seed=1\n"
        "  configs/base.py 'runs/b c' --config.data.path=\"/x y/$HOME/`id`\" "  # no newline
    )
    status, said = slurm.run("scenes.sbatch", scenes, "--config.data.factor=1 2", **_task(3))
    assert status == 0, said
    assert slurm.lines("inv-jax") == [
        "train",
        "--config=configs/base.py",
        "--workdir=runs/b c",
        "--config.data.path=/x y/$HOME/`id`",
        "--config.data.factor=1 2",
    ]


@pytest.mark.parametrize("line", [1, 2, 3, 9])
def test_lines_without_a_scene_end_at_once(slurm, tmp_path, line):
    scenes = tmp_path / "scenes.txt"
    scenes.write_text("# a comment\n\n  \t\nconfigs/base.py runs/a\n")
    status, said = slurm.run("scenes.sbatch", scenes, **_task(line))
    assert (status, slurm.lines("srun")) == (0, []), said
    assert f"line {line} holds no scene" in said


@pytest.mark.parametrize(
    ("file", "arguments", "task", "text"),
    [
        ("node.sbatch", ["configs/base.py"], None, "expected CONFIG WORKDIR"),
        ("scenes.sbatch", [], 1, "expected a list of scenes"),
        ("scenes.sbatch", ["none.txt"], 1, "cannot read 'none.txt'"),
        ("scenes.sbatch", [_FOLDER / "scenes.txt"], None, "no array: sbatch --array=1-5"),
        ("scenes.sbatch", ["{broken}"], 1, "line 1: configs/base.py 'runs/a"),
    ],
)
def test_a_wrong_command_says_what_was_expected(slurm, tmp_path, file, arguments, task, text):
    broken = tmp_path / "broken.txt"
    broken.write_text("configs/base.py 'runs/a\n")
    arguments = [broken if argument == "{broken}" else argument for argument in arguments]
    status, said = slurm.run(file, *arguments, **(_task(task) if task else {}))
    assert status == 2
    assert text in said
    assert slurm.lines("srun") == []


def test_scenes_of_the_example_are_settings_there_are(slurm):
    for number, line in enumerate((_FOLDER / "scenes.txt").read_text().splitlines(), start=1):
        if line.startswith("#"):
            continue
        slurm.run("scenes.sbatch", _FOLDER / "scenes.txt", **_task(number))
        _, config, workdir, path = slurm.lines("inv-jax")
        file, _, scene = config.removeprefix("--config=").partition(":")
        assert file == "configs/n3dv.py"
        assert scene in n3dv.table()
        assert workdir == f"--workdir=runs/{scene}"
        assert path.startswith("--config.data.path=")


# What a job asks for.


@pytest.mark.parametrize("file", _FILES)
def test_every_job_can_be_requeued(file):
    asked = _asked(file)
    assert {"--requeue", "--open-mode=append"} <= asked
    [seconds] = [a.removeprefix("--signal=USR1@") for a in asked if a.startswith("--signal")]
    assert int(seconds) >= 60  # SLURM looks at the clock about once a minute
    [output] = [a for a in asked if a.startswith("--output")]
    assert output.endswith("%A_%a.out" if file == "scenes.sbatch" else "%j.out")


@pytest.mark.parametrize("file", _FILES)
def test_the_readme_says_what_a_job_asks_for(file):
    text = (_FOLDER / "README.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith(f"| `{file}`")]
    said = set(re.findall(r"`(--[^`]+)`", row))
    kinds = ("--nodes", "--ntasks-per-node", "--gres", "--cpus-per-task", "--mem", "--time")
    assert said == {option for option in _asked(file) if option.startswith(kinds)}
    assert f"`{_signal(file)}`" in text


def test_a_process_has_time_to_leave_after_the_first(slurm, submit):
    """The first to leave must not get the one killed that is still storing the state."""
    submit()
    options = slurm.lines("srun")
    assert "--kill-on-bad-exit=0" in options
    [wait] = [option.removeprefix("--wait=") for option in options if option.startswith("--wait")]
    assert 60 < int(wait) <= 120  # processes notice a silent one within 60 s


def _task(number: int) -> dict[str, int]:
    return {"SLURM_ARRAY_JOB_ID": 7, "SLURM_ARRAY_TASK_ID": number}


def _asked(file: str) -> set[str]:
    lines = (_FOLDER / file).read_text().splitlines()
    return {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}


def _signal(file: str) -> str:
    [option] = [option for option in _asked(file) if option.startswith("--signal")]
    return option
