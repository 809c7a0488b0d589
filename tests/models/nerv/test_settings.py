"""What the decoder refuses, and what its settings are called."""

import dataclasses

import pytest

from inv_jax.models import registry
from inv_jax.models.encodings import TimeWaves
from inv_jax.settings import compose
from inv_jax.types import InvError


@pytest.mark.parametrize(
    ("num_frames", "where", "message"),
    [
        (1, (12, 18, 1), "a clip of one frame has no time to learn.*data.num_frames"),
        (2, (12, 18, 3), "what one camera sees, and 3 would be trained on"),
        (
            2,
            (18, 12, 1),
            r"grid=\(2, 3\) .*strides=\(3, 2\).*12x18, .*18x12; .*data.height and data.width",
        ),
    ],
)
def test_what_it_cannot_show_is_refused_with_the_setting(
    num_frames, where, message, tiny, make_cameras
):
    tiny.check_views(make_cameras(12, 18), 2)
    with pytest.raises(InvError, match=message) as error:
        tiny.check_views(make_cameras(*where), num_frames)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strides": ()}, r"model.strides=\(\)"),
        ({"strides": (2, 0)}, r"model.strides=\(2, 0\); want 1"),
        ({"grid": (2,)}, r"model.grid=\(2,\)"),
        ({"grid": (0, 2)}, "model.grid"),
        ({"channels": 0}, "model.channels=0"),
        ({"expansion": 0.1}, "model.expansion=0.1"),
        ({"reduction": 0}, "model.reduction=0"),
        ({"num_blocks": 0}, "model.num_blocks=0"),
        ({"stem_layers": -1}, "model.stem_layers=-1"),
        ({"activation": "sine"}, "model.activation='sine'.*hardswish"),
        ({"upsampling": "pool"}, "model.upsampling='pool'.*deconv"),
        ({"norm": "ln"}, "model.norm='ln'.*none, bn, in"),
        ({"precision": "float16"}, "model.precision='float16'"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings, message, tiny):
    with pytest.raises(InvError, match=message):
        dataclasses.replace(tiny, **settings)


@pytest.mark.parametrize(
    "name",
    ["1.25", "x_8", "1.25_0", "-1_4", "1.25_8_2", "", "2_129", "9_128", "1" + "0" * 300 + "_2"],
)
def test_a_name_of_no_encoding_is_refused(name):
    with pytest.raises(InvError, match=r"model\.embed="):
        TimeWaves.of(name)


def test_encodings_have_names():
    for name in ("1.25_40", "2_8", "none"):
        assert TimeWaves.of(name).name == name
    assert [TimeWaves.of(name).features for name in ("1.25_40", "none")] == [80, 1]


def test_the_model_of_the_settings_is_nerv_s(published):
    model = registry.make(compose(model="nerv", layout="video").model.to_dict())
    assert model == published
