"""The matrix of segments: which params it shows, and the means by hand."""

import numpy as np
import pytest

from inv_jax.eval import matrix
from inv_jax.params import Roles

ROLES = Roles(own=("head",), shared=("weights",), indices=("mask",))
SEGMENTS = [range(1, 3), range(3, 4), range(4, 6)]


def tree(head: float, weight: float, mask: bool) -> dict:
    return {
        "net": {
            "head": {"a": {"kernel": np.float32([head])}},
            "weights": {"b": {"kernel": np.float32([weight])}},
            "mask": {"b": {"kernel": np.array([mask])}},
        }
    }


TREES = {1: tree(1, 10, True), 3: tree(2, 20, False), 4: tree(3, 30, True)}


def test_what_a_segment_owns_stands_upon_what_another_shares():
    found = matrix.mixed(TREES[1], TREES[4], ROLES)
    assert found["net"]["head"]["a"]["kernel"] == 1
    assert found["net"]["weights"]["b"]["kernel"] == 30
    assert found["net"]["mask"]["b"]["kernel"]


def shown(params: dict, frames: range) -> list[np.ndarray]:
    """Grey pictures that are wrong by a hundredth for each 10 of the weight."""
    wrong = params["net"]["weights"]["b"]["kernel"][0] / 1000
    return [np.full((12, 12, 3), 0.5 + wrong, np.float32) for _ in frames]


def truth(frame: int) -> np.ndarray:
    return np.full((12, 12, 3), 127.5)  # as an image would be, but for the half


def test_means_and_backward_transfer_by_hand():
    found = matrix.measure(SEGMENTS, TREES.__getitem__, ROLES, shown, truth)
    by_weight = -20 * np.log10([0.01, 0.02, 0.03])
    expected = np.full((3, 3), np.nan)
    for i in range(3):
        expected[i, : i + 1] = by_weight[i]
    np.testing.assert_allclose(found.psnr, expected, atol=1e-3)
    assert found.final == pytest.approx(by_weight[2], abs=1e-3)
    assert found.diagonal == pytest.approx(by_weight.mean(), abs=1e-3)
    forgotten = ((by_weight[2] - by_weight[0]) + (by_weight[2] - by_weight[1])) / 2
    assert found.backward_transfer == pytest.approx(forgotten, abs=1e-3)
    assert found.is_equal == (False, False, True)
    assert "not as they were when they were new: a, b" in found.notes(["a", "b", "c"])[1]


def test_what_forgets_nothing_is_equal_to_the_bit():
    def same(params: dict, frames: range) -> list[np.ndarray]:
        return [np.full((12, 12, 3), params["net"]["head"]["a"]["kernel"][0] / 9) for _ in frames]

    found = matrix.measure(SEGMENTS, TREES.__getitem__, ROLES, same, truth)
    assert found.is_equal == (True, True, True)
    assert found.backward_transfer == 0.0


def test_the_rows_are_a_table():
    found = matrix.measure(SEGMENTS, TREES.__getitem__, ROLES, shown, truth)
    rows = found.rows(["a", "b", "c"])
    assert rows[1]["after"] == "b"
    assert rows[1]["c"] is None
    assert rows[1]["mean"] == pytest.approx(-20 * np.log10(0.02), abs=1e-3)
