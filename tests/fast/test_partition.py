"""Which level of a fast field holds what: `inv-jax partition`, `swap`, the table of layers."""

import json

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore

pytestmark = pytest.mark.usefixtures("restored_process")

_LEVELS = ["level_0", "level_1", "level_2"]


@pytest.fixture(scope="module")
def record(run, straight, capture, tmp_path_factory) -> dict:
    """A study of swaps, and of a few steps of some levels."""
    out = tmp_path_factory.mktemp("partition")
    effort = ["--pairs=3:4", "--steps=2", "--counts=1", "--draws=0", "--pixels=64"]
    assert run("partition", straight, *effort, f"--out={out}", f"--data_path={capture}") == 0
    assert (out / "partition.png").stat().st_size > 10_000
    (found,) = json.loads((out / "partition.json").read_text())
    return found


def test_layers_are_levels_in_their_order_then_colors(record):
    assert record["layers"][:3] == _LEVELS
    assert all(name.startswith("color_") for name in record["layers"][3:])
    assert record["structure"] == [0, 1, 2]


def test_all_levels_of_another_frame_are_its_picture(record, straight):
    """Colors are frozen, so its levels are all that differs."""
    swaps = [row for row in record["pictures"] if row["what"] == "swap"]
    (every,) = [r["psnr"] for r in swaps if r["kind"] == "all" and r["view"] == "held out"]
    (levels,) = [
        r["psnr"]
        for r in swaps
        if r["layers"] == "0 1 2" and r["kind"] == "first" and r["view"] == "held out"
    ]
    assert levels == pytest.approx(every, abs=1e-3)


def test_training_is_measured_and_changes_no_other_level(record):
    trained = [row for row in record["pictures"] if row["what"] == "train"]
    assert {row["count"] for row in trained} >= {0, 1}
    assert all(np.isfinite(row["psnr"]) for row in trained)


def test_a_swap_takes_a_level_with_its_bricks(run, straight, capture, tmp_path):
    out = tmp_path / "swapped"
    flags = ["--base=4", "--donors=3", "--swaps=3", f"--data_path={capture}", f"--out={out}"]
    assert run("swap", f"--workdir={straight}", *flags) == 0
    assert list(out.rglob("*.png"))


def test_a_table_of_layers_has_a_row_for_each_level(straight):
    rows = params_lib.layer_table(FrameStore(straight).params(4))
    of_structure = [row for row in rows if row.role == params_lib.STRUCTURE]
    assert [row.name for row in of_structure] == _LEVELS
    assert of_structure[-1].shapes == {"kernel": (5, 4, 4, 4, 5)}
    assert [row.name for row in rows if row.role == params_lib.INDEX] == ["level_2"]
