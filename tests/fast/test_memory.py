"""What `doctor` counts of a fast field's memory, against what the compiler says of its step."""

import jax
import numpy as np
import pytest

from configs import fast
from inv_jax.assembly import build, fitting, plans, sizing
from inv_jax.cost import count, trial
from inv_jax.geometry import boxes
from inv_jax.settings import changed
from inv_jax.train.parallel import Devices

_CAMS, _HEIGHT, _WIDTH = 7, 40, 72
_FIELDS = {
    "data.layout": "procedural",
    "data.num_frames": 1,
    "model.levels": (10, 6, 8, 30, 17, 24),
    "model.guide": (10, 6, 8),
    "train.rows_per_step": 512,
}


def make_config(bricks: tuple[int, ...]):
    _, cameras = trial.random_views(_CAMS, _HEIGHT, _WIDTH)
    box = boxes.fit(cameras, np.tile([[1.0, 2.0]], (_CAMS, 1)))
    found = {"model.space": box.kind, "model.box": tuple(box.numbers), "model.bricks": bricks}
    return fitting.unopened(changed(fast.get_config(), {**_FIELDS, **found}))


@pytest.mark.parametrize(("bricks", "moving"), [((0, 0, 0, 0), 0), ((32, 20, 24, 60), 60 * 64 * 8)])
def test_what_moves_are_the_numbers_in_bricks(bricks, moving):
    model = build.model(make_config(bricks))
    assert count.num_moving(model, model.roles.all) == moving
    assert count.num_moving(model, model.roles.shared) == 0


@pytest.mark.slow
@pytest.mark.parametrize("bricks", [(32, 20, 24, 60), (96, 60, 60, 4000)])
def test_counted_memory_of_a_step_is_the_compilers_to_a_quarter(bricks):
    config, devices = make_config(bricks), Devices(jax.devices()[:1])
    model = build.model(config)
    step, plan = build.stepper(config, model, devices), plans.of(config)
    need = sizing.memory_need(
        config, plan, model, devices, step.rows_per_pass, (_CAMS, _HEIGHT, _WIDTH)
    )
    placed = devices.replicate(trial.random_views(_CAMS, _HEIGHT, _WIDTH))
    found = trial.Trial(step, devices, plan.phases[0].roles, *placed)._compiled.memory_analysis()
    used = found.argument_size_in_bytes + found.temp_size_in_bytes
    assert used / 1.25 < need.total < 1.25 * used
