"""Clips that train together: each has its times, its code and its head, and the run is whole."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import training
from stored import journal

from configs import pfnr
from inv_jax import settings
from inv_jax.checkpoint import FrameStore
from inv_jax.data.segments import time_in
from inv_jax.models import registry
from inv_jax.models.joint import NETWORK, Joint
from inv_jax.types import InvError

LENGTHS = (8, 4, 8)


@pytest.fixture(scope="module")
def fields_of_joint(fields) -> dict:
    changes = {"train.epochs": 4, "model.name": "joint"}
    made = fields(changes)
    gone = ("model.capacity", "model.sessions", "model.operator", "train.best")
    return {name: value for name, value in made.items() if not name.startswith(gone)}


@pytest.fixture(scope="module")
def model(fields_of_joint) -> Joint:
    made = settings.changed(pfnr.get_config("mtl"), fields_of_joint | {"model.clips": LENGTHS})
    return registry.make(made.model.to_dict())


def exact(lengths: tuple[int, ...]) -> np.ndarray:
    """The times of frames in their clips, as training one of them has it."""
    return np.concatenate([[time_in(range(n), i) for i in range(n)] for n in lengths]).astype(
        np.float32
    )


def test_every_frame_has_its_clip_and_its_time(model):
    frames = range(1, sum(LENGTHS) + 1)
    times = np.array([time_in(frames, frame) for frame in frames], np.float32)
    clips, within = jax.jit(model.places_of)(jnp.asarray(times))
    np.testing.assert_array_equal(clips, np.repeat([0, 1, 2], LENGTHS))
    np.testing.assert_array_equal(within, exact(LENGTHS))


def test_many_long_clips_lose_no_frame(model):
    long = dataclasses.replace(model, clips=(600, 132, 999, 7) * 5)
    frames = range(1, sum(long.clips) + 1)
    times = np.array([time_in(frames, frame) for frame in frames], np.float32)
    clips, within = jax.jit(long.places_of)(jnp.asarray(times))
    np.testing.assert_array_equal(clips, np.repeat(np.arange(20), long.clips))
    np.testing.assert_array_equal(within, exact(long.clips))


def test_a_clip_is_shown_by_its_head_alone(model):
    params, show = model.init(jax.random.key(0)), jax.jit(model.predict)
    times = jnp.array([0.0, 9 / 20])  # of the first clip, and of the second
    before = show(params, times)["head"].rgb
    params[NETWORK]["decoder"]["head_1"]["bias"] += 1.0
    after = show(params, times)["head"].rgb
    np.testing.assert_array_equal(after[0], before[0])
    assert np.all(after[1] > before[1])


def test_a_run_trains_all_clips_as_one(fields_of_joint, tmp_path):
    config = settings.changed(pfnr.get_config("mtl"), fields_of_joint)
    training.train(config, tmp_path, lambda: False)
    assert FrameStore(tmp_path).segments() == [range(1, 21)]
    rows = journal(tmp_path)
    assert [row["frame"] for row in rows] == list(range(1, 21))
    assert rows[0]["steps"] == 4 * 5


def test_clips_cannot_be_added(fields_of_joint, folder, tmp_path):
    made = fields_of_joint | {"model.clips": (8, 4)}
    config = settings.changed(pfnr.get_config("mtl"), made)
    with pytest.raises(InvError, match=r"\(8, 4\) have 12 frames, and there are 20"):
        training.train(config, tmp_path, lambda: False)


def test_a_single_video_is_refused(fields_of_joint, folder: pathlib.Path, tmp_path):
    made = {k: v for k, v in fields_of_joint.items() if k not in ("data.path", "data.clips")}
    layout = {"data.layout": "video", "data.path": str(folder / "one"), "train.segment_frames": 0}
    config = settings.changed(pfnr.get_config("mtl"), layout | made)
    with pytest.raises(InvError, match=r"has one; set data\.layout=clips"):
        training.train(config, tmp_path, lambda: False)
