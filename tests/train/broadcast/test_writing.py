"""A run writes its neural video while it trains: whole, once, also when it is killed."""

import json
import shutil

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo
from inv_jax.train.journal import Journal
from inv_jax.types import InvError


def _structure(params):
    leaves = params_lib.flatten(params_lib.select(params, [params_lib.STRUCTURE]))
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


@pytest.mark.parametrize("name", ["raw", "groups"])
def test_a_lossless_video_holds_what_is_stored(runs, name):
    workdir, store = runs[name]
    video = NeuralVideo.open(workdir / "video.inv")
    assert video.frames() == store.frames() == [1, 2, 3, 4]
    assert video.is_closed
    for frame in store.frames():
        jax.tree.map(np.testing.assert_array_equal, video.params(frame), store.params(frame))


def test_what_is_stored_is_what_a_receiver_has_if_training_goes_on_from_it(runs):
    workdir, store = runs["from decoded"]
    video = NeuralVideo.open(workdir / "video.inv")
    for frame in store.frames():
        jax.tree.map(np.testing.assert_array_equal, video.params(frame), store.params(frame))
    # It is not what a codec that loses nothing would have given.
    undecoded = runs["raw"][1].params(1)
    assert any(
        not np.array_equal(leaf, _structure(undecoded)[path])
        for path, leaf in _structure(store.params(1)).items()
    )


def test_encoding_changes_nothing_about_training(runs, train, tmp_path, four_frames):
    plain = train(tmp_path, four_frames)
    assert not (tmp_path / "video.inv").exists()
    for frame in plain.frames():
        for name in ("raw", "delta"):
            params = runs[name][1].params(frame)
            jax.tree.map(np.testing.assert_array_equal, params, plain.params(frame))


def test_colors_are_sent_while_they_train_and_then_no_more(runs):
    video = NeuralVideo.open(runs["delta"][0] / "video.inv")
    assert [video.color_id(frame) for frame in video.frames()] == [1, 1, 1, 1]
    assert list(video.colors) == [1]


def test_rows_say_what_a_frame_added_to_the_video(runs):
    workdir, _ = runs["delta"]
    sent = [row["video_bytes"] for row in Journal(workdir).rows()]
    assert sent[0] > max(sent[1:])  # with the colors
    assert 0 < sum(sent) < (workdir / "video.inv").stat().st_size
    assert [row["video_bytes"] > 0 for row in Journal(runs["groups"][0]).rows()][-1]


@pytest.mark.parametrize(
    ("name", "dispatches"),
    [
        ("raw", 5),
        pytest.param("groups", 24, marks=pytest.mark.slow),
        ("delta", 24),
        ("from decoded", 18),
    ],
)
def test_a_run_that_was_killed_writes_the_same_video(
    runs, train, tmp_path, name, dispatches, crash, four_frames, codecs
):
    settings = four_frames | codecs[name]
    with pytest.raises(crash):
        train(tmp_path, settings, crash.after(dispatches))
    train(tmp_path, settings)
    expected = (runs[name][0] / "video.inv").read_bytes()
    assert (tmp_path / "video.inv").read_bytes() == expected


@pytest.mark.parametrize("name", [pytest.param("delta", marks=pytest.mark.slow), "from decoded"])
def test_a_video_that_is_ahead_of_the_stored_frames_is_cut_back(
    runs, train, tmp_path, monkeypatch, name, crash, four_frames, codecs
):
    """As a kill between encoding a frame and storing it leaves it."""
    save = FrameStore.save

    def failing(self, frame, *args, **kwargs):
        if frame == 3:
            raise crash
        save(self, frame, *args, **kwargs)

    monkeypatch.setattr(FrameStore, "save", failing)
    with pytest.raises(crash):
        train(tmp_path, four_frames | codecs[name])
    assert NeuralVideo.open(tmp_path / "video.inv").frames() == [1, 2, 3]
    assert FrameStore(tmp_path).frames() == [1, 2]
    monkeypatch.undo()
    train(tmp_path, four_frames | codecs[name])
    expected = (runs[name][0] / "video.inv").read_bytes()
    assert (tmp_path / "video.inv").read_bytes() == expected


def test_a_run_that_is_done_leaves_its_video_alone(runs, train, tmp_path, four_frames, codecs):
    workdir = tmp_path / "run"
    shutil.copytree(runs["delta"][0], workdir)
    before = (workdir / "video.inv").stat()
    train(workdir, four_frames | codecs["delta"])
    after = (workdir / "video.inv").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_run_does_not_go_on_from_a_video_that_is_not_its_own(
    runs, train, tmp_path, four_frames, codecs
):
    """What is stored came from the file: encoded again, it would be another."""
    more = four_frames | codecs["from decoded"] | {"data.num_frames": 5}
    for cut in (0, 1000):
        workdir = tmp_path / f"run{cut}"
        shutil.copytree(runs["from decoded"][0], workdir)
        video = workdir / "video.inv"
        video.write_bytes(video.read_bytes()[: -cut or None])
        if not cut:
            video.unlink()
        with pytest.raises(InvError, match=r"video\.inv lacks frames"):
            train(workdir, more)
    workdir = tmp_path / "other"
    shutil.copytree(runs["from decoded"][0], workdir)
    shutil.copy(runs["delta"][0] / "video.inv", workdir / "video.inv")
    with pytest.raises(InvError, match="settings"):
        train(workdir, more)


def test_colors_that_still_train_are_sent_with_every_frame(
    train, tmp_path, crash, four_frames, codecs
):
    """Also behind a kill, also from frame 2 of the capture on."""
    settings = four_frames | codecs["delta"] | {"train.freeze_frame": 4, "data.first_frame": 2}
    train(tmp_path / "straight", settings)
    with pytest.raises(crash):
        train(tmp_path / "killed", settings, crash.after(26))
    store = train(tmp_path / "killed", settings)
    videos = [(tmp_path / name / "video.inv").read_bytes() for name in ("straight", "killed")]
    assert videos[0] == videos[1]
    video = NeuralVideo.open(tmp_path / "killed" / "video.inv")
    assert [video.color_id(frame) for frame in video.frames()] == [2, 3, 3, 3]
    for frame in video.frames():
        color = params_lib.select(video.params(frame), [params_lib.COLOR])
        stored = params_lib.select(store.params(frame), [params_lib.COLOR])
        jax.tree.map(np.testing.assert_array_equal, color, stored)


def test_a_video_that_could_not_even_begin_is_begun_again(
    runs, train, tmp_path, four_frames, codecs
):
    """As a full disk leaves it."""
    workdir = tmp_path / "run"
    shutil.copytree(runs["groups"][0], workdir)
    expected = (workdir / "video.inv").read_bytes()
    for there in (0, 10, 100):
        (workdir / "video.inv").write_bytes(expected[:there])
        train(workdir, four_frames | codecs["groups"])
        assert (workdir / "video.inv").read_bytes() == expected


def test_a_run_begun_before_there_were_codecs_goes_on(train, tmp_path):
    plain = {"data.num_frames": 2, "train.freeze_frame": 2}
    train(tmp_path, plain)
    path = tmp_path / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["codec"], record["config"]["train"]["update_pull"]
    path.write_text(json.dumps(record))
    assert train(tmp_path, plain | {"data.num_frames": 3}).frames() == [1, 2, 3]
    assert not (tmp_path / "video.inv").exists()


def test_a_video_that_was_removed_is_made_again(runs, train, tmp_path, four_frames, codecs):
    workdir = tmp_path / "run"
    shutil.copytree(runs["groups"][0], workdir)
    (workdir / "video.inv").unlink()
    train(workdir, four_frames | codecs["groups"])
    assert (workdir / "video.inv").read_bytes() == (runs["groups"][0] / "video.inv").read_bytes()


def test_groups_are_refused_if_training_goes_on_from_what_is_decoded(
    train, tmp_path, four_frames, codecs
):
    groups = codecs["groups"] | {"codec.from_decoded": True}
    with pytest.raises(InvError, match=r"codec\.group=1"):
        train(tmp_path, four_frames | groups)
    with pytest.raises(InvError, match=r"codec\.name"):
        train(tmp_path, four_frames | {"codec.from_decoded": True})
    with pytest.raises(InvError, match="color_precision"):
        train(tmp_path, four_frames | codecs["raw"] | {"codec.color_precision": 40})
    with pytest.raises(InvError, match="update_pull"):
        train(tmp_path, four_frames | {"train.update_pull": 0.1, "train.freeze_frame": 0})
    assert not list(tmp_path.iterdir())
