"""A request to stop, by signal: what batch systems send before they end a job."""

import signal
import types

from absl import logging


class Stop:
    """Remembers the first signal that asks the run to stop; Ctrl-C a second time ends it at once.

    Other signals may follow the first one while the state is stored: batch systems send several.
    """

    def __init__(self):
        self.signal: int | None = None

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        if self.signal is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.signal = number
        logging.info("%s: stopping", signal.Signals(number).name)

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def status(self) -> int:
        """Exit status of a process that a signal ended, as shells give it."""
        return 128 + (self.signal or signal.SIGTERM)
