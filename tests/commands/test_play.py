"""The command with a model; how videos come through is tested in tests/stream."""

import json

import av
import jax
import numpy as np
import pytest
from PIL import Image

from configs import base
from inv_jax import cli
from inv_jax.assembly import build
from inv_jax.assembly.playback import model_of, open_playback
from inv_jax.codec.base import Layout
from inv_jax.codec.header import Header
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.commands import play
from inv_jax.data.rig import Rig
from inv_jax.stream import manifest as manifest_lib
from inv_jax.types import Cameras

pytestmark = pytest.mark.usefixtures("restored_process")


def _write_video(path, name="nerf", frames=4, pretraining=False):
    """Frames of a small network that nobody trained."""
    config = base.get_config(model=name)
    config.model.update(width=8, depth=2, structure_layers=1, skip_layer=-1)
    config.model.update(coarse_samples=4, fine_samples=4, position_octaves=2, direction_octaves=1)
    if name == "split":
        config.split.pretraining = pretraining
    nerf = build.model(config)
    pose = np.eye(3, 4, dtype=np.float32)[None]
    intrinsics = np.float32([[[8, 0, 4], [0, 8, 3], [0, 0, 1]]])
    cameras = Cameras(pose, intrinsics, np.float32(0.5), np.float32(1), 6, 8, ndc=True)
    spiral = np.tile(pose, (120, 1, 1))
    rig = Rig(cameras, np.float32([[1, 4]]), spiral, ("cam00",), (0,), ())
    codec = RawCodec()
    first = nerf.init(jax.random.key(0))
    grown = lambda by: jax.tree.map(lambda leaf: np.asarray(leaf) * by, first)  # noqa: E731
    params = [grown(1 + 0.2 * n) for n in range(frames + 1)]
    header = Header(
        codec.name,
        {},
        Layout.of(params[0], *nerf.roles.own),
        Layout.of(params[0], *nerf.roles.shared),
        config.to_dict(),
        rig,
        30.0,
        {},
    )
    writer = VideoWriter(path, header, codec)
    for frame in range(1, frames + 1):
        writer.push(range(frame, frame + 1), params[frame], 0)
    writer.close()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four frames of a plain model."""
    return _write_video(tmp_path_factory.mktemp("video") / "a.inv")


@pytest.fixture(scope="module")
def split_video(tmp_path_factory):
    """Two frames of a model with layers."""
    return _write_video(tmp_path_factory.mktemp("video") / "split.inv", "split", frames=2)


def _run(*arguments):
    return cli.main(["inv-jax", "play", *arguments])


def _expected(video, frame):
    playback = open_playback(video)
    view = playback.player.view(frame, playback.rig.cameras, 0)
    return np.round(np.clip(view.rgb, 0, 1) * 255)


def _publish(video, folder):
    assert cli.main(["inv-jax", "publish", f"--video={video}", f"--out={folder}"]) == 0
    return folder


def test_pictures_are_those_of_the_frames(video, tmp_path):
    out = tmp_path / "pictures"
    flags = ["--path=test", "--frames=2:4", "--rows_per_chunk=16"]
    assert _run(f"--video={video}", f"--out={out}", *flags) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"frame_0000{n}.png" for n in (2, 3, 4)]
    for frame in (2, 4):
        picture = np.asarray(Image.open(out / f"frame_0000{frame}.png"), np.float32)
        assert np.abs(picture - _expected(video, frame)).max() <= 1


def test_a_lost_frame_is_held_in_the_video_missing_among_pictures_and_named(
    video, tmp_path, capsys
):
    folder = _publish(video, tmp_path / "published")
    manifest = manifest_lib.load((folder / manifest_lib.NAME).read_bytes())
    lost = folder / manifest.segments[2].files[0].ref.name
    lost.write_bytes(lost.read_bytes()[:-1])
    report = tmp_path / "report.json"
    arguments = [f"--video={folder}", f"--report={report}"]
    assert _run(*arguments, f"--out={tmp_path / 'video.mp4'}") == 1
    assert "frame 3: a: file" in capsys.readouterr().out
    row = json.loads(report.read_text())
    assert (row["frames_played"], row["frames_lost"], row["held_frames"]) == (3, 1, 1)
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4
    assert _run(*arguments, f"--out={tmp_path / 'pictures'}") == 1
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == [f"frame_0000{n}.png" for n in (1, 2, 4)]


def test_without_pictures_it_decodes_and_reports(video, capsys):
    assert _run(f"--video={video}", "--start=3") == 0
    said = capsys.readouterr().out
    assert "2, 3 to 4" in said and "rebuffering" in said


def _picture(folder, frame=2):
    return np.asarray(Image.open(folder / f"frame_0000{frame}.png"), np.float32)


@pytest.mark.usefixtures("painted")
def test_a_layer_is_shown_of_files_streams_and_runs(split_video, tiny_capture, untrained, tmp_path):
    run = untrained(tiny_capture(), (1, 2), name="split")
    for source in (split_video, _publish(split_video, tmp_path / "published"), run):
        for layer, color in {"static": (0, 0, 255), "dynamic": (128, 128, 128)}.items():
            out = tmp_path / f"{source.stem}_{layer}"
            flags = [f"--out={out}", f"--layer={layer}", "--frames=2"]
            assert _run(f"--video={source}", *flags) == 0
            assert (_picture(out) == color).all()


@pytest.mark.usefixtures("painted")
def test_of_a_static_field_that_was_trained_alone_no_blend_is_shown(tmp_path, monkeypatch):
    video, shown = _write_video(tmp_path / "a.inv", "split", 1, pretraining=True), []
    monkeypatch.setattr(play, "ViewRenderer", lambda model, *_: shown.append(model))
    assert _run(f"--video={video}", f"--out={tmp_path / 'out'}") == 0
    _, blend = model_of(NeuralVideo.open(video).header, "a")
    assert shown == [blend.part("static")]


@pytest.mark.usefixtures("painted")
def test_a_run_plays_as_a_file_of_it_does(tiny_capture, untrained, tmp_path):
    capture = tiny_capture()
    workdir, file = untrained(capture, seed=1), tmp_path / "file.inv"
    encode = ["inv-jax", "encode", f"--workdir={workdir}", "--codec=raw", f"--out={file}"]
    assert cli.main(encode) == 0
    for source in (workdir, file):
        out = tmp_path / f"{source.stem}_pictures"
        assert _run(f"--video={source}", "--path=test", f"--out={out}", "--start=2") == 0
        assert sorted(path.name[-5] for path in out.iterdir()) == ["2", "3"]
    pictures = [_picture(tmp_path / f"{name}_pictures", 3) for name in (workdir.stem, "file")]
    np.testing.assert_array_equal(*pictures)
    assert _run(f"--video={untrained(capture, (1, 3))}") == 1  # frame 2 is lost


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--start=9"], "1 to 4"),
        (["--start=1", "--live"], "give one of them"),
        (["--frames=a"], "FIRST:LAST"),
        (["--out=a.mp4", "--window"], "give one of them"),
        (["--buffer=0"], "--buffer"),
        (["--level=low"], "no levels"),
        (["--timeout=nan"], "--timeout"),
        (["--out=x", "--layer=dynamic"], "no 'dynamic', but rgb, depth, acc"),
        (["--out=video.avi"], "expected NAME.mp4"),
        (["--rows_per_chunk=-1", "--out=x"], "rows_per_chunk"),
    ],
)
def test_mistakes_are_one_line(video, tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert _run(f"--video={video}", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert text in error


def test_a_window_without_a_screen_is_one_line(video, monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert _run(f"--video={video}", "--window") == 2
    assert "--out=video.mp4" in capsys.readouterr().err
