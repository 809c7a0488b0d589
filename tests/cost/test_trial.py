"""A trial is the real step: it trains, and its time does not depend on how it is cut."""

import dataclasses

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import trial
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf

NERF = Nerf(NerfMlp(width=16, depth=2, structure_layers=1), 8, 8)


def test_a_trial_takes_the_steps_it_is_asked_for(tiny_trial):
    step = tiny_trial(NERF, (params_lib.STRUCTURE,), 32, 16)
    assert step.compile_seconds > 0
    assert step.seconds(3) > 0
    step.seconds(2)
    assert np.asarray(step._state.step).tolist() == [5]
    assert "HloModule" in step.program_text()


def test_random_frames_are_of_the_size_asked_for():
    frame, cameras = trial.random_frame(3, 5, 7)
    assert frame.images.shape == (3, 5, 7, 3)
    assert (cameras.num_cams, cameras.height, cameras.width) == (3, 5, 7)
    assert len(np.unique(frame.images)) > 100


class _Silent:
    """A program that says nothing of itself, in one of the ways that JAX has for it."""

    def __init__(self, error: Exception | None):
        self._error = error

    def cost_analysis(self):
        if self._error is not None:
            raise self._error

    memory_analysis = cost_analysis


@pytest.mark.parametrize("error", [None, NotImplementedError(), jax.errors.JaxRuntimeError("no")])
def test_a_program_without_an_analysis_has_nan(error):
    found = trial.analysis(_Silent(error), _Silent(error))
    assert all(np.isnan(value) for value in dataclasses.astuple(found))
