"""Segments of several frames, and of models that share nothing."""

import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles
from inv_jax.types import InvError


@pytest.fixture
def save_clips(
    store, roles, params_of, optimizer_of, transferred
) -> Callable[[dict[int, int]], dict[int, dict]]:
    """`save_clips(lengths)`: a segment of each by its first frame; colors train in the first."""

    def save(lengths: dict[int, int]) -> dict[int, dict]:
        saved = {}
        for number, length in lengths.items():
            params = transferred(next(iter(saved.values()), params_of(0)), number)
            trained, notes = roles.own if saved else roles.all, {"num_frames": length, "loss": 0.5}
            store.save(number, params, optimizer_of(number), trained=trained, metadata=notes)
            saved[number] = params
        return saved

    return save


def test_frames_of_clips_are_all_that_can_be_shown(store, tmp_path, assert_same, save_clips):
    saved = save_clips({3: 4, 7: 1, 8: 2})
    for reader in (store, FrameStore(tmp_path)):
        assert reader.numbers() == [3, 7, 8]
        assert reader.segments() == [range(3, 7), range(7, 8), range(8, 10)]
        assert reader.frames() == [3, 4, 5, 6, 7, 8, 9]
        for number, frames in ((3, (3, 4, 6)), (7, (7,)), (8, (8, 9))):
            for frame in frames:
                assert reader.segment(frame)[0] == number
                assert_same(reader.params(frame), saved[number])
                assert reader.notes(frame) == {
                    "num_frames": len(reader.segment(frame)),
                    "loss": 0.5,
                }
                assert reader.color_id(frame) == 3
                assert (reader.optimizer(frame) is None) == (number != 8)


@pytest.mark.parametrize("frame", [2, 5, 9, 12])
def test_a_frame_between_clips_is_not_stored(store, frame, save_clips):
    save_clips({3: 2, 6: 3, 10: 2})
    for read in (store.segment, store.params, store.metadata, store.color_id, store.optimizer):
        with pytest.raises(InvError, match=rf"frame {frame} is not stored.*3 to 11"):
            read(frame)


def test_frames_that_were_left_out_are_not_stored(store, save_clips):
    save_clips({1: 1, 4: 1, 7: 1})  # every third frame is trained on
    assert store.frames() == [1, 4, 7]
    assert store.segments() == [range(1, 2), range(4, 5), range(7, 8)]


def test_runs_that_do_not_know_segments_are_frames(store, video, tmp_path, assert_same):
    """What they noted has neither lengths nor roles."""
    store.close()
    for path in (tmp_path / "frames").glob("*/metadata/metadata"):
        notes = json.loads(path.read_text())
        assert notes.pop("own") == ["structure"]
        assert "num_frames" not in notes
        path.write_text(json.dumps(notes))
    reader = FrameStore(tmp_path)
    assert reader.frames() == [1, 2, 3, 4]
    assert reader.segment(4) == range(4, 5)
    assert [reader.color_id(frame) for frame in reader.frames()] == [1, 2, 2, 2]
    assert [reader.shared_bytes(frame) > 0 for frame in reader.frames()] == [
        True,
        True,
        False,
        False,
    ]
    assert all(reader.own_bytes(frame) > 0 for frame in reader.frames())
    assert_same(reader.params(4), video[3])


def test_where_nothing_is_shared_all_have_one_color(tmp_path, assert_same):
    """Roles are the model's own; a reader finds them."""
    roles = Roles(own=("decoder", "codes"))
    writer = FrameStore(tmp_path, roles=roles)

    def params(seed: int) -> dict:
        leaf = np.random.default_rng(seed).normal(size=(4, 5)).astype(np.float32)
        return {"net": {role: {"layer_0": {"kernel": leaf}} for role in roles.own}}

    for number in (2, 5):
        metadata = {"num_frames": 3}
        writer.save(number, params(number), {}, trained=roles.all, metadata=metadata)
    writer.close()
    reader = FrameStore(tmp_path)
    assert [reader.color_id(frame) for frame in reader.frames()] == [2] * 6
    for number in (2, 5):
        assert_same(reader.params(number + 1), params(number))
        assert reader.shared_bytes(number) == 0
        folder = tmp_path / "frames" / f"{number:06d}"
        sizes = [_bytes_of(folder / role) for role in roles.own]
        assert reader.own_bytes(number) == sum(sizes) > max(sizes) > 0


def test_bytes_of_roles_are_those_of_their_folders(store, video, tmp_path):
    assert len(video) == 4
    folders = {n: tmp_path / "frames" / f"{n:06d}" for n in (2, 3)}
    for reader in (store, FrameStore(tmp_path)):
        for number, folder in folders.items():
            assert reader.own_bytes(number) == _bytes_of(folder / "structure") > 0
            assert reader.shared_bytes(number) == _bytes_of(folder / "color")
    assert store.shared_bytes(2) > 0 == store.shared_bytes(3)


def _bytes_of(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
