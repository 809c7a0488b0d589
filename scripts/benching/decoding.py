"""How long the frames of a neural video take to decode."""

import collections
import time
from collections.abc import Collection

from inv_jax.codec.frames import FrameDecoder
from inv_jax.codec.video import NeuralVideo


def in_order(
    video: NeuralVideo, rounds: int, frames: Collection[int] | None = None
) -> dict[str, list[float]]:
    """Decodes a video from its beginning, bytes to params, several times.

    Args:
      video: The file; the shared color params are not part of it.
      rounds: How often.
      frames: Those that are timed; None: all.

    Returns:
      Seconds on the wall and of the core, of each packet of those frames: of all (`seconds`,
      `cpu_seconds`), and of keys and others (`key_seconds`, `predicted_cpu_seconds`, ...).
    """
    found: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(rounds):
        decoder = FrameDecoder(video.header)
        for entry in (entry for group in video.groups for entry in group):
            start, start_cpu = time.perf_counter(), time.process_time()
            decoder.decode(video.packet(entry))
            wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            if frames is None or entry.first in frames:
                for kind in ("", "key_" if entry.is_key else "predicted_"):
                    found[f"{kind}seconds"].append(wall)
                    found[f"{kind}cpu_seconds"].append(cpu)
    return dict(found)
