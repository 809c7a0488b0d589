"""fpzip's decoder harms no one: what a stream does, it does in a fork of another process."""

import os
import signal
import subprocess
import sys
import threading
import time

import fpzip
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax.codec import fpzip_child, fpzip_head, isolated
from inv_jax.codec.base import CorruptError
from inv_jax.types import InvError


def _stream(shape: tuple[int, ...], precision: int = 16, seed: int = 0) -> bytes:
    floats = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return fpzip.compress(floats, precision=precision, order="C")


def _child() -> isolated._Child:
    isolated.fpzip_decompress([_stream((4,))], [4])
    (child,) = isolated._children
    return child


def test_floats_are_those_of_fpzip():
    streams = [_stream((4, 5)), _stream((1,), 32), _stream((2, 30, 7), 24)]
    found = isolated.fpzip_decompress(streams, [20, 1, 420])
    for stream, floats in zip(streams, found, strict=True):
        np.testing.assert_array_equal(floats, fpzip.decompress(stream, order="C").ravel())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 5, 63, 256, 257, 70_000]), min_size=1, max_size=3).filter(
        lambda shape: np.prod(shape, dtype=np.int64) < 200_000
    ),
    st.integers(2, 32),
)
def test_the_shape_in_a_head_is_read_without_fpzip(shape, precision):
    stream = fpzip.compress(np.zeros(shape, np.float32), precision=precision, order="C")
    assert fpzip_head.read_shape(stream) == (1,) * (4 - len(shape)) + tuple(shape)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_have_a_shape_or_none(data):
    shape = fpzip_head.read_shape(data)
    assert shape is None or len(shape) == 4


def test_doubles_have_no_shape():
    assert fpzip_head.read_shape(fpzip.compress(np.zeros((3, 4)), order="C")) is None


@pytest.mark.parametrize("size", [0, 3, 5, 100])
def test_another_number_of_floats_is_refused(size):
    with pytest.raises(CorruptError, match=f"of {size} floats"):
        isolated.fpzip_decompress([_stream((4,))], [size])


def test_garbage_leaves_the_process_and_later_streams_alone():
    child, good = _child(), _stream((8, 8))
    wanted = fpzip.decompress(good, order="C").ravel()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        bad = bytearray(good)
        for _ in range(8):
            bad[rng.integers(len(bad))] = rng.integers(256)
        try:
            isolated.fpzip_decompress([bytes(bad)], [64])
        except CorruptError:
            refused += 1
        np.testing.assert_array_equal(isolated.fpzip_decompress([good], [64])[0], wanted)
    assert refused
    assert isolated._children == [child]


def test_a_head_of_huge_axes_neither_allocates_nor_hangs():
    """The child is asked as if the head had not been looked at."""
    huge = fpzip.compress(np.zeros(1 << 25, np.float32), precision=16, order="C")[:200]
    start = time.perf_counter()
    with pytest.raises(CorruptError):
        isolated.fpzip_decompress([huge], [64])
    assert time.perf_counter() - start < 5


def test_a_child_that_died_is_replaced():
    child = _child()
    child._process.kill()
    child._process.wait()
    assert isolated.fpzip_decompress([_stream((4,))], [4])[0].size == 4
    assert isolated._children != [child]


def _dying(times: int):
    """A `_write` before which the child is killed, the first times."""
    left, write = [times], isolated._Child._write

    def dies(child: isolated._Child, data: bytes) -> None:
        if left[0]:
            left[0] -= 1
            child._process.kill()
            child._process.wait()
        write(child, data)

    return dies


def test_sound_streams_outlive_a_child_that_dies_over_them(monkeypatch):
    child = _child()
    monkeypatch.setattr(isolated._Child, "_write", _dying(1))
    assert isolated.fpzip_decompress([_stream((4,))], [4])[0].size == 4
    assert isolated._children != [child]


def test_a_child_that_dies_twice_is_a_named_error(monkeypatch):
    monkeypatch.setattr(isolated._Child, "_write", _dying(2))
    with pytest.raises(CorruptError, match="no answer, twice, to"):
        isolated.fpzip_decompress([_stream((4,))], [4])
    assert isolated.fpzip_decompress([_stream((4,))], [4])[0].size == 4


def test_signals_that_stop_the_program_leave_the_child_alone():
    child = _child()
    assert os.getpgid(child._process.pid) != os.getpgid(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        child._process.send_signal(number)
    assert isolated.fpzip_decompress([_stream((4,))], [4])[0].size == 4
    assert isolated._children == [child] and child.is_alive


def test_the_child_ends_with_its_input():
    child = _child()
    child._process.stdin.close()
    assert child._process.wait(10) == 0
    isolated._children.clear()


def test_a_system_without_limits_is_named(monkeypatch):
    isolated._close()
    monkeypatch.setattr(isolated.fpzip_child, "UNFIT", fpzip_child.READY)
    monkeypatch.setattr(isolated.fpzip_child, "READY", b"never")
    with pytest.raises(InvError, match="cannot bound its memory on this system") as caught:
        isolated.fpzip_decompress([_stream((4,))], [4])
    assert not isinstance(caught.value, CorruptError)


def test_the_child_says_that_it_cannot_bound_its_memory():
    code = (
        "from inv_jax.codec import fpzip_child as child\n"
        "def fails(): raise FileNotFoundError('/proc/self/statm')\n"
        "child._memory = fails\n"
        "child.serve()"
    )
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, check=True,
                          stdout=subprocess.PIPE)  # fmt: skip
    assert done.stdout == fpzip_child.UNFIT


def test_a_limit_that_the_user_set_is_kept():
    """Of all memory a process may have: streams are decoded below it as without it."""
    code = (
        "import resource, numpy, fpzip\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))\n"
        "from inv_jax.codec import isolated\n"
        "ones = numpy.ones(9, numpy.float32)\n"
        "stream = fpzip.compress(ones, precision=32, order='C')\n"
        "assert (isolated.fpzip_decompress([stream], [9])[0] == ones).all()"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_without_a_child_the_error_says_what_is_missing(monkeypatch):
    isolated._close()
    monkeypatch.setattr(isolated.fpzip_child, "READY", b"never")
    with pytest.raises(InvError, match="is the package fpzip installed"):
        isolated.fpzip_decompress([_stream((4,))], [4])


def test_threads_and_forks_do_not_mix_their_answers():
    wanted = {seed: _stream((50,), 32, seed) for seed in range(4)}
    wrong = []

    def work(seed: int) -> None:
        for _ in range(5):
            found = isolated.fpzip_decompress([wanted[seed]], [50])[0]
            if not np.array_equal(found, fpzip.decompress(wanted[seed], order="C").ravel()):
                wrong.append(seed)

    _child()
    threads = [threading.Thread(target=work, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    (child,) = isolated._children
    pid = os.fork()
    if not pid:
        os._exit(1 if isolated._children else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert child.is_alive
