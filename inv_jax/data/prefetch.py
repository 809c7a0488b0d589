"""The frame after this one is decoded and sent to the devices while this one trains."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np

from inv_jax.data.capture import Capture
from inv_jax.types import Frame


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
) -> Iterator[Prepared]:
    """Prepares the given frames in order, one ahead of the reader.

    Only one frame's images are on the host at a time, and two frames' on the devices.

    Args:
      capture: Where they are.
      frames: Their numbers.
      shown_cam: Camera whose image stays on the host.
      place: Sends the images of the training cameras to the devices.

    Raises:
      InvError: From `capture.load`, when the reader gets to the frame that is broken.
    """
    train_cams = capture.train_cams

    def prepare(number: int) -> tuple[Any, np.ndarray]:
        cams = train_cams if shown_cam in train_cams else (*train_cams, shown_cam)
        frame = capture.load(number, cams)
        images = np.asarray(frame.images)
        shown = images[cams.index(shown_cam)].copy()
        placed = place(frame.replace(images=images[: len(train_cams)]))
        return jax.block_until_ready(placed), shown

    with futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        pending: futures.Future[tuple[Any, np.ndarray]] | None = None
        for number, following in zip(frames, [*frames[1:], None], strict=True):
            start = time.perf_counter()
            placed, shown = (pending or pool.submit(prepare, number)).result()
            pending = None if following is None else pool.submit(prepare, following)
            yield Prepared(number, placed, shown, time.perf_counter() - start)
            del placed, shown  # else they would live until the next frame is there
