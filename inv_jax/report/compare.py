"""Which comparisons runs allow, and their numbers: against scratch, by budget, compressed.

Two runs are compared only where all else that matters is equal (`settings.is_alike`).
"""

import dataclasses
import statistics
from collections.abc import Sequence

from inv_jax.assembly import record
from inv_jax.report import runs as runs_lib
from inv_jax.report import series, settings
from inv_jax.report.measured import journal_scores
from inv_jax.report.runs import Run
from inv_jax.report.series import Scored

PSNR = "psnr"
_PLAN = (  # what an incremental run and one from scratch do differently
    "data.first_frame",
    "train.init_",
    "train.scratch",
    "train.steps",
    "train.freeze_frame",
    "train.warmup_steps",
    "train.reset_optimizer",
    "train.update_pull",
    "codec.",
)
_COMPRESSION = ("codec.", "train.init_")  # a file does not say where a run began


@dataclasses.dataclass(frozen=True)
class Duel:
    """An incremental run and one from scratch, over the same frames.

    Attributes:
      incremental: The one.
      scratch: The other.
      gains: By frame of both, behind the Warm-Up: how much better the incremental one is, in dB.
      has_all_steps: Whether a frame from scratch had all steps that the other run spent by then,
        and not only as many as that spent on the frame.
    """

    incremental: Scored
    scratch: Scored
    gains: dict[int, float]
    has_all_steps: bool

    @property
    def wins(self) -> int:
        return sum(gain > 0 for gain in self.gains.values())

    @property
    def mean(self) -> float:
        return statistics.fmean(self.gains.values())


@dataclasses.dataclass(frozen=True)
class Budget:
    """Runs that differ in their steps a frame alone.

    Attributes:
      kind: `incremental` or `from scratch`.
      members: In the order of their steps.
      frames: Frames of all runs that are compared, behind the Warm-Up.
      means: Of each member, mean PSNR over the frames.
    """

    kind: str
    members: list[Scored]
    frames: list[int]
    means: list[float]

    @property
    def steps(self) -> list[int]:
        return [settings.steps_a_frame(one.run) or 0 for one in self.members]


@dataclasses.dataclass(frozen=True)
class Compression:
    """A neural video beside the run it is of.

    Attributes:
      video: The video.
      raw_name: What the run is called.
      raw_number: Its number, if it is on the page.
      losses: By frame: how much worse the video is, in dB.
      raw_bytes: Of the run's structure, a frame; None if not known.
    """

    video: Scored
    raw_name: str
    raw_number: int | None
    losses: dict[int, float]
    raw_bytes: float | None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.losses.values())

    @property
    def frame_bytes(self) -> float:
        return statistics.fmean(self.video.run.frame_bytes.values())


def differences(a: Scored, b: Scored, frames: Sequence[int]) -> dict[int, float]:
    """By frame: PSNR of a minus that of b."""
    left, right = a.values(PSNR), b.values(PSNR)
    return {n: left[n] - right[n] for n in frames if n in left and n in right}


def duels(group: Sequence[Scored]) -> list[Duel]:
    """Every incremental run with every one from scratch of equal steps a frame, or by then."""
    found, among = [], [one.run for one in group]
    trained = [one for one in group if not one.run.is_video]
    for a in (one for one in trained if not settings.is_scratch(one.run)):
        for b in (one for one in trained if settings.is_scratch(one.run)):
            if not settings.is_alike(a.run, b.run, but=_PLAN):
                continue
            gains = differences(a, b, series.settled(a.run, series.common_frames([a, b], PSNR)))
            spent = {n: b.run.rows[n].get("steps") for n in gains if n in b.run.rows}
            own = {n: a.run.rows[n].get("steps") for n in gains if n in a.run.rows}
            so_far = series.accumulated_steps(a.run, among)
            if not gains or spent.keys() < gains.keys() or None in spent.values():
                continue
            if spent == own:
                found.append(Duel(a, b, gains, has_all_steps=False))
            elif spent == {n: so_far.get(n) for n in spent}:
                found.append(Duel(a, b, gains, has_all_steps=True))
    return found


def with_scratch(group: Sequence[Scored]) -> list[Scored]:
    """The trained runs, if there are both kinds; they need not be of equal steps."""
    trained = [one for one in group if not one.run.is_video and one.values(PSNR)]
    kinds = {settings.is_scratch(one.run) for one in trained}
    return trained if len(kinds) == 2 else []


def budgets(group: Sequence[Scored]) -> list[Budget]:
    """Families of runs that differ in their steps a frame alone, two at least.

    All are judged over the same frames, so that families compare too.
    """
    families: list[list[Scored]] = []
    among = [one.run for one in group]
    for one in group:
        if one.run.is_video or settings.steps_a_frame(one.run) is None:
            continue
        for family in families:
            if settings.is_alike(family[0].run, one.run, but=_budget(one.run), among=among):
                family.append(one)
                break
        else:
            families.append([one])
    several = [family for family in families if len(_steps(family)) > 1]
    frames = series.common_frames([one for family in several for one in family], PSNR)
    for one in (one for family in several for one in family):
        frames = series.settled(one.run, frames)
    found = []
    for family in several if frames else []:
        members = sorted(family, key=lambda one: settings.steps_a_frame(one.run) or 0)
        means = [statistics.fmean(one.values(PSNR)[n] for n in frames) for one in members]
        kind = "from scratch" if settings.is_scratch(members[0].run) else "incremental"
        found.append(Budget(kind, members, frames, means))
    return found


def _steps(family: Sequence[Scored]) -> set[int | None]:
    return {settings.steps_a_frame(one.run) for one in family}


def compressions(group: Sequence[Scored]) -> tuple[list[Compression], list[str]]:
    """Every video beside its run, and why some are not: their run is not known."""
    found, reasons = [], []
    for video in (one for one in group if one.run.is_video):
        raw = _raw_of(video, group)
        losses = {} if raw is None else differences(raw, video, series.common_frames([raw], PSNR))
        if raw is None or not losses:
            reasons.append(
                f"{video.run.name} is not compared with uncompressed params: give the run it was "
                "made from, too."
                if raw is None
                else f"{video.run.name} and {raw.run.name} have no measured frame in common."
            )
            continue
        own = raw.run.frame_bytes.values()
        found.append(
            Compression(
                video=video,
                raw_name=raw.run.name,
                raw_number=raw.run.number if raw in group else None,
                losses=losses,
                raw_bytes=statistics.fmean(own) if own else None,
            )
        )
    return found, reasons


def _budget(run: Run) -> tuple[str, ...]:
    """What may differ in a family: of frames from scratch, also which of them is the first."""
    if settings.is_scratch(run):
        return "train.steps", "data.first_frame"
    return ("train.warmup_steps",) if settings.never_freezes(run) else ("train.steps",)


def _raw_of(video: Scored, group: Sequence[Scored]) -> Scored | None:
    """The run that a video is of: a given one of equal settings, or the one it lies in."""
    for one in group:
        is_run = not one.run.is_video
        if is_run and settings.is_alike(one.run, video.run, but=_COMPRESSION):
            return one
    folder = video.run.path.parent
    if record.read(folder) is None:
        return None
    run = runs_lib.open_runs([folder])[0]
    if not settings.is_alike(run, video.run, but=_COMPRESSION):
        return None
    return Scored(run, {n: journal_scores(run, n) for n in run.rows})
