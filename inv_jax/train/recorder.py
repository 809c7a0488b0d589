"""What becomes of a frame besides its training: it is stored, rendered, measured and noted.

None of it is on the path of training. Storing, drawing and writing are done on a thread of their
own, in order; the view of a frame is rendered in small parts between the dispatches of the next
one, because it needs the same devices. What is seen of a frame is made from what was handed over
to be stored, and its row is written behind it: a run that was killed in between makes it up when
it starts again.

All processes of a job call the same methods in the same order; only the main one has a store and
a journal, and writes.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.eval.evaluate import Evaluator
from inv_jax.render.view import PendingView, View
from inv_jax.train.background import Background
from inv_jax.train.broadcast import Broadcast
from inv_jax.train.journal import Journal
from inv_jax.types import Params

_RENDER_SHARE = 0.2  # part of a dispatch's time that a pending view may take


@dataclasses.dataclass
class _Viewed:
    """A frame whose view is being rendered."""

    number: int
    view: PendingView
    truth: np.ndarray
    row: Mapping[str, Any]


class Recorder:
    """Stores frames and their pictures while the next ones train."""

    def __init__(
        self,
        *,
        evaluator: Evaluator,
        store: FrameStore | None,
        journal: Journal | None,
        broadcast: Broadcast | None = None,
        on_row: Callable[[Mapping[str, Any]], None] = lambda row: None,
    ):
        """`on_row` is told each row when it is written; from another thread.

        With a `broadcast`, frames are also encoded, each before it is stored, so that the file is
        never behind.
        """
        self.store, self.journal = store, journal
        self._broadcast = broadcast
        self.evaluator = evaluator
        self.on_row = on_row
        self._background = Background()
        self._viewed: _Viewed | None = None
        self._chunk_seconds = 0.0

    @property
    def wait_seconds(self) -> float:
        """How long training waited for storing, drawing and writing, in all."""
        return self._background.wait_seconds

    def close(self) -> None:
        """Does what was begun on the thread; a view that is not rendered whole is left out."""
        self._background.close()
        if self._broadcast is not None:
            self._broadcast.close()

    def wait(self) -> None:
        """Waits until all that was handed over is on disk.

        Raises:
          InvError: If something could not be written.
        """
        self._background.wait()

    # Sending and storing.

    def begin(self, first_frame: int) -> None:
        """Brings the neural video to the stored frames; `first_frame` is the run's."""
        if self._broadcast is not None and self.store is not None:
            self._broadcast.begin(self.store, first_frame)

    def finish_video(self) -> None:
        """All frames are trained: the neural video gets its index, behind what is waiting."""
        if self._broadcast is not None:
            self._background.run(self._broadcast.finish)

    def send(self, number: int, params: Params, trained: tuple[str, ...]) -> None:
        """Encodes a trained frame, of host arrays, for the neural video if there is one."""
        if self._broadcast is not None:
            broadcast = self._broadcast
            self._background.run(lambda: broadcast.send(number, params, trained))

    def send_and_decode(self, number: int, params: Params, trained: tuple[str, ...]) -> Params:
        """Encodes a trained frame at once; the params that a receiver has then.

        To be called by the main process alone.
        """
        assert self._broadcast is not None, "there is no neural video to go on from"
        self.send(number, params, trained)
        self.wait()
        return self._broadcast.decoded()

    def save(
        self,
        number: int,
        params: Params,
        optimizer: Mapping[str, np.ndarray],
        *,
        trained: tuple[str, ...],
        metadata: Mapping[str, Any],
    ) -> None:
        """Stores a trained frame, of host arrays; see `FrameStore.save`."""
        if self.store is not None:
            store = self.store
            self._background.run(
                lambda: store.save(number, params, optimizer, trained=trained, metadata=metadata)
            )

    def save_partial(
        self,
        number: int,
        step: int,
        params: Params,
        optimizer: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
    ) -> None:
        """Stores a state within a frame; see `FrameStore.save_partial`."""
        if self.store is not None:
            store = self.store
            self._background.run(
                lambda: store.save_partial(number, step, params, optimizer, metadata)
            )

    # Seeing.

    def show(self, number: int, params: Params, truth: np.ndarray, row: Mapping[str, Any]) -> None:
        """Begins the view of a frame that was handed over to be stored.

        Args:
          number: The frame's.
          params: All of them.
          truth: Image of the shown camera, (H, W, 3) uint8.
          row: What the journal is to say besides the view's measures.
        """
        assert self._viewed is None, "finish the view before"
        self._viewed = _Viewed(number, self.evaluator.start(params), truth, row)

    def is_shown_within(self, number: int, step: int) -> bool:
        """Whether `show_within` was through with a step; to be called by the main process alone."""
        assert self.store is not None, "only the main process has a store"
        return self.store.has_intermediate(number, step)

    def show_within(
        self,
        number: int,
        step: int,
        params: Params,
        images: Mapping[int, np.ndarray],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Renders views from within a frame, at once, and keeps the params they were made with.

        Args:
          number: The frame's.
          step: Its steps so far.
          params: All of them.
          images: Of each camera that is wanted, its image, (H, W, 3) uint8.
          should_stop: Asked between parts of a view.

        Returns:
          Whether it was done; if asked to stop, all of it is left out.
        """
        views = {}
        for cam in images:
            pending = self.evaluator.start(params, cam)
            while pending.chunks_left:
                if should_stop():
                    return False
                pending.advance()
            views[cam] = pending.view()
        if self.store is not None:
            self._background.run(lambda: self._keep_within(number, step, params, views, images))
        return True

    def _keep_within(
        self,
        number: int,
        step: int,
        params: Params,
        views: Mapping[int, View],
        images: Mapping[int, np.ndarray],
    ) -> None:
        """Writes the pictures, then the params: these say that all are there."""
        assert self.store is not None
        measures = [
            self.evaluator.finish(number, view, images[cam], step, cam)
            for cam, view in views.items()
        ]
        self.store.save_intermediate(number, step, params, measures)

    def chunks_within(self, seconds: float) -> int:
        """Chunks of the pending view to render beside a dispatch that takes so long."""
        if self._viewed is None:
            return 0
        if not self._chunk_seconds:
            return 1
        wanted = max(1, int(_RENDER_SHARE * seconds / self._chunk_seconds))
        return min(wanted, self._viewed.view.chunks_left)

    def render(self, chunks: int) -> None:
        """Renders some chunks of the pending view; behind the last one it is measured and noted."""
        if self._viewed is None or not chunks:
            return
        pending = self._viewed.view
        start, before = time.perf_counter(), pending.chunks_left
        pending.advance(chunks)
        done = before - pending.chunks_left
        if done:
            self._chunk_seconds = (time.perf_counter() - start) / done
        if pending.chunks_left:
            return
        viewed, self._viewed = self._viewed, None
        view, seconds = pending.view(), pending.seconds
        if self.store is not None:
            number, truth, row = viewed.number, viewed.truth, viewed.row
            self._background.run(lambda: self._note(number, view, truth, row, seconds))

    def finish(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Renders what is left of the pending view, as long as `should_stop` does not say so."""
        while self._viewed is not None and not should_stop():
            self.render(1)

    def drop(self) -> None:
        """Forgets the pending view; the next start makes it up."""
        self._viewed = None

    def _note(
        self,
        number: int,
        view: View,
        truth: np.ndarray,
        row: Mapping[str, Any],
        render_seconds: float,
    ) -> None:
        start = time.perf_counter()
        measures = self.evaluator.finish(number, view, truth)
        seconds = render_seconds + time.perf_counter() - start
        assert self.store is not None and self.journal is not None
        row = {
            **row,
            **measures,
            "eval_seconds": round(seconds, 3),
            "structure_bytes": self.store.role_bytes(number, params_lib.STRUCTURE),
            **({} if self._broadcast is None else self._broadcast.row(number)),
        }
        self.journal.write(row)
        self.on_row(row)
