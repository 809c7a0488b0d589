"""Selection by score, its gradients, and the optimizer that holds what is taken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax.models import selection
from inv_jax.types import InvError

_SPECIAL = [0.0, -0.0, 0.0, 1e-45, -1e-45, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-30, 1e-30]


@pytest.mark.parametrize("by_magnitude", [True, False])
def test_the_kth_smallest_is_what_sorting_finds(by_magnitude):
    scores = np.random.default_rng(0).normal(size=200).astype(np.float32)
    scores = np.concatenate([scores, np.array(_SPECIAL, np.float32)])
    values = np.abs(scores) if by_magnitude else scores
    find = jax.jit(selection.kth_smallest)
    for k, wanted in enumerate(np.sort(values), start=1):
        assert find(values, k) == wanted, k
    for capacity in (0.001, 0.3, 1.0):
        k = 1 + round((1.0 - capacity) * (len(values) - 1))
        mask = selection.select(jnp.asarray(scores), capacity, by_magnitude=by_magnitude)
        np.testing.assert_array_equal(mask, values >= np.sort(values)[k - 1])


def test_the_rank_is_rounded_half_to_even_and_one_is_left_at_least():
    # 0.5 * 5 is 2.5, 0.5 * 7 is 3.5
    assert [selection.rank(n, 0.5) for n in (6, 8)] == [3, 5]
    assert [selection.count(n, 0.5) for n in (6, 8)] == [4, 4]
    assert selection.count(1000, 1e-9) == 1
    assert selection.count(1000, 1.0) == 1000


def test_equal_scores_are_selected_together():
    scores = jnp.asarray([[1.0, 2.0], [-2.0, 2.0]])
    mask = selection.select(scores, 0.3, by_magnitude=True)
    np.testing.assert_array_equal(mask, [[False, True], [True, True]])
    mask = selection.select(scores, 0.3, by_magnitude=False)
    np.testing.assert_array_equal(mask, [[False, True], [False, True]])


@pytest.mark.parametrize("by_magnitude", [True, False])
def test_gradients_go_straight_through(by_magnitude):
    param, score, grad = (
        jnp.asarray(np.random.default_rng(i).normal(size=(3, 4)), jnp.float32) for i in range(3)
    )
    mask = selection.select(score, 0.5, by_magnitude=by_magnitude)
    masked = functools.partial(selection.masked, mask=mask, by_magnitude=by_magnitude)
    result, back = jax.vjp(masked, param, score)
    np.testing.assert_array_equal(result, np.where(mask, param, 0))
    to_param, to_score = back(grad)
    np.testing.assert_array_equal(to_param, np.where(mask, grad, 0))
    sign = np.sign(score) if by_magnitude else 1.0
    np.testing.assert_allclose(to_score, grad * param * sign, rtol=1e-6)


def test_what_is_taken_does_not_move_with_stale_moments_and_decay_either():
    plain = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.1))
    held = selection.hold(plain, "weights", "taken")
    tree = lambda role, x: {"net": {role: {"layer": {"kernel": jnp.asarray(x)}}}}  # noqa: E731
    params = {"net": {**tree("weights", [1.0, 2.0])["net"], **tree("head", [3.0])["net"]}}
    grads = jax.tree.map(jnp.ones_like, params)
    nothing, first = tree("taken", [False, False]), tree("taken", [True, False])
    state = held.init(params)
    for _ in range(3):
        free, state = held.update(grads, state, params, frozen=nothing)
    expected, _ = plain.update(grads, state, params)
    updates, _ = held.update(grads, state, params, frozen=first)
    ours, unheld = (x["net"]["weights"]["layer"]["kernel"] for x in (updates, expected))
    assert ours[0] == 0.0
    assert unheld[0] != 0.0
    assert ours[1] == unheld[1] != 0.0
    assert free["net"]["weights"]["layer"]["kernel"][0] != 0.0
    np.testing.assert_array_equal(updates["net"]["head"]["layer"]["kernel"] != 0, [True])
    # What does not train has no leaf, and needs none.
    only_head = {"net": {**tree("head", [3.0])["net"], "weights": {"layer": optax.MaskedNode()}}}
    held.update(only_head, held.init(only_head), only_head, frozen=first)


@pytest.mark.parametrize("capacity", [0.0, -0.1, 1.1, float("nan")])
def test_a_part_that_is_none_is_refused(capacity):
    with pytest.raises(InvError, match=r"model\.capacity=.*above 0\.0, 1\.0 at most"):
        selection.check_capacity(capacity)
