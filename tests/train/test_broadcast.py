"""A run writes its neural video while it trains: whole, once, also when it is killed."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly.playback import model_of
from inv_jax.checkpoint import FrameStore
from inv_jax.cli import main
from inv_jax.codec.base import CorruptError
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.train.journal import Journal
from inv_jax.types import InvError

_SETTINGS = {
    "data.num_frames": 4,
    "train.freeze_frame": 2,
    "train.save_every": 3,
    "train.dispatch_seconds": 0.0,
}
_CODECS = {
    "raw": {"codec.name": "raw"},
    "groups": {"codec.name": "twc", "codec.precision": 32, "codec.group": 2},
    "delta": {"codec.name": "delta", "codec.key_every": 3},
    "from decoded": {
        "codec.name": "delta",
        "codec.fidelity": 30.0,
        "codec.from_decoded": True,
        "train.update_pull": 0.2,
    },
}


class _Crash(Exception):
    pass


def _crash_after(dispatches: int):
    calls = iter(range(dispatches))

    def ask() -> bool:
        if next(calls, None) is None:
            raise _Crash
        return False

    return ask


@pytest.fixture(scope="module")
def runs(train, tmp_path_factory):
    """Workdir and store of a run with each codec."""
    found = {}
    for name, settings in _CODECS.items():
        workdir = tmp_path_factory.mktemp("run")
        found[name] = workdir, train(workdir, _SETTINGS | settings)
    return found


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


def test_encoding_changes_nothing_about_training(runs, train, tmp_path):
    plain = train(tmp_path, _SETTINGS)
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
def test_a_run_that_was_killed_writes_the_same_video(runs, train, tmp_path, name, dispatches):
    settings = _SETTINGS | _CODECS[name]
    with pytest.raises(_Crash):
        train(tmp_path, settings, _crash_after(dispatches))
    train(tmp_path, settings)
    expected = (runs[name][0] / "video.inv").read_bytes()
    assert (tmp_path / "video.inv").read_bytes() == expected


@pytest.mark.parametrize("name", [pytest.param("delta", marks=pytest.mark.slow), "from decoded"])
def test_a_video_that_is_ahead_of_the_stored_frames_is_cut_back(
    runs, train, tmp_path, monkeypatch, name
):
    """As a kill between encoding a frame and storing it leaves it."""
    save = FrameStore.save

    def failing(self, frame, *args, **kwargs):
        if frame == 3:
            raise _Crash
        save(self, frame, *args, **kwargs)

    monkeypatch.setattr(FrameStore, "save", failing)
    with pytest.raises(_Crash):
        train(tmp_path, _SETTINGS | _CODECS[name])
    assert NeuralVideo.open(tmp_path / "video.inv").frames() == [1, 2, 3]
    assert FrameStore(tmp_path).frames() == [1, 2]
    monkeypatch.undo()
    train(tmp_path, _SETTINGS | _CODECS[name])
    expected = (runs[name][0] / "video.inv").read_bytes()
    assert (tmp_path / "video.inv").read_bytes() == expected


def test_a_run_that_is_done_leaves_its_video_alone(runs, train, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(runs["delta"][0], workdir)
    before = (workdir / "video.inv").stat()
    train(workdir, _SETTINGS | _CODECS["delta"])
    after = (workdir / "video.inv").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_run_does_not_go_on_from_a_video_that_is_not_its_own(runs, train, tmp_path):
    """What is stored came from the file: encoded again, it would be another."""
    more = _SETTINGS | _CODECS["from decoded"] | {"data.num_frames": 5}
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


def test_colors_that_still_train_are_sent_with_every_frame(train, tmp_path):
    """Also behind a kill, also from frame 2 of the capture on."""
    settings = _SETTINGS | _CODECS["delta"] | {"train.freeze_frame": 4, "data.first_frame": 2}
    train(tmp_path / "straight", settings)
    with pytest.raises(_Crash):
        train(tmp_path / "killed", settings, _crash_after(26))
    store = train(tmp_path / "killed", settings)
    videos = [(tmp_path / name / "video.inv").read_bytes() for name in ("straight", "killed")]
    assert videos[0] == videos[1]
    video = NeuralVideo.open(tmp_path / "killed" / "video.inv")
    assert [video.color_id(frame) for frame in video.frames()] == [2, 3, 3, 3]
    for frame in video.frames():
        color = params_lib.select(video.params(frame), [params_lib.COLOR])
        stored = params_lib.select(store.params(frame), [params_lib.COLOR])
        jax.tree.map(np.testing.assert_array_equal, color, stored)


def test_a_video_that_could_not_even_begin_is_begun_again(runs, train, tmp_path):
    """As a full disk leaves it."""
    workdir = tmp_path / "run"
    shutil.copytree(runs["groups"][0], workdir)
    expected = (workdir / "video.inv").read_bytes()
    for there in (0, 10, 100):
        (workdir / "video.inv").write_bytes(expected[:there])
        train(workdir, _SETTINGS | _CODECS["groups"])
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


def test_a_video_that_was_removed_is_made_again(runs, train, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(runs["groups"][0], workdir)
    (workdir / "video.inv").unlink()
    train(workdir, _SETTINGS | _CODECS["groups"])
    assert (workdir / "video.inv").read_bytes() == (runs["groups"][0] / "video.inv").read_bytes()


def test_groups_are_refused_if_training_goes_on_from_what_is_decoded(train, tmp_path):
    groups = _CODECS["groups"] | {"codec.from_decoded": True}
    with pytest.raises(InvError, match=r"codec\.group=1"):
        train(tmp_path, _SETTINGS | groups)
    with pytest.raises(InvError, match=r"codec\.name"):
        train(tmp_path, _SETTINGS | {"codec.from_decoded": True})
    with pytest.raises(InvError, match="color_precision"):
        train(tmp_path, _SETTINGS | _CODECS["raw"] | {"codec.color_precision": 40})
    with pytest.raises(InvError, match="update_pull"):
        train(tmp_path, _SETTINGS | {"train.update_pull": 0.1, "train.freeze_frame": 0})
    assert not list(tmp_path.iterdir())


# The commands.


def test_a_run_is_encoded_looked_at_and_decoded(runs, tmp_path, capsys, tiny_capture):
    workdir, store = runs["raw"]
    out = tmp_path / "video.inv"
    encode = ["inv-jax", "encode", f"--workdir={workdir}", f"--out={out}", "--codec=twc"]
    assert main([*encode, "--precision=32", "--group=0"]) == 0
    assert "4 frames" in capsys.readouterr().out
    assert main(["inv-jax", "info", f"--video={out}", "--groups", "--check"]) == 0
    said = capsys.readouterr().out
    assert "4, 1 to 4; 1 groups" in said
    assert "4 of 4 frames can be decoded" in said

    decoded = tmp_path / "decoded"
    assert main(["inv-jax", "decode", f"--video={out}", f"--out={decoded}"]) == 0
    from_run, from_file, from_decoded = (tmp_path / f"{name}.json" for name in "abc")
    for path, table in ((workdir, from_run), (out, from_file), (decoded, from_decoded)):
        evaluate = ["inv-jax", "eval", f"--workdir={path}", f"--data_path={tiny_capture}"]
        assert main([*evaluate, f"--out={table}"]) == 0
    assert from_run.read_text() == from_file.read_text() == from_decoded.read_text()
    assert main(["inv-jax", "render", f"--workdir={out}", f"--out={tmp_path / 'a.mp4'}"]) == 0
    assert (tmp_path / "a.mp4").stat().st_size > 0
    assert store.frames() == [1, 2, 3, 4]


def test_a_file_needs_the_images_of_its_own_cameras(runs, tmp_path, capsys, tiny_capture):
    video = runs["raw"][0] / "video.inv"
    assert main(["inv-jax", "eval", f"--workdir={video}"]) == 2
    assert "--data_path" in capsys.readouterr().err
    other = tmp_path / "capture"
    shutil.copytree(tiny_capture, other)
    poses = np.load(other / "poses_bounds.npy")
    poses[1, 3] += 1.0
    np.save(other / "poses_bounds.npy", poses)
    assert main(["inv-jax", "eval", f"--workdir={video}", f"--data_path={other}"]) == 2
    assert "other cameras" in capsys.readouterr().err


def test_an_encoding_that_is_stopped_leaves_the_file_that_was_there(runs, tmp_path, monkeypatch):
    out = tmp_path / "video.inv"
    encode = ["inv-jax", "encode", "--codec=raw", f"--workdir={runs['raw'][0]}", f"--out={out}"]
    assert main([*encode, "--frames=2:3"]) == 0
    before = out.read_bytes()
    assert NeuralVideo.open(out).frames() == [2, 3]
    push = VideoWriter.push

    def pushing(self, frame, *args):
        os.kill(os.getpid(), signal.SIGTERM)
        return push(self, frame, *args)

    monkeypatch.setattr(VideoWriter, "push", pushing)
    assert main(encode) == 128 + signal.SIGTERM
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["video.inv"]


def test_a_video_is_encoded_again(runs, tmp_path, capsys):
    video, again = runs["groups"][0] / "video.inv", tmp_path / "again.inv"
    assert main(["inv-jax", "encode", f"--workdir={video}", f"--out={again}", "--codec=raw"]) == 0
    for frame in (1, 4):
        params = NeuralVideo.open(again).params(frame)
        jax.tree.map(np.testing.assert_array_equal, params, NeuralVideo.open(video).params(frame))
    assert main(["inv-jax", "decode", str(video), f"--out={runs['raw'][0]}"]) == 2
    assert "empty folder" in capsys.readouterr().err
    assert main(["inv-jax", "encode", f"--workdir={video}", f"--out={tmp_path}"]) == 2
    assert "give a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("model", "width", 10**9),
        ("model", "width", "wide"),
        ("model", "depth", 10**9),
        ("model", "background", "grey"),
        ("data", "first_frame", "x"),
        ("render", "fps", -1),
    ],
)
def test_forged_settings_are_refused(runs, group, name, value):
    header = NeuralVideo.open(runs["raw"][0] / "video.inv").header
    config = json.loads(json.dumps(header.config))
    config[group][name] = value
    with pytest.raises(CorruptError, match=r"forged\.inv"):
        model_of(dataclasses.replace(header, config=config), "forged.inv")
    del config[group]
    with pytest.raises(CorruptError, match=r"forged\.inv"):
        model_of(dataclasses.replace(header, config=config), "forged.inv")


def test_a_file_does_not_choose_how_much_is_rendered_at_once(runs):
    header = NeuralVideo.open(runs["raw"][0] / "video.inv").header
    config = json.loads(json.dumps(header.config))
    config["eval"]["rows_per_chunk"] = 10**12
    made, _ = model_of(dataclasses.replace(header, config=config), "forged.inv")
    assert made.eval.rows_per_chunk == 0


def test_a_cut_file_is_one_line(runs, tmp_path, capsys):
    cut = tmp_path / "cut.inv"
    cut.write_bytes((runs["raw"][0] / "video.inv").read_bytes()[:40])
    for command in ("info --video", "decode --out=x --video", "render --workdir"):
        name, *flags = f"{command}={cut}".split()
        assert main(["inv-jax", name, *flags]) == 2
        error = capsys.readouterr().err
        assert "was the file cut?" in error
        assert len(error.splitlines()) == 1
