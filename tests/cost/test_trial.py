"""A trial is the real step: it trains, and its time does not depend on how it is cut."""

import dataclasses

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import trial
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.train.mixture import Kind, Mixture

NERF = Nerf(NerfMlp(width=16, depth=2, structure_layers=1), 8, 8)


@pytest.fixture(scope="module")
def step(tiny_trial):
    """The trial of a step that is of one of two kinds."""
    mixture = Mixture((Kind("a"), Kind("b")), ((0.5, (1.0, 0.0)), (1.0, (0.5, 0.5))))
    return tiny_trial(NERF, (params_lib.STRUCTURE,), 32, 16, mixture)


def test_a_trial_takes_the_steps_it_is_asked_for(step):
    before = int(step._state.step[0])
    assert step.compile_seconds > 0
    assert step.seconds(3) > 0
    step.seconds(2)
    assert np.asarray(step._state.step).tolist() == [before + 5]
    assert "HloModule" in step.program_text()


def test_kinds_are_timed_one_by_one_and_weighed(step, monkeypatch):
    def chances() -> tuple[float, ...]:
        return tuple(np.asarray(step._state.mix.chances).ravel().tolist())

    taking = {(1.0, 0.0): 1.0, (0.0, 1.0): 3.0}
    monkeypatch.setattr(step, "seconds", lambda _: taking[chances()])
    assert step.mean_seconds(2) == 0.75 * 1.0 + 0.25 * 3.0
    monkeypatch.undo()
    assert chances() == (0.75, 0.25)
    assert step.seconds(1) > 0  # the same program takes them


def test_random_frames_are_of_the_size_asked_for():
    frame, cameras = trial.random_views(3, 5, 7)
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
