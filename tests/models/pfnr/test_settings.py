"""What the sequence's decoder refuses, and what its settings are called."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from inv_jax.models import registry
from inv_jax.settings import compose
from inv_jax.types import Cameras, InvError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"capacity": 0.0}, r"model\.capacity=0\.0"),
        ({"capacity": 1.01}, r"model\.capacity=1\.01"),
        ({"sessions": 0}, r"model\.sessions=0; want .* 1 at least"),
        ({"operator": 2}, r"model\.operator=2, but there are 2 blocks; want 0 to 1, or -1"),
        ({"operator": -2}, r"model\.operator=-2"),
        ({"composition": "mix"}, r"model\.composition='mix'; choose one of sum, replace, concat"),
        ({"composition": "concat"}, r"model\.operator_channels=0 of the 4 .*wants 1 to 3"),
        ({"composition": "concat", "operator_channels": 4}, r"model\.operator_channels=4"),
        ({"composition": "concat", "operator_channels": -1}, r"model\.operator_channels=-1"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(settings, message, tiny):
    with pytest.raises(InvError, match=message) as error:
        dataclasses.replace(tiny, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "in"}, r"model\.norm='in'.*set model\.norm='none'"),
        ({"norm": "bn"}, r"model\.norm='bn'"),
        ({"stem_layers": 2}, r"model\.stem_layers=2"),
        ({"grid": (1, 3), "strides": (1, 2)}, r"model\.operator=1: 1x3 places .*model\.grid"),
    ],
)
def test_a_decoder_that_cannot_be_masked_is_refused(settings, message, tiny):
    decoder = dataclasses.replace(tiny.decoder, **settings)
    with pytest.raises(InvError, match=message):
        dataclasses.replace(tiny, decoder=decoder)


def test_clips_of_another_size_are_refused(tiny):
    cameras = Cameras(
        jnp.zeros((1, 3, 4)), jnp.zeros((1, 3, 3)), near=0.0, far=1.0, height=12, width=18
    )
    tiny.check_views(cameras, 2)
    with pytest.raises(InvError, match=r"12x18, .*12x20"):
        tiny.check_views(cameras.replace(width=20), 2)
    with pytest.raises(InvError, match="a clip of one frame"):
        tiny.check_views(cameras, 1)


def test_the_model_of_the_settings_is_a_wsn_at_720p(published):
    settings = compose(model="pfnr", layout="video").model.to_dict() | {"sessions": 17}
    model = registry.make(settings)
    assert model == dataclasses.replace(published, sessions=17)


def test_a_forecast_says_how_many_weights_a_session_uses(published):
    told = published.describe()["a clip uses"]
    shapes = jax.eval_shape(published.init, jax.random.key(0))["pfnr"]["weights"]
    total = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert told == f"3,763,284 of these {total:,} weights"
    assert abs(3_763_284 - 0.3 * total) < 10
