"""What a fast field wants to know of its capture is found, kept, and made definite."""

import json

import numpy as np
import pytest

from configs import base, fast
from inv_jax import settings
from inv_jax.assembly import build, fitting
from inv_jax.data.rig import Rig
from inv_jax.geometry import boxes
from inv_jax.models import grid_sizes
from inv_jax.settings.composed import flat, get
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, InvError

HEIGHT, WIDTH = 16, 24
FITTED = (
    *("model.space", "model.box", "model.levels", "model.bricks", "model.guide"),
    *("train.freeze_frame", "train.rows_per_step"),
    *("train.steps", "train.warmup_steps", "train.first_steps"),
)


def make_rig(
    num_cams: int = 5, bounds=(2.0, 9.0), *, height=HEIGHT, inwards: bool = False, aside=None
) -> Rig:
    """Cameras side by side, or in a circle around the origin; the first is held out."""
    poses = np.tile(np.eye(3, 4), (num_cams, 1, 1))
    poses[:, 0, 3] = 0.2 * np.arange(num_cams)
    if inwards:
        angles = 2 * np.pi * np.arange(num_cams) / num_cams
        cos, sin, none = np.cos(angles), np.sin(angles), np.zeros(num_cams)
        right, up, back = [cos, none, -sin], [none, none + 1, none], [sin, none, cos]
        poses = np.stack([*(np.stack(x, -1) for x in (right, up, back, 4 * np.array(back)))], -1)
    if aside is not None:
        poses[aside, :, 3] += 40 * poses[aside, :, 0]
    intrinsics = np.tile([[30, 0, 12], [0, 30, 8], [0, 0, 1]], (num_cams, 1, 1))
    arrays = (np.asarray(x, np.float32) for x in (poses, intrinsics, 0, 1))
    return Rig(
        cameras=Cameras(*arrays, height=height, width=WIDTH),
        bounds=np.tile([bounds], (num_cams, 1)),
        spiral=np.zeros((120, 3, 4)),
        camera_names=tuple(f"cam{i:02d}" for i in range(num_cams)),
        train_cams=tuple(range(1, num_cams)),
        test_cams=(0,),
    )


def fit(changes: dict | None = None, rig: Rig | None = None, old: dict | None = None):
    config = settings.changed(fast.get_config(), changes or {})
    return fitting.fitted(config, old, lambda: make_rig() if rig is None else rig, Devices())


def record_of(config) -> dict:
    """As `config.json` has it."""
    return {"config": json.loads(json.dumps(config.to_dict()))}


def nobody():
    raise AssertionError("the capture was asked for")


def values_of(config) -> dict:
    return {field: get(config, field) for field in FITTED}


def test_what_is_unset_is_found_and_the_rest_is_as_it_was():
    config = fast.get_config()
    found = fit()
    assert found.is_locked
    rig = make_rig()
    cams = np.array(rig.train_cams)
    box = boxes.fit(rig.cameras.take(cams), rig.bounds[cams])
    sizes = grid_sizes.of(HEIGHT, WIDTH, 4, boxes.PROJECTIVE, "second")
    assert found.model.space == boxes.PROJECTIVE
    np.testing.assert_allclose(found.model.box, box.numbers, rtol=1e-5)
    assert found.model.levels == tuple(np.ravel(sizes.levels).tolist())
    assert found.model.guide == sizes.guide
    assert (found.train.rows_per_step, found.train.steps) == (1024, 50)
    assert (found.train.warmup_steps, found.train.first_steps) == (300, 600)
    before, after = dict(flat(config)), dict(flat(found))
    assert {field for field in before if before[field] != after[field]} == set(FITTED)
    assert dict(flat(config)) == dict(flat(fast.get_config()))  # nothing is changed in place


def test_a_model_can_be_made_of_what_is_found_and_the_record_gives_it_back():
    found = fit()
    assert build.model(found).box.numbers == found.model.box
    again = fitting.fitted(found, None, nobody, Devices())
    assert dict(flat(again)) == dict(flat(found))
    assert record_of(found) == record_of(fit(old=record_of(found)))


def test_what_is_set_stays():
    chosen = {
        "train.steps": 7,
        "train.first_steps": 9,
        "model.levels": (4, 3, 4),
        "train.rows_per_step": 32,
    }
    found = fit(chosen)
    assert {field: get(found, field) for field in chosen} == chosen
    assert found.train.warmup_steps == 300
    box = (-1.0, -1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 0.0, 0.0)
    assert fit({"model.space": "projective", "model.box": box}).model.box == box


def test_the_capture_is_not_opened_where_all_is_set():
    found = fit()
    assert fitting.fitted(found, None, nobody, Devices()) is found
    for model in ("nerf", "image", "nerv", "split"):
        config = base.get_config(model)
        assert fitting.fitted(config, None, nobody, Devices()) is config
        assert fitting.unopened(config) is config


def test_what_a_workdir_was_found_to_want_is_taken_again():
    old = fit(rig=make_rig(bounds=(1.0, 4.0)))
    assert values_of(old) != values_of(fit())
    config = fast.get_config()
    found = fitting.fitted(config, record_of(old), nobody, Devices())
    assert values_of(found) == values_of(old)
    assert all(not isinstance(value, list) for value in values_of(found).values())
    changed = settings.changed(config, {"train.steps": 7})  # for `record` to refuse
    assert fitting.fitted(changed, record_of(old), nobody, Devices()).train.steps == 7


def test_what_an_old_record_lacks_is_found():
    old = record_of(fit(rig=make_rig(bounds=(1.0, 4.0))))
    del old["config"]["model"]["guide"]
    del old["config"]["train"]["first_steps"]
    found = fit(old=old)
    assert list(found.model.box) == old["config"]["model"]["box"]
    assert found.model.guide == fit().model.guide
    assert found.train.first_steps == fit().train.first_steps


def test_a_step_has_no_more_rays_than_there_are_pixels():
    assert fit(rig=make_rig(height=8)).train.rows_per_step == 4 * 8 * WIDTH


def test_cameras_that_look_inwards_get_a_cube():
    found = fit(rig=make_rig(inwards=True))
    assert found.model.space == boxes.AXES
    levels = np.reshape(found.model.levels, (-1, 3))
    assert (levels == levels[:, :1]).all()


def test_held_out_cameras_do_not_count():
    """Held out: the one that looks elsewhere, and has other depths."""
    rig = make_rig(inwards=True, aside=0)
    rig.bounds[0] = 0.0, np.inf
    assert values_of(fit(rig=rig)) == values_of(fit(rig=make_rig(inwards=True)))


@pytest.mark.parametrize(
    ("changes", "rig", "said"),
    [
        ({}, make_rig(num_cams=2), "one camera to train on says nothing of depth"),
        ({"data.ndc": True}, make_rig(), r"has a box of its own; set data\.ndc=False"),
        ({}, make_rig(num_cams=9, inwards=True, aside=4), "training camera cam04 meet the box"),
        ({}, make_rig(bounds=(0.0, 9.0)), r"depths are 0 to 9; .* poses_bounds\.npy"),
        ({}, make_rig(bounds=(2.0, np.inf)), r"depths are 2 to inf"),
        ({"model.space": "round"}, make_rig(), "model.space='round'; choose one of"),
        ({"model.space": "projective"}, make_rig(inwards=True), "look away"),
        ({"fast.budget": "slow"}, make_rig(), "fast.budget='slow'"),
        ({"model.box": (0.0,) * 9}, make_rig(), "says nothing without model.space"),
    ],
)
def test_a_capture_or_a_setting_that_cannot_be_is_refused(changes, rig, said):
    with pytest.raises(InvError, match=said):
        fit(changes, rig)


def test_warm_up_is_three_frames_wherever_they_begin():
    assert fit().train.freeze_frame == 4
    found = fit({"data.first_frame": 10, "data.frame_step": 5})
    assert found.train.freeze_frame == 25
    assert fit({"train.freeze_frame": 0, "train.update_pull": 0.0}).train.freeze_frame == 0


def test_a_box_that_is_given_is_not_fitted():
    numbers = (-1.0, -1.0, 1.0, 1.0, 1.0, 9.0, 2.0, 0.0, 0.0)
    found = fit({"model.space": "projective", "model.box": numbers}, make_rig(bounds=(0.0, 9.0)))
    assert found.model.box == numbers
    assert found.model.levels == fit().model.levels


def test_without_a_capture_sizes_are_those_that_it_is_planned_to_have():
    config = fast.get_config("demo")
    found = fitting.unopened(config)
    assert fitting.fitted(found, None, nobody, Devices()) is found
    sizes = grid_sizes.of(144, 192, 11, boxes.PROJECTIVE, "second")
    assert found.model.levels == tuple(np.ravel(sizes.levels).tolist())
    assert found.train.first_steps == sizes.first_steps
    assert build.model(found).guide_shape == sizes.guide
    assert fitting.unopened(settings.changed(config, {"train.steps": 7})).train.steps == 7


def test_the_fast_field_has_scenes_by_name():
    for name in fast.NAMES:
        assert fast.get_config(name).model.name == "grid"
    with pytest.raises(InvError, match=r"configs/fast\.py:night: scenes are demo"):
        fast.get_config("night")
