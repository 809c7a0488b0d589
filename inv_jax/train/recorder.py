"""What becomes of a segment besides its training: it is stored, rendered, measured and noted.

None of it is on the path of training. Storing, drawing and writing are done on a thread of their
own, in order; the views that are shown of a segment are rendered in small parts between the
dispatches of the next one, because they need the same devices. What is seen of a segment is made
from what was handed over to be stored, and its rows, one for each frame, are written behind it: a
run that was killed in between makes them up when it starts again.

All processes of a job call the same methods in the same order; only the main one has a store and
a journal, and writes.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from inv_jax.checkpoint import FrameStore
from inv_jax.data.prefetch import Truth
from inv_jax.data.segments import Segment
from inv_jax.eval.evaluate import Evaluator
from inv_jax.render.view import PendingView, View
from inv_jax.train.background import Background
from inv_jax.train.broadcast import Broadcast
from inv_jax.train.journal import Journal
from inv_jax.types import Params

_RENDER_SHARE = 0.2  # part of a dispatch's time that a pending view may take


@dataclasses.dataclass
class _Shown:
    """A segment whose views are being rendered."""

    segment: Segment
    params: Any  # placed
    truth: Truth
    row: Mapping[str, Any]
    left: list[int]  # frames whose views are still to be begun
    frame: int  # of the view that is being rendered
    view: PendingView
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # written so far


class Recorder:
    """Stores segments and their pictures while the next ones train."""

    def __init__(
        self,
        *,
        evaluator: Evaluator,
        store: FrameStore | None,
        journal: Journal | None,
        broadcast: Broadcast | None = None,
        on_row: Callable[[Mapping[str, Any]], None] = lambda row: None,
    ):
        """`on_row` is told of each segment whose rows are written: one row, from another thread.

        With a `broadcast`, frames are also encoded, each before it is stored, so that the file is
        never behind.
        """
        self.store, self.journal = store, journal
        self._broadcast = broadcast
        self.evaluator = evaluator
        self.on_row = on_row
        self._background = Background()
        self._shown: _Shown | None = None
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

    def send(self, frames: range, params: Params, trained: tuple[str, ...]) -> None:
        """Encodes a trained segment, of host arrays, for the neural video if there is one."""
        if self._broadcast is not None:
            broadcast = self._broadcast
            self._background.run(lambda: broadcast.send(frames, params, trained))

    def send_and_decode(self, frames: range, params: Params, trained: tuple[str, ...]) -> Params:
        """Encodes a trained segment at once; the params that a receiver has then.

        To be called by the main process alone.
        """
        assert self._broadcast is not None, "there is no neural video to go on from"
        self.send(frames, params, trained)
        self.wait()
        return self._broadcast.decoded()

    def save(
        self,
        segment: Segment,
        params: Params,
        optimizer: Mapping[str, np.ndarray],
        *,
        trained: tuple[str, ...],
        metadata: Mapping[str, Any],
    ) -> None:
        """Stores a trained segment, of host arrays; see `FrameStore.save`."""
        if self.store is not None:
            store = self.store
            self._background.run(
                lambda: store.save(
                    *(segment.number, params, optimizer), trained=trained, metadata=metadata
                )
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

    def show(self, segment: Segment, params: Params, truth: Truth, row: Mapping[str, Any]) -> None:
        """Begins the views of a segment that was handed over to be stored.

        Args:
          segment: Which one.
          params: All of them.
          truth: Images of the shown camera.
          row: What the journal is to say of it besides the views' measures.
        """
        assert self._shown is None, "finish the views before"
        placed = self.evaluator.place(params)
        frame, *left = segment.shown
        view = self.evaluator.start(placed, segment.time(frame))
        self._shown = _Shown(segment, placed, truth, row, left, frame, view)

    def is_shown_within(self, number: int, step: int) -> bool:
        """Whether `show_within` was through with a step; to be called by the main process alone."""
        assert self.store is not None, "only the main process has a store"
        return self.store.has_intermediate(number, step)

    def show_within(
        self,
        segment: Segment,
        step: int,
        params: Params,
        truths: Mapping[int, Truth],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Renders views from within a segment, at once, and keeps the params they were made with.

        Args:
          segment: Which one.
          step: Its steps so far.
          params: All of them.
          truths: Of each camera that is wanted, its images.
          should_stop: Asked between parts of a view.

        Returns:
          Whether it was done; if asked to stop, all of it is left out.
        """
        placed, measures = self.evaluator.place(params), []
        for frame in segment.shown:
            for cam, truth in truths.items():
                pending = self.evaluator.start(placed, segment.time(frame), cam)
                while pending.chunks_left:
                    if should_stop():
                        return False
                    pending.advance()
                view = pending.view()
                if self.store is not None:
                    see = functools.partial(self._see, segment, frame, view, truth, step, cam)
                    self._background.run(lambda see=see: measures.append(see()))
        if self.store is not None:
            store = self.store  # behind the pictures: these say that all are there
            self._background.run(
                lambda: store.save_intermediate(segment.number, step, params, measures)
            )
        return True

    def _see(
        self, segment: Segment, frame: int, view: View, truth: Truth, step: int, cam: int
    ) -> dict[str, Any]:
        """Measures a view from within a segment, and writes its pictures."""
        measures = self.evaluator.finish(segment, frame, view, truth(frame), step=step, cam=cam)
        return {"frame": frame, **measures}

    def chunks_within(self, seconds: float) -> int:
        """Chunks of the pending view to render beside a dispatch that takes so long."""
        if self._shown is None:
            return 0
        if not self._chunk_seconds:
            return 1
        wanted = max(1, int(_RENDER_SHARE * seconds / self._chunk_seconds))
        return min(wanted, self._shown.view.chunks_left)

    def render(self, chunks: int) -> None:
        """Renders some chunks of the pending view; behind the last one it is measured and noted."""
        if self._shown is None or not chunks:
            return
        shown, pending = self._shown, self._shown.view
        start, before = time.perf_counter(), pending.chunks_left
        pending.advance(chunks)
        done = before - pending.chunks_left
        if done:
            self._chunk_seconds = (time.perf_counter() - start) / done
        if pending.chunks_left:
            return
        view, frame, seconds = pending.view(), shown.frame, pending.seconds
        if self.store is not None:
            self._background.run(lambda: self._note(shown, frame, view, seconds))
        if not shown.left:
            self._shown = None
            return
        shown.frame = shown.left.pop(0)
        shown.view = self.evaluator.start(shown.params, shown.segment.time(shown.frame))

    def finish(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Renders what is left of the pending views, as long as `should_stop` does not say so."""
        while self._shown is not None and not should_stop():
            self.render(1)

    def drop(self) -> None:
        """Forgets the pending views; the next start makes them up."""
        self._shown = None

    def _note(self, shown: _Shown, frame: int, view: View, render_seconds: float) -> None:
        """Measures a view and writes the row of its frame."""
        start = time.perf_counter()
        measures = self.evaluator.finish(shown.segment, frame, view, shown.truth(frame))
        seconds = render_seconds + time.perf_counter() - start
        assert self.store is not None and self.journal is not None
        row = {
            **self._row(shown, frame),
            **measures,
            "eval_seconds": round(seconds, 3),
        }
        self.journal.write(row)
        shown.rows.append(row)
        if frame == shown.segment.shown[-1]:
            self.on_row(_summary(shown))

    def _row(self, shown: _Shown, frame: int) -> dict[str, Any]:
        """What is known of a frame besides its view.

        A segment's first frame has all of it; of a clip each has its part of the seconds, so that
        seconds of frames can be compared and summed.
        """
        assert self.store is not None
        number, row = shown.segment.number, dict(shown.row)
        if len(shown.segment.shown) > 1:
            row["seconds"] = round(row["seconds"] / len(shown.segment.shown), 6)
        if frame != number:
            return {"frame": frame, "segment": number} | {
                name: row[name] for name in ("phase", "seconds")
            }
        return {
            **row,
            "structure_bytes": self.store.own_bytes(number),
            **({} if self._broadcast is None else self._broadcast.row(number)),
        }


def _summary(shown: _Shown) -> dict[str, Any]:
    """One row for people: a frame's own, or that of a clip with the means of its frames."""
    means = {
        name: float(np.mean([row[name] for row in shown.rows if row[name] is not None] or [np.nan]))
        for name in ("psnr", "ssim")
    }
    first = shown.rows[0]
    if len(shown.rows) == 1:
        return {**first, "name": shown.segment.name}
    return {**shown.row, **means, "name": shown.segment.name}
