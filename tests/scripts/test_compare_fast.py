"""The fast field's quality beside INV's: which runs it takes, what is made of their frames."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from inv_jax.assembly import fitting, plans
from inv_jax.report import style
from inv_jax.types import InvError

_SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(_SCRIPTS))

from comparing import ablations, fast_cases, fast_measures, fast_table, protocol  # noqa: E402
from comparing.fast_cases import FAST, INV, Cell, Scene  # noqa: E402

_LEVELS = (10, 6, 8, 20, 12, 16, 30, 18, 24, 72, 40, 12)


@pytest.fixture
def make_scene(tmp_path):
    def make(name: str, num_frames: int = 0, first_frame: int = 1, **more) -> Scene:
        settings = {FAST: more.get("fast", ()), INV: more.get("inv", ())}
        places = {"data": tmp_path, "rendered": tmp_path}
        frames = {"num_frames": num_frames, "first_frame": first_frame}
        return fast_cases.scene(name, **places, **frames, settings=settings)

    return make


@pytest.mark.parametrize("name", fast_cases.SCENES)
def test_both_models_see_and_show_the_same_frames(make_scene, tmp_path, name):
    scene = make_scene(name)
    fast = fast_cases.fast(scene, tmp_path, "realtime", 3).commands[-1].run
    *before, inv = [one.run for one in fast_cases.inv(scene, tmp_path, 30, 3).commands]
    assert len(before) == (scene.num_frames > 3)  # a Warm-Up of its own
    for run in (fast, inv):
        assert set(scene.measured) <= set(run.frames)
        assert run.config.train.seed == 3
        assert run.config.data.path == fast.config.data.path
        assert run.config.data.factor == fast.config.data.factor
    trained = [frame for run in (*before, inv) for frame in run.frames]
    assert trained == list(fast.frames)


def test_budgets_of_inv_go_on_from_one_warm_up(make_scene, tmp_path):
    scene = make_scene("basketball")
    few, more = (fast_cases.inv(scene, tmp_path, steps, 0) for steps in (10, 30))
    assert few.commands[0] == more.commands[0]
    for cell, steps in ((few, 10), (more, 30)):
        c = cell.commands[-1].run.config
        assert c.train.init_from == str(cell.commands[0].folder)
        assert (c.train.init_frame, c.train.freeze_frame) == (3, 4)
        assert c.train.steps == steps
    assert list(scene.measured) == list(range(4, 25))


def test_inv_takes_its_steps_in_the_only_frame_there_is(make_scene, tmp_path):
    scene = make_scene("flame_steak")
    (command,) = fast_cases.inv(scene, tmp_path, 3000, 0).commands
    assert plans.of(command.run.config).phase(1).steps == 3000
    assert list(scene.measured) == [1]


def test_a_run_that_begins_later_has_its_warm_up_there(make_scene, tmp_path):
    scene = make_scene("basketball", first_frame=13)
    assert list(scene.measured) == list(range(16, 25))
    fast = fast_cases.fast(scene, tmp_path, "second", 0).commands[0].run
    assert fitting.unopened(fast.config).train.freeze_frame == 16
    warmup, inv = (one.run for one in fast_cases.inv(scene, tmp_path, 30, 0).commands)
    assert (list(warmup.frames), inv.frames[0]) == ([13, 14, 15], 16)
    with pytest.raises(InvError, match="dome has frames 1 to 4"):
        make_scene("dome", first_frame=5)


def test_settings_change_the_runs_of_one_model(make_scene, tmp_path):
    scene = make_scene("basketball", 5, fast=("model.samples=7",), inv=("model.width=9",))
    fast = fast_cases.fast(scene, tmp_path, "second", 0, ("model.even=0.4",)).commands[-1].run
    inv = fast_cases.inv(scene, tmp_path, 10, 0).commands[-1].run
    assert (fast.config.model.samples, fast.config.model.even) == (7, 0.4)
    assert (fast.config.model.width, inv.config.model.width) == (32, 9)
    assert fast.frames == range(1, 6)


def test_an_unknown_capture_and_a_missing_folder_are_refused(make_scene, tmp_path):
    with pytest.raises(InvError, match="choose among basketball"):
        make_scene("football")
    nowhere = {"data": tmp_path / "nowhere", "rendered": tmp_path, "settings": {FAST: (), INV: ()}}
    with pytest.raises(InvError, match="nowhere is no folder"):
        fast_cases.scene("dome", **nowhere)
    assert fast_cases.scene("procedural", **nowhere).num_frames == 12


@pytest.fixture
def default(make_scene, tmp_path) -> protocol.Run:
    """A run of the defaults, as it is when its sizes are known."""
    known = (f"model.levels={_LEVELS}", "train.freeze_frame=4", "train.steps=50")
    known += ("model.bricks=(92,52,56,480)",)
    cell = fast_cases.fast(make_scene("basketball", 9), tmp_path, "second", 0, known)
    return cell.commands[0].run


def _levels(default: protocol.Run, name: str) -> tuple[int, ...]:
    (variant,) = (one for one in ablations.VARIANTS if one.name == name)
    return protocol.read_config("configs/fast.py", variant.settings(default)).model.levels


def test_levels_are_left_out_and_added_at_both_ends(default):
    assert _levels(default, "no_coarsest") == _LEVELS[3:]
    assert _levels(default, "no_finest") == _LEVELS[:-3]
    assert _levels(default, "a_coarser") == (5, 3, 4, *_LEVELS)
    # Finer than the finest that is as fine in depth, not than one that is flat.
    assert _levels(default, "a_finer") == (*_LEVELS, 45, 27, 36)


def test_bricks_are_left_out_where_there_are_some(default):
    (variant,) = ablations.chosen(["bricks"])
    assert variant.settings(default) == ("model.bricks=(0,0,0,0)",)
    with default.config.unlocked():
        default.config.model.bricks = (0, 0, 0, 0)
    assert not variant.settings(default)


def test_every_variant_differs_from_the_default_and_can_be_right(default, make_scene, tmp_path):
    scene, names = make_scene("basketball", 9), [one.name for one in ablations.VARIANTS]
    assert len(set(names)) == len(names)
    for variant in ablations.VARIANTS:
        settings = variant.settings(default)
        config = fast_cases.fast(scene, tmp_path, "second", 0, settings).commands[0].run.config
        assert config.to_dict() != default.config.to_dict(), variant.name


def test_color_that_trains_on_takes_the_steps_of_frozen_frames(default, make_scene, tmp_path):
    (variant,) = ablations.chosen(["freeze"])
    cell = fast_cases.fast(
        make_scene("basketball", 9), tmp_path, "second", 0, variant.settings(default)
    )
    run = cell.commands[0].run
    assert run.frames == range(4, 10)
    assert run.config.train.init_from == str(default.folder)
    plan = plans.of(fitting.unopened(run.config))
    for frame in (4, 9):
        assert plan.phase(frame).steps == 50
        assert plan.phase(frame).roles == ("structure", "color")
        assert not plan.phase(frame).is_shaped


def test_variants_are_chosen_by_group_in_their_order():
    found = ablations.chosen(["samples", "hard_share"])
    assert [one.group for one in found] == ["hard_share"] * 2 + ["samples"] * 2
    assert len(ablations.chosen(["all"])) == len(ablations.VARIANTS)
    with pytest.raises(InvError, match="--ablate=smaples"):
        ablations.chosen(["smaples"])


def test_pixels_have_changed_that_noise_does_not_explain():
    before = np.full((2, 3, 3), 200, np.uint8)
    now = before.copy()
    now[0, 0] += 16  # as noise
    now[0, 1, 2] += 17
    now[1, 2] = 0
    assert np.argwhere(fast_measures.changed(now, before)).tolist() == [[0, 1], [1, 2]]


@pytest.fixture
def cell(make_scene, tmp_path) -> Cell:
    """A run of 9 frames, 4 to 9 behind Warm-Up, with its rows of time."""
    cell = fast_cases.fast(make_scene("basketball", 9), tmp_path / "runs", "second", 1)
    cell.folder.mkdir(parents=True)
    times = [
        {"frame": frame, "seconds": 2.0 if frame < 4 else 0.5, "gap_seconds": 0.4}
        | {"render_seconds": 0.3}
        for frame in range(1, 10)
    ]
    (cell.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in times))
    return cell


def _rows() -> list[dict]:
    """PSNR rises by a decibel a frame, that of changed pixels falls."""
    held_out = [
        {"frame": frame, "cam": 0, "held_out": True, "psnr": 20.0 + frame, "ssim": 0.5, "flip": 0.2}
        | {"psnr_changed": 30.0 - frame, "flicker": None if frame == 4 else 2.0}
        | {"flicker_truth": None if frame == 4 else 1.0}
        for frame in range(4, 10)
    ]
    training = [
        {"frame": frame, "cam": 3, "held_out": False, "psnr": 40.0, "psnr_changed": 35.0}
        for frame in range(4, 10)
    ]
    return held_out + training


def test_a_run_is_means_over_held_out_views_and_thirds_of_its_frames(cell):
    found = fast_measures.summary(cell, _rows())
    assert found["frames"] == 6
    assert found["psnr"] == pytest.approx(26.5)
    assert (found["psnr_first"], found["psnr_last"]) == (24.5, 28.5)
    assert (found["changed_first"], found["changed_last"]) == (25.5, 21.5)
    assert (found["training"], found["training_changed"]) == (40.0, 35.0)
    assert (found["flicker"], found["flicker_truth"]) == (2.0, 1.0)
    assert found["lpips"] is None
    assert found["steps_seconds"] == pytest.approx(0.5)
    assert found["frame_seconds"] == pytest.approx(0.6)
    assert found["warmup_seconds"] == pytest.approx(3 * 2.1)
    assert fast_measures.held_out_psnr(_rows()) == {n: 20.0 + n for n in range(4, 10)}


def _summary(method: str, seed: int, psnr: float, **more) -> dict:
    row = {"capture": "hall", "method": method, "budget": "second", "seed": seed, "frames": 6}
    return {**row, "psnr": psnr, "flip": 0.2, "flicker": 2.0, "steps_seconds": 0.5, **more}


def test_several_seeds_have_a_mean_behind_them():
    rows = [_summary("fast", seed, psnr) for seed, psnr in ((0, 24.0), (1, 26.0))]
    text = fast_table.table([*rows, _summary("inv", 0, 23.0)])
    _, _, first, second, mean, inv = text.splitlines()
    assert [line.split()[5] for line in (first, second, mean, inv)] == [
        *("24.000", "26.000", "25.000", "23.000")
    ]
    assert mean.split()[3] == "mean"
    assert "LPIPS" not in text  # nothing has it
    assert fast_table.table(rows, shared_machine=True).splitlines()[-1].endswith("shared.")


def test_a_change_is_the_mean_difference_of_seeds_that_both_have():
    rows = [_summary("default", seed, psnr) for seed, psnr in ((0, 24.0), (1, 26.0))]
    rows += [_summary("even", seed, psnr) for seed, psnr in ((0, 25.0), (1, 25.5), (2, 40.0))]
    _, _, default, even = fast_table.changes(rows).splitlines()
    assert default.split()[1:4] == ["default", "2", "25.000"]
    assert even.split()[1:7] == ["even", "3", "30.167", "+0.25", "+1.00", "-0.50"]


def test_a_table_is_the_same_in_markdown():
    rows = [_summary("fast", seed, 24.0 + seed) for seed in (0, 1)]
    head, rule, *body = fast_table.as_markdown(fast_table.table(rows, True)).splitlines()
    assert rule.count("|") == head.count("|") == 10
    assert [line.count("|") for line in body] == [10, 10, 10, 0, 0]
    assert [cell.strip() for cell in body[0].split("|")[1:5]] == ["hall", "fast", "second", "0"]


def test_lines_over_frames_are_drawn_for_captures_that_have_some(tmp_path):
    series = [(_summary(method, 0, 0.0), {4: 20.0, 5: 21.0}) for method in ("fast", "inv")]
    still = [({**_summary("other", 0, 0.0), "capture": "still"}, {1: 20.0})]
    plot = tmp_path / "plot.png"
    fast_table.draw(still, plot)
    assert not plot.exists()
    fast_table.draw(series + still, plot)
    pixels = np.asarray(Image.open(plot).convert("RGB"))
    for number, is_there in enumerate((True, True, False)):
        color = [int(style.color(number)[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == color).all(-1).any() == is_there


def _compare(tmp_path: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(_SCRIPTS / "compare_fast.py"), *flags],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
def test_a_comparison_is_trained_by_commands_once_and_shown_again(tiny_capture, tmp_path):
    """Both models, then an ablation; the second time nothing is trained, times are the same too."""
    data, capture = tmp_path / "data" / "multiview", tiny_capture()
    data.mkdir(parents=True)
    (data / "basketball").symlink_to(capture)
    fast = ["model.levels=(4,3,3,7,5,4)", "model.guide=(5,4,4)", "train.rows_per_step=32"]
    fast += ["train.first_steps=3", "train.warmup_steps=2", "train.steps=2", "data.factor=2"]
    inv = ["model.width=8", "model.depth=4", "model.coarse_samples=4", "model.fine_samples=4"]
    inv += ["train.rows_per_step=32", "data.factor=2"]
    flags = [f"--fast={setting}" for setting in fast] + [f"--inv={setting}" for setting in inv]
    flags += [f"--data={data.parent}", "--captures=basketball", "--frames=3", "--inv_steps=2"]
    flags += ["--workdir=runs", "--training_views=1"]
    first = _compare(tmp_path, *flags, "--plot=plot.png")
    assert first.returncode == 0, first.stderr[-2000:]
    rows = [json.loads(line) for line in first.stdout.splitlines() if line.startswith("{")]
    assert [(row["method"], row["budget"]) for row in rows] == [(FAST, "second"), (INV, "2 steps")]
    for row in rows:
        assert row["frames"] == 3
        assert 0 < row["psnr"] < 100 and 0 < row["changed"] < 100 and 0 < row["training"] < 100
        assert row["frame_seconds"] >= row["steps_seconds"] > 0
    assert (tmp_path / "plot.png").is_file()
    assert _compare(tmp_path, *flags).stdout == first.stdout
    other = _compare(tmp_path, *flags, "--fast=model.even=0.5")
    assert other.returncode == 2
    assert "model.even (0.2 there, 0.5 here)" in other.stderr
    changed = _compare(tmp_path, *flags, "--ablate=hard_share")
    assert changed.returncode == 0, changed.stderr[-2000:]
    assert "hard_share=0.67" in changed.stdout
    coded = _compare(tmp_path, *flags, "--codecs=bricks", "--fidelities=30", "--loops=30")
    assert coded.returncode == 0, coded.stderr[-2000:]
    rows = [json.loads(line) for line in coded.stdout.splitlines() if '"way"' in line]
    assert [row["way"] for row in rows] == ["afterwards", "in the loop"]
    for row in rows:
        assert row["frames"] == 3
        assert 0 < row["key_bytes"] < row["file_bytes"]
    assert abs(rows[0]["lost"]) < 1.0
