"""What `inv-jax doctor` says, and what it refuses."""

import logging as std_logging
import pathlib
import re

import pytest
from absl import logging

from inv_jax import cli, settings
from inv_jax.assembly import build
from inv_jax.commands import forecast
from inv_jax.cost import machine
from inv_jax.train.parallel import Devices

_BASE = pathlib.Path(__file__).parents[2] / "configs" / "base.py"
_TINY = {
    "data.near": 0.0,
    "model.width": 8,
    "model.depth": 2,
    "model.structure_layers": 1,
    "model.coarse_samples": 4,
    "model.fine_samples": 4,
    "train.steps": 20,
    "train.warmup_steps": 30,
    "train.freeze_frame": 2,
    "train.rows_per_step": 32,
}


@pytest.fixture(autouse=True)
def log_is_left_as_it_was():
    verbosity, filters = logging.get_verbosity(), list(logging.get_absl_handler().filters)
    handlers = list(std_logging.getLogger().handlers)
    yield
    logging.set_verbosity(verbosity)
    logging.get_absl_handler().filters[:] = filters
    std_logging.getLogger().handlers[:] = handlers


@pytest.fixture(scope="module")
def capture(tiny_capture) -> pathlib.Path:
    """Three frames of three cameras, 16x12."""
    return tiny_capture()


@pytest.fixture
def doctor(capsys):
    """`doctor(*flags, **fields)`: exit status, standard output and standard error."""

    def call(*flags: str, **fields) -> tuple[int, str, str]:
        argv = ["inv-jax", "doctor", *flags]
        if fields:
            values = {**_TINY, **{name.replace("__", "."): v for name, v in fields.items()}}
            argv += [f"--config={_BASE}", *(f"--config.{n}={v}" for n, v in values.items())]
        capsys.readouterr()
        status = cli.main(argv)
        return status, *capsys.readouterr()

    return call


def _rows(output: str) -> dict[str, str]:
    """The text of each labelled line."""
    matches = re.findall(r"^  (\S[^\n]{0,12}?) {2,}(\S.*)$", output, re.MULTILINE)
    return dict(matches)


def test_without_a_config_it_describes_the_machine(doctor, tmp_path):
    status, output, _ = doctor("--nomeasure", f"--workdir={tmp_path / 'not' / 'there'}")
    rows = _rows(output)
    assert status == 0
    assert rows["devices"].startswith(Devices().describe())
    assert "float32" in rows["precision"]
    assert f"{machine.cores()} cores" in rows["host"]
    assert "free for" in rows["disk"]
    assert "jax" in rows["versions"]
    assert "\nconfig\n" not in output


def test_output_is_at_most_100_columns_wide(doctor, capture):
    for call in (
        doctor("--nomeasure", data__path=capture),
        doctor("--nomeasure", data__path="x" * 60),
    ):
        assert max(map(len, call[1].splitlines())) <= 100


def test_an_open_capture_says_how_large_a_frame_is(doctor, capture):
    status, output, _ = doctor("--nomeasure", data__path=capture)
    assert status == 0
    assert "3 frames of 2 training cameras, 16x12" in output
    # 2 frames on the device, 2 cameras of 16x12, 3 bytes: in KiB.
    pixels = f"{2 * 2 * 16 * 12 * 3 / 1024:.3g} KiB pixels of frames in training, and of the next"
    assert pixels in output


def test_a_capture_that_is_not_there_is_replaced_by_the_configs_sizes(doctor, tmp_path):
    status, output, _ = doctor("--nomeasure", data__path=tmp_path / "nowhere")
    assert status == 0
    assert "not opened:" in output
    assert "nowhere" in output
    assert "taken instead: 300 frames of 20 training cameras, 1352x1014" in output


def test_frames_that_are_left_out_take_nothing(doctor, tmp_path):
    _, output, _ = doctor("--nomeasure", data__path=tmp_path / "nowhere", data__frame_step=7)
    assert "taken instead: 43 frames of 20 training cameras" in output


def test_masks_that_training_asks_for_are_looked_for(doctor, capture):
    assert "masks" not in _rows(doctor("--nomeasure", data__path=capture)[1])
    status, output, _ = doctor("--nomeasure", data__path=capture, model__name="split")
    assert status == 0  # they can be made yet
    assert _rows(output)["masks"].startswith("NOT READY: mask of frame 1, cam01:")
    assert "is missing, and 5 more are; make" in " ".join(output.split())


def test_phases_have_their_frames_and_their_operations(doctor, capture):
    _, output, _ = doctor("--nomeasure", data__path=capture)
    rows = _rows(output)
    assert rows["warmup"].startswith("1 frames of 30 steps")
    assert rows["transfer"].startswith("2 frames of 20 steps")
    _, output, _ = doctor("--nomeasure", data__path=capture, train__freeze_frame=0)
    assert _rows(output)["warmup"].startswith("3 frames of 30 steps")
    assert "transfer" not in output


def test_measuring_times_the_real_step(doctor, capture, monkeypatch):
    monkeypatch.setattr(forecast, "_TRIAL_SECONDS", 1e9)  # also on a machine that is busy
    monkeypatch.setattr(forecast, "_STEP_SECONDS", 0.05)
    monkeypatch.setitem(machine._SQUARES, "cpu", (64,))
    monkeypatch.setitem(machine._ARRAY_BYTES, "cpu", 2**22)
    status, output, _ = doctor(data__path=capture)
    assert status == 0
    assert re.search(
        r"warmup .*\n +[\d.]+ m?s a step, .* a frame \(floor: [\d.e-]+ ms a step\)", output
    )
    assert re.search(r"transfer .*\n +[\d.]+ m?s a step", output)
    assert re.search(r"video +.* of training, about .* of views", output)
    assert re.search(r"float32 +[\d.]+ [GT]FLOP/s", output)


def test_a_slow_first_phase_stands_for_the_second(doctor, capture, monkeypatch):
    monkeypatch.setattr(forecast, "_TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(forecast, "_STEP_SECONDS", 0.05)
    monkeypatch.setitem(machine._SQUARES, "cpu", (64,))
    monkeypatch.setitem(machine._ARRAY_BYTES, "cpu", 2**22)
    _, output, _ = doctor(data__path=capture)
    assert re.search(r"transfer .*\n +about [\d.]+ m?s a step", output)


def test_a_full_disk_is_said(doctor, capture, monkeypatch):
    monkeypatch.setattr(forecast, "free_bytes", lambda folder: 1000)
    _, output, _ = doctor("--nomeasure", data__path=capture)
    assert "NO ROOM for" in output
    monkeypatch.undo()
    _, output, _ = doctor("--nomeasure", data__path=capture)
    assert "there is room" in output


# What cannot fit.


@pytest.fixture
def little_memory(monkeypatch):
    """A host with 64 MiB left, which its simulated devices share."""
    monkeypatch.setattr(machine, "host_memory", lambda: (2**34, 2**26))
    return 2**26 // Devices().count


def test_a_config_that_cannot_fit_is_refused_with_the_setting_to_lower(
    doctor, capture, little_memory
):
    # 64 of them need about 30 MiB.
    large = {
        "data__path": capture,
        "model__width": 64,
        "model__coarse_samples": 192,
        "train__rows_per_step": 256,
        "eval__rows_per_chunk": 16,
    }
    status, output, errors = doctor("--nomeasure", train__rows_per_pass=64, **large)
    assert status == 2
    assert "a pass of rays" in output  # what was found out before
    assert errors.count("\n") == 1
    assert "16 MiB are free" in errors
    found = re.search(r"lower train\.rows_per_pass from 64 to about (\d+)", errors)
    assert found
    assert doctor("--nomeasure", train__rows_per_pass=found[1], **large)[0] == 0


def test_training_is_refused_before_anything_is_written(capture, little_memory, tmp_path, capsys):
    workdir = tmp_path / "run"
    fields = {**_TINY, "data.path": capture, "train.rows_per_step": 256, "model.width": 512}
    argv = ["inv-jax", "train", f"--config={_BASE}", f"--workdir={workdir}"]
    argv += [f"--config.{name}={value}" for name, value in fields.items()]
    argv += ["--config.train.rows_per_pass=64", "--config.model.coarse_samples=64"]
    assert cli.main(argv) == 2
    errors = capsys.readouterr().err
    assert "training needs about" in errors.splitlines()[-1]
    assert not workdir.exists()


def test_a_procedural_capture_that_cannot_fit_is_not_rendered(doctor, little_memory, tmp_path):
    """2 frames of 20 cameras of 1352x1014 are 157 MiB."""
    config = build_config({"data.layout": "procedural"})
    with pytest.raises(build.InvError, match=r"lower data\.procedural\.height from 1014 to about"):
        build.trainer(config, tmp_path / "run", lambda: False)
    assert not (tmp_path / "run").exists()


def build_config(changes: dict):
    from configs import base

    return settings.changed(base.get_config(), {**_TINY, **changes})


def test_a_mistake_in_the_config_is_one_line(doctor, capture):
    status, output, errors = doctor("--nomeasure", data__path=capture, model__precision="half")
    assert status == 2
    assert output == ""
    assert "model.precision" in errors
    assert errors.count("\n") == 1
