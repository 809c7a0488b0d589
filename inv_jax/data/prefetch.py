"""The frame after this one is decoded while this one trains."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from inv_jax.data.capture import Capture
from inv_jax.types import Frame


def frames_ahead(capture: Capture, frames: Sequence[int]) -> Iterator[Frame]:
    """Loads the given frames in order, one ahead of the reader.

    Raises:
      InvError: From `capture.load`, when the reader gets to the frame that is broken.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        pending: Future[Frame] | None = None
        for number, following in zip(frames, [*frames[1:], None], strict=True):
            current = pending or pool.submit(capture.load, number)
            pending = None if following is None else pool.submit(capture.load, following)
            yield current.result()
