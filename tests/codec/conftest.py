"""Small videos for the tests of codecs and container; nothing is trained."""

import pathlib
import sys
import types

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fuzzing import samples as samples_module

from inv_jax.codec.video import NeuralVideo
from inv_jax.params import flatten


@pytest.fixture(scope="session")
def samples() -> types.ModuleType:
    """Makes small videos: `Walk`, `header`, `rig`, `write`."""
    return samples_module


@pytest.fixture(scope="session")
def assert_same():
    """`assert_same(left, right)`: two params trees are equal, bit for bit."""

    def check(left, right):
        left, right = flatten(left), flatten(right)
        assert left.keys() == right.keys()
        for path, leaf in left.items():
            np.testing.assert_array_equal(leaf, right[path], err_msg=path)

    return check


@pytest.fixture(scope="session")
def decode_all():
    """`decode_all(path)`: all frames' params by number."""

    def decode(path: pathlib.Path):
        video = NeuralVideo.open(path)
        return {frame: video.params(frame) for frame in video.frames()}

    return decode
