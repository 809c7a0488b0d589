"""A run's video by command: encoded, looked at, decoded, shown; also cut or forged."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from inv_jax.assembly.playback import model_of
from inv_jax.cli import main
from inv_jax.codec.base import CorruptError
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter


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
