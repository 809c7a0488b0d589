"""The names of `configs/pfnr.py`: each is whole, and makes the model that it says."""

import jax
import pytest

from configs import pfnr
from inv_jax import params as params_lib
from inv_jax import settings
from inv_jax.cost import count
from inv_jax.models import registry
from inv_jax.types import InvError

_SIZES = {"": (720, 1280), "small": (90, 160)}


@pytest.mark.parametrize("name", pfnr.NAMES)
def test_a_name_makes_pictures_of_its_size(name):
    config = pfnr.get_config(name)
    changes = {"model.sessions": 8, "model.clips": (12,) * 8}
    known = {
        field: value for field, value in changes.items() if field.split(".")[1] in config.model
    }
    model = registry.make(settings.changed(config, known).model.to_dict())
    decoder = model if name.endswith("stl") else model.decoder
    assert decoder.size == _SIZES["small" if "small" in name else ""]
    assert config.data.layout == "clips"
    assert not config.train.freeze_frame


# Weights, and heads of one clip of eight; the original's numbers of `inv_jax/models/pfnr.py`.
@pytest.mark.parametrize(
    ("name", "expected"), [("wsn", 12_546_560 - 7 * 288), ("fso_replace", 50_006_528 - 7 * 288)]
)
def test_the_published_sizes(name, expected):
    config = settings.changed(pfnr.get_config(name), {"model.sessions": 8})
    model = registry.make(config.model.to_dict())
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    roles = (*model.roles.own, *model.roles.shared)
    assert count.num_params(model, roles) == expected
    assert {params_lib.role_of(path) for path in params_lib.flatten(shapes)} > set(roles)


def test_the_published_lists():
    assert len(pfnr.get_config("uvg8").data.clips) == 8
    assert len(set(pfnr.get_config("uvg17").data.clips)) == 17


def test_an_unknown_name_is_refused():
    with pytest.raises(InvError, match=r"no 'uvg9'; choose among wsn, fso_sum"):
        pfnr.get_config("uvg9")
