import pytest

from inv_jax.report import overview, series, strips


def _texts(line):
    return [cell.text for cell in line.cells]


def test_runs_are_summed_up_over_the_frames_that_all_have(make_run, score):
    long, short = make_run("a", range(1, 6)), make_run("b", range(4, 9), number=1)
    table = overview.quality([score(long), score(short, -1.0)])
    assert _texts(table.lines[0]) == ["24.50", "24.50", "24.00"]
    assert _texts(table.lines[1]) == ["23.50", "23.50", "23.00"]
    assert table.lines[1].cells[2].note == "4"
    assert [line.cells[0].is_best for line in table.lines] == [True, False]
    assert "frames 4 to 5" in table.caption


def test_equal_numbers_have_no_best(make_run, score):
    table = overview.quality([score(make_run("a"), 0.001), score(make_run("b", number=1))])
    assert not any(cell.is_best for line in table.lines for cell in line.cells)


def test_runs_without_a_common_frame_are_summed_up_each_over_its_own(make_run, score):
    table = overview.quality([score(make_run("a", range(1, 3))), score(make_run("b", range(5, 7)))])
    assert [_texts(line)[0] for line in table.lines] == ["21.50", "25.50"]
    assert not any(cell.is_best for line in table.lines for cell in line.cells)


def test_a_metric_that_one_run_lacks_is_a_dash(make_run, score):
    a, b = score(make_run("a")), score(make_run("b"))
    a.scores[3]["flip"] = 0.25
    table = overview.quality([a, b])
    assert [name for name, _ in table.groups] == ["PSNR, dB", "FLIP"]
    assert _texts(table.lines[0])[3:] == ["0.250"] * 3
    assert _texts(table.lines[1])[3:] == ["-"] * 3


def test_without_a_measured_frame_there_is_no_table(make_run):
    assert overview.quality([series.Scored(make_run(), {})]) is None


def test_cost_counts_colors_as_often_as_they_are_stored(make_run, score):
    (line,) = overview.cost([score(make_run())]).lines
    assert _texts(line) == ["5", "6.0", "10.0", "30 s", "2 KiB", "-", "1 KiB", "11 KiB"]
    assert line.cells[6].note == "1 set"


def test_what_a_frame_adds_holds_the_colors_stored_with_it(make_run, score):
    values = score(make_run()).values(series.BYTES)
    assert values[1] == 3072 and values[2] == 2048


@pytest.mark.parametrize(
    "frames, text", [([4], "frame 4"), ([4, 5], "frames 4 to 5"), ([1, 5], "2 frames of 1 to 5")]
)
def test_frames_are_named_in_words(frames, text):
    assert series.span(frames) == text


def test_first_middle_last_and_worst_frames_are_shown_each_once(make_run, score):
    scored = score(make_run("a", range(1, 10)))
    scored.scores[4]["psnr"] = 3.0
    found = strips.chosen_frames([scored], list(range(1, 10)))
    assert found == {1: "first", 4: "worst", 5: "middle", 9: "last"}
    assert strips.chosen_frames([scored], [4]) == {4: "last, worst"}
