"""Split INV's comparison: which runs it takes, what it makes of their cells."""

import dataclasses
import itertools
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

from comparing import cells, protocol  # noqa: E402

_METHODS = {method.name: method for method in protocol.METHODS}


@pytest.fixture
def shared(tmp_path) -> protocol.Protocol:
    return protocol.Protocol(
        folder=tmp_path,
        settings=("model.width=16", "data.path=/nowhere"),
        num_frames=9,
        freeze_frame=5,
        static_steps=300,
        static_frames=0,
        static_every=2,
        warmup_steps=300,
        budgets=(30, 60),
    )


def _steps(run: protocol.Run) -> int:
    """Of all frames of a run that is not compared."""
    c = run.config
    steps = c.train.steps if plans.is_pretraining(c) else c.train.warmup_steps
    return steps * len(run.frames)


@pytest.mark.parametrize("name", ["inv", "softmax", "density"])
def test_methods_have_taken_as_many_steps_before_structure_transfer(shared, name):
    before = [run for run in shared.runs(_METHODS[name], 0) if not run.is_compared]
    assert sum(map(_steps, before)) == 300 * 5 + 300 * 4
    assert len(before) == (1 if name == "inv" else 2)
    for run, after in itertools.pairwise(before):
        assert after.config.train.init_from == str(run.folder)


@pytest.mark.parametrize("name", _METHODS)
def test_each_budget_is_a_run_over_the_remaining_frames(shared, name):
    *before, small, large = shared.runs(_METHODS[name], 3)
    for run, steps in ((small, 30), (large, 60)):
        assert run.is_compared
        assert run.frames == range(5, 10)
        assert run.config.train.steps == steps
        assert run.config.train.seed == 3
        assert run.config.model.width == 16
    if name == "scratch":
        assert not before
        assert small.config.train.scratch
        assert small.config.train.freeze_frame == 0
    else:
        warmup = before[-1]
        for run in (small, large):
            assert run.config.train.freeze_frame == 5  # frozen from its first frame on
            assert run.config.train.init_from == str(warmup.folder)
            assert run.config.train.init_frame == warmup.frames[-1] == 4


def test_runs_have_folders_of_their_own_but_for_the_static_field(shared):
    folders = [
        run.folder
        for method in protocol.METHODS
        for seed in (0, 1)
        for run in shared.runs(method, seed)
    ]
    twice = {folder for folder in folders if folders.count(folder) > 1}
    assert twice == {shared.folder / "seed0" / "static", shared.folder / "seed1" / "static"}


def test_a_static_field_is_shared_unless_the_method_sees_other_things(shared):
    mixed = protocol.Method.parse("mixed=configs/split.py:density,model.blend=softmax")
    flow = protocol.Method.parse("flow=configs/split.py:density,data.masks=flow")
    usual, _, *_ = shared.runs(_METHODS["softmax"], 0)
    assert shared.runs(mixed, 0)[0] == usual
    other, warmup, *_ = shared.runs(flow, 0)
    assert other.folder != usual.folder
    assert other.config.data.masks == warmup.config.data.masks == "flow"


def test_a_method_is_parsed_with_values_that_have_commas():
    roles = "train.init_roles=('structure','color')"
    method = protocol.Method.parse(f"mine=configs/split.py:density,{roles},train.clip_norm=1.0")
    assert method == protocol.Method(
        "mine", "configs/split.py:density", (roles, "train.clip_norm=1.0")
    )


def test_sizes_that_follow_from_the_capture_need_not_be_known(shared):
    """A fast field's frames take the steps they are given, the first of a run, too."""
    fast = protocol.Method.parse("fast=configs/fast.py")
    warmup, *budgets = shared.runs(fast, 0)
    assert _steps(warmup) == 300 * 5 + 300 * 4
    for run, first in ((warmup, 1), *((run, 5) for run in budgets)):
        plan = plans.of(fitting.unopened(run.config))
        phases = [plan.phase(frame) for frame in run.frames]
        assert run.frames[0] == first
        assert len({phase.steps for phase in phases}) == 1
    for run in budgets:
        assert run.config.train.init_roles == ("structure", "color")


@pytest.mark.parametrize("text", ["mine", "mine=", "=configs/base.py", "a/b=configs/base.py"])
def test_a_method_of_another_form_is_refused(text):
    with pytest.raises(InvError, match="NAME=CONFIG"):
        protocol.Method.parse(text)


@pytest.mark.parametrize(
    ("file", "setting", "says"),
    [
        ("configs/base.py", "model.widht=16", "widht"),
        ("configs/base.py", "model.width=much", "much"),
        ("configs/split.py:none", "model.width=16", "no setting is named 'none'"),
        ("configs/nowhere.py", "model.width=16", "nowhere"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(file, setting, says):
    with pytest.raises(InvError, match=says) as raised:
        protocol.read_config(file, [setting])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("freeze_frame", [1, 10])
def test_each_stage_wants_a_frame(shared, freeze_frame):
    shared = dataclasses.replace(shared, freeze_frame=freeze_frame)
    with pytest.raises(InvError, match="frames are 1 to 9"):
        shared.runs(_METHODS["inv"], 0)


def _cell(method: str, seed: int, steps: int, psnr: float) -> dict:
    seconds = steps / (10 if method == "inv" else 5)
    return {
        "bench": cells.BENCH, "method": method, "seed": seed, "steps": steps, "seconds": seconds,
        "seconds_before": 100.0, "psnr": psnr, "psnr_dynamic": psnr - 3, "psnr_static": psnr + 1,
        "flicker": 0.5, "flicker_truth": 0.1,
    }  # fmt: skip


@pytest.fixture
def some_cells() -> list[dict]:
    return [
        _cell("inv", 0, 80, 30.0),
        _cell("inv", 0, 40, 20.0),
        _cell("inv", 1, 40, 21.0),
        _cell("density", 0, 20, 22.0),
        _cell("density", 0, 80, 24.0),
    ]


def test_means_are_over_seeds_in_order_of_steps(some_cells):
    rows = cells.means(some_cells)
    assert [(row["method"], row["steps"], row["seeds"]) for row in rows] == [
        ("inv", 40, "0,1"),
        ("inv", 80, "0"),
        ("density", 20, "0"),
        ("density", 80, "0"),
    ]
    assert rows[0]["psnr"] == pytest.approx(20.5)
    assert rows[0]["ssim"] is None  # of images that are too small for it


def test_at_equal_time_interpolates_over_log_seconds(some_cells):
    """Density takes 4 s and 16 s; 8 s, INV's second time, is in the middle of them."""
    found = cells.at_equal_time(cells.means(some_cells))
    rows = {(row["seconds"], row["method"]): row for row in found}
    assert rows[4.0, "inv"]["psnr"] == pytest.approx(20.5)
    assert rows[4.0, "density"]["psnr"] == pytest.approx(22.0)
    assert rows[8.0, "density"]["psnr"] == pytest.approx(23.0)


def test_at_equal_time_nothing_is_guessed_outside(some_cells):
    rows = cells.at_equal_time(cells.means([*some_cells, _cell("late", 0, 400, 40.0)]))
    assert {row["method"] for row in rows} == {"inv", "density"}


def test_undisturbed_steps_of_a_method_are_as_fast_as_its_fastest(some_cells):
    disturbed = {**some_cells[1], "seconds": 100.0, "seconds_min": 50.0}
    quick = {**some_cells[0], "seconds": 12.0, "seconds_min": 8.0}
    found = cells.undisturbed([disturbed, quick, some_cells[3]])
    assert [cell["seconds"] for cell in found] == pytest.approx([4.0, 8.0, 4.0])
    assert [cell["psnr"] for cell in found] == [20.0, 30.0, 22.0]


def test_spread_is_the_widest_range_over_seeds(some_cells):
    found = cells.spread([*some_cells, _cell("inv", 1, 80, 33.0)])
    assert found == pytest.approx({"psnr_dynamic": 3.0, "psnr": 3.0, "flicker": 0.0})
    assert cells.spread(some_cells[-2:]) == {}


def test_cells_without_a_cell_are_refused(tmp_path):
    (tmp_path / "other.txt").write_text('no JSON\n{"bench": "step"}\n')
    for path in (tmp_path / "other.txt", tmp_path / "missing.txt"):
        with pytest.raises(InvError, match=path.name):
            cells.read([path])


def _compare(tmp_path: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(_SCRIPTS / "compare_split.py"), *flags],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_what_was_printed_is_shown_again_as_table_and_plot(some_cells, tmp_path):
    """Of two files; a cell that comes again is newer. The plot has the colors of two methods."""
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("".join(f"{json.dumps(cell)}\n" for cell in some_cells) + "\na table\n")
    second.write_text(json.dumps(_cell("density", 0, 80, 77.0)) + "\n")
    plot = tmp_path / "plot.png"
    done = _compare(tmp_path, f"--cells={first},{second}", f"--plot={plot}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert cells.table([*some_cells[:-1], _cell("density", 0, 80, 77.0)]) in done.stdout
    assert "77.000" in done.stdout
    pixels = np.asarray(Image.open(plot).convert("RGB"))
    for number, is_there in enumerate((True, True, False)):
        color = [int(style.color(number)[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == color).all(-1).any() == is_there


@pytest.mark.slow
def test_a_comparison_is_finished_once_and_shown_again(tiny_capture, tmp_path):
    """Two methods; the second time nothing is trained, so times are the same too."""
    capture = tiny_capture()
    (capture / "mask").mkdir()
    for frame in (1, 2, 3):
        for cam in range(3):
            mask = np.zeros((12, 16), np.uint8)
            mask[3:9, 2 + frame : 8 + frame] = 255
            name = f"dynamic_mask_frame{frame:04d}cam{cam:02d}.png"
            Image.fromarray(mask).save(capture / "mask" / name)
    settings = ["model.width=8", "model.depth=4", "model.position_octaves=2"]
    settings += ["model.coarse_samples=4", "model.fine_samples=4", "train.rows_per_step=32"]
    flags = [f"--set={setting}" for setting in settings]
    flags += [f"--capture={capture}", "--frames=3", "--freeze_frame=2", "--static_steps=2"]
    flags += ["--warmup_steps=2", "--budgets=2,3", "--methods=inv,density", "--workdir=runs"]
    first = _compare(tmp_path, *flags)
    assert first.returncode == 0, first.stderr[-2000:]
    rows = [json.loads(line) for line in first.stdout.splitlines() if line.startswith("{")]
    assert [(row["method"], row["steps"]) for row in rows] == [
        *(("inv", 2), ("inv", 3)),
        *(("density", 2), ("density", 3)),
    ]
    for row in rows:
        assert row["frames"] == 2
        assert row["seconds"] > 0
        assert 0 < row["psnr_dynamic"] < 100
        assert row["flicker_truth"] > row["flicker"] >= 0  # two steps may change no picture
    second = _compare(tmp_path, *flags)
    assert second.stdout == first.stdout
    other = _compare(tmp_path, *flags, "--set=train.learning_rate=0.1")
    assert other.returncode == 2
    assert "train.learning_rate" in other.stderr
