import dataclasses

import pytest

from inv_jax.models import registry
from inv_jax.report import settings


def test_only_fields_that_differ_are_shown(make_run):
    found = settings.differing([make_run("a"), make_run("b", steps=1000, seed=7)])
    assert found == {"train.seed": ["0", "7"], "train.steps": ["100", "1,000"]}


def test_equal_runs_differ_in_nothing_wherever_they_and_their_captures_lie(make_run):
    moved = make_run("b")
    moved.config["data"]["path"] = "/elsewhere"
    assert settings.differing([make_run("a"), moved]) == {}


def test_fields_of_a_part_that_is_not_in_use_are_left_out(make_run):
    fields = settings.effective(make_run(scratch=True))
    assert not {"train.warmup_steps", "train.freeze_frame", "codec.fidelity"} & fields.keys()
    assert "train.freeze_frame" in settings.effective(make_run())


def test_lists_and_tuples_are_the_same_setting(make_run):
    a, b = make_run("a", holdout=(0, 7)), make_run("b", holdout=[0, 7])
    assert settings.differing([a, b]) == {}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, "incremental, 100 steps a frame"),
        ({"scratch": True, "steps": 3000}, "from scratch, 3,000 steps a frame"),
        ({"freeze_frame": 0}, "incremental, never frozen, 200 steps a frame"),
        ({"scratch": True, "equal_steps": True}, "from scratch, each frame with all steps so far"),
    ],
)
def test_the_plan_is_said_in_words(make_run, changes, words):
    assert settings.plan(make_run(**changes)) == words


def test_runs_are_alike_but_for_what_is_named(make_run):
    a, b = make_run("a"), make_run("b", steps=300)
    assert settings.is_alike(a, b, but=("train.steps",))
    assert not settings.is_alike(a, b)
    assert not settings.is_alike(a, dataclasses.replace(a, capture="other"))
    assert settings.is_alike(make_run("a", frames_at_once=1), make_run("b", frames_at_once=4))


def test_a_run_counts_as_having_trained_the_frames_it_goes_on_from(make_run):
    whole = make_run("whole")
    rest = make_run("rest", range(3, 6), init_from="/runs/whole", init_frame=2)
    assert settings.goes_on_from(rest, [whole, rest]) is whole
    assert settings.is_alike(whole, rest, among=[whole, rest])
    assert not settings.is_alike(whole, rest, among=[rest])
    late = make_run("late", range(3, 6), init_from="/runs/whole", init_frame=1)
    assert settings.goes_on_from(late, [whole]) is None


def test_settings_of_fields_count_where_there_are_several(make_run):
    runs = [make_run("a"), make_run("b"), make_run("c")]
    for number, (run, name) in enumerate(zip(runs, ("nerf", "nerf", "split"), strict=True)):
        run.config["model"] |= {"name": name, "blend": "softmax"}
        run.config["split"] = {"pretraining": False, "dynamic_first": 0.1 * number}
    assert settings.differing(runs[:2]) == {}
    assert settings.differing(runs)["model.blend"] == ["-", "-", "softmax"]
    assert settings.plan(runs[2]) == "static and dynamic field, incremental, 100 steps a frame"


def _split(make_run, name="a", *, masks="", pretraining=False, **train):
    run = make_run(name, **train)
    run.config["model"]["name"] = registry.SPLIT
    run.config["data"] |= {"masks": masks, "mask_polarity": "dynamic"}
    run.config["split"] = {"pretraining": pretraining}
    return run


def test_runs_on_other_masks_are_not_alike(make_run):
    flow, exact = _split(make_run, masks="flow"), _split(make_run, "b", masks="exact")
    assert not settings.is_alike(flow, exact)
    assert settings.is_alike(flow, exact, but=("data.masks",))
    flow.config["model"]["name"] = exact.config["model"]["name"] = "nerf"
    assert settings.is_alike(flow, exact)  # who has one field asks for no masks


@pytest.mark.parametrize("freeze_frame", [0, 3])
def test_a_static_field_has_its_steps_whatever_freezes(make_run, freeze_frame):
    one = _split(make_run, pretraining=True, freeze_frame=freeze_frame)
    assert settings.plan(one) == "a static field, 100 steps a frame"
    more = _split(make_run, "b", pretraining=True, freeze_frame=1, steps=300, warmup_steps=7)
    assert settings.differing([one, more]) == {"train.steps": ["100", "300"]}
