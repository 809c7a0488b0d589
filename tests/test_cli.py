"""What a person sees at the command line: one line for a mistake, files for everything else."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import av
import jax
import numpy as np
import pytest

from inv_jax import cli
from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles
from inv_jax.train.step import Stepper

ROLES = Roles(("structure",), ("color",))

_ROOT = pathlib.Path(__file__).parents[1]
_BASE = _ROOT / "configs" / "base.py"
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


pytestmark = pytest.mark.usefixtures("restored_process")


@pytest.fixture(scope="module")
def capture(tiny_capture) -> pathlib.Path:
    """A META capture of 3 cameras side by side and 3 frames of noise."""
    return tiny_capture(_HEIGHT, _WIDTH)


def _train_argv(workdir: pathlib.Path, capture: pathlib.Path, *more: str) -> list[str]:
    fields = {"data.path": capture, **_TINY}
    return [
        *("inv-jax", "train", f"--config={_BASE}", f"--workdir={workdir}"),
        *(f"--config.{name}={value}" for name, value in fields.items()),
        *more,
    ]


@pytest.fixture(scope="module")
def run(capture, tmp_path_factory) -> pathlib.Path:
    """A trained run of two frames."""
    workdir = tmp_path_factory.mktemp("run") / "run"
    assert cli.main(_train_argv(workdir, capture)) == 0
    return workdir


def _error(argv: list[str], capsys) -> str:
    """The one line that a command with a mistake in it says."""
    capsys.readouterr()
    status = cli.main(argv)
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("inv-jax: ")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1, errors
    assert status == 2
    return errors


# The command itself.


@pytest.mark.parametrize("argv", [[], ["trian"], ["--workdir=x"]])
def test_a_command_that_is_none_is_answered_with_those_there_are(argv, capsys):
    assert "train, eval, render" in _error(["inv-jax", *argv], capsys)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], ["nonsense", "--help"]])
def test_help_says_how_to_call_each_command(argv, capsys):
    assert cli.main(["inv-jax", *argv]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert all(f"inv-jax {name}" in output for name in ("train", "eval", "render"))


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_help_of_a_command_names_all_its_flags(command, capsys):
    assert cli.main(["inv-jax", command, "--help"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert f"inv-jax {command} " in output
    assert max(map(len, output.splitlines())) < 200
    for name in cli._COMMANDS[command].REQUIRED:
        assert f"\n    --{name}: " in output
    assert "--flagfile" not in output


# Mistakes in `train`: nothing is written.


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--workdir=WORKDIR"], "--config is missing"),
        ([f"--config={_BASE}"], "--workdir is missing"),
        ([f"--config={_BASE}", "--workdir=WORKDIR", "--foo=1"], "foo"),
        ([f"--config={_BASE}", "--workdir=WORKDIR", "foo"], "unexpected argument 'foo'"),
        (["--config=configs/nope.py", "--workdir=WORKDIR"], "configs/nope.py"),
        (["--config=/nope.py", "--workdir=WORKDIR"], "/nope.py"),
        ([f"--config={_ROOT}/configs", "--workdir=WORKDIR"], "directory"),
        ([f"--config={_ROOT}/configs/n3dv.py:foo", "--workdir=WORKDIR"], "'foo'"),
        ([f"--config={_ROOT}/configs/n3dv.py", "--workdir=WORKDIR"], "flame_salmon_1"),
        ([f"--config={_BASE}", "--workdir=WORKDIR"], "data.path is empty"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(argv, said, tmp_path, capsys):
    workdir = tmp_path / "run"
    argv = [argument.replace("WORKDIR", str(workdir)) for argument in argv]
    assert said in _error(["inv-jax", "train", *argv], capsys)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("train.stepz=3", 'Did you mean "steps"'),
        ("train.xyzzy=3", "no field 'xyzzy'"),
        ("train.steps=abc", "train.steps=abc"),
        ("data.path=/nowhere", "/nowhere"),
        ("data.path=", "data.path is empty"),
        ("data.layout=foo", "data.layout"),
        ("data.holdout=(9,)", "data.holdout"),
        ("data.near=1.0", "data.near"),
        ("data.num_frames=99", "data.num_frames"),
        ("data.first_frame=7", "data.first_frame"),
        ("model.structure_layers=3", "model.structure_layers=3"),
        ("model.structure_heads=('foo',)", "model.structure_heads"),
        ("model.width=0", "model.width"),
        ("model.coarse_samples=2", "model.coarse_samples"),
        ("model.position_octaves=-1", "model.position_octaves=-1"),
        ("train.rows_per_step=18", "train.rows_per_step=18 does not divide over 4 devices"),
        ("train.rows_per_step=-1", "train.rows_per_step=-1"),
        ("train.rows_per_step=4000", "408 rays of the 2 training views"),
        ("train.rows_per_pass=3", "train.rows_per_pass=3"),
        ("train.rows_per_pass=-1", "train.rows_per_pass=-1"),
        ("train.loss=l3", "train.loss='l3'"),
        ("train.init_from=/nowhere", "train.init_from=/nowhere"),
        ("train.steps=0", "0 steps"),
        ("train.warmup_steps=0", "0 steps"),
        ("train.save_every=-1", "train.save_every=-1"),
        ("train.image_every=-1", "train.image_every=-1"),
        ("eval.rows_per_chunk=-1", "eval.rows_per_chunk=-1"),
    ],
)
def test_a_mistake_in_a_setting_names_it_and_nothing_is_written(
    field, said, capture, tmp_path, capsys
):
    if len(jax.devices()) != 4:
        pytest.skip(f"{len(jax.devices())} devices; 4 are wanted")
    workdir = tmp_path / "run"
    assert said in _error(_train_argv(workdir, capture, f"--config.{field}"), capsys)
    assert not workdir.exists()


def test_colors_of_a_run_without_frames_are_refused(capture, tmp_path, capsys):
    other, workdir = tmp_path / "other", tmp_path / "run"
    FrameStore(other, roles=ROLES).close()
    argv = _train_argv(workdir, capture, f"--config.train.init_from={other}")
    assert "no stored frames" in _error(argv, capsys)
    assert not workdir.exists()


def test_a_workdir_that_cannot_be_is_one_line(capture, tmp_path, capsys):
    (tmp_path / "file").touch()
    argv = _train_argv(tmp_path / "file" / "run", capture)
    assert str(tmp_path / "file") in _error(argv, capsys)


def test_a_broken_config_file_is_one_line(capture, tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def get_config():\n    return undefined\n")
    argv = ["inv-jax", "train", f"--config={tmp_path / 'mine.py'}", f"--workdir={tmp_path / 'run'}"]
    assert "'undefined' is not defined" in _error(argv, capsys)
    assert not (tmp_path / "run").exists()


# Mistakes in `eval` and `render`.


@pytest.mark.parametrize("command", ["eval", "render"])
def test_a_workdir_without_a_run_has_nothing_to_show(command, tmp_path, capsys):
    for workdir in (tmp_path, tmp_path / "absent"):
        said = _error(["inv-jax", command, f"--workdir={workdir}"], capsys)
        assert "no run in" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["eval", "render"])
def test_a_run_without_frames_has_nothing_to_show_yet(command, run, tmp_path, capsys):
    shutil.copy(run / "config.json", tmp_path)
    assert "no stored frames yet" in _error(
        ["inv-jax", command, f"--workdir={tmp_path}", f"--out={tmp_path}/out.mp4"], capsys
    )
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("command", "flag", "said"),
    [
        ("eval", "--frames=7:9", "stored frames are 1 to 2"),
        ("eval", "--frames=1:3", "stored frames are 1 to 2"),
        ("eval", "--frames=2:1", "stored frames are 1 to 2"),
        ("eval", "--frames=a:b", "FIRST:LAST"),
        ("eval", "--cams=3", "cameras are 0 to 2"),
        ("eval", "--cams=-1", "cameras are 0 to 2"),
        ("eval", "--cams=foo", "--cams=foo"),
        ("eval", "--cams=", "--cams="),
        ("eval", "--metrics=psnr,vmaf", "--metrics=vmaf: choose among psnr,psnr_dynamic"),
        ("eval", "--lpips_weights=/nope.npz", "no file of LPIPS weights at /nope.npz"),
        ("eval", "--config=x", "config"),
        ("render", "--frames=0:1", "stored frames are 1 to 2"),
        ("render", "--path=helix", "spiral"),
        ("render", "--fps=abc", "--fps=abc"),
        ("render", "--fps=0", "frames per second"),
        ("render", "--fps=-5", "frames per second"),
    ],
)
def test_a_mistake_in_a_choice_says_what_there_is(command, flag, said, run, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    argv = ["inv-jax", command, f"--workdir={run}", f"--out={out}", flag]
    assert said in _error(argv, capsys)
    assert not list(tmp_path.iterdir())


def test_a_video_of_another_kind_is_refused(run, tmp_path, capsys):
    argv = ["inv-jax", "render", f"--workdir={run}", f"--out={tmp_path / 'out.avi'}"]
    assert ".mp4 or .gif" in _error(argv, capsys)
    assert not list(tmp_path.iterdir())


# Trouble on the way.


def test_too_little_device_memory_names_the_setting(capture, tmp_path, monkeypatch, capsys):
    def exhausted(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory: 12 GiB\nmore")

    monkeypatch.setattr(Stepper, "run", exhausted)
    status = cli.main(_train_argv(tmp_path / "run", capture))
    _, errors = capsys.readouterr()
    last = errors.splitlines()[-1]
    assert last.startswith("inv-jax: out of device memory")
    assert "train.rows_per_pass" in last
    assert "Traceback" not in errors
    assert status == 2


def test_a_loss_that_is_not_finite_names_frame_and_step(run, capture, tmp_path, capsys):
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

    status = cli.main(_train_argv(workdir, capture, "--config.data.num_frames=3"))
    _, errors = capsys.readouterr()
    last = errors.splitlines()[-1]
    assert status == 2
    assert last.startswith("inv-jax: the loss or gradient of frame 3 is not finite at step 2 of 3")
    assert "frame 2 is the last good one" in last
    assert "Traceback" not in errors
    assert FrameStore(workdir).frames() == [1, 2]
    found = FrameStore(workdir).params(2)
    assert jax.tree.all(jax.tree.map(np.array_equal, found, good))


# What comes out.


def test_training_again_is_said_to_be_done(run, capture, caplog):
    with caplog.at_level("INFO", logger="absl"):
        assert cli.main(_train_argv(run, capture)) == 0
    assert "all 2 frames are trained already" in caplog.text


def test_eval_prints_a_table_and_writes_its_rows(run, tmp_path, capsys):
    out = tmp_path / "new" / "rows.json"
    flags = ["--cams=all", "--frames=2", "--metrics=psnr,ssim", f"--out={out}"]
    assert cli.main(["inv-jax", "eval", f"--workdir={run}", *flags]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["frame", "cam", "PSNR", "dB", "SSIM"]
    rows = json.loads(out.read_text())
    assert [(row["frame"], row["cam"]) for row in rows] == [(2, 0), (2, 1), (2, 2)]
    for line, row in zip(table[2:5], rows, strict=True):
        assert line.split() == ["2", str(row["cam"]), f"{row['psnr']:.3f}", f"{row['ssim']:.4f}"]


def test_eval_finds_what_training_found(run, tmp_path):
    out = tmp_path / "rows.json"
    assert cli.main(["inv-jax", "eval", f"--workdir={run}", f"--out={out}"]) == 0
    journal = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row, noted in zip(json.loads(out.read_text()), journal, strict=True):
        assert (row["frame"], row["cam"]) == (noted["frame"], noted["cam"])
        assert row["psnr"] == pytest.approx(noted["psnr"], rel=1e-5)
        assert row["ssim"] == pytest.approx(noted["ssim"], rel=1e-4)


@pytest.mark.parametrize("path", ["spiral", "test"])
def test_render_writes_a_video_of_colors_and_one_of_depth(run, tmp_path, capsys, path):
    out = tmp_path / "new" / "video.mp4"
    argv = ["inv-jax", "render", f"--workdir={run}", f"--path={path}", f"--out={out}", "--fps=5"]
    assert cli.main(argv) == 0
    paths = [out, out.with_name("video_depth.mp4")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert sorted(out.parent.iterdir()) == sorted(paths)
    for written in paths:
        with av.open(str(written)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == 5
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(frames) == 2
        assert all(frame.shape == (12, 18, 3) for frame in frames)  # made even


def test_eval_and_render_leave_the_run_as_it_was(run, tmp_path):
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run.rglob("*")}

    before = files()
    assert cli.main(["inv-jax", "eval", f"--workdir={run}"]) == 0
    out = tmp_path / "video.gif"
    assert cli.main(["inv-jax", "render", f"--workdir={run}", f"--out={out}"]) == 0
    assert files() == before


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
def test_a_disk_that_takes_no_more_ends_the_process_with_status_2(capture, tmp_path):
    _, *argv = _train_argv(tmp_path / "run", capture, "--config.model.width=64")
    found = _process(*argv, file_kib=8)  # a layer of 64x64 floats is larger
    assert found.returncode == 2
    ours = [line for line in found.stderr.splitlines() if line.startswith("inv-jax: ")]
    assert len(ours) == 1, found.stderr
    assert "frame 1 in " in ours[0]
    assert FrameStore(tmp_path / "run").frames() == []
