"""Work that is not on the path of training: storing, drawing, writing; in order, on one thread."""

import collections
import time
from collections.abc import Callable
from concurrent import futures

_WAITING = 4  # tasks that may wait before whoever brings another one has to


class Background:
    """A thread that does one task after the other, so that what comes later sees what came before.

    An error of a task reaches the caller at its next call here; tasks behind it are not done.
    """

    def __init__(self):
        self._pool = futures.ThreadPoolExecutor(1, thread_name_prefix="background")
        self._pending: collections.deque[futures.Future[object]] = collections.deque()
        self._failed = False
        self.wait_seconds = 0.0  # that callers waited for the thread, in all

    def run(self, task: Callable[[], object]) -> None:
        """Does a task later; waits if too many are waiting already.

        Raises:
          Exception: That of an earlier task.
        """
        self._wait_until(_WAITING)
        self._pending.append(self._pool.submit(self._do, task))

    def wait(self) -> None:
        """Waits until all tasks are done.

        Raises:
          Exception: That of a task.
        """
        self._wait_until(0)

    def close(self) -> None:
        """Does what is waiting, and ends the thread; errors that nobody asked for are dropped."""
        self._pool.shutdown(wait=True)

    def _do(self, task: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            task()
        except BaseException:
            self._failed = True
            raise

    def _wait_until(self, waiting: int) -> None:
        start = time.perf_counter()
        while self._pending and (len(self._pending) > waiting or self._pending[0].done()):
            self._pending.popleft().result()
        self.wait_seconds += time.perf_counter() - start
