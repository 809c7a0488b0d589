"""What is kept of a segment: a row for each frame that is shown, whenever it is rendered."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator

import numpy as np
import pytest

from inv_jax.checkpoint import FrameStore
from inv_jax.data import segments
from inv_jax.data.segments import Segment
from inv_jax.params import Roles
from inv_jax.train.journal import Journal
from inv_jax.train.recorder import Recorder

_ROLES = Roles(own=("structure",), shared=("color",))
_CHUNKS = 3  # of a view
_PARAMS = {
    "net": {
        "structure": {"layer_0": {"kernel": np.ones((4, 4), np.float32)}},
        "color": {"rgb": {"bias": np.ones(3, np.float32)}},
    }
}
_NOTES = {"phase": "warmup", "steps": 7, "seconds": 6.0, "loss": 0.25}


@dataclasses.dataclass
class _Pending:
    """A view that says what it is of."""

    time: float
    cam: int | None
    chunks_left: int = _CHUNKS
    seconds: float = 0.0

    def advance(self, chunks: int = 1) -> None:
        self.chunks_left -= min(chunks, self.chunks_left)

    def view(self) -> tuple[float, int | None]:
        assert self.chunks_left == 0
        return self.time, self.cam


class _Evaluator:
    """Measures nothing, and notes what it was asked."""

    cam = 0

    def __init__(self):
        self.placed, self.finished = 0, []

    def place(self, params) -> int:
        self.placed += 1
        return self.placed

    def start(self, placed: int, time: float, cam: int | None = None) -> _Pending:
        assert placed == self.placed
        return _Pending(time, cam)

    def finish(self, segment, frame, view, truth, step=None, cam=None) -> dict:
        self.finished.append((segment.number, frame, *view, truth, step))
        return {"cam": 0 if cam is None else cam, "psnr": 20.0 + frame, "ssim": frame / 10}


class _Parts:
    """A recorder with its parts, and what it told of rows."""

    def __init__(self, workdir: pathlib.Path):
        self.store, self.journal = FrameStore(workdir, roles=_ROLES), Journal(workdir)
        self.evaluator, self.told = _Evaluator(), []
        self.recorder = Recorder(
            evaluator=self.evaluator,
            store=self.store,
            journal=self.journal,
            on_row=self.told.append,
        )

    def keep(self, segment: Segment) -> None:
        """Stores a segment, and begins its views."""
        notes = {**_NOTES, "frame": segment.number, "num_frames": len(segment.frames)}
        self.recorder.save(segment, _PARAMS, {}, trained=_ROLES.all, metadata=notes)
        truth = lambda frame: f"picture {frame}"  # noqa: E731
        self.recorder.show(segment, _PARAMS, truth, notes)

    def rows(self) -> list[dict]:
        self.recorder.wait()
        return self.journal.rows()


@pytest.fixture
def parts(tmp_path) -> Iterator[_Parts]:
    made = _Parts(tmp_path)
    yield made
    made.recorder.close()
    made.journal.close()
    made.store.close()


def _clip(step: int = 1, shown_step: int = 0) -> Segment:
    (clip,) = segments.split(range(4, 8), 0, step=step, shown_step=shown_step)
    return clip


def test_a_frame_has_all_of_its_segment_in_its_row(parts):
    (frame,) = segments.split(range(4, 5), 1)
    parts.keep(frame)
    parts.recorder.finish()
    (row,) = parts.rows()
    assert row.pop("eval_seconds") >= 0
    assert row.pop("structure_bytes") == parts.store.own_bytes(4) > 0
    assert row == {**_NOTES, "frame": 4, "num_frames": 1, "cam": 0, "psnr": 24.0, "ssim": 0.4}
    assert parts.evaluator.finished == [(4, 4, 0.0, None, "picture 4", None)]


def test_each_frame_of_a_clip_has_a_row_with_its_part_of_the_seconds(parts):
    parts.keep(_clip())
    parts.recorder.finish()
    rows = parts.rows()
    assert [row["frame"] for row in rows] == [4, 5, 6, 7]
    assert [row["psnr"] for row in rows] == [24.0, 25.0, 26.0, 27.0]
    assert [row["seconds"] for row in rows] == [1.5] * 4
    first, *others = rows
    assert (first["steps"], first["loss"], first["num_frames"]) == (7, 0.25, 4)
    assert first["structure_bytes"] == parts.store.own_bytes(4)  # once, for the whole clip
    for row in others:
        assert row["segment"] == 4
        assert row["phase"] == "warmup"
        assert not {"steps", "loss", "structure_bytes"} & row.keys()
    assert parts.evaluator.placed == 1  # params are placed once for all views
    times = [0.0, 0.25, 0.5, 0.75]
    expected = [(4, n, time, None, f"picture {n}", None) for n, time in enumerate(times, start=4)]
    assert parts.evaluator.finished == expected


def test_frames_of_a_clip_that_are_not_shown_have_no_row(parts):
    parts.keep(_clip(step=1, shown_step=2))
    parts.recorder.finish()
    rows = parts.rows()
    assert [row["frame"] for row in rows] == [4, 6]
    assert sum(row["seconds"] for row in rows) == _NOTES["seconds"]
    assert [time for _, _, time, *_ in parts.evaluator.finished] == [0.0, 0.5]


def test_people_are_told_of_a_clip_once_with_the_means_of_its_frames(parts):
    parts.keep(_clip())
    parts.recorder.finish()
    parts.rows()
    (told,) = parts.told
    assert told["name"] == "frames 4 to 7"
    assert (told["psnr"], told["ssim"]) == (25.5, pytest.approx(0.55))
    assert (told["seconds"], told["steps"]) == (6.0, 7)


def test_views_are_rendered_in_parts_beside_the_next_segment(parts):
    parts.keep(_clip())
    assert parts.recorder.chunks_within(1.0) == 1  # how long one takes is not known yet
    seen = []
    for _ in range(4 * _CHUNKS):
        parts.recorder.render(1)
        assert parts.recorder.chunks_within(1e9) <= _CHUNKS  # of one view at a time
        seen.append(len(parts.rows()))
    assert seen == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert parts.recorder.chunks_within(1.0) == 0
    parts.recorder.render(5)  # there is nothing left


def test_views_that_are_dropped_leave_the_rows_of_those_before(parts):
    parts.keep(_clip())
    answers = iter([False] * (_CHUNKS + 1))
    parts.recorder.finish(lambda: next(answers, True))
    parts.recorder.drop()
    assert [row["frame"] for row in parts.rows()] == [4]
    assert parts.told == []
    assert parts.recorder.chunks_within(1.0) == 0


def test_pictures_within_a_clip_are_of_all_its_shown_frames_and_cameras(parts):
    clip, truths = _clip(shown_step=2), {2: lambda frame: (2, frame), 1: lambda frame: (1, frame)}
    assert parts.recorder.show_within(clip, 30, _PARAMS, truths, lambda: False)
    parts.recorder.wait()
    expected = [
        (4, frame, time, cam, (cam, frame), 30)
        for frame, time in ((4, 0.0), (6, 0.5))
        for cam in (2, 1)
    ]
    assert parts.evaluator.finished == expected
    assert parts.recorder.is_shown_within(4, 30)
    kept = parts.store.intermediate(4, 30)
    found = [(view["frame"], view["cam"], view["psnr"]) for view in kept[0]["views"]]
    assert found == [(4, 2, 24.0), (4, 1, 24.0), (6, 2, 26.0), (6, 1, 26.0)]
    assert parts.journal.rows() == []


def test_pictures_within_that_are_stopped_are_not_there(parts):
    answers = iter([False] * (_CHUNKS + 1))
    truths = {0: lambda frame: frame}
    assert not parts.recorder.show_within(_clip(), 30, _PARAMS, truths, lambda: next(answers, True))
    parts.recorder.wait()
    assert not parts.recorder.is_shown_within(4, 30)


def test_rows_are_json(parts):
    parts.keep(_clip())
    parts.recorder.finish()
    parts.rows()
    lines = parts.journal.path.read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [4, 5, 6, 7]
