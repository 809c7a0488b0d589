"""Plays published videos from nginx in trouble, and says what came through.

    python scripts/streaming/show_faults.py --video=high.inv,low.inv --out=runs/faults

It needs nginx (Debian: `apt-get install nginx-light`), and about 15 s for each case of a video of
10 s. Each case is one `inv-jax play`, which decodes without rendering; its report stays in --out.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from absl import app, flags
from narrow import NarrowLine

from inv_jax.codec import bitstream
from inv_jax.codec.source import FileSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.eval import report
from inv_jax.stream import manifest as manifest_lib

_VIDEO = flags.DEFINE_list("video", None, "Levels: .inv files of one run.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder for everything that is written.", required=True)
_ONLY = flags.DEFINE_list("only", [], "Names of the cases to run; none: all.")
_PORT = 8473  # as in nginx.conf
_URL = f"http://127.0.0.1:{_PORT}"
_NARROW = f"http://127.0.0.1:{_PORT + 1}"
_NARROW_BITS = 2e6
_COLUMNS = [
    "case",
    "frames_played",
    "frames_lost",
    "startup_seconds",
    "stalls",
    "stall_seconds",
    "publisher_stalls",
    "publisher_stall_seconds",
    "requests",
    "retries",
    "refetched",
    "bytes",
    "levels",
]


def _inv_jax(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "inv_jax", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _publish(folder: pathlib.Path, videos: list[str], *more: str) -> pathlib.Path:
    text, _ = (
        process := _inv_jax("publish", f"--video={','.join(videos)}", f"--out={folder}", *more)
    ).communicate()
    if process.returncode:
        raise SystemExit(text)
    return folder


def _damaged(folder: pathlib.Path, source: pathlib.Path, damage: Callable, levels: int) -> None:
    """A copy of a published folder with a middle segment damaged at some levels."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    manifest = manifest_lib.load((folder / manifest_lib.NAME).read_bytes())
    segment = manifest.segments[len(manifest.segments) // 2]
    for file in segment.files[:levels]:
        path = folder / file.ref.name
        path.write_bytes(damage(path.read_bytes()))


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


def _grow(source: pathlib.Path, target: pathlib.Path, *, stop_at: int = 1 << 32) -> None:
    """Writes a video again, part by part, in the time that it takes to play."""
    bytes_of = FileSource(source)
    rate = NeuralVideo.open(source).header.frame_rate
    begin = time.monotonic()
    with target.open("wb", buffering=0) as file:
        file.write(bytes_of.read(0, bitstream.SIGNATURE_BYTES))
        for found in bitstream.parts(bytes_of, bitstream.SIGNATURE_BYTES):
            assert isinstance(found, bitstream.Part), "the video is damaged"
            if found.kind == bitstream.FRAME:
                entry = bitstream.read_entry(bytes_of, found)
                if entry.first >= stop_at:
                    return
                time.sleep(max(0.0, begin + entry.first / rate - time.monotonic()))
            file.write(bytes_of.read(found.offset, found.end - found.offset))


@contextlib.contextmanager
def _nginx(folder: pathlib.Path) -> Iterator[None]:
    config = pathlib.Path(__file__).with_name("nginx.conf")
    (folder / "nginx.conf").write_text(
        config.read_text().replace("www", str(folder / "www")), encoding="utf-8"
    )
    command = ["nginx", "-p", f"{folder}/", "-c", "nginx.conf"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def _play(name: str, *arguments: str) -> dict:
    out = pathlib.Path(_OUT.value) / f"{name.replace(' ', '_')}.json"
    process = _inv_jax("play", *arguments, f"--report={out}")
    text, _ = process.communicate()
    print(f"== {name}\n{text}", flush=True)
    if not out.is_file():
        return {"case": name}
    row = json.loads(out.read_text())
    levels = " ".join(f"{level}:{count}" for level, count in row["frames_by_level"].items())
    return {
        "case": name,
        **row,
        **row["traffic"],
        "bytes": row["traffic"]["num_bytes"],
        "levels": levels,
    }


def _live(name: str, folder: pathlib.Path, *arguments: str, late: float, stop_at: int = 1 << 32):
    """A case with a publisher that follows growing files."""
    targets = [folder / f"live_{pathlib.Path(video).stem}.inv" for video in _VIDEO.value]
    threads = [
        threading.Thread(
            target=_grow, args=(pathlib.Path(video), target), kwargs={"stop_at": stop_at}
        )
        for video, target in zip(_VIDEO.value, targets, strict=True)
    ]
    for target in targets:
        target.unlink(missing_ok=True)
    served = folder / "www" / name.replace(" ", "_")
    publisher = _inv_jax(
        "publish",
        f"--video={','.join(map(str, targets))}",
        f"--out={served}",
        "--follow",
        *(argument for argument in arguments if "segment" in argument),
    )
    assert publisher.stdout is not None
    while "waiting for" not in publisher.stdout.readline():
        assert publisher.poll() is None, "the publisher does not run"
    for thread in threads:
        thread.start()
    time.sleep(late)
    plays = [argument for argument in arguments if "segment" not in argument]
    row = _play(name, f"--video={_URL}/{served.name}", *plays)
    publisher.terminate()
    publisher.communicate()
    for thread in threads:
        thread.join()
    return row


def main(_: list[str]) -> None:
    folder = pathlib.Path(_OUT.value).absolute()
    www = folder / "www"
    www.mkdir(parents=True, exist_ok=True)
    count = len(_VIDEO.value)
    shutil.copy(_VIDEO.value[-1], www / "whole.inv")
    groups = _publish(www / "groups", _VIDEO.value)
    _publish(www / "frames", _VIDEO.value, "--segment_frames=1")
    _damaged(www / "cut", groups, _cut, 1)
    _damaged(www / "flipped", groups, _flip, 1)
    _damaged(www / "cut_everywhere", groups, _cut, count)
    _damaged(www / "flipped_everywhere", groups, _flip, count)
    best = f"--level={pathlib.Path(_VIDEO.value[0]).stem}"
    middle = manifest_lib.load((groups / manifest_lib.NAME).read_bytes()).segments[-1].first // 2
    url = "--video={}/{}".format
    cases: dict[str, Callable[[str], dict]] = {
        "plain": lambda n: _play(n, url(_URL, "groups")),
        "one inv file": lambda n: _play(n, url(_URL, "whole.inv")),
        "redirected": lambda n: _play(n, url(_URL, "moved/groups"), "--frames=1:60"),
        "1 percent fail": lambda n: _play(n, url(_URL, "failing/frames")),
        "10 percent fail": lambda n: _play(n, url(_URL, "worse/frames")),
        "2 Mbit": lambda n: _play(n, url(_NARROW, "groups")),
        "2 Mbit best only": lambda n: _play(n, url(_NARROW, "groups"), best, "--frames=1:90"),
        "cut": lambda n: _play(n, url(_URL, "cut"), best),
        "flipped": lambda n: _play(n, url(_URL, "flipped"), best),
        "cut everywhere": lambda n: _play(n, url(_URL, "cut_everywhere")),
        "flipped everywhere": lambda n: _play(n, url(_URL, "flipped_everywhere")),
        "seek": lambda n: _play(n, url(_URL, "groups"), f"--start={middle + 7}"),
        "one inv file, 2 Mbit": lambda n: _play(n, url(_NARROW, "whole.inv")),
        "live": lambda n: _live(n, folder, "--live", late=1.5),
        "live short segments": lambda n: _live(n, folder, "--live", "--segment_frames=3", late=1.5),
        "publisher stops": lambda n: _live(
            n, folder, "--live", "--patience=3", late=1.0, stop_at=middle
        ),
    }
    NarrowLine(_PORT + 1, _PORT, _NARROW_BITS)
    with _nginx(folder):
        rows = [case(name) for name, case in cases.items() if name in (_ONLY.value or cases)]
    lines = report.format_table(rows, _COLUMNS).splitlines()
    print("\n".join(lines[: 2 + len(rows)]))  # a mean of cases says nothing


if __name__ == "__main__":
    app.run(main)
