"""Trouble on the way, and how a process of its own ends: its status, its last line, its log."""

import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from inv_jax import cli
from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles
from inv_jax.train.step import Stepper

ROLES = Roles(("structure",), ("color",))

_ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("restored_process")


def test_too_little_device_memory_names_the_setting(tmp_path, monkeypatch, capsys, train_argv):
    def exhausted(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory: 12 GiB\nmore")

    monkeypatch.setattr(Stepper, "run", exhausted)
    status = cli.main(train_argv(tmp_path / "run"))
    _, errors = capsys.readouterr()
    last = errors.splitlines()[-1]
    assert last.startswith("inv-jax: out of device memory")
    assert "train.rows_per_pass" in last
    assert "Traceback" not in errors
    assert status == 2


def test_a_loss_that_is_not_finite_names_frame_and_step(run, tmp_path, capsys, train_argv):
    """Frame 3 of a run of two; its optimizer has a moment that is infinite."""
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    store = FrameStore(workdir, roles=ROLES)
    good = store.params(2)
    broken = store.optimizer(2)
    path = next(name for name in broken if "/mu/" in name and name.endswith("kernel"))
    broken[path] = np.full_like(broken[path], np.inf)
    metadata = store.metadata(2)
    store.close()
    shutil.rmtree(workdir / "frames" / "000002")
    store = FrameStore(workdir, roles=ROLES)
    store.save(2, good, broken, trained=("structure",), metadata=metadata)
    store.close()

    status = cli.main(train_argv(workdir, "--config.data.num_frames=3"))
    _, errors = capsys.readouterr()
    last = errors.splitlines()[-1]
    assert status == 2
    assert last.startswith("inv-jax: the loss or gradient of frame 3 is not finite at step 2 of 3")
    assert "frame 2 is the last good one" in last
    assert "Traceback" not in errors
    assert FrameStore(workdir).frames() == [1, 2]
    found = FrameStore(workdir).params(2)
    assert jax.tree.all(jax.tree.map(np.array_equal, found, good))


# A process of its own.


def _process(*argv: str, file_kib: int | str = "unlimited") -> subprocess.CompletedProcess:
    limited = ["bash", "-c", f'ulimit -f {file_kib}; exec "$@"', "bash"]
    return subprocess.run(
        [*limited, sys.executable, "-m", "inv_jax", *argv],
        cwd=_ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_mistake_ends_the_process_with_status_2_and_one_line(tmp_path):
    found = _process("train", f"--workdir={tmp_path / 'run'}")
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith("inv-jax: --config is missing")
    assert found.stderr.count("\n") == 1


def test_the_log_of_a_process_holds_our_lines_only(run):
    found = _process("eval", f"--workdir={run}", "--metrics=psnr,ssim")
    assert found.returncode == 0
    assert found.stdout.splitlines()[0].split()[:2] == ["frame", "cam"]
    lines = found.stderr.splitlines()
    assert len(lines) == 2, found.stderr
    assert all("evaluate.py" in line and "cam00" in line for line in lines), found.stderr


@pytest.mark.slow
@pytest.mark.in_ci
def test_a_disk_that_takes_no_more_ends_the_process_with_status_2(tmp_path, train_argv):
    _, *argv = train_argv(tmp_path / "run", "--config.model.width=64")
    found = _process(*argv, file_kib=8)  # a layer of 64x64 floats is larger
    assert found.returncode == 2
    ours = [line for line in found.stderr.splitlines() if line.startswith("inv-jax: ")]
    assert len(ours) == 1, found.stderr
    assert "frame 1 in " in ours[0]
    assert FrameStore(tmp_path / "run").frames() == []
