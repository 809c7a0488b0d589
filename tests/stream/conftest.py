"""Small videos, and a web server that makes trouble on demand."""

import dataclasses
import gzip
import http.server
import pathlib
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.codec.base import Codec, Layout
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.header import Header
from inv_jax.codec.writer import VideoWriter
from inv_jax.data.rig import Rig
from inv_jax.stream import opening
from inv_jax.stream.feed import Wanted
from inv_jax.stream.levels import Level
from inv_jax.stream.publish import Publisher
from inv_jax.stream.report import Report
from inv_jax.stream.session import Session
from inv_jax.types import Cameras

LAYOUT = Layout((("fine/structure/layer_0/bias", (6,)), ("fine/structure/layer_0/kernel", (5, 6))))
COLOR = Layout((("fine/color/rgb/bias", (3,)), ("fine/color/rgb/kernel", (6, 3))))
FRAME_RATE = 250.0  # tests do not take the time that videos do


def make_rig(num_cams: int = 2) -> Rig:
    poses = np.tile(np.eye(3, 4, dtype=np.float32), (num_cams, 1, 1))
    intrinsics = np.tile(np.diag([8.0, 8.0, 1.0]).astype(np.float32), (num_cams, 1, 1))
    near, far = np.float32(0.0), np.float32(1.0)
    return Rig(
        cameras=Cameras(poses, intrinsics, near, far, 6, 8),
        bounds=np.tile(np.float32([1.0, 4.0]), (num_cams, 1)),
        spiral=np.tile(np.eye(3, 4, dtype=np.float32), (120, 1, 1)),
        camera_names=tuple(f"cam{cam:02d}" for cam in range(num_cams)),
        train_cams=tuple(range(1, num_cams)),
        test_cams=(0,),
    )


def make_header(codec: Codec, **changes) -> Header:
    header = Header(
        codec.name, codec.settings(), LAYOUT, COLOR, {"model": {}}, make_rig(), FRAME_RATE, {}
    )
    return dataclasses.replace(header, **changes)


def frame_params(frame: int, color: int = 0, *, still: bool = False) -> dict:
    """Params of a frame; with `still` a leaf of the color params is that of all others."""
    rng = np.random.default_rng(1000 + color)
    leaves = {path: rng.standard_normal(shape) for path, shape in COLOR.shapes}
    if still:
        leaves["fine/color/rgb/kernel"] = np.ones((6, 3))
    steady = np.random.default_rng(7)
    leaves |= {
        path: steady.standard_normal(shape) + 0.05 * np.sin(frame + np.arange(shape[-1]))
        for path, shape in LAYOUT.shapes
    }
    return params_lib.nest({path: leaf.astype(np.float32) for path, leaf in leaves.items()})


def begin_video(path: pathlib.Path, codec: Codec | None = None, **changes) -> VideoWriter:
    codec = codec or DeltaCodec(fidelity=60.0, key_every=4)
    return VideoWriter(path, make_header(codec, **changes), codec)


def write_video(
    path: pathlib.Path,
    frames: Sequence[int],
    codec: Codec | None = None,
    color_of: Callable[[int], int] = lambda frame: 0,
    *,
    still: bool = False,
    **changes,
) -> pathlib.Path:
    writer = begin_video(path, codec, **changes)
    for frame in frames:
        writer.push(frame, frame_params(frame, color_of(frame), still=still), color_of(frame))
    writer.close()
    return path


class FaultyServer(http.server.ThreadingHTTPServer):
    """Serves a folder; `fail` makes it fail.

    Attributes:
      asked: Paths of all requests, in order.
      cached: By path, what a cache on the way gives those who do not ask for a fresh copy.
      has_ranges: Whether it serves parts of files.
    """

    daemon_threads = True

    def __init__(self, folder: pathlib.Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[str] = []
        self.cached: dict[str, bytes] = {}
        self.has_ranges = True
        self._faults: list[tuple[str, list[str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(self, part: str, *kinds: str, times: int = 1) -> None:
        """The next requests with this text in their path meet these faults, one after another."""
        self._faults.append((part, list(kinds) * times))

    def next_fault(self, path: str) -> str:
        for part, kinds in self._faults:
            if part in path and kinds:
                return kinds.pop(0)
        return ""

    def handle_error(self, request, client_address) -> None:
        """Clients may go away whenever they want."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet: two would wait for each other's receipt
    server: FaultyServer

    def log_message(self, format: str, *args) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        fault = self.server.next_fault(path)
        if fault.isdecimal():
            self._answer(int(fault), b"trouble")
        elif fault == "silent":
            self.close_connection = True
            self.server.silence.wait(5.0)
        elif fault == "loop":
            self._answer(302, b"", {"Location": path})
        elif path.startswith("/moved/"):
            self._answer(302, b"", {"Location": path.removeprefix("/moved")})
        elif not (self.server.folder / path[1:]).is_file():
            self._answer(404, b"no")
        else:
            self._file(path, fault)

    def _file(self, path: str, fault: str) -> None:
        data = (self.server.folder / path[1:]).read_bytes()
        if self.headers.get("Cache-Control") != "no-cache":
            data = self.server.cached.get(path, data)
        tag = f'"{hash(data)}"'
        if self.headers.get("If-None-Match") == tag:
            return self._answer(304, b"")
        status, more = 200, {"ETag": tag}
        if self.server.has_ranges and "Range" in self.headers:
            begin, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            begin, end = int(begin), min(int(end) + 1, len(data))
            status, more = 206, {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"}
            data = data[begin:end]
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            data, more["Content-Encoding"] = gzip.compress(data, 1), "gzip"
        if fault == "flip":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if fault == "short":
            data = data[: len(data) // 2]
        if fault == "long":
            data += bytes(1 << 20)
        if fault == "broken":  # it announces more than comes
            self.close_connection = True
            return self._answer(status, data[: len(data) // 2], more, len(data))
        self._answer(status, data, more)

    def _answer(self, status: int, body: bytes, more=None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """No proxies, and short pauses between repetitions."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("inv_jax.stream.web._FIRST_PAUSE", 0.002)
    monkeypatch.setattr("inv_jax.stream.place._PAUSE", 0.002)
    monkeypatch.setattr("inv_jax.stream.stream_feed._POLL_SECONDS", (0.01, 0.01))
    monkeypatch.setattr("inv_jax.stream.feed._POLL_SECONDS", 0.01)


@pytest.fixture
def server(tmp_path) -> Iterator[FaultyServer]:
    folder = tmp_path / "www"
    folder.mkdir()
    made = FaultyServer(folder)
    made.silence = threading.Event()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.silence.set()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def videos() -> types.SimpleNamespace:
    """How tests make videos: frame t has the params `params(t)`."""
    return types.SimpleNamespace(
        write=write_video, begin=begin_video, params=frame_params, header=make_header, rig=make_rig
    )


@pytest.fixture(scope="session")
def high(tmp_path_factory) -> pathlib.Path:
    """Frames 1 to 24, in groups of four; tests that change it copy it."""
    return write_video(tmp_path_factory.mktemp("videos") / "high.inv", range(1, 25))


@pytest.fixture(scope="session")
def low(tmp_path_factory) -> pathlib.Path:
    """The same at a lower quality."""
    path = tmp_path_factory.mktemp("videos") / "low.inv"
    return write_video(path, range(1, 25), DeltaCodec(fidelity=30.0, key_every=4))


@pytest.fixture
def publish(server) -> Callable[..., Publisher]:
    """Publishes whole videos into a folder of the server."""

    def made(*paths: pathlib.Path, folder: str = "v", **settings) -> Publisher:
        levels = [Level(path) for path in paths]
        publisher = Publisher(server.folder / folder, levels, **settings)
        publisher.update(final=True)
        return publisher

    return made


@pytest.fixture
def play() -> Callable[..., tuple[dict[int, Any], Report]]:
    """Plays something to its end, as fast as it comes: the good frames by number, the report."""

    def played(name: str, **settings) -> tuple[dict[int, Any], Report]:
        feed = opening.open_feed(name, Wanted(**{"timeout": 0.5, "patience": 0.2, **settings}))
        session = Session(
            feed,
            began=time.monotonic(),
            is_paced=False,
            buffer_seconds=1.0,
            start_seconds=0.0,
            should_stop=lambda: False,
        )
        shown = list(session.play())
        return {item.frame: item.params for item in shown if not item.is_held}, session.report

    return played
