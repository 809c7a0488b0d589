"""A profiler's trace of a few dispatches, for TensorBoard, Perfetto or `jax.profiler`."""

import pathlib

import jax
from absl import logging

_FIRST, _COUNT = 2, 3  # the first dispatches take odd numbers of steps: their speed is unknown


class Tracer:
    """Traces the third to fifth dispatch of a run, once they come; does nothing without a folder.

    The folder gets what `jax.profiler.start_trace` writes: `plugins/profile/...`, with
    `perfetto_trace.json.gz` among it.
    """

    def __init__(self, folder: pathlib.Path | None):
        self._folder = folder
        self._dispatches = 0
        self._is_on = False

    def before_dispatch(self) -> None:
        """To be called before each dispatch."""
        if self._folder is None:
            return
        if self._dispatches == _FIRST:
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._is_on = True
        elif self._dispatches == _FIRST + _COUNT:
            self.close()
        self._dispatches += 1

    def close(self) -> None:
        """Ends the trace, if one is being made; says so if there was nothing to trace."""
        if self._is_on:
            jax.profiler.stop_trace()
            self._is_on = False
            logging.info("a trace of dispatches is in %s", self._folder)
        elif self._folder is not None and self._dispatches <= _FIRST:
            logging.warning("too few dispatches for a trace; %s is not written", self._folder)
