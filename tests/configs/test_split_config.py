"""The settings of Split INV."""

import pytest

from configs import n3dv, split
from inv_jax.assembly import plans
from inv_jax.types import InvError


@pytest.mark.parametrize("name", ["static", "density/sear_steak", ""])
def test_a_setting_begins_with_its_stage(name):
    config = split.get_config(name)
    with config.unlocked():
        config.train.init_from = "runs/static"
    first = plans.of(config).phases[0]
    assert first.name == ("static" if "static" in name else "warmup")


def test_a_scene_keeps_its_steps_and_gets_two_fields():
    config, scene = split.get_config("density/cook_spinach"), n3dv.get_config("cook_spinach")
    assert config.data == scene.data
    assert config.train.steps == scene.train.steps
    assert (config.model.name, config.model.blend) == ("split", "density")


def test_density_is_no_plan_without_a_trained_static_field():
    with pytest.raises(InvError, match="would stay random"):
        plans.of(split.get_config("density"))


def test_settings_that_are_no_inv_of_their_own_have_no_split():
    assert "density/coffee_martini_nerf_baseline" not in split.table()
    assert "flame_salmon_1_pretrained_scl" not in split.table()
