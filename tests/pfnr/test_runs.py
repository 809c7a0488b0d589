"""Clips one after the other in a run: none is forgotten, a stop changes nothing, more may come."""

import json
import pathlib

import numpy as np
import pytest
import training
from stored import assert_same_run, bits_of, journal
from training import stop_after

from inv_jax import params as params_lib
from inv_jax.assembly import sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.types import InvError, Stopped

FIRSTS = (1, 9, 13)  # frames that the clips begin with
_BY_STEP = {"train.dispatch_seconds": 0.0}  # a dispatch of each step


@pytest.fixture(scope="module")
def straight(train, tmp_path_factory) -> pathlib.Path:
    """A run that nothing interrupts; to look at only."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    train(workdir)
    return workdir


def leaves(workdir: pathlib.Path, number: int, role: str) -> dict[str, np.ndarray]:
    """Of one role, by what stands behind it in the path."""
    params = FrameStore(workdir).params(number, carried=number == FIRSTS[-1])
    found = params_lib.flatten(params["pfnr"][role])
    assert found
    return found


def test_each_clip_has_all_its_epochs(straight):
    rows = {row["frame"]: row for row in journal(straight)}
    assert [rows[first]["steps"] for first in FIRSTS] == [6 * 2, 6 * 1, 6 * 2]
    assert FrameStore(straight).segments() == [range(1, 9), range(9, 13), range(13, 21)]
    assert list(rows) == list(range(1, 21))


def test_weights_that_a_clip_uses_stay_equal_to_the_bit(straight):
    for i, first in enumerate(FIRSTS):
        before, used = leaves(straight, first, "weights"), leaves(straight, first, "mask")
        for later in FIRSTS[i + 1 :]:
            after = leaves(straight, later, "weights")
            for path, mask in used.items():
                np.testing.assert_array_equal(after[path][mask], before[path][mask])
            moved = [
                np.any(after[path][~mask] != before[path][~mask]) for path, mask in used.items()
            ]
            assert any(moved)  # of what is free, some trains


def test_what_is_taken_is_what_the_clips_before_use(straight):
    taken = leaves(straight, FIRSTS[-1], "taken")
    masks = [leaves(straight, first, "mask") for first in FIRSTS[:-1]]
    for path, found in taken.items():
        np.testing.assert_array_equal(found, masks[0][path] | masks[1][path])


def test_only_the_newest_clip_holds_what_training_carries_on(straight):
    for first in FIRSTS:
        there = {path.name for path in (straight / "frames" / f"{first:06d}").iterdir()}
        assert {"head", "mask", "session", "weights"} <= there
        assert ({"scores", "taken"} <= there) == (first == FIRSTS[-1])
        assert not {"scores", "taken"} & there or first == FIRSTS[-1]


def test_a_clip_is_shown_to_the_bit_as_when_it_was_new(straight, tmp_path, capsys):
    table = tmp_path / "matrix.json"
    assert training.run("eval", f"--workdir={straight}", "--matrix", f"--out={table}") == 0
    output = capsys.readouterr().out
    assert "backward transfer +0.000 dB" in output
    assert "all to the bit as they were" in output
    rows = json.loads(table.read_text())
    assert [row["after"] for row in rows] == ["one", "two", "three"]
    assert rows[0]["two"] is None
    assert rows[0]["one"] == rows[2]["one"]
    # The rows of the run are those of each clip when it was new.
    by_frame = {row["frame"]: row["psnr"] for row in journal(straight)}
    mean = np.mean([by_frame[frame] for frame in range(9, 13)])
    assert rows[1]["two"] == pytest.approx(mean, abs=2e-3)


@pytest.mark.parametrize("steps", [5, 13, 17])
def test_a_stop_within_a_clip_changes_nothing(train, straight, tmp_path, steps):
    with pytest.raises(Stopped):
        train(tmp_path / "run", _BY_STEP, stop_after(steps))
    train(tmp_path / "run")
    assert_same_run(tmp_path / "run", straight)


def test_clips_are_added_to_a_finished_run(train, straight, tmp_path):
    train(tmp_path / "run", clips=2)
    before = bits_of(tmp_path / "run")
    train(tmp_path / "run", clips=3)
    after = bits_of(tmp_path / "run")
    kept = {key: bits for key, bits in before.items() if key in after}
    assert {number for number, _ in kept} == {1, 9}
    assert all(after[key] == bits for key, bits in kept.items())
    assert_same_run(tmp_path / "run", straight)


def test_another_list_is_refused(train, tmp_path, folder, config):
    train(tmp_path / "run", clips=2)
    other = config({"data.clips": ("two", "one")})
    with pytest.raises(InvError, match=r"another config; it differs in data\.clips"):
        training.train(other, tmp_path / "run", lambda: False)


def test_the_number_of_clips_is_noted(config, tmp_path):
    made = config({"model.sessions": 0, "train.epochs": 1}, clips=2)
    training.train(made, tmp_path / "run", lambda: False)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["config"]["model"]["sessions"] == 2


# A learning rate that rises until it ruins what was learned.
_RUINED = {
    "train.lr_warmup": 0.0,
    "train.schedule": "geometric",
    "train.lr_decay_rate": 1e4,
    "train.learning_rate": 1e-3,
    "train.best_every": 1,
    "train.best_last": 0,
}


def test_the_best_of_a_clip_is_stored_and_not_the_last(train, tmp_path):
    psnr = {}
    for name, every in (("best", 1), ("last", 0)):
        train(tmp_path / name, {**_RUINED, "train.best_every": every}, clips=1)
        psnr[name] = np.mean([row["psnr"] for row in journal(tmp_path / name)])
    assert psnr["best"] > psnr["last"] + 1.0


def test_a_stop_behind_the_best_moment_changes_nothing(train, tmp_path):
    train(tmp_path / "straight", _RUINED, clips=1)
    with pytest.raises(Stopped):
        train(tmp_path / "run", {**_RUINED, **_BY_STEP}, stop_after(9), clips=1)
    train(tmp_path / "run", _RUINED, clips=1)
    assert_same_run(tmp_path / "run", tmp_path / "straight")


def test_a_file_is_made_behind_the_last_clip_and_that_is_said_first(config, tmp_path):
    with pytest.raises(InvError, match=r"encode the run when it is trained: inv-jax encode"):
        training.train(config({"codec.name": "quant"}), tmp_path, lambda: False)
    assert not FrameStore(tmp_path).numbers()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 4])
def test_layers_of_an_older_clip_are_swapped_into_the_newest(straight, tmp_path, steps):
    flags = ["--base=13", "--donors=1", "--swaps=1:2", f"--refine_steps={steps}"]
    out = tmp_path / "swap"
    assert training.run("swap", f"--workdir={straight}", *flags, f"--out={out}") == 0
    assert list(out.iterdir())


def test_a_network_that_cannot_fit_is_refused_with_the_setting_to_lower(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr(sizing, "available_memory", lambda devices: 2**26)
    with pytest.raises(InvError, match=r"needs about .* lower model\.channels from 200 to about"):
        training.train(config({"model.channels": 200}), tmp_path, lambda: False)
    assert not list(tmp_path.iterdir())
