import dataclasses
import json

import pytest

from inv_jax.report import compare, series


def _video(run, path, bits=1.5):
    codec = {"codec": {"name": "delta", "fidelity": 40.0}}
    made = dataclasses.replace(run, path=path, name="v", config=run.config | codec)
    return dataclasses.replace(made, number=9, bits_per_param=bits)


def test_incremental_and_scratch_meet_at_equal_steps_behind_the_warmup(make_run, score):
    inc, equal = make_run("i"), make_run("s", scratch=True)
    other = make_run("o", scratch=True, steps=300)
    (duel,) = compare.duels([score(inc, 1.5), score(equal), score(other)])
    assert duel.scratch.run is equal
    assert list(duel.gains) == [3, 4, 5]  # frames 1 and 2 are Warm-Up
    assert duel.mean == pytest.approx(1.5) and duel.wins == 3


def test_a_baseline_may_have_all_steps_that_were_spent_by_then(make_run, score):
    inc, scratch = make_run("i"), make_run("s", scratch=True, equal_steps=True)
    for frame, steps in series.accumulated_steps(inc).items():
        scratch.rows[frame]["steps"] = steps
    (duel,) = compare.duels([score(inc), score(scratch, 2.0)])
    assert duel.has_all_steps and duel.mean == pytest.approx(-2.0)
    scratch.rows[4]["steps"] += 1
    assert compare.duels([score(inc), score(scratch)]) == []


def test_runs_that_never_freeze_have_the_steps_of_their_warmup(make_run, score):
    inc = make_run("i", freeze_frame=0, warmup_steps=100, steps=7)
    for row in inc.rows.values():
        row["steps"] = 100
    (duel,) = compare.duels([score(inc, 1.0), score(make_run("s", scratch=True))])
    assert not duel.has_all_steps and list(duel.gains) == [1, 2, 3, 4, 5]
    more = make_run("j", freeze_frame=0, warmup_steps=300, steps=9)
    (found,) = compare.budgets([score(inc), score(more)])
    assert found.steps == [100, 300]


def test_runs_that_differ_in_more_than_their_plan_do_not_meet(make_run, score):
    runs = [make_run("i"), make_run("s", scratch=True, seed=3)]
    assert compare.duels([score(run) for run in runs]) == []


def test_both_kinds_are_needed_for_a_comparison_with_scratch(make_run, score):
    assert compare.with_scratch([score(make_run("a")), score(make_run("b"))]) == []
    pair = [score(make_run("a")), score(make_run("b", scratch=True))]
    assert compare.with_scratch(pair) == pair


def test_a_budget_is_the_steps_of_runs_that_differ_in_nothing_else(make_run, score):
    runs = [make_run("c", steps=1000), make_run("a"), make_run("x", seed=3, steps=10)]
    (found,) = compare.budgets([score(runs[0], 2.0), score(runs[1]), score(runs[2])])
    assert found.steps == [100, 1000] and found.frames == [3, 4, 5]
    assert found.means == pytest.approx([24.0, 26.0])


def test_steps_add_up_over_the_run_that_one_goes_on_from(make_run):
    whole = make_run("whole")
    rest = make_run("rest", range(3, 6), init_from="/runs/whole", init_frame=2, steps=10)
    assert series.accumulated_steps(whole) == {1: 200, 2: 400, 3: 500, 4: 600, 5: 700}
    assert series.accumulated_steps(rest, [whole, rest]) == {3: 410, 4: 420, 5: 430}
    assert series.accumulated_steps(rest) == {3: 10, 4: 20, 5: 30}


def test_steps_of_a_run_with_a_hole_do_not_add_up(make_run):
    run = make_run()
    del run.rows[2]
    assert series.accumulated_steps(run) == {}


def test_a_video_is_compared_with_the_run_it_was_made_from(make_run, score, tmp_path):
    run = make_run("a")
    path = tmp_path / "v.inv"
    path.touch()
    video = score(_video(run, path), -0.25)
    (found,), reasons = compare.compressions([score(make_run("b", seed=1)), score(run), video])
    assert (found.raw_name, reasons) == ("a", [])
    assert found.mean == pytest.approx(0.25) and set(found.losses) == {1, 2, 3, 4, 5}


def test_the_run_may_be_the_folder_that_the_video_lies_in(make_run, score, tmp_path):
    run = make_run("a")
    record = {"config": run.config, "rows_per_pass": 0, "capture": "0123", "devices": "x"}
    (tmp_path / "config.json").write_text(json.dumps(record))
    lines = [json.dumps(row) for row in run.rows.values()]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "video.inv"
    path.touch()
    (found,), _ = compare.compressions([score(_video(run, path), -0.5)])
    assert found.mean == pytest.approx(0.5) and found.raw_number is None


def test_a_video_alone_says_why_it_is_not_compared(make_run, score, tmp_path):
    path = tmp_path / "v.inv"
    path.touch()
    found, (reason,) = compare.compressions([score(_video(make_run(), path))])
    assert found == [] and reason.startswith("v is not compared")
