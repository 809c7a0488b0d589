"""Which frames one set of params explains: a frame each, or the frames of a clip."""

import dataclasses
import itertools
from collections.abc import Sequence

from inv_jax.types import InvError

ALL = -1  # a length: of all frames of all clips


@dataclasses.dataclass(frozen=True)
class Segment:
    """Frames that are trained as a unit.

    Attributes:
      frames: All that can be shown of it, as numbered on disk.
      trained: Those of them that it is trained on.
      shown: Those of them that are measured and shown when it is done.
    """

    frames: range
    trained: range
    shown: range

    @property
    def number(self) -> int:
        """What it is called by: its first frame."""
        return self.frames[0]

    @property
    def name(self) -> str:
        """For people."""
        return name_of(self.frames)

    def time(self, frame: int) -> float:
        """See `time_in`."""
        return time_in(self.frames, frame)


def name_of(frames: range) -> str:
    """`frame 7`, or `frames 1 to 24`."""
    first, last = frames[0], frames[-1]
    return f"frame {first}" if first == last else f"frames {first} to {last}"


def time_in(frames: range, frame: int) -> float:
    """When a frame is, as a part of its segment: `i / n` for the ith of n, in [0, 1)."""
    return (frame - frames[0]) / len(frames)


def split(
    frames: range,
    length: int,
    *,
    step: int = 1,
    shown_step: int = 0,
    clips: Sequence[int] = (),
) -> list[Segment]:
    """Cuts frames into segments.

    Args:
      frames: All that were asked for, without gaps.
      length: Frames of a segment; the last one may be shorter. 0: all are one, or, where they are
        several clips, each of these is; `ALL`: all are one.
      step: Every so many frames are trained on, `n // step` of n: of segments of a frame each, one
        in so many is there at all.
      shown_step: Every so many frames of a segment are shown; 0: those that are trained on.
      clips: Frames of each clip, where there are several.

    Raises:
      InvError: If a number cannot be right.
    """
    if length < ALL or shown_step < 0:
        raise InvError(
            f"train.segment_frames={length}, data.test_step={shown_step}; want 0 or more, each, or "
            f"train.segment_frames={ALL} for all frames of all clips"
        )
    if length > 0 and clips:
        raise InvError(
            f"train.segment_frames={length}, and data.layout=clips says where clips begin; want 0, "
            f"each of them on its own, or {ALL}, all of them as one"
        )
    if length == 1:
        return [Segment(one, one, one) for one in (range(n, n + 1) for n in frames[::step])]
    lengths = [len(frames)] if length == ALL or not clips else clips
    firsts = [0, *itertools.accumulate(lengths)][:-1]
    if length > 0:
        firsts = list(range(0, len(frames), length))
    spans = [frames[at:end] for at, end in zip(firsts, [*firsts[1:], len(frames)], strict=True)]
    return [Segment(span, _every(span, step), _every(span, shown_step or step)) for span in spans]


def _every(frames: range, step: int) -> range:
    """Every so many frames, `len(frames) // step` of them as in NeRV, one at least."""
    return frames[: max(1, len(frames) // step) * step : step]


def trained_on(segments: Sequence[Segment]) -> list[int]:
    """All frames that are trained on, in order."""
    return [frame for segment in segments for frame in segment.trained]


def unit(segments: Sequence[Segment]) -> str:
    """What people call one of them: `frame`, or `clip`."""
    return "frame" if all(len(segment.frames) == 1 for segment in segments) else "clip"
