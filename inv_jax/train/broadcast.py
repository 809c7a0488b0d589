"""The neural video that a run writes while it trains, segment by segment."""

import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from absl import logging

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.writer import VideoWriter
from inv_jax.data.segments import name_of
from inv_jax.types import InvError, Params, Stopped


class Broadcast:
    """Sends the segments of a run into a file, of one process."""

    def __init__(
        self,
        open_writer: Callable[[int], VideoWriter],
        shared_roles: Collection[str],
        *,
        goes_back: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Opens nothing yet.

        Args:
          open_writer: Opens the file, to go on with it before the given frame.
          shared_roles: Roles of what segments share; those that train make new colors.
          goes_back: Whether training goes on from what a receiver has, so that the stored frames
            are the file's.
          should_stop: Asked between frames that are made up for.
        """
        self._open_writer, self._goes_back = open_writer, goes_back
        self._shared_roles = set(shared_roles)
        self._should_stop = should_stop
        self._writer: VideoWriter | None = None
        self._color: int | None = None  # frame in which the colors trained last
        self._rows: dict[int, dict[str, Any]] = {}  # by frame, of those without a row yet

    def begin(self, store: FrameStore, first_frame: int) -> None:
        """Brings the file to where the run is: to the frames that are stored.

        Args:
          store: The stored frames.
          first_frame: The first frame of the run.

        Raises:
          InvError: If the file is another run's, is damaged, cannot be written, or, where
            training goes on from it, is not what the stored frames come from.
          Stopped: If asked to; the file goes on from there.
        """
        stored = store.segments()
        self._writer = self._open_writer(stored[-1].stop if stored else first_frame)
        begin = first_frame if self._writer.next_frame is None else self._writer.next_frame
        missing = [frames for frames in stored if frames[0] >= begin]
        if self._goes_back and stored:
            self._check_same(store, missing, stored[-1][0])
        if stored:
            self._color = store.color_id(stored[-1][0])
        for frames in missing:
            if self._should_stop():
                raise Stopped("stopped while encoding stored frames; the same command goes on")
            logging.info("encoding %s, which was stored but not encoded", name_of(frames))
            self._push(frames, store.params(frames[0]), store.color_id(frames[0]))

    def send(self, frames: range, params: Params, trained: tuple[str, ...]) -> None:
        """Encodes a trained segment; it is in the file, or waits for its group."""
        if self._shared_roles & set(trained) or self._color is None:
            self._color = frames[0]
        self._push(frames, params, self._color)

    def decoded(self) -> Params:
        """What a receiver has of the frame sent last."""
        assert self._writer is not None, "begin before"
        return self._writer.decoded()

    def row(self, frame: int) -> dict[str, Any]:
        """What the journal is to say of a frame."""
        return self._rows.pop(frame, {})

    def finish(self) -> None:
        """All frames are sent: the file gets its index."""
        assert self._writer is not None, "begin before"
        self._writer.close()

    def close(self) -> None:
        """Leaves the file as it is."""
        if self._writer is not None:
            self._writer.abandon()

    def _push(self, frames: range, params: Params, color: int) -> None:
        assert self._writer is not None, "begin before"
        start = time.perf_counter()
        grown = self._writer.push(frames, params, color)
        seconds = round(time.perf_counter() - start, 3)
        self._rows[frames[0]] = {"video_bytes": grown, "encode_seconds": seconds}

    def _check_same(self, store: FrameStore, missing: list[range], newest: int) -> None:
        """Checks that the file is what training went on from."""
        advice = "restore it, or begin a new --workdir"
        if missing:
            raise InvError(
                f"video.inv lacks frames {missing[0][0]} to {missing[-1][-1]}, which this run went "
                f"on from (codec.from_decoded); {advice}"
            )
        assert self._writer is not None
        there = params_lib.flatten(self._writer.decoded())
        for path, leaf in params_lib.flatten(store.params(newest)).items():
            if not np.array_equal(there[path], leaf):
                raise InvError(
                    f"video.inv has another frame {newest} than the one that is stored, which "
                    f"this run goes on from (codec.from_decoded); {advice}"
                )
