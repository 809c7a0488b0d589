"""The command; what it writes is tested in tests/stream."""

import signal
import threading

import numpy as np
import pytest

from inv_jax import cli
from inv_jax import params as params_lib
from inv_jax.codec.base import Layout
from inv_jax.codec.header import Header
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.writer import VideoWriter
from inv_jax.data.rig import Rig
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.publish import Publisher
from inv_jax.types import Cameras

LAYOUT = Layout((("fine/structure/layer_0/bias", (6,)),))
COLOR = Layout((("fine/color/rgb/bias", (3,)),))


pytestmark = pytest.mark.usefixtures("restored_process")


def _begin(path):
    pose = np.eye(3, 4, dtype=np.float32)[None]
    cameras = Cameras(pose, np.eye(3, dtype=np.float32)[None], np.float32(0), np.float32(1), 6, 8)
    rig = Rig(cameras, np.float32([[1, 4]]), pose, ("cam00",), (0,), ())
    codec = RawCodec()
    header = Header(codec.name, {}, LAYOUT, COLOR, {"model": {}}, rig, 30.0, {})
    return VideoWriter(path, header, codec)


def _push(writer, frame):
    leaves = {path: np.full(shape, frame, np.float32) for path, shape in LAYOUT.shapes}
    leaves |= {path: np.zeros(shape, np.float32) for path, shape in COLOR.shapes}
    writer.push(frame, params_lib.nest(leaves), 0)


def _run(*arguments):
    return cli.main(["inv-jax", "publish", *arguments])


def _manifest(folder):
    return manifest_lib.load((folder / manifest_lib.NAME).read_bytes())


def test_a_video_is_published_whole(tmp_path, capsys):
    writer = _begin(tmp_path / "a.inv")
    for frame in range(1, 6):
        _push(writer, frame)
    writer.close()
    assert _run(f"--video={tmp_path / 'a.inv'}", f"--out={tmp_path / 'out'}") == 0
    assert "up to 5" in capsys.readouterr().out
    made = _manifest(tmp_path / "out")
    assert made.ended and sum(segment.frames for segment in made.segments) == 5


def test_a_growing_video_is_followed_until_it_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("inv_jax.commands.publish._POLL_SECONDS", 0.005)
    path, folder = tmp_path / "a.inv", tmp_path / "out"

    def train():
        writer = _begin(path)
        for frame in range(1, 6):
            _push(writer, frame)
        writer.close()

    thread = threading.Timer(0.05, train)
    thread.start()
    assert _run(f"--video={path}", f"--out={folder}", "--follow") == 0
    thread.join()
    assert _manifest(folder).ended and _manifest(folder).segments[-1].end == 6


def test_a_signal_ends_following_and_the_same_command_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("inv_jax.commands.publish._POLL_SECONDS", 0.005)
    path, folder = tmp_path / "a.inv", tmp_path / "out"
    writer = _begin(path)
    _push(writer, 1)
    arguments = (f"--video={path}", f"--out={folder}", "--follow", "--segment_frames=1")
    updates = []

    def then_stop(self, *, final=False):
        updates.append(update(self, final=final))
        signal.raise_signal(signal.SIGINT)
        return updates[-1]

    update = Publisher.update
    monkeypatch.setattr(Publisher, "update", then_stop)
    assert _run(*arguments) == 0
    assert updates == [1] and "not ended" in capsys.readouterr().out
    monkeypatch.undo()
    _push(writer, 2)
    writer.close()
    assert _run(*arguments) == 0
    assert _manifest(folder).ended and _manifest(folder).segments[-1].end == 3


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--out=x"], "--video is missing"),
        (["--video=none.inv"], "--out is missing"),
        (["--video=none.inv", "--out=x"], "does not exist"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert _run(*arguments) == 2
    error = capsys.readouterr().err.strip()
    assert text in error and "\n" not in error
