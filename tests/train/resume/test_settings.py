"""What may be another one when a run goes on, and what it depends on besides its settings."""

import json
import shutil

import numpy as np
import pytest

from inv_jax.assembly import build, record
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.types import InvError

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
def test_a_workdir_of_another_config_is_refused(train, straight, changes, named, three_frames):
    before = (straight / "config.json").read_text()
    with pytest.raises(InvError, match="belongs to another config") as raised:
        train(straight, {**three_frames, **changes})
    assert all(field in str(raised.value) for field in named)
    assert str(raised.value).count(" there, ") == len(named)  # and no other field
    assert (straight / "config.json").read_text() == before


def test_settings_that_change_no_result_may_change(tiny_config, straight, tmp_path, three_frames):
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
    config = tiny_config({**three_frames, **changes})
    _, close = build.trainer(config, workdir, lambda: False)
    close()
    assert record.read_config(workdir).to_dict() == json.loads(json.dumps(config.to_dict()))


# What a run depends on, and may change behind its back.


def test_a_run_from_another_one_goes_on_without_it(train, straight, tmp_path, crash, three_frames):
    source, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(straight, source)
    settings = {**three_frames, "train.freeze_frame": 1, "train.init_from": str(source)}
    with pytest.raises(crash):
        train(workdir, {**settings, "train.dispatch_seconds": 0.0}, crash.after(9))
    assert FrameStore(workdir).frames() == [1]
    shutil.rmtree(source)
    assert train(workdir, settings).frames() == [1, 2, 3]


def test_the_frame_of_the_other_run_is_chosen_once(train, straight, tmp_path, crash, three_frames):
    workdir = tmp_path / "run"
    settings = {**three_frames, "train.freeze_frame": 1, "train.init_from": str(straight)}
    with pytest.raises(crash):
        train(workdir, settings, crash.after(0))
    newest = FrameStore(straight).frames()[-1]
    assert record.read_config(workdir).train.init_frame == newest


def test_the_cameras_of_another_capture_are_refused(tiny_config, straight, tmp_path, three_frames):
    other = tmp_path / "other"
    shutil.copytree(tiny_config().data.path, other)
    rows = np.load(other / "poses_bounds.npy")
    rows[1, 3] += 0.1  # one camera stands elsewhere
    np.save(other / "poses_bounds.npy", rows)
    shutil.copytree(straight, tmp_path / "run")
    config = tiny_config({**three_frames, "data.path": str(other)})
    with pytest.raises(InvError, match=r"other cameras, .* data\.path"):
        build.trainer(config, tmp_path / "run", lambda: False)


def test_passes_chosen_at_the_start_are_kept(tiny_config, straight, tmp_path, three_frames):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    path = workdir / "config.json"
    written = json.loads(path.read_text())
    assert written["rows_per_pass"] > 1
    path.write_text(json.dumps({**written, "rows_per_pass": 1}))
    _, close = build.trainer(tiny_config(three_frames), workdir, lambda: False)
    close()
    assert record.read(workdir)["rows_per_pass"] == 1


@pytest.mark.parametrize("text", ["{}", "[1]", "{"])
def test_a_damaged_config_file_is_named(text, straight, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InvError, match=r"config\.json"):
        record.read_config(tmp_path)


def test_a_lost_optimizer_state_is_an_error_only_where_it_is_wanted(
    train, straight, tmp_path, three_frames
):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    shutil.rmtree(workdir / "frames" / "000003" / "optimizer")
    longer = {**three_frames, "data.num_frames": 4}
    with pytest.raises(InvError, match=r"frame 3 .* lost its optimizer state"):
        train(workdir, longer)
    assert FrameStore(workdir).frames() == [1, 2, 3]


def test_all_stored_frames_can_be_seen_after_a_start_with_fewer(
    tiny_config, straight, tmp_path, three_frames
):
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    _, close = build.trainer(tiny_config({**three_frames, "data.num_frames": 1}), workdir, bool)
    close()
    assert list(open_playback(workdir).capture.frames) == [1, 2, 3]
