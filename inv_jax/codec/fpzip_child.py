"""The process that decodes fpzip streams (see `codec/isolated.py`); it imports little.

It reads how many streams there are (uint64), for each how many floats it shall hold and its length
(uint64), then the streams. A fork of it decodes: whatever a stream does there, it does nowhere
else. It answers `DONE` and the floats, or `FAILED`. It ends when its input does, and by no signal
that stops the program it serves: that may have frames to finish.
"""

import mmap
import os
import pathlib
import resource
import signal
import struct
import sys

import fpzip
import numpy as np

COUNT = struct.Struct("<Q")
STREAM = struct.Struct("<QQ")
DONE, FAILED = b"d", b"f"
READY, UNFIT = b"r", b"u"  # it says first that it is ready, or cannot bound its memory here

_SPARE_BYTES = 1 << 26  # memory besides the streams and the floats
_PADDING = 64  # fpzip may read some bytes ahead
# A payload may take so long, of the processor, and so much more a float; ten times what they take.
_SECONDS, _FLOATS_PER_SECOND = 0.2, 2e6


def serve() -> None:
    """Decodes what it is given until its input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    try:
        _memory()
        resource.setrlimit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS))
    except (OSError, ValueError, AttributeError):
        target.write(UNFIT)
        return
    target.write(READY)
    target.flush()
    while request := source.read(COUNT.size):
        heads = source.read(COUNT.unpack(request)[0] * STREAM.size)
        streams = [(size, source.read(length)) for size, length in STREAM.iter_unpack(heads)]
        size = sum(size for size, _ in streams)
        with mmap.mmap(-1, max(1, 4 * size)) as floats:
            child = os.fork()
            if not child:
                _decode(streams, floats)
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                return  # none of its own limits does that: no answer, so that it is asked again
            done = status == 0
            target.write(DONE if done else FAILED)
            if done:
                target.write(memoryview(floats)[: 4 * size])
        target.flush()


def _decode(streams: list[tuple[int, bytes]], target: mmap.mmap) -> None:
    """Writes the floats of all streams, with bounded memory and time, and ends the process."""
    status = 1
    try:
        size, length = sum(size for size, _ in streams), max(len(data) for _, data in streams)
        signal.setitimer(signal.ITIMER_PROF, _SECONDS + size / _FLOATS_PER_SECOND)  # it is killed
        _limit_memory(_memory() + _SPARE_BYTES + 2 * length + 4 * size)
        start, answer = 0, np.frombuffer(target, np.float32, size)
        for count, stream in streams:
            floats = fpzip.decompress(stream + bytes(_PADDING), order="C")
            assert floats.size == count and floats.dtype == np.float32
            answer[start : start + count] = floats.ravel()
            start += count
        status = 0
    finally:
        os._exit(status)


def _memory() -> int:
    """Bytes of this process's address space."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _limit_memory(size: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    serve()
