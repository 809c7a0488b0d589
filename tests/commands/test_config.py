"""`inv-jax config`: all that can be set, and what was."""

import pathlib
import shutil

import pytest

from configs import base, demo
from inv_jax import cli
from inv_jax.assembly import record
from inv_jax.settings import command_line
from inv_jax.settings.composed import flat

pytestmark = pytest.mark.usefixtures("restored_process")

_CONFIGS = pathlib.Path(base.__file__).parent


@pytest.fixture
def show(capsys):
    """What the command prints, line by line."""

    def run(*argv):
        assert cli.main(["inv-jax", "config", *map(str, argv)]) == 0
        output, errors = capsys.readouterr()
        assert errors == ""
        return output.splitlines()

    return run


def _blocks(lines):
    """Lines by group, then by field, without those that only go on with a comment."""
    found, group = {}, ""
    for line in lines[:-1]:  # without the legend
        if line and line[0] not in " *":
            group = line
        elif line[:2] in ("* ", "  ") and line[2:3].strip():
            found[f"{group}.{line[2:].split()[0]}"] = line
    return found


@pytest.mark.parametrize(
    "name", ["base.py", "split.py:density/sear_steak", "image2d.py", "demo.py", "fast.py"]
)
def test_every_field_is_there_with_its_comment_in_100_columns(show, name):
    lines = show(_CONFIGS / name)
    assert max(map(len, lines)) <= 100
    config = command_line.load(str(_CONFIGS / name))
    found = _blocks(lines)
    assert found.keys() == dict(flat(config)).keys()


def test_what_the_scene_changed_is_marked_with_the_default_beside(show):
    found = _blocks(show(_CONFIGS / "split.py:density/flame_salmon_1"))
    assert found["model.blend"].split()[:4] == ["*", "blend", "density", "(softmax)"]
    assert found["model.width"].split()[:3] == ["width", "256", "hidden"]
    marked = {field for field, line in found.items() if line.startswith("*")}
    assert "train.init_roles" in marked
    assert "split.empty_rgb" not in marked
    assert [line for line in show(_CONFIGS / "base.py") if line.startswith("*")] == [
        "* changed; the default is in parentheses"
    ]


def test_overrides_are_shown_as_changes_and_bring_their_parts(show):
    overrides = ["--config.codec.name=delta", "--config.train.steps=500"]
    found = _blocks(show(_CONFIGS / "base.py", *overrides))
    assert found["train.steps"].startswith("* steps")
    assert "500 (10000)" in found["train.steps"]
    assert found["codec.fidelity"].split()[:2] == ["fidelity", "40.0"]


def test_a_run_is_shown_as_its_config(show, tmp_path):
    record.write(demo.get_config(), tmp_path, None, rows_per_pass=1, capture="rig")
    assert show(tmp_path) == show(_CONFIGS / "demo.py")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--config is missing; give a config file"),
        (["/nope.py"], "/nope.py is not there"),
        (["EMPTY"], "no run in"),
        ([str(_CONFIGS / "base.py"), "--config.train.stepz=3"], 'Did you mean "steps"'),
    ],
)
def test_a_mistake_is_one_line(argv, said, tmp_path, capsys):
    argv = [str(tmp_path) if argument == "EMPTY" else argument for argument in argv]
    assert cli.main(["inv-jax", "config", *argv]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert said in errors
    assert errors.count("\n") == 1


def test_a_run_of_before_is_shown_by_its_names_of_now(show, tmp_path):
    record.write(base.get_config(), tmp_path, None, rows_per_pass=1, capture="rig")
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace("rows_per_step", "rays_per_step"))
    shutil.copy(path, tmp_path / "kept.json")
    assert "train.rows_per_step" in _blocks(show(tmp_path))
    assert path.read_text() == (tmp_path / "kept.json").read_text()
