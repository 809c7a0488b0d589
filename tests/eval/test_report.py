import json
import re

import numpy as np
import pytest

from inv_jax.eval import report

COLUMNS = ("frame", "phase", "psnr", "ssim", "structure_bytes")


@pytest.fixture
def rows():
    return [
        {"frame": 1, "phase": "warmup", "psnr": 30.0, "ssim": 0.9, "structure_bytes": 1181696},
        {"frame": 2, "phase": "transfer", "psnr": 33.0, "ssim": None, "structure_bytes": 1181696},
        {"frame": 3, "phase": "transfer", "psnr": 27.0, "ssim": 0.8, "structure_bytes": 300000},
        {"frame": 4, "phase": "transfer", "psnr": 31.0},
    ]


def test_summary_skips_what_has_no_number(rows):
    summary = report.summary(rows, COLUMNS)
    assert summary["mean"]["psnr"] == pytest.approx(30.25)
    assert summary["median"]["psnr"] == pytest.approx(30.5)
    assert summary["mean"]["ssim"] == pytest.approx(0.85)
    assert set(summary["mean"]) == {"psnr", "ssim", "structure_bytes"}


def test_the_worst_is_the_lowest_quality_and_the_highest_cost(rows):
    assert report.summary(rows, COLUMNS)["worst"] == {
        "psnr": 27.0,
        "ssim": 0.8,
        "structure_bytes": 1181696,
    }


def test_the_table_has_a_line_per_row_and_statistic_of_one_width(rows):
    lines = report.format_table(rows, COLUMNS).split("\n")
    assert len({len(line) for line in lines}) == 1
    assert [line.split()[0] for line in lines if "-----" not in line] == [
        "frame", "1", "2", "3", "4", "mean", "median", "worst",
    ]  # fmt: skip
    assert lines[3].split() == ["2", "transfer", "33.000", "-", "1,181,696"]
    assert lines[-1].split() == ["worst", "27.000", "0.8000", "1,181,696"]


def test_the_table_is_plain_text(rows):
    assert re.fullmatch(r"[\x20-\x7e\n]+", report.format_table(rows, COLUMNS))


def test_a_table_without_rows_is_its_header():
    lines = report.format_table([], COLUMNS).split("\n")
    assert lines[0].split() == ["frame", "phase", "PSNR", "dB", "SSIM", "structure", "bytes"]
    assert len(lines) == 2


def test_infinite_psnr_shows_in_the_table(rows):
    table = report.format_table([{**rows[0], "psnr": float("inf")}, rows[1]], COLUMNS)
    assert table.split("\n")[2].split()[2] == "inf"


def test_json_holds_the_rows_with_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "new" / "eval.json"
    report.write_json(path, [{"frame": 1, "psnr": float("inf")}, {"psnr": np.float32(0.5)}])
    assert json.loads(path.read_text()) == [{"frame": 1, "psnr": None}, {"psnr": 0.5}]
    assert list(path.parent.iterdir()) == [path]
