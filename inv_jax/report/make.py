"""Makes a report: measures runs, draws what can be compared, writes the page and its figures."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

from absl import logging

from inv_jax.assembly.playback import Playback
from inv_jax.eval.measures import Measures
from inv_jax.report import chapters, page
from inv_jax.report.chapters import Chapter
from inv_jax.report.measured import Cache, Viewer, journal_scores
from inv_jax.report.runs import Run
from inv_jax.report.series import Scored
from inv_jax.types import InvError


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a report is to be of.

    Attributes:
      frames: Chooses among the frames of all runs; each run is seen at those it has.
      cams: Chooses the cameras that are measured; the first one is shown.
      data_paths: Where captures are, by run, if they moved; empty for those that did not.
      with_masks: Gives a run the masks that its pixels are judged by.
    """

    frames: Callable[[list[int]], list[int]]
    cams: Callable[[Viewer], list[int]]
    data_paths: Sequence[str] = ()
    with_masks: Callable[[Playback], Playback] = lambda playback: playback


def make(
    runs: Sequence[Run], out: pathlib.Path, measures: Measures, wanted: Wanted, title: str
) -> pathlib.Path:
    """Writes `index.html` and its figures to a folder; where the page is.

    Args:
      runs: As `open_runs` returns them; those of different captures get a chapter each.
      out: The folder; what was measured is kept there too.
      measures: What is measured.
      wanted: Of which frames and cameras.
      title: Of the page.

    Raises:
      InvError: If the frames or cameras asked for are not there.
    """
    frames = wanted.frames(sorted({frame for run in runs for frame in run.all_frames}))
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.capture, []).append(run)
    written = []
    out.mkdir(parents=True, exist_ok=True)  # what cannot be written fails before it is measured
    cache = Cache(out / "cache")
    try:
        for number, group in enumerate(groups.values()):
            several = len(groups) > 1
            name = f"Capture {number + 1}: {_capture_name(group[0])}" if several else ""
            prefix = f"capture{number + 1}_" if several else ""
            written.append(_chapter(group, frames, cache, measures, wanted, name, prefix))
    finally:
        cache.save()
    return page.write(out, title, runs, written)


def _capture_name(run: Run) -> str:
    data = run.config.get("data", {})
    path = pathlib.PurePath(str(data.get("path", "")))
    return path.name or str(data.get("layout", run.capture))


def _chapter(
    group: Sequence[Run],
    frames: Sequence[int],
    cache: Cache,
    measures: Measures,
    wanted: Wanted,
    title: str,
    prefix: str,
) -> Chapter:
    scored, folder = [], ""
    # A file does not say where its capture is; a run beside it does.
    for run in sorted(group, key=lambda run: run.is_video):
        given = wanted.data_paths[run.number] if wanted.data_paths else ""
        data_path = given or (folder if run.is_video else "")
        one = _scored(run, data_path, frames, cache, measures, wanted)
        folder = folder or (str(one.viewer.capture_folder) if one.viewer else "")
        scored.append(one)
    scored.sort(key=lambda one: one.run.number)
    cache.save()
    seen = [one for one in scored if one.viewer is not None]
    shared = set.intersection(*(set(one.run.frames) & set(one.scores) for one in seen or scored))
    cam = wanted.cams(seen[0].viewer)[0] if seen else None
    return chapters.write(scored, sorted(shared), cam, title, prefix)


def _scored(
    run: Run,
    data_path: str,
    frames: Sequence[int],
    cache: Cache,
    measures: Measures,
    wanted: Wanted,
) -> Scored:
    """Measures a run; of one whose pictures cannot be had, what its journal says."""
    frames = [frame for frame in run.all_frames if frame in frames]
    try:
        viewer = Viewer(run, cache, measures, data_path, wanted.with_masks)
    except InvError as error:
        logging.warning("%s: only what its journal says is shown: %s", run.name, error)
        scores = {frame: journal_scores(run, frame) for frame in frames}
        return Scored(run, scores, None, f"only what its journal says is shown: {error}")
    cams = wanted.cams(viewer)
    scores, reasons = {}, []
    for frame in frames:
        try:
            scores[frame] = viewer.scores(frame, cams)
        except InvError as error:  # a damaged packet, a missing image: the others are there
            logging.warning("%s, frame %d: %s", run.name, frame, error)
            scores[frame] = journal_scores(run, frame, cams[0])
            reasons.append(f"frame {frame}: {error}")
    more = f" ({len(reasons) - 1} more frames like this)" if len(reasons) > 1 else ""
    why_not = f"{reasons[0]}{more}" if reasons else ""
    return Scored(run, scores, viewer, why_not, cams)
