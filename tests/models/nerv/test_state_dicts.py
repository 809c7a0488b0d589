"""Params of the decoder as PyTorch's state dicts, and back."""

import dataclasses

import jax
import numpy as np
import pytest

from inv_jax.models import convert_nerv, nerv
from inv_jax.types import InvError


@pytest.mark.parametrize("upsampling", nerv.UPSAMPLINGS)
def test_state_dicts_come_and_go_without_a_bit_lost(upsampling, tiny):
    for settings in ({"norm": "bn"}, {"single_res": False, "stem_layers": 2}, {"num_blocks": 2}):
        model = dataclasses.replace(tiny, upsampling=upsampling, **settings)
        params = model.init(jax.random.key(0))
        state = convert_nerv.export_state_dict(params, model)
        back = convert_nerv.import_state_dict(state, model)
        jax.tree.map(np.testing.assert_array_equal, params, back)


def test_state_dicts_that_do_not_fit_are_refused(tiny):
    state = convert_nerv.export_state_dict(tiny.init(jax.random.key(0)), tiny)
    with pytest.raises(InvError, match="no place for extra"):
        convert_nerv.import_state_dict(state | {"extra.weight": np.zeros(1)}, tiny)
    with pytest.raises(InvError, match=r"has no stem.0.bias"):
        convert_nerv.import_state_dict({k: v for k, v in state.items() if k != "stem.0.bias"}, tiny)
    with pytest.raises(InvError, match="shape"):
        convert_nerv.import_state_dict(state | {"stem.0.weight": np.zeros((2, 2))}, tiny)
