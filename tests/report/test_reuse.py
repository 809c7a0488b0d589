"""Which weights segments use and share, by hand."""

import numpy as np
import pytest

from inv_jax.report import reuse

_MASKS = (  # of two layers, of 4 and of 2 weights
    ([1, 1, 0, 0], [1, 0]),
    ([0, 1, 1, 0], [1, 0]),
    ([1, 1, 1, 1], [0, 0]),
)


def params(i: int) -> dict:
    a, b = (np.array(bits, bool) for bits in _MASKS[i])
    weights = {"a": {"kernel": np.ones(4)}, "b": {"kernel": np.ones(2)}}
    return {"net": {"mask": {"a": {"kernel": a}, "b": {"kernel": b}}, "weights": weights}}


@pytest.fixture(scope="module")
def found() -> reuse.Reuse:
    return reuse.measure(["1", "5", "9"], params)


def test_parts_in_use(found):
    assert found.layers == ["a", "b"]
    assert found.sizes == [4, 2]
    np.testing.assert_allclose(found.used, [[0.5, 0.5, 1.0], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(found.so_far, [3 / 6, 4 / 6, 5 / 6])


def test_what_was_used_before(found):
    np.testing.assert_allclose(found.known, [[np.nan, 0.5, 0.75], [np.nan, 1.0, np.nan]])


def test_what_two_share_is_of_what_the_first_uses(found):
    expected = [[1, 2 / 3, 2 / 3], [2 / 3, 1, 2 / 3], [2 / 4, 2 / 4, 1]]
    np.testing.assert_allclose(found.shared, expected)
