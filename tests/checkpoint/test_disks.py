"""Broken and full disks: one line that names the frame, and the others stay."""

import errno
import pathlib
import resource
import shutil
from collections.abc import Iterator

import orbax.checkpoint as ocp
import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.types import InvError


def _remove(folder: pathlib.Path) -> None:
    shutil.rmtree(folder / "structure")


def _empty(folder: pathlib.Path) -> None:
    for path in (folder / "structure").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def _cut(folder: pathlib.Path) -> None:
    files = [path for path in (folder / "structure").rglob("*") if path.is_file()]
    data = max(files, key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:100])


def _scribble(folder: pathlib.Path) -> None:
    (folder / "metadata" / "metadata").write_text("{")


def _no_metadata(folder: pathlib.Path) -> None:
    shutil.rmtree(folder / "metadata")


@pytest.mark.parametrize("damage", [_remove, _empty, _cut, _scribble, _no_metadata])
def test_an_unreadable_frame_is_a_one_line_error_and_the_others_still_play(
    video, tmp_path, damage, assert_same
):
    damage(tmp_path / "frames" / "000003")
    reader = FrameStore(tmp_path)
    with pytest.raises(InvError, match="3") as raised:
        reader.params(3)
    assert "\n" not in str(raised.value)
    assert_same(reader.params(4), video[3])


@pytest.mark.parametrize("damage", [_remove, _empty, _cut, _scribble, _no_metadata])
@pytest.mark.parametrize("frame", [1, 4])
def test_an_unreadable_end_leaves_the_frames_between(video, tmp_path, damage, frame, assert_same):
    """The first frame tells which roles there are, the last one how long it is."""
    damage(tmp_path / "frames" / f"{frame:06d}")
    reader = FrameStore(tmp_path)
    assert reader.frames() == [1, 2, 3, 4]
    for number in (2, 3):
        assert_same(reader.params(number), video[number - 1])
    with pytest.raises(InvError, match=str(frame)):
        reader.params(frame)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("what", ["frame", "state"])
def test_a_full_disk_names_the_frame_and_leaves_those_before(
    store, video, tmp_path, monkeypatch, code, what, roles, params_of, optimizer_of, assert_same
):
    def full(*args, **kwargs):
        raise OSError(code, "No space left on device", str(tmp_path))

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(InvError, match=r"frame 5.*free some space") as raised:
        if what == "frame":
            store.save(5, params_of(5), optimizer_of(5), trained=roles.own, metadata={})
        else:
            store.save_partial(5, 100, params_of(5), optimizer_of(5), {})
    assert "is full" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.frames() == [1, 2, 3, 4]
    assert_same(FrameStore(tmp_path).params(4), video[3])
    assert store.optimizer(4) is not None  # the run can go on from there


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files stop growing at 16 KiB: a write that fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# The writer's thread may still report to an event loop that has been closed by then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_write_that_fails_in_the_middle_leaves_no_frame(
    store, video, tmp_path, request, roles, params_of, optimizer_of, assert_same
):
    large = params_of(5, width=256)
    request.getfixturevalue("small_files")
    with pytest.raises(InvError, match="frame 5") as raised:
        store.save(5, large, optimizer_of(5), trained=roles.all, metadata={})
    assert "\n" not in str(raised.value)
    reader = FrameStore(tmp_path)
    assert reader.frames() == [1, 2, 3, 4]
    assert_same(reader.params(4), video[3])
    assert reader.optimizer(4) is not None
