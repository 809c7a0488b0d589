"""The views of the next segments are decoded and sent to the devices while others train."""

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
from inv_jax.data.segments import Segment, time_in
from inv_jax.sampling import rays
from inv_jax.types import Regions, Views

_FEW = 8  # a batch that meets each pixel as often, on average, is worth a word

Truth = Callable[[int], np.ndarray]  # image of the shown camera by frame, (H, W, 3) uint8


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A segment, ready to train.

    Attributes:
      segment: Which one.
      on_device: The `Views` of the training cameras, as `place` left them.
      truth: Images of the camera that is shown.
      wait_seconds: How long the reader waited for it.
      num_pixels: Of all views of the training cameras.
    """

    segment: Segment
    on_device: Any
    truth: Truth
    wait_seconds: float
    num_pixels: int = 0


def segments_ahead(
    capture: Capture,
    segments: Sequence[Segment],
    *,
    shown_cam: int,
    place: Callable[[Views], Any],
    masks: Masks | None = None,
    rows_per_step: int = 0,
    ahead: int = 1,
    wants_changes: bool = False,
) -> Iterator[Prepared]:
    """Prepares the given segments in order, ahead of the reader.

    Only one segment's images are on the host at a time (and, where changes are wanted, those of the
    frame before); on the devices are those that the reader
    keeps and those ahead of it.

    Args:
      capture: Where they are.
      segments: Which.
      shown_cam: Camera whose images are the truth of what is shown.
      place: Sends the views of the training cameras to the devices.
      masks: Sort their pixels into regions; None: nobody asks for these.
      rows_per_step: Of a batch; where far fewer pixels move, a warning says so.
      ahead: How many segments are prepared while the reader has one.
      wants_changes: Whether views of a frame say by how much they differ from the frame before.

    Raises:
      InvError: From `capture.load`, when the reader gets to the frame that is broken; if all that
        the masks of a frame show moves.
    """
    changes = _Changes(capture) if wants_changes else None

    def prepare(segment: Segment) -> tuple[Any, int, Truth]:
        views, truth = _read(capture, segment, shown_cam, masks, rows_per_step)
        if changes is not None:
            views = views.replace(changes=changes.of(segment, views.images))
        return jax.block_until_ready(place(views)), views.images.size // 3, truth

    with futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        left = iter(segments)
        pending: collections.deque[tuple[Segment, futures.Future[tuple[Any, int, Truth]]]]
        pending = collections.deque()

        def prepare_up_to(count: int) -> None:
            for segment in itertools.islice(left, max(0, count - len(pending))):
                pending.append((segment, pool.submit(prepare, segment)))

        prepare_up_to(1)  # the first one alone: nothing trains beside it
        try:
            while pending:
                start = time.perf_counter()
                segment, future = pending.popleft()
                placed, num_pixels, truth = future.result()
                prepare_up_to(ahead)
                seconds = time.perf_counter() - start
                yield Prepared(segment, placed, truth, seconds, num_pixels)
                del placed, truth, future  # else they would live until the next segment is there
        finally:
            for _, future in pending:
                future.cancel()


def _read(
    capture: Capture, segment: Segment, shown_cam: int, masks: Masks | None, rows_per_step: int
) -> tuple[Views, Truth]:
    """The training views of a segment, and where the images of the shown camera come from.

    Of a segment of one frame that image is read along; of a clip, which may be large, images are
    read again when they are wanted.
    """
    cams = capture.train_cams
    if len(segment.frames) == 1:
        wanted = cams if shown_cam in cams else (*cams, shown_cam)
        images = np.asarray(capture.load(segment.number, wanted).images)
        shown = images[wanted.index(shown_cam)].copy()
        views = Views(images=images[: len(cams)], index=np.int32(segment.number))
        if masks is not None:
            regions = _regions(masks, segment.number, cams, rows_per_step)
            views = views.replace(regions=regions)
        return views, lambda frame: shown
    views = clip_views(capture, segment.frames, segment.trained)
    if masks is not None:
        is_dynamic = np.concatenate([masks.to_train(n, cams) for n in segment.trained])
        views = views.replace(regions=rays.regions(is_dynamic))
    return views, reader(capture, shown_cam)


class _Changes:
    """By how much the pixels of frames differ from those a frame before; asked in order."""

    def __init__(self, capture: Capture):
        self._capture = capture
        self._before: tuple[int, np.ndarray] | None = None  # a frame and its images

    def of(self, segment: Segment, images: np.ndarray) -> np.ndarray:
        """Mean difference of colors, in levels, (V, H, W) uint8; of a clip, and the first frame: 0.

        The frame before is read again where a run goes on behind it.
        """
        number, changes = segment.number, np.zeros(images.shape[:3], np.uint8)
        if len(segment.frames) == 1:
            before = self._images_before(number)
            if before is not None:
                for view, (new, old) in enumerate(zip(images, before, strict=True)):
                    gap = np.abs(new.astype(np.int16) - old).sum(-1)
                    changes[view] = (gap + 1) // 3
            self._before = number, images
        return changes

    def _images_before(self, number: int) -> np.ndarray | None:
        before = number - self._capture.frames.step  # of those that are trained on
        if before < self._capture.span.start:
            return None
        if self._before is not None and self._before[0] == before:
            return self._before[1]
        return np.asarray(self._capture.load(before, self._capture.train_cams).images)


def clip_views(capture: Capture, frames: range, trained: Sequence[int]) -> Views:
    """The views of some frames of a segment, of the training cameras, on the host."""
    cams = capture.train_cams
    times = np.array([time_in(frames, frame) for frame in trained], np.float32)
    return Views(
        images=capture.load_clip(trained, cams),
        index=np.int32(frames[0]),
        cams=np.tile(np.arange(len(cams), dtype=np.int32), len(trained)),
        times=np.repeat(times, len(cams)),
    )


def reader(capture: Capture, cam: int) -> Truth:
    """Reads images of one camera from the capture, when they are asked for."""
    return lambda frame: np.asarray(capture.load(frame, (cam,)).images)[0]


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
