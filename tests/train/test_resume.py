"""A run that is killed goes on with the same bits, wherever it was killed.

The kills come in three kinds: an exception between two dispatches (a crash, in this process), a
finished workdir made to look as a kill at one certain moment leaves it, and signals to a process.
"""

import json
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build, record
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.data import segments
from inv_jax.eval.evaluate import Evaluator
from inv_jax.params import Roles
from inv_jax.train import plan as plan_lib
from inv_jax.train import resume
from inv_jax.train.journal import Journal
from inv_jax.types import InvError, Stopped

# Frame 1 has states at steps 3, 6 and 9 of 10, frames 2 and 3 (frozen) one at step 3 of 6.
_SETTINGS = {"data.num_frames": 3, "train.freeze_frame": 2, "train.save_every": 3}
_MEASURED = ("seconds", "_per_second", "_bytes")  # ends of names of what no two runs share


class _Crash(Exception):
    pass


def _crash_after(dispatches: int) -> Callable[[], bool]:
    """A `should_stop` that crashes: nothing gets stored on the way out."""
    calls = iter(range(dispatches))

    def ask() -> bool:
        if next(calls, None) is None:
            raise _Crash
        return False

    return ask


def _all_bits(workdir: pathlib.Path) -> dict[tuple[int, str], bytes]:
    store = FrameStore(workdir)
    bits = {}
    for frame in store.frames():
        for path, leaf in params_lib.flatten(store.params(frame)).items():
            bits[frame, path] = leaf.tobytes()
    for path, leaf in store.optimizer(store.frames()[-1]).items():
        bits[store.frames()[-1], f"optimizer/{path}"] = leaf.tobytes()
    return bits


def _rows(workdir: pathlib.Path) -> list[dict]:
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.endswith(_MEASURED)} for row in rows]


def _images(workdir: pathlib.Path) -> dict[str, bytes]:
    paths = sorted(workdir.glob("nerf_esti/**/*.png"))
    return {str(path.relative_to(workdir)): path.read_bytes() for path in paths}


def _assert_same_run(found: pathlib.Path, expected: pathlib.Path) -> None:
    assert _all_bits(found) == _all_bits(expected)
    assert _rows(found) == _rows(expected)
    assert _images(found) == _images(expected)
    names = [path.name for path in (found / "frames").iterdir()]
    assert sorted(names) == [f"{frame:06d}" for frame in FrameStore(found).frames()]
    assert not list((found / "partial").iterdir())
    assert not list(found.rglob("*.tmp"))


@pytest.fixture(scope="module")
def straight(train, tmp_path_factory) -> pathlib.Path:
    """The run that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("straight")
    train(workdir, _SETTINGS)
    return workdir


# Crashes between dispatches. With dispatch_seconds=0 each is of one step.


@pytest.mark.parametrize(
    ("dispatches", "where"),
    [
        pytest.param(0, "before the first step", marks=pytest.mark.slow),
        pytest.param(2, "before the first state within a frame", marks=pytest.mark.slow),
        (3, "right behind a state"),
        pytest.param(8, "between two states of frame 1", marks=pytest.mark.slow),
        (10, "between frame 1 and frame 2"),
        (15, "behind a state of frame 2, whose color is frozen"),
        pytest.param(21, "within the last frame", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_crashed_goes_on_with_the_same_bits(
    train, straight, tmp_path, dispatches, where
):
    del where
    settings = {**_SETTINGS, "train.dispatch_seconds": 0.0}
    with pytest.raises(_Crash):
        train(tmp_path, settings, _crash_after(dispatches))
    train(tmp_path, settings)
    _assert_same_run(tmp_path, straight)


@pytest.mark.slow
def test_a_run_that_crashes_all_the_time_arrives(train, straight, tmp_path):
    settings = {**_SETTINGS, "train.dispatch_seconds": 0.0}
    crashes = 0
    while crashes < 12:  # 22 steps, of which 3 are kept each time
        try:
            train(tmp_path, settings, _crash_after(4))
            break
        except _Crash:
            crashes += 1
    assert 5 <= crashes < 12
    _assert_same_run(tmp_path, straight)


def test_seconds_of_a_frame_count_over_all_runs(train, tmp_path):
    settings = {**_SETTINGS, "data.num_frames": 1, "train.dispatch_seconds": 0.0}
    with pytest.raises(_Crash):
        train(tmp_path, settings, _crash_after(9))
    notes = tmp_path / "partial" / "1000000009" / "metadata" / "metadata"
    before = json.loads(notes.read_text())["seconds"]
    assert before > 0
    assert train(tmp_path, settings).metadata(1)["seconds"] > before


# Crashes between the parts of a frame's end.


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (FrameStore, "_drop_old_optimizers"),  # stored; two optimizers, and the state before it
        (Evaluator, "finish"),  # stored, not seen
        (Journal, "write"),  # seen, no row
    ],
)
def test_a_crash_at_the_end_of_a_frame_is_made_up_for(
    train, straight, tmp_path, monkeypatch, owner, name
):
    original, calls = getattr(owner, name), []

    def crash_in_frame_2(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise _Crash
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash_in_frame_2)
        with pytest.raises(_Crash):
            train(tmp_path, _SETTINGS)
    assert FrameStore(tmp_path).frames() == [1, 2]
    train(tmp_path, _SETTINGS)
    _assert_same_run(tmp_path, straight)


def test_a_crash_right_behind_a_state_loses_no_picture(train, tmp_path, monkeypatch):
    settings = {**_SETTINGS, "data.num_frames": 1, "train.image_every": 3}
    train(tmp_path / "straight", settings)
    original = FrameStore.save_partial

    def save_and_crash(*args):
        original(*args)
        raise _Crash

    with monkeypatch.context() as patch:
        patch.setattr(FrameStore, "save_partial", save_and_crash)
        with pytest.raises(_Crash):
            train(tmp_path / "crashed", settings)
    train(tmp_path / "crashed", settings)
    expected = _images(tmp_path / "straight")
    assert len([path for path in expected if "_iter" in path]) == 2 * 3  # views and comparisons
    assert _images(tmp_path / "crashed") == expected


# Torn states, made by hand.


def _no_row(workdir: pathlib.Path) -> None:
    """Killed between the frame's storage and its row."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_text("".join(lines[:-1]))
    for path in workdir.glob("nerf_esti/**/cam00_frame0003_*"):
        path.unlink()


def _row_torn(workdir: pathlib.Path) -> None:
    """Killed in the middle of a row."""
    text = (workdir / "metrics.jsonl").read_text()
    (workdir / "metrics.jsonl").write_text(text[:-40])


def _no_row_but_an_image(workdir: pathlib.Path) -> None:
    """Killed between the image and its row, with half of another image."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_text("".join(lines[:-1]))
    next((workdir / "nerf_esti" / "compare").glob("cam00_frame0003_*")).unlink()
    (workdir / "nerf_esti" / ".cam00_frame0003_9.000000.png.tmp").write_bytes(b"half")


def _no_rows_at_all(workdir: pathlib.Path) -> None:
    """Somebody removed the journal."""
    (workdir / "metrics.jsonl").unlink()


def _old_optimizer_still_there(workdir: pathlib.Path) -> None:
    """Killed before the optimizer of the frame before was dropped (frame 3 is trained again)."""
    frames = workdir / "frames"
    shutil.copytree(frames / "000003" / "optimizer", frames / "000001" / "optimizer")


def _half_written_frame(workdir: pathlib.Path) -> None:
    """Killed in the middle of a frame's storage."""
    half = workdir / "frames" / "000004.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "frames" / "000003", half)
    (half / "commit_success.txt").unlink(missing_ok=True)


def _half_written_state(workdir: pathlib.Path) -> None:
    """Killed in the middle of a state within a frame."""
    half = workdir / "partial" / "3000000003.orbax-checkpoint-tmp"
    shutil.copytree(workdir / "frames" / "000003", half)
    (half / "commit_success.txt").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "tear",
    [_no_row, _row_torn, _no_row_but_an_image, _no_rows_at_all],
    ids=lambda tear: tear.__name__.strip("_"),
)
def test_what_is_seen_of_a_stored_frame_is_made_up_for(train, straight, tmp_path, tear):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    tear(workdir)
    train(workdir, _SETTINGS)
    _assert_same_run(workdir, straight)


@pytest.mark.parametrize(
    "tear",
    [_half_written_frame, _half_written_state, _old_optimizer_still_there, _row_torn],
    ids=lambda tear: tear.__name__.strip("_"),
)
def test_leftovers_of_a_kill_do_not_disturb_the_next_frame(train, straight, tmp_path, tear):
    expected, workdir = tmp_path / "expected", tmp_path / "run"
    longer = {**_SETTINGS, "data.num_frames": 4}
    for path in (expected, workdir):
        shutil.copytree(straight, path)
    tear(workdir)
    train(expected, longer)
    train(workdir, longer)
    _assert_same_run(workdir, expected)
    optimizers = list((workdir / "frames").glob("*/optimizer"))
    assert optimizers == [workdir / "frames" / "000004" / "optimizer"]


@pytest.fixture
def crashed(train, tmp_path) -> pathlib.Path:
    """A run that crashed behind step 9 of frame 1, with a state stored there."""
    with pytest.raises(_Crash):
        train(tmp_path, {**_SETTINGS, "train.dispatch_seconds": 0.0}, _crash_after(9))
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["1000000009"]
    return tmp_path


def test_only_the_newest_state_within_a_frame_is_kept(crashed):
    assert len(list((crashed / "partial").iterdir())) == 1
    assert not list((crashed / "frames").iterdir())


def test_a_state_of_a_frame_that_is_stored_is_not_used(train, straight, crashed):
    """Killed between a frame's storage and the removal of the states that led to it."""
    stale = crashed / "partial" / "1000000009"
    shutil.rmtree(crashed / "frames")
    shutil.copytree(straight / "frames", crashed / "frames")
    for frame in ("000002", "000003"):
        shutil.rmtree(crashed / "frames" / frame)
    # As it was when frame 1 was the newest: the run that made it is started for that frame only.
    single = crashed.parent / f"{crashed.name}_single"
    train(single, {**_SETTINGS, "data.num_frames": 1})
    shutil.rmtree(crashed / "frames" / "000001")
    shutil.copytree(single / "frames" / "000001", crashed / "frames" / "000001")
    assert stale.is_dir()
    train(crashed, _SETTINGS)
    _assert_same_run(crashed, straight)


def test_a_state_of_a_later_frame_does_not_disturb_an_earlier_one(train, straight, crashed):
    """Somebody removed frames, to train them again, and left the state within a later one."""
    later = crashed / "partial" / "3000000003"
    (crashed / "partial" / "1000000009").rename(later)
    notes = later / "metadata" / "metadata"
    notes.write_text(json.dumps({**json.loads(notes.read_text()), "frame": 3, "step": 3}))
    settings = {**_SETTINGS, "train.dispatch_seconds": 0.0}
    with pytest.raises(_Crash):
        train(crashed, settings, _crash_after(8))
    train(crashed, settings)
    _assert_same_run(crashed, straight)


def test_a_frame_outside_of_the_selection_is_made_up_for_when_it_is_selected_again(
    train, straight, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    _no_row(workdir)
    train(workdir, {**_SETTINGS, "data.num_frames": 1})
    assert [row["frame"] for row in _rows(workdir)] == [1, 2]
    train(workdir, _SETTINGS)
    _assert_same_run(workdir, straight)


# Another config.


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train.steps": 7}, ["train.steps (6 there, 7 here)"]),
        ({"train.seed": 1}, ["train.seed"]),
        ({"train.loss": "huber", "model.width": 16}, ["model.width", "train.loss"]),
        ({"data.holdout": (1,)}, ["data.holdout"]),
        ({"data.first_frame": 2}, ["data.first_frame"]),
        ({"train.rows_per_step": 64}, ["train.rows_per_step"]),
    ],
)
def test_a_workdir_of_another_config_is_refused(train, straight, changes, named):
    before = (straight / "config.json").read_text()
    with pytest.raises(InvError, match="belongs to another config") as raised:
        train(straight, {**_SETTINGS, **changes})
    assert all(field in str(raised.value) for field in named)
    assert str(raised.value).count(" there, ") == len(named)  # and no other field
    assert (straight / "config.json").read_text() == before


def test_settings_that_change_no_result_may_change(tiny_config, straight, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    shutil.copytree(tiny_config().data.path, tmp_path / "moved")
    changes = {
        "data.path": str(tmp_path / "moved"),
        "data.num_frames": 5,
        "train.rows_per_pass": 2,
        "train.save_every": 2,
        "train.image_every": 2,
        "train.dispatch_seconds": 3.0,
        "eval.rows_per_chunk": 64,
        "render.fps": 25.0,
    }
    config = tiny_config({**_SETTINGS, **changes})
    _, close = build.trainer(config, workdir, lambda: False)
    close()
    assert record.read_config(workdir).to_dict() == json.loads(json.dumps(config.to_dict()))


# Stopping on request.


def test_a_request_to_stop_stores_the_state(train, straight, tmp_path):
    answers = iter([False] * 4)
    settings = {**_SETTINGS, "train.save_every": 0, "train.dispatch_seconds": 0.0}
    with pytest.raises(Stopped, match="frame 1 after step 4 of 10"):
        train(tmp_path, settings, lambda: next(answers, True))
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["1000000004"]
    train(tmp_path, settings)
    _assert_same_run(tmp_path, straight)


# Signals to a process. Many steps, so that there is a moment to hit.

_LONG = {
    "data.num_frames": 3,
    "train.freeze_frame": 2,
    "train.warmup_steps": 600,
    "train.steps": 400,
    "train.save_every": 50,
    "train.dispatch_seconds": 0.02,
}


def _until(process: subprocess.Popen, is_time: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_time():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)


@pytest.fixture(scope="module")
def straight_process(command, tmp_path_factory) -> Iterator[pathlib.Path]:
    workdir = tmp_path_factory.mktemp("process") / "run"
    process = command(workdir, _LONG)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    yield workdir


def _there(workdir: pathlib.Path, pattern: str) -> Callable[[], bool]:
    return lambda: any(workdir.glob(pattern))


def _finish(command, workdir: pathlib.Path) -> None:
    process = command(workdir, _LONG)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "delay"),
    [
        pytest.param("partial/1*", 0.0, marks=pytest.mark.in_ci),
        ("partial/1*", 0.03),
        ("partial/*tmp*", 0.0),
        ("partial/2*", 0.01),
        pytest.param("frames/*tmp*", 0.0, marks=pytest.mark.in_ci),
        ("frames/*tmp*", 0.005),
        ("frames/000002*", 0.0),
        ("frames/000002/commit_success.txt", 0.0),
        ("nerf_esti/cam00_frame0002*", 0.0),
    ],
)
def test_a_killed_process_goes_on_with_the_same_bits(
    command, straight_process, tmp_path, moment, delay
):
    workdir = tmp_path / "run"
    process = command(workdir, _LONG)
    _until(process, _there(workdir, moment))
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    _finish(command, workdir)
    _assert_same_run(workdir, straight_process)


@pytest.mark.slow
@pytest.mark.in_ci
def test_sigterm_stores_the_state_and_says_so(command, straight_process, tmp_path):
    workdir = tmp_path / "run"
    process = command(workdir, {**_LONG, "train.save_every": 0})
    _until(process, _there(workdir, "frames/000001/commit_success.txt"))
    time.sleep(0.1)
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM == 143
    assert output == ""
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    assert last.startswith("inv-jax: stopped "), errors
    assert "the same command goes on" in last
    _finish(command, workdir)
    _assert_same_run(workdir, straight_process)


# What a run depends on, and may change behind its back.


def test_a_run_from_another_one_goes_on_without_it(train, straight, tmp_path):
    source, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(straight, source)
    settings = {**_SETTINGS, "train.freeze_frame": 1, "train.init_from": str(source)}
    with pytest.raises(_Crash):
        train(workdir, {**settings, "train.dispatch_seconds": 0.0}, _crash_after(9))
    assert FrameStore(workdir).frames() == [1]
    shutil.rmtree(source)
    assert train(workdir, settings).frames() == [1, 2, 3]


def test_the_frame_of_the_other_run_is_chosen_once(train, straight, tmp_path):
    workdir = tmp_path / "run"
    settings = {**_SETTINGS, "train.freeze_frame": 1, "train.init_from": str(straight)}
    with pytest.raises(_Crash):
        train(workdir, settings, _crash_after(0))
    newest = FrameStore(straight).frames()[-1]
    assert record.read_config(workdir).train.init_frame == newest


def test_the_cameras_of_another_capture_are_refused(tiny_config, straight, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_config().data.path, other)
    rows = np.load(other / "poses_bounds.npy")
    rows[1, 3] += 0.1  # one camera stands elsewhere
    np.save(other / "poses_bounds.npy", rows)
    shutil.copytree(straight, tmp_path / "run")
    config = tiny_config({**_SETTINGS, "data.path": str(other)})
    with pytest.raises(InvError, match=r"other cameras, .* data\.path"):
        build.trainer(config, tmp_path / "run", lambda: False)


def test_passes_chosen_at_the_start_are_kept(tiny_config, straight, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    path = workdir / "config.json"
    written = json.loads(path.read_text())
    assert written["rows_per_pass"] > 1
    path.write_text(json.dumps({**written, "rows_per_pass": 1}))
    _, close = build.trainer(tiny_config(_SETTINGS), workdir, lambda: False)
    close()
    assert record.read(workdir)["rows_per_pass"] == 1


@pytest.mark.parametrize("text", ["{}", "[1]", "{"])
def test_a_damaged_config_file_is_named(text, straight, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InvError, match=r"config\.json"):
        record.read_config(tmp_path)


def test_a_lost_optimizer_state_is_an_error_only_where_it_is_wanted(train, straight, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    shutil.rmtree(workdir / "frames" / "000003" / "optimizer")
    longer = {**_SETTINGS, "data.num_frames": 4}
    with pytest.raises(InvError, match=r"frame 3 .* lost its optimizer state"):
        train(workdir, longer)
    assert FrameStore(workdir).frames() == [1, 2, 3]


def test_all_stored_frames_can_be_seen_after_a_start_with_fewer(tiny_config, straight, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    _, close = build.trainer(tiny_config({**_SETTINGS, "data.num_frames": 1}), workdir, bool)
    close()
    assert list(open_playback(workdir).capture.frames) == [1, 2, 3]


# Segments of several frames.

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
    assert clips.find(range(1, 8), 3, shown_step=2).unseen == [1]  # 1 and 3 of it
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
