"""Training from shards is training from the folder, to the bit."""

import pathlib

import jax
import numpy as np
import pytest

from inv_jax.assembly import build, captures
from inv_jax.checkpoint import FrameStore
from inv_jax.data import pack
from inv_jax.train.parallel import Devices

TWO_FRAMES = {"data.num_frames": 2}


@pytest.fixture(scope="module")
def packed(tiny_config, tmp_path_factory) -> pathlib.Path:
    """The tiny capture, all its frames, in two shards."""
    out = tmp_path_factory.mktemp("packed") / "capture"
    capture = captures.of(tiny_config({"data.num_frames": 0}), pathlib.Path())
    pack.pack(capture, out, num_shards=2)
    return out


@pytest.fixture(scope="module")
def from_folder(train, tmp_path_factory) -> FrameStore:
    """Two frames trained from the folder."""
    return train(tmp_path_factory.mktemp("folder"), TWO_FRAMES)


def same_frames(a: FrameStore, b: FrameStore) -> None:
    assert a.frames() == b.frames() == [1, 2]
    for frame in a.frames():
        for of in (FrameStore.params, FrameStore.optimizer):
            assert jax.tree.all(jax.tree.map(np.array_equal, of(a, frame), of(b, frame)))


def test_training_from_shards_gives_the_same_bits(from_folder, train, packed, tmp_path):
    same_frames(train(tmp_path, {**TWO_FRAMES, "data.path": str(packed)}), from_folder)


def test_a_run_goes_on_from_the_shards(from_folder, train, packed, tmp_path):
    train(tmp_path, {"data.num_frames": 1})
    same_frames(train(tmp_path, {**TWO_FRAMES, "data.path": str(packed)}), from_folder)


def test_a_procedural_capture_that_is_packed_is_not_rendered(tiny_config, packed, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in packed.iterdir()}
    config = tiny_config({"data.path": str(packed), "data.layout": "procedural"})
    model = build.model(config)
    capture = captures.for_training(config, model, tmp_path, Devices(), lambda: False)
    assert capture.frames == range(1, 4)
    assert {path.name: path.stat().st_mtime_ns for path in packed.iterdir()} == before
    assert not list(tmp_path.iterdir())
