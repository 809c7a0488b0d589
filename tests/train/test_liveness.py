"""A process that is gone is noticed; one that leaves is not."""

import queue
import threading

import pytest

from inv_jax.train.liveness import Watch

_SECONDS = 10


@pytest.fixture
def watches() -> tuple[list[Watch], "queue.Queue[tuple[int, int, int | None]]"]:
    """The watches of three processes, connected, and who noticed whose loss."""
    losses: queue.Queue[tuple[int, int, int | None]] = queue.Queue()
    made = [Watch(i, lambda *lost, i=i: losses.put((i, *lost))) for i in range(3)]
    listener = made[0].listen()
    port = listener.getsockname()[1]
    accepting = threading.Thread(target=made[0].accept, args=(listener, 2))
    accepting.start()
    for watch in made[1:]:
        watch.connect("127.0.0.1", port)
    accepting.join(_SECONDS)
    assert not accepting.is_alive()
    return made, losses


def _end(watch: Watch) -> None:
    """What the system does when a process ends."""
    for connection in watch._connections:
        connection.shutdown(2)
        connection.close()


def test_the_main_process_notices_which_other_one_is_gone(watches):
    made, losses = watches
    made[1]._is_leaving = True  # it is gone: it notices nothing itself
    _end(made[1])
    assert losses.get(timeout=_SECONDS) == (0, 1, None)


def test_the_others_notice_that_the_main_process_is_gone(watches):
    made, losses = watches
    made[0]._is_leaving = True
    _end(made[0])
    assert {losses.get(timeout=_SECONDS), losses.get(timeout=_SECONDS)} == {
        (1, 0, None),
        (2, 0, None),
    }


@pytest.mark.parametrize("status", [0, 143])
def test_a_process_that_is_done_is_not_missed(watches, status):
    made, losses = watches
    made[1].leave(status)
    _end(made[1])
    made[2]._is_leaving = True
    _end(made[2])
    # The loss of the one shows that the leave of the other had its time.
    assert losses.get(timeout=_SECONDS) == (0, 2, None)
    assert losses.empty()


def test_nobody_is_missed_by_a_process_that_leaves(watches):
    made, losses = watches
    made[0].leave(0)
    _end(made[1])
    _end(made[2])
    with pytest.raises(queue.Empty):
        losses.get(timeout=0.3)


def test_the_others_learn_the_status_of_a_process_that_failed(watches):
    made, losses = watches
    made[1].leave(2)
    assert losses.get(timeout=_SECONDS) == (0, 1, 2)
