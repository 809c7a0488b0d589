"""INV beside the fast field: which runs are compared, what is made of their rows."""

import pathlib
import sys

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from inv_jax.cost import count
from inv_jax.models import registry
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

_SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(_SCRIPTS))

import bench_fast  # noqa: E402
from benching import fast_floor, fast_runs  # noqa: E402


@pytest.fixture
def case(tmp_path) -> fast_runs.Case:
    return fast_runs.Case.footage(tmp_path / "hall", factor=4)


@pytest.fixture
def cells(case, tmp_path) -> list[fast_runs.Cell]:
    more = {"folder": tmp_path, "seed": 3, "frames": 2, "inv_steps": ()}
    return fast_runs.cells(case, **more, fast_steps=(20, 10))


def test_models_take_turns_from_the_smallest_budget_on(cells):
    assert [(cell.model, cell.steps) for cell in cells] == [
        *(("inv", 100), ("fast", 10), ("inv", 300), ("fast", 20), ("inv", 1000))
    ]


def test_both_models_freeze_and_show_the_same_frames(cells):
    for cell in cells:
        assert cell.runs[-1].frames[-2:] == range(4, 6)
        for run in cell.runs:
            c = run.config
            assert (c.train.freeze_frame, c.train.seed, c.data.pixel_center) == (4, 3, 0.5)


def test_budgets_of_inv_start_from_one_warm_up(cells):
    runs = [cell.runs for cell in cells if cell.model == "inv"]
    (warmup,) = {first.folder for first, _ in runs}
    for _, run in runs:
        assert run.config.train.init_from == str(warmup)
        assert run.config.train.init_frame == 3


def test_the_procedural_capture_is_the_demos_for_both(tmp_path):
    case = fast_runs.Case.procedural(tmp_path / "capture")
    assert (case.freeze_frame, case.inv_steps) == (5, (120,))
    inv, fast = (case.config(model) for model in ("inv", "fast"))
    assert (inv.model.name, fast.model.name) == ("nerf", "grid")
    assert inv.data.procedural == fast.data.procedural
    assert (inv.data.path, inv.data.factor) == (fast.data.path, fast.data.factor)


def test_settings_of_a_model_change_its_runs_alone(case):
    changed = case.changed({"inv": ["train.warmup_steps=7"], "fast": []}, freeze_frame=2)
    assert changed.config("inv").train.warmup_steps == 7
    assert changed.config("fast") == case.config("fast")
    assert changed.freeze_frame == 2


@pytest.mark.parametrize(("freeze", "frames"), [(1, 2), (4, 0)])
def test_a_run_wants_warm_up_and_frozen_frames(case, tmp_path, freeze, frames):
    case = case.changed({"inv": [], "fast": []}, freeze)
    with pytest.raises(InvError, match="freeze_frame"):
        fast_runs.cells(
            case, folder=tmp_path, seed=0, frames=frames, inv_steps=(), fast_steps=(10,)
        )


def test_a_frame_is_its_steps_and_the_gap_without_the_view(case, cells):
    (cell,) = (cell for cell in cells if (cell.model, cell.steps) == ("fast", 10))
    journal = Journal(cell.runs[-1].folder)
    for frame in range(1, 6):
        row = {"frame": frame, "steps": 10, "seconds": 0.5, "psnr": 20.0 + frame}
        row |= {"gap_seconds": 0.4 if frame > 1 else 0.0, "render_seconds": 0.25}
        row |= {"input_wait_seconds": 0.03, "checkpoint_wait_seconds": 0.02, "eval_seconds": 0.3}
        journal.write(row)
    journal.close()
    found = fast_runs.measured(case, cell, seed=3)
    assert found["frames"] == 2
    assert found["psnr"] == pytest.approx(24.5)
    assert found["frame_seconds"] == pytest.approx(0.65)
    parts = ("steps", "input_wait", "checkpoint_wait", "other")
    assert sum(found[f"{part}_seconds"] for part in parts) == pytest.approx(0.65)
    assert found["warmup_seconds"] == pytest.approx(3 * 0.5 + 2 * 0.15)
    assert found["warmup_steps"] == 30


def _row(model: str, steps: int, psnr: float, seconds: float, seed: int = 0) -> dict:
    return {
        "capture": "hall", "model": model, "steps": steps, "seed": seed, "psnr": psnr,
        "frame_seconds": seconds, "steps_seconds": 0.5 * seconds,
        "warmup_seconds": 400.0 if model == "inv" else 40.0,
    }  # fmt: skip


def test_the_fewest_steps_that_are_as_good_count_over_all_seeds():
    """Ten steps are as good with one seed, not on average."""
    rows = [_row("inv", 100, 24.0, 12.0, seed) for seed in (0, 1)]
    rows += [_row("fast", 10, psnr, 0.2, seed) for seed, psnr in ((0, 24.4), (1, 23.4))]
    rows += [_row("fast", steps, 24.0 + steps / 100, steps / 50) for steps in (50, 20)]
    (found,) = fast_runs.closing(rows)
    assert found["is_reached"]
    assert (found["inv_steps"], found["fast_steps"]) == (100, 20)
    assert found["ratio"] == pytest.approx(12.0 / 0.4)
    assert found["steps_ratio"] == pytest.approx(12.0 / 0.4)
    assert found["warmup_ratio"] == pytest.approx(10.0)
    assert found["gain"] == pytest.approx(0.2)


def test_a_quality_that_is_not_reached_has_no_ratio():
    rows = [_row("inv", 300, 25.0, 40.0), _row("fast", 10, 24.0, 0.2), _row("fast", 20, 24.5, 0.4)]
    (found,) = fast_runs.closing(rows)
    assert not found["is_reached"]
    assert found["gain"] == pytest.approx(-0.5)
    assert "ratio" not in found


def test_counts_are_those_of_a_ray(case):
    """Four levels of 8 channels: 12 samples read 8 nodes of each; 10 -> 32 -> 32 -> 3 is color."""
    fast = case.config("fast", ("model.levels=(10,6,8,20,12,16,30,18,24,60,36,48)",))
    settings = fast.model.to_dict() | {
        "space": "axes",
        "box": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0),
    }
    model = registry.make(settings | {"guide": (4, 4, 4)})
    found = fast_floor.counts(model, rays=2, num_pixels=9)
    color = 10 * 32 + 32 * 32 + 32 * 3
    assert found["multiply_adds_a_ray"] == 12 * 4 * 8 * 8 + color
    assert found["multiply_adds"] == 2 * found["multiply_adds_a_ray"]
    assert found["scattered_bytes"] == 2 * 12 * 4 * 8 * 8 * 4
    assert found["gathered_bytes"] == found["scattered_bytes"] + 2 * 48 * 4
    assert found["params"] == count.num_params(model, fast_floor.ROLES)


def test_rows_are_those_of_the_cell_around_each_sample():
    rows = fast_floor.node_rows((3, 4, 5), rays=6, samples=2)
    assert rows.shape == (12, 8)
    assert rows.min() >= 0
    assert rows.max() < 3 * 4 * 5
    np.testing.assert_array_equal(rows - rows[:, :1], [[0, 1, 5, 6, 20, 21, 25, 26]] * 12)


def test_the_floor_is_timed_on_the_first_frame_of_the_first_capture(
    tiny_capture, tmp_path, monkeypatch
):
    """What is opened and fitted for it; its times are in `test_benches.py`."""
    asked = []

    class Bench:
        def __init__(self, config, views, cameras, devices, seconds):
            asked.append((config, views, cameras))

        def rows(self, case, rounds):
            yield {"case": case, "part": "step", "rounds": rounds}

    monkeypatch.setattr(bench_fast.fast_floor, "Bench", Bench)
    path = tiny_capture()
    settings = {"capture": [str(path)], "factor": 2, "rounds": 2, "workdir": str(tmp_path)}
    settings["fast"] = ["train.rows_per_step=32"]
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**settings):
        (row,) = bench_fast.floor(Devices(jax.devices()[:1]))
    assert row == {"case": path.name, "part": "step", "rounds": 2}
    ((config, views, cameras),) = asked
    assert (config.model.name, config.train.rows_per_step) == ("grid", 32)
    assert config.model.levels and len(config.model.box) == 9
    assert views.images.shape[0] == cameras.num_cams == 2  # one of three is held out
    assert views.index == 1
