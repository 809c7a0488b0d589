"""fpzip's decoder in a process of its own: what it is given may be made by an enemy.

The decoder (fpzip 1.3.0) believes its input. A stream that is cut is read past its end, the sizes
in its header are allocated as they are, and some bytes lead it outside of its tables. So it runs
in a child process that holds nothing else and forks for every payload, with memory and time
bounded: a stream harms neither this process nor the payloads behind it. If the child is killed, as
by a system that wants its memory, a new one is asked once more before the stream is called damaged.

The child (`codec/fpzip_child.py`) speaks over its standard input and output.
"""

import atexit
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import fpzip_child
from inv_jax.codec.base import CorruptError
from inv_jax.types import InvError

_START_SECONDS = 30.0  # for the child to begin, on a busy machine
_SECONDS, _FLOATS_PER_SECOND = 10.0, 2e5  # for its answer; it bounds its own time far below
_MOST_READ = 1 << 18  # bytes at once: so many are allocated, whatever the pipe has


def fpzip_decompress(streams: Sequence[bytes], sizes: Sequence[int]) -> list[np.ndarray]:
    """The floats of fpzip streams, (size,) float32 each.

    Args:
      streams: Anything.
      sizes: How many floats each must hold; no more are allocated.

    Raises:
      CorruptError: If they do not.
      InvError: If the process that decodes cannot be started.
    """
    with _LOCK:
        for _ in range(2):
            if not _children or not _children[0].is_alive:
                _close()
                _children.append(_Child())
            try:
                return _children[0].decompress(streams, sizes)
            except _NoAnswerError:
                _close()
    num_bytes = sum(map(len, streams))
    raise CorruptError(
        f"fpzip's decoder gave no answer, twice, to {num_bytes} bytes for {sum(sizes)} floats"
    )


class _NoAnswerError(Exception):
    """The child died, or did not answer in time; it is out of step."""


class _Child:
    """A running decoder."""

    def __init__(self):
        """Starts it; Python and numpy take most of the time."""
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", fpzip_child.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
            start_new_session=True,  # signals of the terminal are not for it
        )
        first = self._read(1, _START_SECONDS)
        if first != fpzip_child.READY:
            self.kill()
            if first == fpzip_child.UNFIT:
                raise InvError(
                    "fpzip's decoder cannot bound its memory on this system (it needs "
                    "/proc/self/statm and RLIMIT_AS); decode videos on Linux"
                )
            raise InvError("fpzip's decoder does not start; is the package fpzip installed whole?")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def decompress(self, streams: Sequence[bytes], sizes: Sequence[int]) -> list[np.ndarray]:
        """See `fpzip_decompress`.

        Raises:
          CorruptError: If the streams do not hold the floats.
          _NoAnswerError: If this child cannot be asked any more.
        """
        size, answer = sum(sizes), b""
        heads = [fpzip_child.STREAM.pack(*h) for h in zip(sizes, map(len, streams), strict=True)]
        try:
            self._write(b"".join([fpzip_child.COUNT.pack(len(streams)), *heads]))
            for stream in streams:
                self._write(stream)
            answer = self._read(1, _SECONDS + size / _FLOATS_PER_SECOND)
            if answer == fpzip_child.DONE:
                answer += self._read(4 * size, _SECONDS)
        except BrokenPipeError:
            pass
        if len(answer) == 1 + 4 * size and answer[:1] == fpzip_child.DONE:
            floats = np.frombuffer(answer, np.float32, size, offset=1)
            return np.split(floats, np.cumsum(sizes)[:-1])
        if answer != fpzip_child.FAILED:
            raise _NoAnswerError
        num_bytes = sum(map(len, streams))
        raise CorruptError(f"{num_bytes} bytes are no fpzip streams of {size} floats")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _read(self, size: int, seconds: float) -> bytearray:
        """Reads bytes; fewer if the child dies or does not answer in time."""
        end, found = time.monotonic() + seconds, bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while len(found) < size and selector.select(max(0.0, end - time.monotonic())):
                part = os.read(self._process.stdout.fileno(), min(size - len(found), _MOST_READ))
                if not part:
                    break
                found += part
        return found


_LOCK = threading.Lock()
_children: list[_Child] = []  # none or one


@atexit.register
def _close() -> None:
    while _children:
        _children.pop().kill()


def _forget() -> None:
    """A fork of this process starts a child of its own: two cannot talk to one."""
    global _LOCK  # noqa: PLW0603, it may be held by a thread that is not here
    _LOCK = threading.Lock()
    _children.clear()


os.register_at_fork(after_in_child=_forget)
