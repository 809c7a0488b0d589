"""`inv-jax partition` on tiny runs: what it measures is what it says."""

import json

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.cli import main
from inv_jax.commands.stop import Stop
from inv_jax.eval import measures

_LAYERS = 6


@pytest.fixture(scope="module")
def run(free_run):
    return free_run, FrameStore(free_run)


def _measured(run, out, steps):
    command = ["inv-jax", "partition", str(run[0]), "--pairs=1:3", f"--steps={steps}"]
    more = ["--counts=4,9", "--draws=1", "--pixels=1000", f"--out={out}"]
    assert main([*command, *more]) == 0
    (record,) = json.loads((out / "partition.json").read_text())
    return record, out


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    """The record of a study without training, and the folder of its page and tables."""
    return _measured(run, tmp_path_factory.mktemp("out"), 0)


def _pictures(record, **wanted):
    return [row for row in record["pictures"] if row.items() >= wanted.items()]


def test_the_page_the_numbers_and_the_tables_are_written(found):
    record, out = found
    assert (out / "partition.png").stat().st_size > 10_000
    assert "relative change" in (out / "partition.txt").read_text()
    assert record["caveats"] == []
    assert record["layers"] == ["layer_0", "layer_1", "feature", "views_0", "rgb", "density"]
    assert record["structure"] == [0]


def test_every_swap_is_measured_on_both_views(found):
    record, _ = found
    swaps = _pictures(record, what="swap")
    assert len(swaps) == 2 * (2 + 2 * (_LAYERS - 1))
    assert {(row["view"], row["cam"]) for row in swaps} == {("training", 1), ("held out", 0)}
    assert not _pictures(record, what="train")


@pytest.mark.slow
def test_every_training_is_measured_too(run, tmp_path):
    record, _ = _measured(run, tmp_path, 4)
    trained = _pictures(record, what="train")
    assert len(trained) == 2 * (2 + 3)  # the model has no 9 layers
    (before,), (after,) = (
        _pictures(record, what="train", kind=kind, view="training") for kind in ("none", "all")
    )
    assert after["psnr"] > before["psnr"]
    assert {row["kind"] for row in record["changes"]} == {"frames", "still", "all"}


def test_whole_views_are_measured_as_everywhere_else(run, found):
    """More pixels are asked for than there are."""
    workdir, store = run
    record, _ = found
    playback = open_playback(workdir)
    truth = np.asarray(playback.capture.load(3, (0,)).images)[0]
    for kind, frame in (("none", 1), ("all", 3)):
        view = playback.player.look(store.params(frame), playback.rig.cameras, 0)
        expected = measures.QUICK(view.rgb, truth)["psnr"]
        (row,) = _pictures(record, what="swap", kind=kind, view="held out")
        assert row["psnr"] == pytest.approx(expected, abs=1e-3)


def test_change_is_that_of_the_stored_frames(run, found):
    _, store = run
    record, _ = found
    rows = [row for row in record["changes"] if (row["kind"], row["frame"]) == ("frames", 2)]
    found_ = {f"{row['network']}/{row['layer']}": row["change"] for row in rows}
    assert found_ == pytest.approx(params_lib.relative_change(store.params(1), store.params(2)))
    assert {row["kind"] for row in record["changes"]} == {"frames"}


def test_a_stop_keeps_what_was_measured(run, tmp_path, monkeypatch):
    calls = iter([False] * 5)
    monkeypatch.setattr(Stop, "__call__", lambda _: next(calls, True))
    assert main(["inv-jax", "partition", str(run[0]), "--steps=0", f"--out={tmp_path}"]) == 143
    (record,) = json.loads((tmp_path / "partition.json").read_text())
    assert len(_pictures(record, what="swap")) == 2 * 2
    assert (tmp_path / "partition.png").is_file()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--pairs=1", "expected BASE:DONOR"),
        ("--pairs=1:9", "stored frames are 1 to 3"),
        ("--counts=0", "expected numbers of layers"),
        ("--cams=4", "--cams=4: cameras are 0 to 3"),
        ("--cams=x", "--cams=x: cameras are 0 to 3"),
        ("--pixels=1", "want 16 or more"),
        ("--steps=-1", "want 0 or more"),
    ],
)
def test_what_cannot_be_is_one_line(run, tmp_path, capsys, flag, said):
    assert main(["inv-jax", "partition", str(run[0]), f"--out={tmp_path}", flag]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
