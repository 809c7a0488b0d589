"""Segments on disk: what goes in comes out, at what size, and what a broken disk says."""

import errno
import json
import pathlib
import resource
import shutil
from collections.abc import Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.params import Roles
from inv_jax.types import InvError

ROLES = Roles(own=("structure",), shared=("color",))
_BOTH, _STRUCTURE = ROLES.all, ROLES.own
_MIB = 2**20


def _params(seed: int, width: int = 8) -> dict:
    rng = np.random.default_rng(seed)

    def layer(fan_in: int, out: int) -> dict:
        return {
            "kernel": rng.normal(size=(fan_in, out)).astype(np.float32),
            "bias": rng.normal(size=out).astype(np.float32),
        }

    return {
        network: {
            "structure": {"layer_0": layer(5, width), "layer_1": layer(width, width)},
            "color": {"rgb": layer(width, 3)},
        }
        for network in ("coarse", "fine")
    }


def _optimizer(seed: int) -> dict[str, np.ndarray]:
    moments = {f"mu/{path}": leaf for path, leaf in params_lib.flatten(_params(seed)).items()}
    return {"count": np.int32(seed), **moments}


def _transferred(params: dict, seed: int) -> dict:
    """Another frame with the same colors."""
    new = params_lib.flatten(_params(seed))
    old = params_lib.flatten(params)
    return params_lib.nest({p: (old if "/color/" in p else new)[p] for p in old})


def _assert_same(found, expected) -> None:
    found, expected = params_lib.flatten(found), params_lib.flatten(expected)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        assert found[path].dtype == np.asarray(leaf).dtype, path
        np.testing.assert_array_equal(found[path], leaf, err_msg=path)


@pytest.fixture
def store(tmp_path):
    store = FrameStore(tmp_path, roles=ROLES)
    yield store
    store.close()


@pytest.fixture
def video(store) -> list[dict]:
    """Params of frames 1 to 4: colors train in the first two."""
    frames = [_params(1), _params(2)]
    frames += [_transferred(frames[1], 3), _transferred(frames[1], 4)]
    for number, params in enumerate(frames, start=1):
        trained = _BOTH if number <= 2 else _STRUCTURE
        note = {"phase": f"phase of {number}", "loss": 0.5 / number}
        store.save(number, params, _optimizer(number), trained=trained, metadata=note)
    return frames


# Whole frames.


def test_frames_come_back_to_the_bit(store, video, tmp_path):
    for reader in (store, FrameStore(tmp_path)):
        assert reader.frames() == [1, 2, 3, 4]
        for number, params in enumerate(video, start=1):
            _assert_same(reader.params(number), params)


def test_frames_come_back_in_any_order(video, tmp_path):
    reader = FrameStore(tmp_path)
    for number in (4, 1, 3, 2, 4):
        _assert_same(reader.params(number), video[number - 1])


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


def test_color_that_no_frame_holds_yet_is_stored_though_it_did_not_train(store):
    params = _params(1)
    store.save(7, params, _optimizer(1), trained=_STRUCTURE, metadata={})
    assert store.shared_bytes(7) > 0
    _assert_same(store.params(7), params)


def test_only_the_newest_frame_keeps_its_optimizer(store, video):
    assert len(video) == 4
    assert [store.optimizer(frame) for frame in (1, 2, 3)] == [None] * 3
    _assert_same(params_lib.nest(store.optimizer(4)), params_lib.nest(_optimizer(4)))


def test_a_frame_of_the_full_network_costs_its_params_and_little_more(tmp_path):
    """The first three layers of both networks are 1.13 MiB of float32; nothing compresses those."""
    params = jax.device_get(Nerf(NerfMlp()).init(jax.random.key(0)))
    store = FrameStore(tmp_path, roles=ROLES)
    for frame in (1, 2, 3):
        trained = _BOTH if frame == 1 else _STRUCTURE
        store.save(
            frame, params, {"count": np.int32(1)}, trained=trained, metadata={"phase": "any"}
        )
    store.close()
    files = [path for path in (tmp_path / "frames" / "000002").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert 1.0 * _MIB <= size <= 1.5 * _MIB
    structure = params_lib.select(params, _STRUCTURE)
    assert params_lib.num_bytes(structure) == 4 * 2 * (63 * 256 + 2 * 256 * 256 + 3 * 256)
    assert size == pytest.approx(store.own_bytes(2), rel=0.01)


# Segments of several frames, and of models that share nothing.


def _save_clips(store: FrameStore, lengths: dict[int, int]) -> dict[int, dict]:
    """Stores a segment of each length by its first frame; colors train in the first alone."""
    saved = {}
    for number, length in lengths.items():
        params = _transferred(next(iter(saved.values()), _params(0)), number)
        trained, notes = _STRUCTURE if saved else _BOTH, {"num_frames": length, "loss": 0.5}
        store.save(number, params, _optimizer(number), trained=trained, metadata=notes)
        saved[number] = params
    return saved


def test_frames_of_clips_are_all_that_can_be_shown(store, tmp_path):
    saved = _save_clips(store, {3: 4, 7: 1, 8: 2})
    for reader in (store, FrameStore(tmp_path)):
        assert reader.numbers() == [3, 7, 8]
        assert reader.segments() == [range(3, 7), range(7, 8), range(8, 10)]
        assert reader.frames() == [3, 4, 5, 6, 7, 8, 9]
        for number, frames in ((3, (3, 4, 6)), (7, (7,)), (8, (8, 9))):
            for frame in frames:
                assert reader.segment(frame)[0] == number
                _assert_same(reader.params(frame), saved[number])
                assert reader.notes(frame) == {
                    "num_frames": len(reader.segment(frame)),
                    "loss": 0.5,
                }
                assert reader.color_id(frame) == 3
                assert (reader.optimizer(frame) is None) == (number != 8)


@pytest.mark.parametrize("frame", [2, 5, 9, 12])
def test_a_frame_between_clips_is_not_stored(store, frame):
    _save_clips(store, {3: 2, 6: 3, 10: 2})
    for read in (store.segment, store.params, store.metadata, store.color_id, store.optimizer):
        with pytest.raises(InvError, match=rf"frame {frame} is not stored.*3 to 11"):
            read(frame)


def test_frames_that_were_left_out_are_not_stored(store):
    _save_clips(store, {1: 1, 4: 1, 7: 1})  # every third frame is trained on
    assert store.frames() == [1, 4, 7]
    assert store.segments() == [range(1, 2), range(4, 5), range(7, 8)]


def test_runs_that_do_not_know_segments_are_frames(store, video, tmp_path):
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
    _assert_same(reader.params(4), video[3])


def test_where_nothing_is_shared_all_have_one_color(tmp_path):
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
        _assert_same(reader.params(number + 1), params(number))
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


# States within a frame.


def test_the_newest_state_within_a_frame_replaces_the_one_before(store, tmp_path):
    assert store.partial_frames() == []
    for step in (100, 200):
        store.save_partial(3, step, _params(step), _optimizer(step), {"seconds": step / 10})
    metadata, params, optimizer = store.partial(3)
    assert metadata == {"frame": 3, "step": 200, "seconds": 20.0}
    _assert_same(params, _params(200))
    _assert_same(params_lib.nest(optimizer), params_lib.nest(_optimizer(200)))
    assert len(list((tmp_path / "partial").iterdir())) == 1
    assert store.frames() == []


def test_a_state_is_stored_once(store):
    store.save_partial(3, 100, _params(1), _optimizer(1), {})
    store.save_partial(3, 100, _params(2), _optimizer(2), {})
    _assert_same(store.partial(3)[1], _params(1))


def test_a_stored_frame_ends_the_states_that_led_to_it(store):
    store.save_partial(1, 100, _params(1), _optimizer(1), {})
    store.save(1, _params(2), _optimizer(2), trained=_BOTH, metadata={})
    assert store.partial_frames() == []


def test_frames_in_training_at_once_have_a_state_each(store):
    for frame, step in ((2, 100), (3, 50), (2, 200)):
        store.save_partial(frame, step, _params(step), _optimizer(step), {})
    assert store.partial_frames() == [2, 3]
    assert [store.partial(frame)[0]["step"] for frame in (2, 3)] == [200, 50]
    store.save(2, _params(2), _optimizer(2), trained=_BOTH, metadata={})
    assert store.partial_frames() == [3]
    _assert_same(store.partial(3)[1], _params(50))


def test_params_kept_for_study_are_no_state_to_go_on_from(store, tmp_path):
    for step in (100, 200, 200):
        store.save_intermediate(2, step, _params(step))
    assert store.partial_frames() == []
    assert store.frames() == []
    folders = sorted(path.name for path in (tmp_path / "intermediate").iterdir())
    assert folders == ["2000000100", "2000000200"]


# Opening.


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


def test_half_written_frames_are_not_seen_and_go_before_the_next_is_written(store, video, tmp_path):
    assert len(video) == 4
    half = tmp_path / "frames" / "000005.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "frames" / "000004", half)
    assert FrameStore(tmp_path).frames() == [1, 2, 3, 4]
    assert half.is_dir()  # a reader leaves it alone: the writer may be at work
    writer = FrameStore(tmp_path, roles=ROLES)
    assert writer.frames() == [1, 2, 3, 4]
    params = _transferred(video[3], 5)
    writer.save(5, params, _optimizer(5), trained=_STRUCTURE, metadata={})
    writer.close()
    assert not half.exists()
    _assert_same(FrameStore(tmp_path).params(5), params)


@pytest.mark.parametrize("frame", [0, 5])
def test_a_frame_that_is_not_stored_is_an_error_that_says_which_are(store, video, frame):
    assert len(video) == 4
    for read in (store.params, store.metadata, store.optimizer):
        with pytest.raises(InvError, match=rf"frame {frame} is not stored.*1 to 4"):
            read(frame)


# Broken disks.


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
def test_an_unreadable_frame_is_a_one_line_error_and_the_others_still_play(video, tmp_path, damage):
    damage(tmp_path / "frames" / "000003")
    reader = FrameStore(tmp_path)
    with pytest.raises(InvError, match="3") as raised:
        reader.params(3)
    assert "\n" not in str(raised.value)
    _assert_same(reader.params(4), video[3])


@pytest.mark.parametrize("damage", [_remove, _empty, _cut, _scribble, _no_metadata])
@pytest.mark.parametrize("frame", [1, 4])
def test_an_unreadable_end_leaves_the_frames_between(video, tmp_path, damage, frame):
    """The first frame tells which roles there are, the last one how long it is."""
    damage(tmp_path / "frames" / f"{frame:06d}")
    reader = FrameStore(tmp_path)
    assert reader.frames() == [1, 2, 3, 4]
    for number in (2, 3):
        _assert_same(reader.params(number), video[number - 1])
    with pytest.raises(InvError, match=str(frame)):
        reader.params(frame)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("what", ["frame", "state"])
def test_a_full_disk_names_the_frame_and_leaves_those_before(
    store, video, tmp_path, monkeypatch, code, what
):
    def full(*args, **kwargs):
        raise OSError(code, "No space left on device", str(tmp_path))

    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(InvError, match=r"frame 5.*free some space") as raised:
        if what == "frame":
            store.save(5, _params(5), _optimizer(5), trained=_STRUCTURE, metadata={})
        else:
            store.save_partial(5, 100, _params(5), _optimizer(5), {})
    assert "is full" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert store.frames() == [1, 2, 3, 4]
    _assert_same(FrameStore(tmp_path).params(4), video[3])
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
def test_a_write_that_fails_in_the_middle_leaves_no_frame(store, video, tmp_path, request):
    large = _params(5, width=256)
    request.getfixturevalue("small_files")
    with pytest.raises(InvError, match="frame 5") as raised:
        store.save(5, large, _optimizer(5), trained=_BOTH, metadata={})
    assert "\n" not in str(raised.value)
    reader = FrameStore(tmp_path)
    assert reader.frames() == [1, 2, 3, 4]
    _assert_same(reader.params(4), video[3])
    assert reader.optimizer(4) is not None
