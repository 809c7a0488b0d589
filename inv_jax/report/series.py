"""Numbers of runs by frame, and what can be said of them together."""

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence

from inv_jax.eval import measures
from inv_jax.report import settings
from inv_jax.report.measured import Scores, Viewer
from inv_jax.report.runs import Run

SECONDS, BYTES = "seconds", "bytes"


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """A run and how good its pictures are.

    Attributes:
      run: What it says of itself.
      scores: By frame.
      viewer: Its pictures; None if they cannot be had.
      why_not: Why they cannot, or not all metrics.
      cams: The cameras that are measured; none without a viewer.
    """

    run: Run
    scores: Mapping[int, Scores]
    viewer: Viewer | None = None
    why_not: str = ""
    cams: Sequence[int] = ()

    def values(self, name: str) -> dict[int, float]:
        """A number of each frame that has it: a metric, `SECONDS`, or `BYTES` that it adds."""
        if name == SECONDS:
            found = {n: row.get(SECONDS) for n, row in self.run.rows.items()}
        elif name == BYTES:
            found = {n: self.run.added_bytes(n) for n in self.run.frame_bytes}
        else:
            found = {n: scores.get(name) for n, scores in self.scores.items()}
        return {n: value for n, value in sorted(found.items()) if value is not None}


def metrics_of(group: Sequence[Scored]) -> list[str]:
    """The metrics that some frame of some run has, in the order of tables."""
    return [name for name in measures.NAMES if any(one.values(name) for one in group)]


def common_frames(group: Iterable[Scored], name: str) -> list[int]:
    """Frames of which all have the number."""
    sets = [set(one.values(name)) for one in group]
    return sorted(set.intersection(*sets)) if sets else []


def mean(values: Mapping[int, float], frames: Iterable[int]) -> float | None:
    """Over those of the frames that are there; None if none is."""
    found = [values[n] for n in frames if n in values]
    return statistics.fmean(found) if found else None


def frozen_from(run: Run) -> int | None:
    """First frame whose colors are frozen; None if they never are."""
    train, data = run.config.get("train", {}), run.config.get("data", {})
    freeze = train.get("freeze_frame", 0)
    if settings.is_scratch(run) or not freeze:
        return None
    return max(freeze, data.get("first_frame", freeze))


def settled(run: Run, frames: Iterable[int]) -> list[int]:
    """Frames by which a plan is judged: those behind the Warm-Up, or all where there is none."""
    first = frozen_from(run)
    return [n for n in frames if first is None or n >= first]


def accumulated_steps(run: Run, among: Sequence[Run] = ()) -> dict[int, int]:
    """Steps of all frames up to each, also of the run that it goes on from if that is among them.

    Empty if a frame is missing, or its steps are not known.
    """
    before = settings.goes_on_from(run, among)
    frames = sorted(run.rows)
    steps = [run.rows[n].get("steps") for n in frames]
    first = run.config.get("data", {}).get("first_frame", frames[0] if frames else 0)
    begun = 0 if before is None else accumulated_steps(before).get(first - 1)
    if begun is None or None in steps or frames != list(range(first, first + len(frames))):
        return {}
    return {n: begun + sum_ for n, sum_ in zip(frames, itertools.accumulate(steps), strict=True)}


def span(frames: Sequence[int]) -> str:
    """`frame 4`, `frames 4 to 12`, or `9 frames of 4 to 20` where some are missing."""
    if not frames:
        return "no frame"
    if len(frames) == 1:
        return f"frame {frames[0]}"
    whole = frames[-1] - frames[0] + 1 == len(frames)
    return ("frames " if whole else f"{len(frames)} frames of ") + f"{frames[0]} to {frames[-1]}"
