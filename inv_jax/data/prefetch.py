"""The next frames are decoded and sent to the devices while others train."""

import collections
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from absl import logging

from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.sampling import rays
from inv_jax.types import Frame, Regions

_FEW = 8  # a batch that meets each pixel as often, on average, is worth a word


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A frame, ready to train.

    Attributes:
      number: As on disk.
      on_device: A `Frame` of the training cameras, as `place` left it.
      shown: Image of the camera that is shown, (H, W, 3) uint8, on the host.
      wait_seconds: How long the reader waited for it.
    """

    number: int
    on_device: Any
    shown: np.ndarray
    wait_seconds: float


def frames_ahead(
    capture: Capture,
    frames: Sequence[int],
    *,
    shown_cam: int,
    place: Callable[[Frame], Any],
    masks: Masks | None = None,
    rows_per_step: int = 0,
    ahead: int = 1,
) -> Iterator[Prepared]:
    """Prepares the given frames in order, ahead of the reader.

    Only one frame's images are on the host at a time; on the devices are those that the reader
    keeps and those ahead of it.

    Args:
      capture: Where they are.
      frames: Their numbers.
      shown_cam: Camera whose image stays on the host.
      place: Sends the images of the training cameras to the devices.
      masks: Sort their pixels into regions; None: nobody asks for these.
      rows_per_step: Of a batch; where far fewer pixels move, a warning says so.
      ahead: How many frames are prepared while the reader has one.

    Raises:
      InvError: From `capture.load`, when the reader gets to the frame that is broken; if all that
        the masks of a frame show moves.
    """
    train_cams = capture.train_cams

    def prepare(number: int) -> tuple[Any, np.ndarray]:
        cams = train_cams if shown_cam in train_cams else (*train_cams, shown_cam)
        frame = capture.load(number, cams)
        images = np.asarray(frame.images)
        shown = images[cams.index(shown_cam)].copy()
        regions = None if masks is None else _regions(masks, number, train_cams, rows_per_step)
        placed = place(frame.replace(images=images[: len(train_cams)], regions=regions))
        return jax.block_until_ready(placed), shown

    with futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        numbers = iter(frames)
        pending: collections.deque[tuple[int, futures.Future[tuple[Any, np.ndarray]]]]
        pending = collections.deque()

        def prepare_up_to(count: int) -> None:
            for number in itertools.islice(numbers, max(0, count - len(pending))):
                pending.append((number, pool.submit(prepare, number)))

        prepare_up_to(1)  # the first one alone: nothing trains beside it
        try:
            while pending:
                start = time.perf_counter()
                number, future = pending.popleft()
                placed, shown = future.result()
                prepare_up_to(ahead)
                yield Prepared(number, placed, shown, time.perf_counter() - start)
                del placed, shown, future  # else they would live until the next frame is there
        finally:
            for _, future in pending:
                future.cancel()


def _regions(masks: Masks, number: int, cams: Sequence[int], rows_per_step: int) -> Regions:
    """The regions of a frame.

    Where nothing moves, steps on dynamic rays draw from all pixels, which stay static; where few
    pixels do, such steps see each of them many times.
    """
    is_dynamic = masks.to_train(number, cams)
    moving = int(is_dynamic.sum())
    if not moving:
        logging.warning(
            "frame %d: the masks show nothing that moves; steps on what moves see all pixels",
            number,
        )
    elif moving < rows_per_step / _FEW:
        logging.warning(
            "frame %d: the masks show %d pixels that move, and a step on what moves has %d rays: "
            "each of them over and over",
            *(number, moving, rows_per_step),
        )
    return rays.regions(is_dynamic)
