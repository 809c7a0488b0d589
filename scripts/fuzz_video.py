"""Gives the reader of neural videos many spoilt files, and counts what becomes of them.

    python scripts/fuzz_video.py --files=200000                # prints one JSON line at the end
    python scripts/fuzz_video.py --files=1 --first=1234 --keep=bad.inv      # one of them, kept

A file is made from its number: a small video of one of the codecs, spoilt by one of the mutations
in `fuzzing/mutations.py`, with the checksums as they fall or repaired. All its frames are asked
for. Right are the original's frames (with repaired checksums: finite ones of the layout's shapes)
and named errors. Failures are any other exception, a crash, a file that takes over a second, and
memory beyond 64 MiB and 200 bytes per byte of the file. Exits with 1 if there is one.
"""

import collections
import json
import os
import pathlib
import resource
import struct
import sys
import tempfile
import time

from absl import app, flags, logging
from fuzzing.judge import Judge, Verdict, originals, remembered_streams

from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec

_FILES = flags.DEFINE_integer("files", 3000, "How many.", lower_bound=1)
_FIRST = flags.DEFINE_integer("first", 0, "Number of the first one.")
_BATCH = flags.DEFINE_integer("batch", 2000, "Files of a process.", lower_bound=1)
_KEEP = flags.DEFINE_string("keep", "", "With --files=1: where the file is kept.")

_MEMORY = 2 << 30  # address space a batch may take beyond what it begins with
_SHOWN = 20  # failures

CODECS = {
    "raw": [RawCodec(), RawCodec()],
    "twc": [FpzipCodec(precision=16, group=0), FpzipCodec(precision=24, group=3)],
    "delta": [DeltaCodec(key_every=4), DeltaCodec(fidelity=20.0, key_every=100)],
    "bricks": [BricksCodec(key_every=4), BricksCodec(fidelity=20.0, key_every=100)],
    "quant": [QuantCodec(), QuantCodec(bits=5, axis=-1)],
}

_NUMBER = struct.Struct("<Q")


class Counts:
    """How many files came to what."""

    def __init__(self):
        self.by_kind: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.failures: list[str] = []
        self.num_failures = 0
        self.slowest = 0.0

    def add(self, number: int, verdict: Verdict) -> None:
        self.slowest = max(self.slowest, verdict.seconds)
        outcome = "failures" if verdict.is_failure else verdict.outcome
        self.by_kind[f"{verdict.codec}/{verdict.mutation}"][outcome] += 1
        if verdict.is_failure:
            self.fail(f"file {number} ({verdict.codec}, {verdict.mutation}): {verdict.outcome}")

    def fail(self, text: str) -> None:
        self.num_failures += 1
        if len(self.failures) < _SHOWN:
            self.failures.append(text)
            logging.error("%s", text)


def _limit_memory() -> None:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _work(judge: Judge, numbers: range, pipe: int) -> None:
    """Tries files and sends verdicts, each behind its number; runs in a fork."""
    status = 1
    try:
        _limit_memory()
        with os.fdopen(pipe, "w") as target:
            for number in numbers:
                target.write(f"{number}\n")
                target.flush()
                verdict = judge.try_one(number)
                fields = [verdict.codec, verdict.mutation, verdict.outcome]
                target.write(json.dumps([*fields, verdict.seconds, verdict.size]) + "\n")
            target.write(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")
        status = 0
    except Exception:
        logging.exception("the fuzzer itself fails")
    finally:
        os._exit(status)


def run_batch(judge: Judge, numbers: range, counts: Counts) -> int:
    """Tries files in a process of its own; returns the most memory it held, KiB."""
    memory, left = 0, numbers
    while left:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            _work(judge, left, writer)
        os.close(writer)
        current = left[0]
        with os.fdopen(reader) as lines:
            for line in lines:
                if line.startswith("["):
                    counts.add(current, Verdict(*json.loads(line)))
                elif line.startswith("memory"):
                    memory = int(line.split()[1])
                else:
                    current = int(line)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            break
        counts.fail(f"file {current}: the process ended with {status}")
        left = range(current + 1, numbers.stop)
    return memory


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.ERROR)
    counts, start, memory = Counts(), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, remembered_streams():
        folder = pathlib.Path(name)
        judge = Judge(originals(folder, CODECS), folder)
        if _KEEP.value:
            pathlib.Path(_KEEP.value).write_bytes(judge.spoilt(_FIRST.value)[2])
        end = _FIRST.value + _FILES.value
        for first in range(_FIRST.value, end, _BATCH.value):
            numbers = range(first, min(end, first + _BATCH.value))
            memory = max(memory, run_batch(judge, numbers, counts))
            seconds = time.monotonic() - start
            sys.stderr.write(
                f"{numbers.stop - _FIRST.value} files, {counts.num_failures} failures, "
                f"{seconds:.0f} s\n"
            )
    report = {
        "files": _FILES.value,
        "first": _FIRST.value,
        "failures": counts.num_failures,
        "seconds": round(time.monotonic() - start, 1),
        "slowest_seconds": round(counts.slowest, 3),
        "memory_mib": memory >> 10,
        "counts": {kind: dict(found) for kind, found in sorted(counts.by_kind.items())},
        "shown": counts.failures,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    if counts.num_failures:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
