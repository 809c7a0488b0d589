"""Settings of runs: which there are, in which they differ, and in which of these it matters."""

import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from inv_jax.assembly import record
from inv_jax.models import registry
from inv_jax.report.runs import Run

ABSENT = "-"

_ALL_ROLES = ("structure", "color")


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields by path, as `train.steps`."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            fields |= flatten(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = value
    return fields


def effective(run: Run) -> dict[str, Any]:
    """The fields that had an effect: those of what was not in use are left out."""
    fields = flatten(run.config)
    unused: list[str] = []
    if fields.get("data.layout") != "procedural":
        unused.append("data.procedural.")
    if not fields.get("codec.name"):
        unused.append("codec.")
    if not _is_split(run):
        unused += ["split.", "model.blend", "data.mask"]
    if not is_scratch(run):
        unused.append("train.equal_steps")
        if is_pretraining(run):
            unused += ["train.warmup_steps", "train.freeze_frame"]
        elif not fields.get("train.freeze_frame"):
            unused.append("train.steps")
    elif not has_all_steps(run):  # then no frame knows which was the first
        unused += ["train.warmup_steps", "train.freeze_frame", "train.reset_optimizer"]
    if fields.get("train.epochs"):
        unused += ["train.steps", "train.warmup_steps"]  # which follow from them
    if not fields.get("train.init_from"):
        unused.append("train.init_")
    return {name: value for name, value in fields.items() if not name.startswith(tuple(unused))}


def differing(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Fields in which runs differ, each with its value in every run; `ABSENT` where unused."""
    found = [
        {name: text(value) for name, value in effective(run).items() if not _is_place(name)}
        for run in runs
    ]
    names = sorted({name for fields in found for name in fields})
    table = {name: [fields.get(name, ABSENT) for fields in found] for name in names}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


def is_alike(a: Run, b: Run, *, but: Collection[str] = (), among: Sequence[Run] = ()) -> bool:
    """Whether two runs are to see the same, but for the fields (or groups of them) named.

    A field that only one of them has is younger than the other, or not in use: it says nothing. A
    run that goes on from a frame of another one counts as if it had trained the frames before.

    Args:
      a: A run.
      b: Another one.
      but: Fields that may differ.
      among: Runs that they may go on from.
    """
    skipped = (*record.WITHOUT_EFFECT, *but)
    mine, theirs = _with_beginning(a, among), _with_beginning(b, among)
    common = [name for name in mine.keys() & theirs.keys() if not name.startswith(skipped)]
    return a.capture == b.capture and all(text(mine[n]) == text(theirs[n]) for n in common)


def goes_on_from(run: Run, among: Sequence[Run]) -> Run | None:
    """The run whose next frame is this one's first; None if it is not among them."""
    train = run.config.get("train", {})
    origin, roles = train.get("init_from"), train.get("init_roles", _ALL_ROLES)
    follows = train.get("init_frame") == run.config.get("data", {}).get("first_frame", 0) - 1
    if run.is_video or is_scratch(run) or not origin or not follows:
        return None
    if not set(_ALL_ROLES) <= set(roles):
        return None
    here = pathlib.Path(origin).resolve()
    return next((one for one in among if one is not run and one.path.resolve() == here), None)


def _with_beginning(run: Run, among: Sequence[Run]) -> dict[str, Any]:
    """The effective fields, those of the beginning as of the run it goes on from."""
    fields, before = effective(run), goes_on_from(run, among)
    if before is None:
        return fields
    begun = effective(before)
    names = ("data.first_frame", "train.freeze_frame", "train.warmup_steps")
    kept = {name: value for name, value in fields.items() if not name.startswith("train.init_")}
    return kept | {name: begun[name] for name in names if name in begun}


def plan(run: Run) -> str:
    """The plan in words: `incremental, 300 steps a frame`."""
    if has_all_steps(run):
        return "from scratch, each frame with all steps so far"
    kind, steps = "from scratch" if is_scratch(run) else "incremental", steps_a_frame(run)
    train = run.config.get("train", {})
    if epochs := train.get("epochs"):
        length = train.get("segment_frames", 1)
        what = {0: "one clip", 1: kind}.get(length, f"clips of {length:,} frames")
        return f"{what}, {epochs:,} epochs"
    if never_freezes(run):
        kind = "incremental, never frozen"
    if _is_split(run):
        kind = "a static field" if is_pretraining(run) else f"static and dynamic field, {kind}"
    return kind if steps is None else f"{kind}, {steps:,} steps a frame"


def is_scratch(run: Run) -> bool:
    """Whether each frame started from random params."""
    return bool(run.config.get("train", {}).get("scratch"))


def has_all_steps(run: Run) -> bool:
    """Whether it is a baseline whose frames each have what an incremental run spent by then."""
    return is_scratch(run) and bool(run.config.get("train", {}).get("equal_steps"))


def never_freezes(run: Run) -> bool:
    """Whether it goes from frame to frame with all params in training: all frames are Warm-Up."""
    has_no_end = not run.config.get("train", {}).get("freeze_frame")
    return has_no_end and not is_scratch(run) and not is_pretraining(run)


def is_pretraining(run: Run) -> bool:
    """Whether it trains a static field alone, in `train.steps` of every frame."""
    return _is_split(run) and bool(run.config.get("split", {}).get("pretraining"))


def steps_a_frame(run: Run) -> int | None:
    """Steps of a frame, behind the Warm-Up if it ends; None if they are not all the same."""
    name = "warmup_steps" if never_freezes(run) else "steps"
    steps = run.config.get("train", {}).get(name)
    return steps if isinstance(steps, int) and not has_all_steps(run) else None


def codec(run: Run) -> str:
    """The codec of a video with its main setting: `delta, fidelity 40`."""
    fields = run.config.get("codec", {})
    shown = [f"{name} {text(fields[name])}" for name in ("fidelity", "precision") if name in fields]
    return ", ".join([text(fields.get("name", "")), *shown[:1]])


def text(value: Any) -> str:
    """A value for people; lists and tuples look the same."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value)) or "none"
    if isinstance(value, str):
        return value or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_split(run: Run) -> bool:
    """Whether its picture is a blend of a static and a dynamic field."""
    return run.config.get("model", {}).get("name") == registry.SPLIT


def _is_place(name: str) -> bool:
    return name in ("data.path", "data.num_frames", "train.init_from")
