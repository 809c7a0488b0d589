"""What a run's `config.json` says to a newer program."""

import json

import pytest

from configs import base
from inv_jax.assembly import build, record
from inv_jax.models.nerf import Nerf
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError


@pytest.fixture
def old_run(tmp_path):
    """A workdir from before `model.precision` existed."""
    record.write(base.get_config(), tmp_path, Devices(), rows_per_pass=16, capture="rig")
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    assert written["config"]["model"].pop("precision") == "float32"
    path.write_text(json.dumps(written))
    return tmp_path


def test_a_run_from_before_a_field_existed_goes_on_with_what_it_did(old_run):
    old = record.read(old_run)
    record.check_resume(base.get_config(), old_run, old, Devices())
    model = build.model(record.read_config(old_run))
    assert isinstance(model, Nerf)
    assert model.mlp.precision == "float32"


def test_a_run_from_before_a_field_existed_refuses_another_value(old_run):
    config = base.get_config()
    config.model.precision = "bfloat16"
    with pytest.raises(InvError, match=r"model\.precision \(float32 there, bfloat16 here\)"):
        record.check_resume(config, old_run, record.read(old_run), Devices())


@pytest.mark.parametrize(
    ("name", "value"), [("masks", "other/{frame}{cam}.png"), ("mask_polarity", "static")]
)
def test_a_run_does_not_go_on_with_other_masks(old_run, name, value):
    config = base.get_config()
    config.data[name] = value
    with pytest.raises(InvError, match=rf"data\.{name} \(.* there, {value[:6]}.*use another"):
        record.check_resume(config, old_run, record.read(old_run), Devices())
    config.data.update({name: base.get_config().data[name], "path": "/moved"})
    record.check_resume(config, old_run, record.read(old_run), Devices())


def test_a_field_that_is_not_known_to_be_younger_is_a_difference(old_run):
    path = old_run / "config.json"
    written = json.loads(path.read_text())
    del written["config"]["model"]["width"]
    path.write_text(json.dumps(written))
    with pytest.raises(InvError, match=r"model\.width \(absent there, 256 here\)"):
        record.check_resume(base.get_config(), old_run, record.read(old_run), Devices())
