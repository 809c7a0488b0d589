import json
import pathlib

import pytest

from configs import base
from inv_jax.assembly import record
from inv_jax.report import runs
from inv_jax.types import InvError


def _paths(*texts):
    return [pathlib.Path(text) for text in texts]


def test_names_are_as_short_as_tells_runs_apart():
    assert runs.short_names(_paths("/x/a", "/x/b.inv")) == ["a", "b.inv"]
    assert runs.short_names(_paths("/x/a/run", "/x/b/run")) == ["a/run", "b/run"]


@pytest.mark.parametrize(
    "paths, names, text",
    [
        (["/x/a", "/x/../x/a"], [], "given twice"),
        (["/x/a", "/x/b"], ["one"], "1 names for 2 runs"),
        (["/x/a", "/x/b"], ["one", "one"], "a name of its own"),
        (["/nowhere/a"], [], "is no run"),
    ],
)
def test_what_is_no_list_of_runs_is_refused(paths, names, text):
    with pytest.raises(InvError, match=text):
        runs.open_runs(_paths(*paths), names)


@pytest.mark.parametrize(
    ("frames", "state"), [((1, 3, 5, 7, 9), ""), ((1, 3), "2 of 5 frames so far")]
)
def test_frames_that_are_left_out_are_not_waited_for(frames, state, tmp_path):
    config = base.get_config()
    config.data.update(num_frames=9, frame_step=2)
    record.write(config, tmp_path, None, rows_per_pass=1, capture="rig")
    rows = "".join(json.dumps({"frame": frame}) + "\n" for frame in frames)
    (tmp_path / "metrics.jsonl").write_text(rows)
    (run,) = runs.open_runs([tmp_path])
    assert run.state == state
