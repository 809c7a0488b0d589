"""A fast field that is stopped, or crashes, goes on with the same bits.

What its steps know, the guide and the hardness of the pixels, is stored within a frame; between
frames the hardness goes on, and the guide is made anew.
"""

import json
import pathlib

import numpy as np
import pytest
from stored import assert_same_run
from training import Crash, stop_after

from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles
from inv_jax.types import InvError, Stopped

_BY_STEP = {"train.dispatch_seconds": 0.0}  # a dispatch of each step: 12, 8, 6 and 6


def states_within(workdir: pathlib.Path) -> list[int]:
    """Numbers of the frames that have one."""
    return sorted(int(path.name) // 10**9 for path in (workdir / "partial").iterdir())


def memory_within(workdir: pathlib.Path) -> list[str]:
    """What is stored of it within a frame."""
    store = FrameStore(workdir, roles=Roles(own=("structure",), shared=("color",)))
    (frame,) = store.partial_frames()
    known = store.partial(frame)[2]
    store.close()
    return sorted(path for path in known if path.startswith("memory/"))


@pytest.mark.parametrize(
    ("dispatches", "where"),
    [
        # of the first frame of all, between two guides
        pytest.param(5, "frame 1 after step 5", marks=pytest.mark.slow),
        pytest.param(8, "frame 1 after step 8", marks=pytest.mark.slow),  # in front of a guide
        pytest.param(15, "frame 2 after step 3", marks=pytest.mark.slow),  # of Warm-Up, too
        (29, "frame 4 after step 3"),  # colors rest
    ],
)
def test_a_run_that_is_stopped_within_a_frame_goes_on_with_the_same_bits(
    train, straight, tmp_path, dispatches, where
):
    with pytest.raises(Stopped, match=f"stopped in {where} of"):
        train(tmp_path, _BY_STEP, stop_after(dispatches))
    known = ["guide/densities", "guide/table", "hardness/errors"]
    assert memory_within(tmp_path) == [f"memory/{name}" for name in known]
    train(tmp_path)
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize(
    ("dispatches", "done"),
    [
        pytest.param(12, [1], marks=pytest.mark.slow),
        pytest.param(20, [1, 2], marks=pytest.mark.slow),  # colors rest from here on
        pytest.param(26, [1, 2, 3], marks=pytest.mark.slow),
    ],
)
def test_a_run_that_crashes_between_frames_goes_on_with_the_same_bits(
    train, straight, tmp_path, dispatches, done
):
    with pytest.raises(Crash):
        train(tmp_path, _BY_STEP, Crash.after(dispatches))
    assert FrameStore(tmp_path).frames() == done
    assert states_within(tmp_path) == []
    train(tmp_path)
    assert_same_run(tmp_path, straight)


@pytest.mark.slow
def test_states_within_a_frame_that_are_stored_now_and_then_change_nothing(
    train, straight, tmp_path
):
    changes = {"train.save_every": 3, **_BY_STEP}
    with pytest.raises(Crash):
        train(tmp_path, changes, Crash.after(17))
    assert states_within(tmp_path) == [2]
    train(tmp_path, changes)
    assert_same_run(tmp_path, straight)


@pytest.mark.slow
def test_frames_that_are_asked_for_later_follow_with_the_same_bits(train, straight, tmp_path):
    train(tmp_path, {"data.num_frames": 3})
    train(tmp_path)
    assert_same_run(tmp_path, straight)


def test_the_hardness_goes_on_from_frame_to_frame_and_the_guide_does_not(straight):
    store = FrameStore(straight)
    assert [path for path in store.optimizer(4) if path.startswith("memory/")] == [
        "memory/hardness/errors"
    ]
    errors = store.optimizer(4)["memory/hardness/errors"]
    assert errors.shape == (3 * 16 * 24,) and errors.dtype == np.uint8
    assert len(np.unique(errors)) > 20


@pytest.mark.slow
def test_a_run_without_hard_rays_goes_on_too(train, tmp_path):
    changes = {"train.hard_share": 0.0, "data.num_frames": 2}
    train(tmp_path / "straight", changes)
    with pytest.raises(Stopped, match="frame 2 after step 2 of 8"):
        train(tmp_path / "run", {**changes, **_BY_STEP}, stop_after(14))
    train(tmp_path / "run", changes)
    assert_same_run(tmp_path / "run", tmp_path / "straight")
    assert not any("memory" in path for path in FrameStore(tmp_path / "run").optimizer(2))


def test_what_was_found_of_the_capture_is_kept_and_another_budget_is_refused(
    train, straight, tmp_path
):
    before = (straight / "config.json").read_text()
    stored = json.loads(before)["config"]
    assert stored["model"]["space"] == "projective"
    assert len(stored["model"]["box"]) == 9
    train(straight)  # finished, and found so
    assert (straight / "config.json").read_text() == before
    with pytest.raises(InvError, match=r"fast\.budget \(second there, best here\)"):
        train(straight, {"fast.budget": "best"})


@pytest.mark.slow
def test_a_frame_that_lost_what_its_steps_knew_is_named(train, tmp_path):
    train(tmp_path, {"data.num_frames": 1})
    for path in (tmp_path / "frames").glob("*/optimizer"):
        path.rename(tmp_path / "lost")
    with pytest.raises(InvError, match=r"frame 1 of .* has lost its optimizer state"):
        train(tmp_path, {"data.num_frames": 2})
