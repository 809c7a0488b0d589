"""Tasks on a thread: in order, their errors not lost."""

import threading
import time

import pytest

from inv_jax.train.background import Background


@pytest.fixture
def background():
    made = Background()
    yield made
    made.close()


def test_tasks_are_done_in_order_on_another_thread(background):
    done = []
    for number in range(20):
        background.run(lambda number=number: done.append((number, threading.get_ident())))
    background.wait()
    assert [number for number, _ in done] == list(range(20))
    assert threading.get_ident() not in {thread for _, thread in done}


def test_the_caller_does_not_wait_for_a_task(background):
    gate, seconds = threading.Event(), 5.0
    start = time.perf_counter()
    background.run(lambda: gate.wait(seconds))
    assert time.perf_counter() - start < seconds / 2
    gate.set()
    background.wait()


def test_whoever_brings_too_much_waits_and_the_time_is_counted(background):
    gate, opened = threading.Event(), 0.1
    background.run(gate.wait)
    threading.Timer(opened, gate.set).start()
    start = time.perf_counter()
    for _ in range(10):
        background.run(lambda: None)
    assert gate.is_set()
    assert opened / 2 < background.wait_seconds <= time.perf_counter() - start


def test_an_error_reaches_the_caller_and_later_tasks_are_not_done(background):
    done = []
    with pytest.raises(KeyError):  # from whichever call comes to know of it
        background.run(lambda: {}["nothing"])
        background.run(lambda: done.append(1))
        background.wait()
    background.close()
    assert not done


def test_close_does_what_is_waiting():
    background, done = Background(), []
    for number in range(3):
        background.run(lambda number=number: done.append(number))
    background.close()
    assert done == [0, 1, 2]
