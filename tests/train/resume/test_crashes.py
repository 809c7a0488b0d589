"""A run that crashes, or is asked to stop, between two dispatches or at the end of a frame."""

import json

import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.eval.evaluate import Evaluator
from inv_jax.train.journal import Journal
from inv_jax.types import Stopped

# Between dispatches. With dispatch_seconds=0 each is of one step.


@pytest.mark.parametrize(
    ("dispatches", "where"),
    [
        pytest.param(0, "before the first step", marks=pytest.mark.slow),
        pytest.param(2, "before the first state within a frame", marks=pytest.mark.slow),
        (3, "right behind a state"),
        pytest.param(8, "between two states of frame 1", marks=pytest.mark.slow),
        (10, "between frame 1 and frame 2"),
        (15, "behind a state of frame 2, whose color is frozen"),
        pytest.param(21, "within the last frame", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_crashed_goes_on_with_the_same_bits(
    train, straight, tmp_path, dispatches, where, crash, three_frames, assert_same_run
):
    del where
    settings = {**three_frames, "train.dispatch_seconds": 0.0}
    with pytest.raises(crash):
        train(tmp_path, settings, crash.after(dispatches))
    train(tmp_path, settings)
    assert_same_run(tmp_path, straight)


@pytest.mark.slow
def test_a_run_that_crashes_all_the_time_arrives(
    train, straight, tmp_path, crash, three_frames, assert_same_run
):
    settings = {**three_frames, "train.dispatch_seconds": 0.0}
    crashes = 0
    while crashes < 12:  # 22 steps, of which 3 are kept each time
        try:
            train(tmp_path, settings, crash.after(4))
            break
        except crash:
            crashes += 1
    assert 5 <= crashes < 12
    assert_same_run(tmp_path, straight)


def test_seconds_of_a_frame_count_over_all_runs(train, tmp_path, crash, three_frames):
    settings = {**three_frames, "data.num_frames": 1, "train.dispatch_seconds": 0.0}
    with pytest.raises(crash):
        train(tmp_path, settings, crash.after(9))
    notes = tmp_path / "partial" / "1000000009" / "metadata" / "metadata"
    before = json.loads(notes.read_text())["seconds"]
    assert before > 0
    assert train(tmp_path, settings).metadata(1)["seconds"] > before


# Between the parts of a frame's end.


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (FrameStore, "_drop_old_optimizers"),  # stored; two optimizers, and the state before it
        (Evaluator, "finish"),  # stored, not seen
        (Journal, "write"),  # seen, no row
    ],
)
def test_a_crash_at_the_end_of_a_frame_is_made_up_for(
    train, straight, tmp_path, monkeypatch, owner, name, crash, three_frames, assert_same_run
):
    original, calls = getattr(owner, name), []

    def crash_in_frame_2(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise crash
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash_in_frame_2)
        with pytest.raises(crash):
            train(tmp_path, three_frames)
    assert FrameStore(tmp_path).frames() == [1, 2]
    train(tmp_path, three_frames)
    assert_same_run(tmp_path, straight)


def test_a_crash_right_behind_a_state_loses_no_picture(
    train, tmp_path, monkeypatch, crash, three_frames, images_of
):
    settings = {**three_frames, "data.num_frames": 1, "train.image_every": 3}
    train(tmp_path / "straight", settings)
    original = FrameStore.save_partial

    def save_and_crash(*args):
        original(*args)
        raise crash

    with monkeypatch.context() as patch:
        patch.setattr(FrameStore, "save_partial", save_and_crash)
        with pytest.raises(crash):
            train(tmp_path / "crashed", settings)
    train(tmp_path / "crashed", settings)
    expected = images_of(tmp_path / "straight")
    assert len([path for path in expected if "_iter" in path]) == 2 * 3  # views and comparisons
    assert images_of(tmp_path / "crashed") == expected


# Stopping on request.


def test_a_request_to_stop_stores_the_state(
    train, straight, tmp_path, three_frames, assert_same_run
):
    answers = iter([False] * 4)
    settings = {**three_frames, "train.save_every": 0, "train.dispatch_seconds": 0.0}
    with pytest.raises(Stopped, match="frame 1 after step 4 of 10"):
        train(tmp_path, settings, lambda: next(answers, True))
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["1000000004"]
    train(tmp_path, settings)
    assert_same_run(tmp_path, straight)
