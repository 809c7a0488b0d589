"""Which phase a frame belongs to, and what the phase does."""

import pytest

from configs import base
from inv_jax.assembly import plans
from inv_jax.params import Roles
from inv_jax.train import plan as plan_lib
from inv_jax.types import InvError

ROLES = Roles(own=("structure",), shared=("color",))


def _incremental(**changes) -> plan_lib.Plan:
    settings = {"first_frame": 1, "freeze_frame": 4, "warmup_steps": 30, "steps": 20}
    return plan_lib.incremental(ROLES, **(settings | changes))


def _names(plan: plan_lib.Plan, frames) -> list[str]:
    return [plan.phase(frame).name for frame in frames]


def test_everything_trains_until_the_freeze_frame_then_the_structure_alone():
    plan = _incremental()
    assert _names(plan, range(1, 7)) == ["warmup"] * 3 + ["transfer"] * 3
    warmup, transfer = plan.phase(3), plan.phase(4)
    assert (warmup.steps, transfer.steps) == (30, 20)
    assert warmup.roles == ROLES.all
    assert transfer.roles == ROLES.own
    assert warmup.start == transfer.start == plan_lib.PREVIOUS
    assert warmup.keep_optimizer
    assert transfer.keep_optimizer


def test_freeze_frame_0_never_freezes():
    plan = _incremental(freeze_frame=0)
    assert _names(plan, (1, 10, 100_000)) == ["warmup"] * 3


@pytest.mark.parametrize("freeze_frame", [10, 3, 1])
def test_a_freeze_frame_at_or_before_the_first_frame_leaves_no_warm_up(freeze_frame):
    plan = _incremental(first_frame=10, freeze_frame=freeze_frame, warmup_steps=0)
    assert _names(plan, (10, 11, 50)) == ["transfer"] * 3


def test_the_freeze_frame_counts_frames_as_on_disk():
    plan = _incremental(first_frame=10, freeze_frame=12)
    assert _names(plan, range(10, 14)) == ["warmup", "warmup", "transfer", "transfer"]


def test_the_last_phase_has_no_end():
    assert _incremental().phase(10**6).name == "transfer"


def test_optimizer_state_may_be_left_behind_in_every_phase():
    plan = _incremental(keep_optimizer=False)
    assert [plan.phase(frame).keep_optimizer for frame in (1, 4)] == [False, False]


def test_the_baseline_starts_every_frame_from_random_params():
    plan = plan_lib.from_scratch(ROLES, first_frame=5, steps=40)
    for frame in (5, 6, 1000):
        phase = plan.phase(frame)
        assert phase.start == plan_lib.SCRATCH
        assert phase.steps == 40
        assert phase.roles == ROLES.all
        assert not phase.keep_optimizer


def test_a_frame_before_the_first_phase_belongs_to_none():
    with pytest.raises(ValueError, match="frame 4 is before"):
        _incremental(first_frame=5, freeze_frame=7).phase(4)


def _steps(plan: plan_lib.Plan, frames) -> list[tuple[str, int]]:
    return [(plan.phase(frame).name, plan.phase(frame).steps) for frame in frames]


def test_the_first_frame_of_all_may_have_steps_of_its_own():
    plan = _incremental(first_steps=70)
    warmup, transfer = ("warmup", 30), ("transfer", 20)
    assert _steps(plan, range(1, 6)) == [("warmup", 70), warmup, warmup, transfer, transfer]
    assert plan.phase(1).roles == plan.phase(2).roles == ROLES.all
    assert plan.phase(1).start == plan_lib.PREVIOUS


def test_a_freeze_right_behind_the_first_frame_leaves_no_other_warm_up():
    plan = _incremental(first_frame=10, freeze_frame=11, first_steps=70)
    assert _steps(plan, (10, 11, 12)) == [("warmup", 70), ("transfer", 20), ("transfer", 20)]
    assert len(plan.phases) == 2


def test_first_steps_without_a_freeze_and_without_a_warm_up():
    never = _incremental(freeze_frame=0, first_steps=70)
    assert _steps(never, (1, 2, 9)) == [("warmup", 70), ("warmup", 30), ("warmup", 30)]
    at_once = _incremental(freeze_frame=1, first_steps=70)
    assert _steps(at_once, (1, 2, 3)) == [("transfer", 70), ("transfer", 20), ("transfer", 20)]


@pytest.mark.parametrize("first_steps", [0, 30])
def test_first_steps_like_the_others_are_no_phase(first_steps):
    assert _incremental(first_steps=first_steps) == _incremental()


def test_a_baseline_of_equal_steps_counts_those_of_the_first_frame():
    spent = plan_lib.equal_steps(ROLES, _incremental(first_steps=70))
    assert [spent.phase(frame).steps for frame in range(1, 6)] == [70, 100, 130, 150, 170]


@pytest.mark.parametrize("steps", [0, -3])
def test_a_phase_without_steps_is_a_mistake_of_the_user(steps):
    with pytest.raises(InvError, match=rf"'transfer' has {steps} steps"):
        _incremental(steps=steps)
    with pytest.raises(InvError, match=rf"'warmup' has {steps} steps"):
        _incremental(warmup_steps=steps)
    with pytest.raises(InvError, match=rf"'scratch' has {steps} steps"):
        plan_lib.from_scratch(ROLES, first_frame=1, steps=steps)


def test_steps_of_a_phase_that_never_comes_do_not_matter():
    assert _names(_incremental(freeze_frame=0, steps=0), (1,)) == ["warmup"]


@pytest.mark.parametrize("firsts", [(), (2, 1), (1, 1)])
def test_phases_begin_at_increasing_frames(firsts):
    phases = tuple(plan_lib.Phase("any", first, 1, ROLES.all) for first in firsts)
    with pytest.raises(ValueError, match="increasing"):
        plan_lib.Plan(phases)


def test_the_steps_of_the_baseline_are_train_steps():
    config = base.get_config()
    config.train.update(scratch=True, freeze_frame=0, steps=7, warmup_steps=9)
    assert plans.of(config).phase(1).steps == 7


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"scratch": True, "freeze_frame": 5}, "scratch"), ({"freeze_frame": -1}, "freeze_frame")],
)
def test_settings_that_contradict_each_other_are_refused(changes, named):
    config = base.get_config()
    config.train.update(changes)
    with pytest.raises(InvError, match=named):
        plans.of(config)


def test_the_longest_frame_counts():
    flat = _incremental(freeze_frame=3, warmup_steps=50, steps=10)
    spent = plan_lib.equal_steps(ROLES, flat)
    assert spent.most_steps(5) == spent.phase(5).steps == 130
    assert spent.most_steps(None) is None  # they grow
    assert flat.most_steps(None) == flat.most_steps(5) == 50
