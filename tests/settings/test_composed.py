"""A config holds what applies, whatever is named and in whatever order."""

import itertools

import pytest

from inv_jax import settings
from inv_jax.codec import registry as codecs
from inv_jax.data import folder, images2d, sequence
from inv_jax.models import registry as models
from inv_jax.settings import naming
from inv_jax.settings.composed import composed, flat, put
from inv_jax.settings.parts import CHOICES
from inv_jax.types import InvError

_ALL = list(itertools.product(*CHOICES.values()))
_PAIRS = list(itertools.product(CHOICES["model.name"], repeat=2))


def _composed(names):
    return composed(dict(zip(CHOICES, names, strict=True)))


def test_there_are_settings_for_all_that_can_be_chosen_and_no_others():
    assert CHOICES["model.name"].keys() == models.MODELS.keys()
    assert CHOICES["codec.name"].keys() == {"", *codecs.CODECS}
    layouts = {*folder.LAYOUTS, images2d.LAYOUT, sequence.LAYOUT, "procedural"}
    assert CHOICES["data.layout"].keys() == layouts


@pytest.mark.parametrize("names", _ALL)
def test_each_choice_is_locked_and_recomposed_as_it_is(names):
    config = _composed(names)
    assert config.is_locked
    assert all(group.is_locked for group in config.values())
    assert settings.recomposed(config) == config
    model, layout, codec = config.model.name, config.data.layout, config.codec.name
    assert config == settings.compose(model, layout, codec)


def test_a_field_has_one_type_wherever_it_is():
    kinds = {}
    for names in _ALL:
        for field, value in flat(_composed(names)):
            assert kinds.setdefault(field, type(value)) is type(value), field


def test_fields_of_other_parts_are_not_there():
    config = settings.compose()
    assert "split" not in config and "prune" not in config
    assert "w0" not in config.model
    assert "procedural" not in config.data
    assert list(config.codec) == ["name"]
    assert "ndc" not in settings.compose(layout="video").data


@pytest.mark.parametrize(("before", "after"), _PAIRS)
def test_another_name_brings_its_defaults_and_keeps_what_was_set(before, after):
    config = settings.compose(before)
    config.train.seed = 7
    made = settings.recomposed(config, {"model.name": after})
    expected = settings.compose(after)
    expected.train.seed = 7
    assert made == expected
    assert config.model.name == before  # a copy


def test_a_config_file_may_name_another_model_in_the_default_settings():
    config = settings.compose()
    with config.unlocked():
        config.data.update(layout="video", factor=1, holdout=(), ndc=False)
        config.model.update(name="image", depth=4, w0=10.0)
        config.train.freeze_frame = config.data.get_ref("first_frame") + 1
    made = settings.recomposed(config)
    expected = settings.compose("image", "video")
    expected.data.factor = 1
    expected.model.update(depth=4, w0=10.0)
    expected.train.freeze_frame = 2
    assert made == expected
    made.data.first_frame = 5
    assert made.train.freeze_frame == 6
    assert config.train.freeze_frame == 2  # a copy


def test_a_config_without_some_groups_gets_them():
    config = settings.compose().copy_and_resolve_references()
    with config.unlocked():
        del config["eval"], config["codec"]
        del config.train["seed"]
    assert settings.recomposed(config) == settings.compose()


def test_changes_may_name_the_part_whose_fields_they_set_in_any_order():
    changes = {"split.pretraining": True, "codec.fidelity": 30.0}
    names = {"codec.name": "delta", "model.name": "split"}
    made = settings.changed(settings.compose(), {**changes, **names})
    assert made == settings.changed(settings.compose(), {**names, **changes})
    assert made.split.pretraining and made.codec.fidelity == 30.0
    assert made.is_locked and made.split.is_locked


@pytest.mark.parametrize("field", CHOICES)
def test_an_unknown_part_is_answered_with_those_there_are(field):
    with pytest.raises(InvError, match=rf"{field}='foo' is unknown; choose one of .*'") as error:
        settings.changed(settings.compose(), {field: "foo"})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("model.w0", "model.w0 is a setting of model.name=image; this is nerf"),
        ("split.empty_rgb", "split.empty_rgb is a setting of model.name=split; this is nerf"),
        ("data.procedural.height", "is a setting of data.layout=procedural; this is n3dv"),
        ("codec.fidelity", "is a setting of codec.name=bricks or delta; this is none"),
        ("train.stepz", "train has no field 'stepz'. Did you mean \"steps\"?"),
        ("train.width", "train has no field 'width'. Did you mean \"model.width\"?"),
        ("modle.widht", "modle has no field 'widht'. Did you mean \"model.width\"?"),
        ("steps", "the config has no field 'steps'. Did you mean \"train.steps\"?"),
        ("train.xyzzy", "train has no field 'xyzzy'. `inv-jax config` prints those there are"),
    ],
)
def test_a_field_that_is_not_there_is_answered_with_what_may_be_meant(field, said):
    with pytest.raises(InvError) as error:
        settings.changed(settings.compose(), {field: 1})
    assert said in str(error.value)
    config = settings.compose()
    with config.unlocked():
        put(config, field, 1)
    if naming.owners(field):
        assert settings.recomposed(config) == settings.compose()
    else:
        with pytest.raises(InvError, match="has no field"):
            settings.recomposed(config)


@pytest.mark.parametrize(("old", "new"), naming.RENAMED.items())
def test_an_old_name_in_a_config_file_is_the_new_one(old, new, caplog):
    config = settings.compose()
    with config.unlocked():
        put(config, old, 96)
    with caplog.at_level("WARNING", logger="absl"):
        made = settings.recomposed(config)
    assert dict(flat(made))[new] == 96
    assert old not in dict(flat(made))
    assert f"{old} is called {new} now" in caplog.text
