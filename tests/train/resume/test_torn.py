"""Workdirs as a kill at one certain moment leaves them, made by hand."""

import json
import pathlib
import shutil

import pytest


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
def test_what_is_seen_of_a_stored_frame_is_made_up_for(
    train, straight, tmp_path, tear, three_frames, assert_same_run
):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    tear(workdir)
    train(workdir, three_frames)
    assert_same_run(workdir, straight)


@pytest.mark.parametrize(
    "tear",
    [_half_written_frame, _half_written_state, _old_optimizer_still_there, _row_torn],
    ids=lambda tear: tear.__name__.strip("_"),
)
def test_leftovers_of_a_kill_do_not_disturb_the_next_frame(
    train, straight, tmp_path, tear, three_frames, assert_same_run
):
    expected, workdir = tmp_path / "expected", tmp_path / "run"
    longer = {**three_frames, "data.num_frames": 4}
    for path in (expected, workdir):
        shutil.copytree(straight, path)
    tear(workdir)
    train(expected, longer)
    train(workdir, longer)
    assert_same_run(workdir, expected)
    optimizers = list((workdir / "frames").glob("*/optimizer"))
    assert optimizers == [workdir / "frames" / "000004" / "optimizer"]


@pytest.fixture
def crashed(train, tmp_path, crash, three_frames) -> pathlib.Path:
    """A run that crashed behind step 9 of frame 1, with a state stored there."""
    with pytest.raises(crash):
        train(tmp_path, {**three_frames, "train.dispatch_seconds": 0.0}, crash.after(9))
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["1000000009"]
    return tmp_path


def test_only_the_newest_state_within_a_frame_is_kept(crashed):
    assert len(list((crashed / "partial").iterdir())) == 1
    assert not list((crashed / "frames").iterdir())


def test_a_state_of_a_frame_that_is_stored_is_not_used(
    train, straight, crashed, three_frames, assert_same_run
):
    """Killed between a frame's storage and the removal of the states that led to it."""
    stale = crashed / "partial" / "1000000009"
    shutil.rmtree(crashed / "frames")
    shutil.copytree(straight / "frames", crashed / "frames")
    for frame in ("000002", "000003"):
        shutil.rmtree(crashed / "frames" / frame)
    # As it was when frame 1 was the newest: the run that made it is started for that frame only.
    single = crashed.parent / f"{crashed.name}_single"
    train(single, {**three_frames, "data.num_frames": 1})
    shutil.rmtree(crashed / "frames" / "000001")
    shutil.copytree(single / "frames" / "000001", crashed / "frames" / "000001")
    assert stale.is_dir()
    train(crashed, three_frames)
    assert_same_run(crashed, straight)


def test_a_state_of_a_later_frame_does_not_disturb_an_earlier_one(
    train, straight, crashed, crash, three_frames, assert_same_run
):
    """Somebody removed frames, to train them again, and left the state within a later one."""
    later = crashed / "partial" / "3000000003"
    (crashed / "partial" / "1000000009").rename(later)
    notes = later / "metadata" / "metadata"
    notes.write_text(json.dumps({**json.loads(notes.read_text()), "frame": 3, "step": 3}))
    settings = {**three_frames, "train.dispatch_seconds": 0.0}
    with pytest.raises(crash):
        train(crashed, settings, crash.after(8))
    train(crashed, settings)
    assert_same_run(crashed, straight)


def test_a_frame_outside_of_the_selection_is_made_up_for_when_it_is_selected_again(
    train, straight, tmp_path, three_frames, assert_same_run, rows_of
):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    _no_row(workdir)
    train(workdir, {**three_frames, "data.num_frames": 1})
    assert [row["frame"] for row in rows_of(workdir)] == [1, 2]
    train(workdir, three_frames)
    assert_same_run(workdir, straight)
