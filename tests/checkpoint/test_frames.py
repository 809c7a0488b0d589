"""Whole frames on disk: what goes in comes out, and at what size."""

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf

_MIB = 2**20


def test_frames_come_back_to_the_bit(store, video, tmp_path, assert_same):
    for reader in (store, FrameStore(tmp_path)):
        assert reader.frames() == [1, 2, 3, 4]
        for number, params in enumerate(video, start=1):
            assert_same(reader.params(number), params)


def test_frames_come_back_in_any_order(video, tmp_path, assert_same):
    reader = FrameStore(tmp_path)
    for number in (4, 1, 3, 2, 4):
        assert_same(reader.params(number), video[number - 1])


def test_metadata_comes_back_with_the_frames_that_hold_the_roles(store, video):
    assert len(video) == 4
    found = store.metadata(3)
    assert found == {
        "phase": "phase of 3",
        "loss": 0.5 / 3,
        "own": ["structure"],
        "holds": {"structure": 3, "color": 2},
    }
    assert store.notes(3) == {"phase": "phase of 3", "loss": 0.5 / 3}


def test_color_is_stored_only_by_frames_that_trained_it(store, video):
    assert len(video) == 4
    has_color = [store.shared_bytes(frame) > 0 for frame in store.frames()]
    assert has_color == [True, True, False, False]


def test_color_that_no_frame_holds_yet_is_stored_though_it_did_not_train(
    store, roles, params_of, optimizer_of, assert_same
):
    params = params_of(1)
    store.save(7, params, optimizer_of(1), trained=roles.own, metadata={})
    assert store.shared_bytes(7) > 0
    assert_same(store.params(7), params)


def test_only_the_newest_frame_keeps_its_optimizer(store, video, optimizer_of, assert_same):
    assert len(video) == 4
    assert [store.optimizer(frame) for frame in (1, 2, 3)] == [None] * 3
    assert_same(params_lib.nest(store.optimizer(4)), params_lib.nest(optimizer_of(4)))


def test_a_frame_of_the_full_network_costs_its_params_and_little_more(tmp_path, roles):
    """The first three layers of both networks are 1.13 MiB of float32; nothing compresses those."""
    params = jax.device_get(Nerf(NerfMlp()).init(jax.random.key(0)))
    store = FrameStore(tmp_path, roles=roles)
    for frame in (1, 2, 3):
        trained = roles.all if frame == 1 else roles.own
        store.save(
            frame, params, {"count": np.int32(1)}, trained=trained, metadata={"phase": "any"}
        )
    store.close()
    files = [path for path in (tmp_path / "frames" / "000002").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert 1.0 * _MIB <= size <= 1.5 * _MIB
    structure = params_lib.select(params, roles.own)
    assert params_lib.num_bytes(structure) == 4 * 2 * (63 * 256 + 2 * 256 * 256 + 3 * 256)
    assert size == pytest.approx(store.own_bytes(2), rel=0.01)
