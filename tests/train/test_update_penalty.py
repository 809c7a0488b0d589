"""Updates that are cheap to send: who stays on the anchor, who leaves it, and at what price."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build, captures
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.parallel import Devices
from inv_jax.train.state import Means, Shaper, TrainState
from inv_jax.train.update_penalty import UpdatePenalty
from inv_jax.types import InvError

_PARAMS = {"fine": {"structure": {"a": {"kernel": jnp.array([[0.5, -0.5], [1.0, 2.0]])}}}}
_LEAF = "fine/structure/a/kernel"


def _anchor(change: float = 0.0):
    return jax.tree.map(lambda param: param - change, _PARAMS)


def _only(tree) -> np.ndarray:
    return np.asarray(params_lib.flatten(tree)[_LEAF])


def test_params_that_went_less_than_the_pull_rest_on_their_anchor():
    anchor = _anchor(change=0.004)
    pulled = UpdatePenalty(pull=0.5).after(_PARAMS, anchor, jnp.float32(0.01))
    np.testing.assert_array_equal(_only(pulled), _only(anchor))


@pytest.mark.parametrize("change", [0.03, -0.03])
def test_others_come_nearer_by_the_pull(change):
    pulled = UpdatePenalty(pull=0.5).after(_PARAMS, _anchor(change), jnp.float32(0.01))
    expected = _only(_PARAMS) - np.sign(change) * 0.005
    np.testing.assert_allclose(_only(pulled), expected, rtol=1e-6)


def test_no_pull_moves_no_param():
    pulled = UpdatePenalty(pull=0.0).after(_PARAMS, _anchor(change=0.03), jnp.float32(0.01))
    np.testing.assert_allclose(_only(pulled), _only(_PARAMS), rtol=1e-6)


@pytest.mark.parametrize("settings", [{"pull": -0.1}, {"pull": float("nan")}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvError, match="want"):
        UpdatePenalty(**settings)


# In a step.


@pytest.fixture(scope="module")
def bench(tiny_config):
    config = tiny_config({})
    nerf = build.model(config)
    stepper = build.stepper(config, nerf, Devices(jax.devices()[:1]))
    capture = captures.of(config, pathlib.Path())
    cams = np.array(capture.train_cams)
    frame = capture.load(1)
    frame = frame.replace(images=frame.images[cams])
    return dataclasses.replace(stepper, axis=None), frame, capture.cameras.take(cams)


def _train(bench, shaper: Shaper | None, steps: int = 20):
    stepper, frame, cameras = bench
    stepper = dataclasses.replace(stepper, shaper=shaper)
    params = stepper.model.init(jax.random.key(3))
    trainable, frozen = params_lib.split(params, [params_lib.STRUCTURE])
    opt_state = optimizer_lib.init_state(stepper.optimizer, trainable, None)
    leaves = params_lib.flatten(trainable)
    state = TrainState(
        trainable, frozen, opt_state, jax.random.key(1), jnp.int32(0), Means.start(),
        total=jnp.int32(steps),
        shaping=None if shaper is None else shaper.begin(trainable),
    )  # fmt: skip
    after = jax.jit(stepper.run)(state, frame, cameras, jnp.int32(steps))
    changes = [
        np.asarray(new - leaves[path]).ravel()
        for path, new in params_lib.flatten(after.trainable).items()
    ]
    return after, np.concatenate(changes)


def test_a_pull_leaves_more_params_where_they_were(bench):
    _, free = _train(bench, None)
    _, pulled = _train(bench, UpdatePenalty(pull=0.5))
    assert np.mean(pulled == 0) > np.mean(free == 0) + 0.05
    assert np.abs(pulled).mean() < 0.8 * np.abs(free).mean()


def test_a_pull_that_nothing_overcomes_keeps_every_param(bench):
    _, changes = _train(bench, UpdatePenalty(pull=10.0))
    assert not changes.any()


@pytest.mark.slow
def test_a_shaper_that_does_nothing_changes_no_bit(bench):
    class Idle(Shaper):
        """Nothing is shaped."""

        def begin(self, trainable):
            return trainable

    free, _ = _train(bench, None)
    idle, _ = _train(bench, Idle())
    left, right = (params_lib.flatten(state.trainable) for state in (free, idle))
    for path, leaf in left.items():
        np.testing.assert_array_equal(leaf, right[path], err_msg=path)
