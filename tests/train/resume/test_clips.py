"""Clips of several frames: which are done, refused, made up for, or to start from."""

import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.data import segments
from inv_jax.params import Roles
from inv_jax.train import plan as plan_lib
from inv_jax.train import resume
from inv_jax.train.journal import Journal
from inv_jax.types import InvError

_OWN = Roles(own=("structure",))


class _Clips:
    """A workdir with frames in clips of three."""

    def __init__(self, workdir: pathlib.Path, frames: range):
        self.workdir = workdir
        self.store, self.journal = FrameStore(workdir, roles=_OWN), Journal(workdir)
        for clip in segments.split(frames, 3):
            leaf = np.full(4, clip.number, np.float32)
            params = {"net": {"structure": {"layer_0": {"kernel": leaf}}}}
            metadata = {"num_frames": len(clip.frames), "seconds": 1.0, "phase": "warmup"}
            moments = {"count": np.int32(clip.number)}
            self.store.save(clip.number, params, moments, trained=_OWN.all, metadata=metadata)
            for frame in clip.shown:
                self.journal.write({"frame": frame, "psnr": 20.0})

    def find(self, frames: range, length: int, **more) -> resume.Standing:
        parts = segments.split(frames, length, **more)
        plan = plan_lib.incremental(
            *(_OWN,), first_frame=frames[0], freeze_frame=0, warmup_steps=10, steps=10
        )
        return resume.find(self.store, self.journal, parts, plan, self.workdir)


@pytest.fixture
def make_clips(tmp_path) -> Iterator[Callable[[range], _Clips]]:
    made: list[_Clips] = []

    def make(frames: range) -> _Clips:
        made.append(_Clips(tmp_path, frames))
        return made[0]

    yield make
    for clips in made:
        clips.journal.close()
        clips.store.close()


@pytest.fixture
def clips(make_clips) -> _Clips:
    """Frames 1 to 7; the last clip has one."""
    return make_clips(range(1, 8))


def test_stored_clips_are_done(clips):
    found = clips.find(range(1, 8), 3)
    assert (found.done, found.unseen) == ([1, 4, 7], [])
    assert found.partials == {} and found.params is None  # nothing is left to start from them


@pytest.mark.parametrize(
    ("frames", "length", "there", "wanted"),
    [
        (range(1, 8), 2, "frames 1 to 3", "frames 1 to 2"),
        (range(1, 8), 0, "frames 1 to 3", "frames 1 to 7"),
        (range(1, 8), 1, "frames 1 to 3", "frame 1"),
        (range(1, 10), 3, "frame 7", "frames 7 to 9"),  # the last clip would grow
    ],
)
def test_clips_of_other_lengths_are_refused(clips, frames, length, there, wanted):
    message = rf"holds {there} trained as one, and this would be {wanted}; use another --workdir"
    with pytest.raises(InvError, match=message):
        clips.find(frames, length)
    assert [row["frame"] for row in clips.journal.rows()] == list(range(1, 8))  # nothing is lost


def test_frames_before_those_stored_are_refused(make_clips):
    clips = make_clips(range(4, 8))
    with pytest.raises(InvError, match="holds frames 4 to 7, which are not the first of 1 to 7"):
        clips.find(range(1, 8), 3)


def test_a_clip_of_which_a_frame_has_no_row_is_made_up_for(clips):
    clips.journal.keep_only([1, 2, 4, 5, 6, 7])
    assert clips.find(range(1, 8), 3).unseen == [1]
    assert clips.find(range(1, 8), 3, shown_step=2).unseen == []  # 3 // 2: the first of it
    clips.journal.keep_only([1, 4, 7])
    assert clips.find(range(1, 8), 3).unseen == [1, 4]
    assert clips.find(range(1, 8), 3, shown_step=3).unseen == []


def test_rows_of_frames_that_are_not_stored_are_dropped(clips):
    for frame in (8, 9):
        clips.journal.write({"frame": frame, "psnr": 20.0})
    clips.find(range(1, 8), 3)
    assert clips.journal.frames() == set(range(1, 8))


def test_the_next_clip_starts_from_the_last_one(make_clips):
    clips = make_clips(range(1, 7))
    found = clips.find(range(1, 8), 3)
    assert (found.done, found.unseen, found.partials) == ([1, 4], [], {})
    np.testing.assert_array_equal(found.params["net"]["structure"]["layer_0"]["kernel"], [4.0] * 4)
    assert found.optimizer == {"count": np.int32(4)}
    moments = {"count": np.int32(5)}
    clips.store.save_partial(7, 5, found.params, moments, {"seconds": 1.0})
    (partial,) = clips.find(range(1, 8), 3).partials.items()
    assert (partial[0], partial[1].metadata["step"], partial[1].optimizer) == (7, 5, moments)
