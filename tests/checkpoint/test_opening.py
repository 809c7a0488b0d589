"""Opening a workdir: reading writes nothing, and what is not whole is not there."""

import shutil

import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.types import InvError


def test_a_folder_without_a_run_has_no_frames_and_stays_as_it_is(tmp_path):
    assert FrameStore(tmp_path).frames() == []
    assert not list(tmp_path.iterdir())


def test_reading_writes_nothing(store, video, tmp_path):
    assert len(video) == 4

    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    before = files()
    reader = FrameStore(tmp_path)
    for frame in reader.frames():
        reader.params(frame)
    reader.close()
    assert files() == before


def test_half_written_frames_are_not_seen_and_go_before_the_next_is_written(
    store, video, tmp_path, roles, optimizer_of, transferred, assert_same
):
    assert len(video) == 4
    half = tmp_path / "frames" / "000005.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "frames" / "000004", half)
    assert FrameStore(tmp_path).frames() == [1, 2, 3, 4]
    assert half.is_dir()  # a reader leaves it alone: the writer may be at work
    writer = FrameStore(tmp_path, roles=roles)
    assert writer.frames() == [1, 2, 3, 4]
    params = transferred(video[3], 5)
    writer.save(5, params, optimizer_of(5), trained=roles.own, metadata={})
    writer.close()
    assert not half.exists()
    assert_same(FrameStore(tmp_path).params(5), params)


@pytest.mark.parametrize("frame", [0, 5])
def test_a_frame_that_is_not_stored_is_an_error_that_says_which_are(store, video, frame):
    assert len(video) == 4
    for read in (store.params, store.metadata, store.optimizer):
        with pytest.raises(InvError, match=rf"frame {frame} is not stored.*1 to 4"):
            read(frame)
