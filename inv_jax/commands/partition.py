"""`inv-jax partition`: does a run's network split itself into structure and color? One page."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from absl import flags, logging

from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.data.rig import Rig
from inv_jax.partition import page
from inv_jax.partition.findings import Findings, describe, tables
from inv_jax.partition.study import Effort, Study, default_pairs
from inv_jax.player.player import segments_of
from inv_jax.report import settings, style
from inv_jax.report.runs import Run, open_runs
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError, Stopped

USAGE = "runs/a [runs/b ...] [--pairs=4:7] [--steps=200] [--counts=1,3,6] [--pixels=2048]"
REQUIRED = {"runs": "give the folders of runs that were trained with train.freeze_frame=0"}
POSITIONAL = "runs"


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_list("runs", None, "Folders of runs, or .inv files.", flag_values=values)
    flags.DEFINE_list(
        "names", [], "What the page calls them; by default, their folders.", flag_values=values
    )
    flags.DEFINE_list(
        "pairs", [], "BASE:DONOR frames; default: middle and last one.", flag_values=values
    )
    flags.DEFINE_integer(
        "steps", 200, "Of each training; 0: no training, swaps alone.", flag_values=values
    )
    flags.DEFINE_list(
        "counts", ["1", "2", "3", "4", "6", "9"], "How many layers train.", flag_values=values
    )
    flags.DEFINE_integer(
        "draws", 2, "Random choices of so many layers; 0: none.", flag_values=values
    )
    flags.DEFINE_list(
        "cams", [], "Whose views; default: the first training and held-out one.", flag_values=values
    )
    flags.DEFINE_integer(
        "pixels", 2048, "Of a view, and as many of what moved there.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Of pixels, random layers, rays.", flag_values=values)
    flags.DEFINE_string(
        "out", "", "Folder; default: partition, in the first run's.", flag_values=values
    )
    flagged.define_data_path(values)
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    flagged.join_processes(values)
    stop.install()
    paths = [pathlib.Path(path).expanduser().absolute() for path in values.runs]
    devices = Devices()
    labels = _labels(devices.from_main(lambda: open_runs(paths, values.names)))
    playbacks = [open_playback(path, values.data_path) for path in paths]
    efforts = [_effort(playback, values) for playback in playbacks]  # all mistakes come first
    given = pathlib.Path(values.out).expanduser().absolute()
    out = given if values.out else playbacks[0].folder / "partition"
    found: list[Findings] = []
    is_stopped = False
    try:
        for playback, effort, label in zip(playbacks, efforts, labels, strict=True):
            found.append(describe(playback, label))
            for caveat in found[-1].caveats:
                logging.warning("%s: %s", label, caveat)
            Study(playback, found[-1], effort, stop).run()
    except Stopped as stopped:
        logging.info("%s", stopped)
        is_stopped = True
    if devices.is_main:
        print(_write(out, found, efforts))
    playbacks[0].wait_for_all()
    return stop.status if is_stopped else 0


def _labels(runs: Sequence[Run]) -> list[str]:
    """Each run's name, and its settings as far as they differ among the runs."""
    differing = settings.differing(runs) if len(runs) > 1 else {}
    return [
        ", ".join([run.name, *(f"{name}={texts[place]}" for name, texts in differing.items())])
        for place, run in enumerate(runs)
    ]


def _effort(playback: Playback, values: flags.FlagValues) -> Effort:
    for name, least in (("steps", 0), ("draws", 0), ("pixels", 16)):
        if values[name].value < least:
            raise InvError(f"--{name}={values[name].value}; want {least} or more")
    frames = playback.source.frames()
    if len(segments_of(playback.source)) < 2:
        raise InvError(
            "partition compares networks, and all stored frames share one; train more frames, or "
            "clips"
        )
    pairs = tuple(_pair(text, frames) for text in values.pairs) or default_pairs(frames)
    return Effort(
        pairs=pairs,
        steps=values.steps,
        counts=tuple(sorted({_count(text) for text in values.counts})),
        draws=values.draws,
        cams=_cams(values.cams, playback.capture),  # opened: that it is missing is found here
        pixels=values.pixels,
        seed=values.seed,
    )


def _pair(text: str, stored: list[int]) -> tuple[int, int]:
    base, _, donor = text.partition(":")
    if not base.isdigit() or not donor.isdigit():
        raise InvError(f"--pairs={text}: expected BASE:DONOR, for example 4:7")
    for frame in (int(base), int(donor)):
        if frame not in stored:
            raise InvError(f"--pairs={text}: stored frames are {stored[0]} to {stored[-1]}")
    return int(base), int(donor)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise InvError(f"--counts={text}: expected numbers of layers, for example 1,3,6")
    return int(text)


def _cams(texts: Sequence[str], rig: Rig) -> tuple[int, ...]:
    if not texts:
        return (*rig.train_cams[:1], *rig.test_cams[:1])
    cams = [int(text) if text.isdigit() else text for text in texts]
    rig.check_cams(cams, "--cams")
    return tuple(cams)


def _write(out: pathlib.Path, found: Sequence[Findings], efforts: Sequence[Effort]) -> str:
    """Writes the page, the numbers and the tables; the tables, and where the page is."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "partition.png"
    style.write_png(page.draw(found), path)
    text = "\n\n\n".join(tables(one) for one in found)
    records = [
        {"effort": dataclasses.asdict(effort), **dataclasses.asdict(one)}
        for one, effort in zip(found, efforts, strict=False)
    ]
    for file, content in (
        (path.with_suffix(".json"), json.dumps(records, indent=1)),
        (path.with_suffix(".txt"), text),
    ):
        with files.replacing(file) as temporary:
            temporary.write_text(content + "\n")
    return f"{text}\n\n{path}"
