"""The command and its mistakes, one line for each; nothing is written."""

import pathlib
import shutil

import jax
import pytest

from inv_jax import cli
from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles

_ROOT = pathlib.Path(__file__).parents[2]
_BASE = _ROOT / "configs" / "base.py"

pytestmark = pytest.mark.usefixtures("restored_process")


# The command itself.


@pytest.mark.parametrize("argv", [[], ["trian"], ["--workdir=x"]])
def test_a_command_that_is_none_is_answered_with_those_there_are(argv, error_of):
    assert "train, eval, render" in error_of(["inv-jax", *argv])


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
    for name in cli._module(command).REQUIRED:
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
def test_a_mistake_on_the_command_line_is_one_line(argv, said, tmp_path, error_of):
    workdir = tmp_path / "run"
    argv = [argument.replace("WORKDIR", str(workdir)) for argument in argv]
    assert said in error_of(["inv-jax", "train", *argv])
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
    field, said, tmp_path, train_argv, error_of
):
    if len(jax.devices()) != 4:
        pytest.skip(f"{len(jax.devices())} devices; 4 are wanted")
    workdir = tmp_path / "run"
    assert said in error_of(train_argv(workdir, f"--config.{field}"))
    assert not workdir.exists()


def test_colors_of_a_run_without_frames_are_refused(tmp_path, train_argv, error_of):
    other, workdir = tmp_path / "other", tmp_path / "run"
    FrameStore(other, roles=Roles(("structure",), ("color",))).close()
    argv = train_argv(workdir, f"--config.train.init_from={other}")
    assert "no stored frames" in error_of(argv)
    assert not workdir.exists()


def test_a_workdir_that_cannot_be_is_one_line(tmp_path, train_argv, error_of):
    (tmp_path / "file").touch()
    argv = train_argv(tmp_path / "file" / "run")
    assert str(tmp_path / "file") in error_of(argv)


def test_a_broken_config_file_is_one_line(tmp_path, error_of):
    (tmp_path / "mine.py").write_text("def get_config():\n    return undefined\n")
    argv = ["inv-jax", "train", f"--config={tmp_path / 'mine.py'}", f"--workdir={tmp_path / 'run'}"]
    assert "'undefined' is not defined" in error_of(argv)
    assert not (tmp_path / "run").exists()


# Mistakes in `eval` and `render`.


@pytest.mark.parametrize("command", ["eval", "render"])
def test_a_workdir_without_a_run_has_nothing_to_show(command, tmp_path, error_of):
    for workdir in (tmp_path, tmp_path / "absent"):
        said = error_of(["inv-jax", command, f"--workdir={workdir}"])
        assert "no run in" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["eval", "render"])
def test_a_run_without_frames_has_nothing_to_show_yet(command, run, tmp_path, error_of):
    shutil.copy(run / "config.json", tmp_path)
    assert "no stored frames yet" in error_of(
        ["inv-jax", command, f"--workdir={tmp_path}", f"--out={tmp_path}/out.mp4"]
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
def test_a_mistake_in_a_choice_says_what_there_is(command, flag, said, run, tmp_path, error_of):
    out = tmp_path / "out.mp4"
    argv = ["inv-jax", command, f"--workdir={run}", f"--out={out}", flag]
    assert said in error_of(argv)
    assert not list(tmp_path.iterdir())


def test_a_video_of_another_kind_is_refused(run, tmp_path, error_of):
    argv = ["inv-jax", "render", f"--workdir={run}", f"--out={tmp_path / 'out.avi'}"]
    assert ".mp4 or .gif" in error_of(argv)
    assert not list(tmp_path.iterdir())
