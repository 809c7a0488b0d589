"""Edits of params in training, of one frame among others or alone."""

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build
from inv_jax.cost import trial
from inv_jax.data.prefetch import Prepared
from inv_jax.data.segments import Segment
from inv_jax.train import lanes, resume
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Phase
from inv_jax.train.segment import SegmentInTraining
from inv_jax.train.state import Memory


def _all_free(params):
    return jax.tree.map(lambda leaf: np.ones(np.shape(leaf), bool), params)


def _clear_first_rows(params, mask):
    """Zeroes the first row of every leaf, and holds it there."""

    def cleared(leaf):
        new = np.array(leaf)
        new[0] = 0
        return new

    return jax.tree.map(cleared, params), jax.tree.map(cleared, mask)


def _edited(config, clip_size, at_once: int, edits) -> list[dict]:
    """Params of frames 1 and 2 and so on behind 6 steps; the edits are those of frame 2."""
    net, devices = build.model(config), Devices()
    stepper = build.stepper(config, net, devices, frames_at_once=at_once, update_mask=_all_free)
    frame, cameras = trial.random_views(1, *clip_size)
    numbers = [2] if at_once == 1 else list(range(1, at_once + 1))
    made = lanes.make(stepper, devices, cameras, numbers, at_once)
    frames = []
    for number in numbers:
        own, alone = edits if number == 2 else (), range(number, number + 1)
        phase = Phase("scratch", 1, 10, net.roles.all, SCRATCH, edits=own)
        state, step, seconds = resume.begin(
            *(net.init(jax.random.key(number)), None, None),
            phase=phase,
            optimizer=stepper.optimizer,
            key=jax.random.key(number),
            memory=Memory(),
        )
        views = made.place(frame.replace(index=np.int32(number)))
        prepared = Prepared(Segment(alone, alone, alone), views, lambda _: frame.images[0], 0.0)
        state = made.begin(number, state)
        frames.append(SegmentInTraining(prepared, phase, state, step, seconds))
    for count in (0, 3, 0, 3):  # as the loop does: to compile, to the edit, ...
        made.run(frames, count)
        for one in frames:
            one.step += count
    return [params_lib.flatten(jax.device_get(made.one(one.state)).params) for one in frames]


@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_edits_change_their_own_frame_and_what_they_hold_stays(
    tiny_config, at_once, image_settings
):
    config = tiny_config(image_settings)
    plain = _edited(config, (12, 16), at_once, ())
    edited = _edited(config, (12, 16), at_once, ((3, _clear_first_rows),))
    place = 0 if at_once == 1 else 1
    for path, leaf in edited[place].items():
        assert not np.any(leaf[0]), path
        assert np.all(leaf[1:] != 0), path
        assert leaf.size == leaf[0].size or np.any(leaf[1:] != plain[place][path][1:]), path
    for number, (mine, theirs) in enumerate(zip(edited, plain, strict=True)):
        for path, leaf in mine.items() if number != place else ():
            np.testing.assert_array_equal(leaf, theirs[path], err_msg=path)


def test_an_edit_in_front_of_the_first_step_is_done_once(tiny_config, image_settings):
    calls = []

    def count(params, mask):
        calls.append(params)
        return params, mask

    config = tiny_config(image_settings)
    _edited(config, (12, 16), 1, ((0, count), (3, count)))
    assert len(calls) == 2  # none where there are no steps
