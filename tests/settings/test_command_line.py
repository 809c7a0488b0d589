"""Config files and overrides, as commands read them."""

import textwrap

import pytest
from absl import flags

from configs import base, image2d
from inv_jax import settings
from inv_jax.commands import flagged
from inv_jax.settings import command_line
from inv_jax.types import InvError


def _read(*argv):
    values, argv = flags.FlagValues(), ["inv-jax", *argv]
    flagged.define_config(values, argv)
    assert values(argv) == ["inv-jax"]
    return values.config


@pytest.fixture
def file(tmp_path):
    """Writes a config file; the flag that names it."""

    def write(body):
        path = tmp_path / "mine.py"
        head = "import ml_collections\nfrom configs import base\n\n\n"
        body = textwrap.indent(textwrap.dedent(body), "    ")
        path.write_text(f"{head}def get_config(name=''):\n{body}")
        return f"--config={path}"

    return write


def test_parts_are_there_wherever_in_the_line_they_are_named(file):
    mine = file("return base.get_config()\n")
    fields = [
        "--config.split.pretraining=True",
        "--config.codec.fidelity=38",
        "--config.data.procedural.num_cams=3",
    ]
    names = ["--config.model.name=split", "--config.codec.name=delta"]
    names.append("--config.data.layout=procedural")
    expected = settings.compose("split", "procedural", "delta")
    expected.split.pretraining = True
    expected.codec.fidelity = 38.0
    expected.data.procedural.num_cams = 3
    assert _read(mine, *names, *fields) == expected
    assert _read(*fields, mine, *names) == expected
    assert _read(*fields, *names, mine) == expected


def test_flags_may_be_written_as_absl_takes_them(file):
    mine = file("return base.get_config()\n").split("=")
    config = _read(*mine, "-config.model.name", "image", "--noconfig.data.ndc")
    assert config.model.activation == "relu"
    assert config.data.ndc is False
    assert _read("--config=elsewhere.py", *mine) == base.get_config()  # the last one counts


def test_a_base_takes_its_parts_as_argument():
    config = _read(f"--config={base.__file__}:image", "--config.model.w0=12")
    assert (config.model.name, config.model.w0) == ("image", 12.0)


def test_fields_that_follow_others_follow_overrides():
    argv = [f"--config={image2d.__file__}:transfer", "--config.data.first_frame=5"]
    assert _read(*argv).train.freeze_frame == 6


def test_an_old_name_is_taken_and_the_new_one_is_said_in_one_line(file, caplog):
    mine = file("return base.get_config()\n")
    with caplog.at_level("WARNING", logger="absl"):
        config = _read(mine, "--config.train.rays_per_step=64", "--config.eval.rays_per_chunk", "9")
    assert (config.train.rows_per_step, config.eval.rows_per_chunk) == (64, 9)
    assert [record.getMessage() for record in caplog.records] == [
        "train.rays_per_step is called train.rows_per_step now",
        "eval.rays_per_chunk is called eval.rows_per_chunk now",
    ]


@pytest.mark.parametrize(
    ("body", "flag", "said"),
    [
        ("return base.get_config()", "--config.model.w0=3", "is a setting of model.name=image"),
        ("return base.get_config()", "--config.train.stepz=3", 'Did you mean "steps"'),
        ("return base.get_config()", "--config.model.name=foo", "choose one of 'nerf'"),
        ("return 5", "--config.train.steps=3", "returns a int; want a ConfigDict"),
        ("c = base.get_config()\nwith c.unlocked():\n c.train.stepz = 3\nreturn c", "--", "stepz"),
    ],
)
def test_what_cannot_be_is_one_line(body, flag, said, file):
    with pytest.raises(InvError) as error:
        _read(file(body + "\n"), flag)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_config_of_some_fields_gets_the_others(file):
    flag = file("return ml_collections.ConfigDict({'model': {'name': 'image', 'width': 8}})\n")
    expected = settings.compose("image")
    expected.model.width = 8
    assert command_line.load(flag.partition("=")[2]) == expected


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "nope.py", tmp_path):
        with pytest.raises(InvError, match=str(path)):
            command_line.load(str(path))
