"""Steps and symbols: the choices are those that a search by brute force would make."""

import numpy as np
import pytest

from inv_jax.codec import history as history_lib
from inv_jax.codec import rate
from inv_jax.codec.base import Layout
from inv_jax.codec.history import Grid

_LAYOUT = Layout(
    (
        ("coarse/structure/a/kernel", (6, 8)),
        ("fine/structure/a/bias", (8,)),
        ("fine/structure/a/kernel", (6, 8)),
    )
)


class _QuadraticGauge:
    """A picture whose error is a weighted sum of squared changes, known to the test."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = weights

    def mse(self, true, changed) -> float:
        return sum(
            float(np.sum(self.weights[path] * np.square(true[path] - changed[path], dtype=float)))
            for path in true
        )


class _KeenQuadraticGauge(_QuadraticGauge):
    def keenness(self, true) -> dict[str, np.ndarray]:
        """Relative within a network, as the contract asks; networks are scaled apart."""
        scale = {"coarse": 7.0, "fine": 0.01}
        return {path: scale[path.split("/")[0]] * self.weights[path] for path in true}


def _random_leaves(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=shape).astype(np.float32) for path, shape in _LAYOUT.shapes}


def test_a_gauge_that_knows_what_matters_gives_each_param_its_importance():
    rng = np.random.default_rng(0)
    weights = {path: np.exp(rng.normal(size=shape)) for path, shape in _LAYOUT.shapes}
    found = rate.importance(_LAYOUT, _random_leaves(1), _KeenQuadraticGauge(weights), 1e-4)
    np.testing.assert_allclose(found, _LAYOUT.ravel(weights), rtol=1e-3)


def test_another_gauge_is_asked_leaf_by_leaf():
    weights = {path: np.full(shape, 10.0**-i) for i, (path, shape) in enumerate(_LAYOUT.shapes)}
    found = rate.importance(_LAYOUT, _random_leaves(1), _QuadraticGauge(weights), 1e-4)
    np.testing.assert_allclose(found, _LAYOUT.ravel(weights), rtol=1e-3)


def test_a_leaf_that_does_not_show_gets_a_small_importance():
    weights = {path: np.full(shape, float(i > 0)) for i, (path, shape) in enumerate(_LAYOUT.shapes)}
    found = _LAYOUT.unravel(
        rate.importance(_LAYOUT, _random_leaves(1), _QuadraticGauge(weights), 1e-4)
    )
    assert found["coarse/structure/a/kernel"].max() < 1e-6
    assert found["coarse/structure/a/kernel"].min() > 0


def test_steps_make_every_param_add_the_same_error():
    """For an importance that is a product over rows and columns, up to rounded exponents."""
    grid, rng = Grid.of(_LAYOUT), np.random.default_rng(2)
    weights = np.empty(grid.size)
    for matrix in grid.matrices(weights):
        rows, columns = matrix.shape
        matrix[:] = np.exp(rng.normal(size=(rows, 1)) + rng.normal(size=(1, columns)))
    leaf_exponents, lines = rate.exponents(grid, weights)
    assert min(leaf_exponents) == 0
    steps = np.empty(grid.size)
    for out, leaf, line in zip(grid.matrices(steps), leaf_exponents, lines, strict=True):
        joint = leaf + line[: out.shape[0], None] + line[None, out.shape[0] :]
        out[:] = history_lib.step_of(joint)
    errors = weights * steps**2
    # A leaf, a row and a column are rounded by half an exponent at most: 2^(2 * 1.5 / 8) each way.
    assert errors.max() / errors.min() < 2.0**0.76


def test_symbols_are_the_cheapest_ones():
    rng = np.random.default_rng(3)
    largest, size = 6, 400
    scaled = rng.laplace(scale=1.5, size=size).astype(np.float32)
    contexts = rng.integers(0, 3, size)
    bits = 1.0 + np.abs(np.arange(-largest, largest + 1)) * np.array([[0.3], [1.0], [3.0]])
    found = rate.cheapest(scaled, bits, contexts)

    def cost(i: int, symbol: int) -> float:
        error = 12.0 * (scaled[i] - symbol) ** 2
        return error + bits[contexts[i], symbol + largest]

    for i in range(size):
        if abs(np.rint(scaled[i])) > largest:
            assert found[i] == np.rint(scaled[i])
            continue
        nearest = int(np.rint(scaled[i]))
        choices = {nearest, nearest - int(np.sign(nearest)), 0}
        assert cost(i, found[i]) == pytest.approx(min(cost(i, symbol) for symbol in choices))
    assert np.mean(found == 0) > np.mean(np.rint(scaled) == 0)


@pytest.mark.parametrize("start", [-80, -3, 0, 70])
def test_the_search_finds_the_coarsest_steps_that_hold_the_target(start):
    calls = []

    def error(exponent: int) -> float:
        calls.append(exponent)
        return 1e-4 * 2.0 ** (2 * exponent / 8)

    found = rate.coarsest(error, start, 1e-4, (-100, 100))
    assert found == 0
    assert len(calls) <= 8


def test_the_search_stays_within_its_limits():
    assert rate.coarsest(lambda _: 0.0, 0, 1.0, (-5, 5)) == 5
    assert rate.coarsest(lambda _: 2.0, 0, 1.0, (-5, 5)) == -5


def test_without_a_picture_all_leaves_get_steps_of_their_own_size():
    leaves = {path: leaf * 10.0**i for i, (path, leaf) in enumerate(_random_leaves(4).items())}
    gauge = rate.RelativeGauge()
    weights = _LAYOUT.unravel(rate.importance(_LAYOUT, leaves, gauge, 1e-4))
    for path, leaf in leaves.items():
        changed = dict(leaves) | {path: leaf * 1.01}
        predicted = float(np.sum(weights[path] * np.square(0.01 * leaf, dtype=float)))
        assert gauge.mse(leaves, changed) == pytest.approx(predicted, rel=1e-3)
        assert predicted == pytest.approx(1e-4 / 3, rel=1e-3)


def test_a_network_whose_motion_shows_more_than_assumed_gets_finer_steps():
    grid, before, true = Grid.of(_LAYOUT), _random_leaves(5), _random_leaves(6)
    shows = {"coarse": 16.0, "fine": 1.0}
    weights = {path: np.full(shape, shows[rate.network_of(path)]) for path, shape in _LAYOUT.shapes}
    flat = [_LAYOUT.ravel(leaves) for leaves in (true, before)]
    scale = np.ones(grid.size, np.float32)
    found = rate.worth(grid, _LAYOUT, *flat, scale, _QuadraticGauge(weights))
    # Sixteen times the error: a quarter of the step, 16 eighths of an octave.
    np.testing.assert_array_equal(found, [-8, 8, 8])


def test_a_network_that_does_not_show_gets_coarse_steps():
    grid, before, true = Grid.of(_LAYOUT), _random_leaves(5), _random_leaves(6)
    weights = {p: np.full(shape, float("fine" in p)) for p, shape in _LAYOUT.shapes}
    flat = [_LAYOUT.ravel(leaves) for leaves in (true, before)]
    scale = np.ones(grid.size, np.float32)
    found = rate.worth(grid, _LAYOUT, *flat, scale, _QuadraticGauge(weights))
    assert found[0] > 16
    np.testing.assert_array_equal(found[1:], 0)
