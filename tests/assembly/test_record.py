"""What a run's `config.json` says to a newer program."""

import json

import pytest

from configs import base, image2d
from inv_jax.assembly import build, record
from inv_jax.models.nerf import Nerf
from inv_jax.settings import compose
from inv_jax.settings.naming import RENAMED
from inv_jax.settings.parts import CHOICES
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


def _union(**names):
    """A config as all were once: fields of all parts, by their old names."""
    union: dict = {}
    for field, choices in CHOICES.items():
        for name in choices:
            keyword = {"data.layout": "layout", "model.name": "model", "codec.name": "codec"}[field]
            for group, fields in _json(compose(**{keyword: name})).items():
                union.setdefault(group, {}).update(fields)
    for group, fields in _json(compose(**names)).items():
        union[group] |= fields
    for old, new in RENAMED.items():
        group, name = new.split(".")
        union[group][old.split(".")[1]] = union[group].pop(name)
    return union


def _json(config):
    return json.loads(json.dumps(config.to_dict()))


@pytest.mark.parametrize("model", CHOICES["model.name"])
@pytest.mark.parametrize("layout", CHOICES["data.layout"])
@pytest.mark.parametrize("codec", CHOICES["codec.name"])
def test_of_an_old_config_what_applies_is_left_by_its_new_name(model, layout, codec):
    names = {"model": model, "layout": layout, "codec": codec}
    now = _json(compose(**names))
    assert record.with_younger(_union(**names)) == now
    assert record.with_younger(now) == now


def test_an_unchanged_run_of_before_goes_on(tmp_path):
    config = image2d.get_config()
    record.write(config, tmp_path, Devices(), rows_per_pass=16, capture="rig")
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    written["config"] = {
        group: fields | written["config"].get(group, {}) for group, fields in _union().items()
    }
    for old, new in RENAMED.items():
        group, name = new.split(".")
        written["config"][group][old.split(".")[1]] = written["config"][group].pop(name)
    written["rays_per_pass"] = written.pop("rows_per_pass")
    path.write_text(json.dumps(written))
    old = record.read(tmp_path)
    assert old["rows_per_pass"] == 16
    record.check_resume(config, tmp_path, old, Devices())
    assert record.read_config(tmp_path).to_dict() == _json(config)


def test_a_field_of_a_newer_program_stays_and_is_a_difference(old_run):
    path = old_run / "config.json"
    written = json.loads(path.read_text())
    written["config"]["train"]["foresight"] = 3
    path.write_text(json.dumps(written))
    with pytest.raises(InvError, match=r"train\.foresight \(3 there, absent here\)"):
        record.check_resume(base.get_config(), old_run, record.read(old_run), Devices())


@pytest.mark.parametrize(
    "config",
    [
        5,
        {"train": 5},
        {"model": {"name": ["nerf"]}},
        {"model": {"name": "foo"}},
        {"data": {"layout": {"a": 1}}},
        {"train.steps": 1, "train": {"steps": {"a": 1}}},
    ],
)
def test_a_forged_config_is_an_error_of_one_line_or_none(config):
    try:
        record.with_younger(config)
    except InvError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("length", "there", "here", "appends"),
    [(1, 3, 5, True), (2, 4, 5, True), (2, 3, 5, False), (0, 4, 5, False), (0, 4, 4, True)],
)
def test_frames_may_be_added_behind_whole_segments_only(length, there, here, appends, tmp_path):
    config = base.get_config()
    config.train.segment_frames = length
    config.data.num_frames = there
    record.write(config, tmp_path, Devices(), rows_per_pass=16, capture="rig")
    config.data.num_frames = here
    config.eval.pictures = 3
    old = record.read(tmp_path)
    if appends:
        record.check_resume(config, tmp_path, old, Devices())
    else:
        with pytest.raises(InvError, match=r"data\.num_frames"):
            record.check_resume(config, tmp_path, old, Devices())
