"""A segment in training: when it stops for something, what is done to it, what is said of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.data.prefetch import Prepared
from inv_jax.data.segments import Segment
from inv_jax.train import segment as segment_lib
from inv_jax.train.plan import Moments, Phase
from inv_jax.train.segment import SegmentInTraining
from inv_jax.train.state import Means, TrainState
from inv_jax.types import InvError

CLIP, FRAME = range(5, 9), range(5, 6)


def _edit(params, mask):
    return params, mask


def _other(params, mask):
    return params, mask


def make(frames: range = CLIP, step: int = 0, **phase) -> SegmentInTraining:
    prepared = Prepared(Segment(frames, frames, frames), None, lambda _: np.zeros(0), 0.25)
    fields = {"name": "warmup", "first_frame": 1, "steps": 20, "roles": ("own",)} | phase
    return SegmentInTraining(prepared, Phase(**fields), None, step, 4.0, render_seconds=0.5)


def state(loss: float = 0.5, mse: float = 0.01) -> TrainState:
    means = Means(jnp.float32(loss), jnp.float32(mse), jnp.int32(-1))
    return TrainState({}, {}, (), jax.random.key(0), jnp.int32(20), means, jnp.int32(20))


def test_it_stops_for_moments_for_edits_and_at_its_end():
    saves, images = Moments("save", every=8), Moments("image", steps=(3, 11))
    edits = ((0, _edit), (5, _edit), (16, _edit))
    stops, step = [], 0
    while not (now := make(step=step, edits=edits)).is_done:
        step += now.steps_to_stop(saves, images)
        stops.append(step)
    assert stops == [3, 5, 8, 11, 16, 20]


def test_edits_are_due_at_their_own_step_in_order():
    edits = ((0, _edit), (5, _other), (5, _edit))
    assert make(step=0, edits=edits).edits() == [_edit]
    assert make(step=5, edits=edits).edits() == [_other, _edit]
    assert make(step=6, edits=edits).edits() == []


def test_it_is_called_by_its_first_frame():
    assert make().number == 5
    assert segment_lib.where([make(step=3)]) == "frames 5 to 8 after step 3 of 20"
    assert segment_lib.where([make(FRAME, step=3)]) == "frame 5 after step 3 of 20"
    assert segment_lib.where([make(FRAME), make(range(6, 7))]) == "frames 5 to 6"


def test_numbers_that_are_none_name_its_frames():
    means = state().means.replace(bad_step=jnp.int32(6))
    make().check_finite(state().means, None)
    with pytest.raises(InvError, match="of frames 5 to 8 is not finite at step 7 of 20; no frame"):
        make().check_finite(means, None)
    message = "of frame 5 is not finite at step 7 of 20; frame 4 is the last good one"
    with pytest.raises(InvError, match=message):
        make(FRAME).check_finite(means, 4)


@pytest.mark.parametrize("frames", [CLIP, FRAME])
def test_notes_say_how_many_frames_it_has_and_what_it_cost(frames):
    notes = make(frames).notes(state(), rows_per_step=32)
    assert (notes["frame"], notes["num_frames"], notes["steps"]) == (5, len(frames), 20)
    assert (notes["loss"], notes["train_psnr"]) == (0.5, pytest.approx(20.0, abs=1e-4))
    assert (notes["seconds"], notes["steps_per_second"]) == (4.0, 5.0)
    assert notes["rows_per_second"] == 5 * 32
    assert (notes["input_wait_seconds"], notes["render_seconds"]) == (0.25, 0.5)
