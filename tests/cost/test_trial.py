"""A trial is the real step: it trains, and its time does not depend on how it is cut."""

import numpy as np

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


def test_a_program_without_an_analysis_has_nan():
    class Silent:
        def cost_analysis(self):
            return None

        def memory_analysis(self):
            return None

    assert np.isnan(trial.analysis(Silent()).flops)
    assert np.isnan(trial.analysis(Silent()).temp_bytes)
