"""Learning rates by their formulas, with a traced length."""

import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax.train import schedules
from inv_jax.types import InvError

RATE = 5e-4


@functools.cache
def schedule_of(name: str, **settings):
    return jax.jit(schedules.make(name, learning_rate=RATE, **settings))


def rate_of(name: str, step: int, epochs: int, steps_per_epoch: int, **settings) -> float:
    counts = (jnp.int32(count) for count in (step, epochs * steps_per_epoch, steps_per_epoch))
    return float(schedule_of(name, **settings)(*counts))


def test_rates_equal_the_originals(parity: pathlib.Path):
    rows = np.load(parity / "nerv" / "lr_schedule.npz")["rows"]
    names = ("cosine", "step", "constant")
    made = {}
    for epochs, cold, kind, epoch, step, frames, rate in rows:
        key = names[int(kind)], cold / epochs
        if key not in made:
            made[key] = jax.jit(
                schedules.make(key[0], learning_rate=RATE, warmup=key[1], milestones=(10, 20))
            )
        counts = (epoch * frames + step, epochs * frames, frames)
        ours = made[key](*(jnp.int32(count) for count in counts))
        np.testing.assert_allclose(ours, rate, rtol=1e-4, atol=1e-12, err_msg=str(key))


def slow_cosine(step: int, epochs: int, steps_per_epoch: int, warmup: float) -> float:
    epoch, cold = step / steps_per_epoch, int(warmup * epochs + 1e-9)
    if epoch < cold:
        return RATE * (0.1 + 0.9 * epoch / cold)
    return RATE * 0.5 * (1 + math.cos(math.pi * (epoch - cold) / (epochs - cold)))


@pytest.mark.parametrize(("epochs", "steps"), [(10, 7), (3, 1), (100, 24)])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.29])
def test_cosine_equals_its_slow_twin(epochs, steps, warmup):
    for step in sorted({0, 1, steps, epochs * steps // 5, epochs * steps // 2, epochs * steps - 1}):
        ours = rate_of("cosine", step, epochs, steps, warmup=warmup)
        assert ours == pytest.approx(slow_cosine(step, epochs, steps, warmup), rel=1e-5, abs=1e-12)


def test_whole_warmup_epochs_are_not_lost_to_rounding():
    # 0.29 * 100 is 28.999... in floating point.
    assert rate_of("constant", 29 * 4, 100, 4, warmup=0.29) == pytest.approx(RATE)
    assert rate_of("constant", 29 * 4 - 1, 100, 4, warmup=0.29) < RATE


@pytest.mark.parametrize("step", [0, 1, 9_999, 250_000, 400_000])
def test_exponential_is_optaxs_to_the_bit(step):
    settings = {"decay_rate": 0.1, "decay_steps": 250_000}
    ours = schedules.make("exponential", learning_rate=RATE, **settings)
    expected = optax.exponential_decay(RATE, 250_000, 0.1)(jnp.int32(step))
    np.testing.assert_array_equal(ours(jnp.int32(step), jnp.int32(7), 3), expected)
    np.testing.assert_allclose(expected, RATE * 0.1 ** (step / 250_000), rtol=1e-6)
    constant = schedules.make("exponential", learning_rate=RATE, **settings | {"decay_rate": 1.0})
    np.testing.assert_allclose(constant(jnp.int32(step), jnp.int32(7), 3), RATE, rtol=1e-6)


@pytest.mark.parametrize("total", [2, 20, 301])
@pytest.mark.parametrize("decay", [0.2, 1.0])
def test_geometric_goes_from_the_rate_to_its_part_in_even_factors(total, decay):
    rates = [rate_of("geometric", step, total, 1, decay_rate=decay) for step in range(total)]
    np.testing.assert_allclose(rates, np.geomspace(RATE, RATE * decay, total), rtol=1e-5)


def test_geometric_begins_at_the_rate_also_in_a_segment_of_one_step():
    assert rate_of("geometric", 0, 1, 1, decay_rate=0.2) == pytest.approx(RATE)


@pytest.mark.parametrize("total", [10, 33, 1000])
def test_one_cycle_is_optaxs(total):
    expected = optax.cosine_onecycle_schedule(total, RATE)
    for step in range(0, total + 2, max(1, total // 20)):
        ours = rate_of("onecycle", step, total, 1)
        np.testing.assert_allclose(ours, expected(step), rtol=1e-4, atol=1e-9)


def test_a_step_schedule_drops_at_every_milestone():
    rates = [rate_of("step", step, 8, 2, milestones=(2, 4.5)) for step in (3, 4, 8, 9, 15)]
    np.testing.assert_allclose(
        rates, [RATE, RATE / 10, RATE / 10, RATE / 100, RATE / 100], rtol=1e-6
    )
    halved = rate_of("step", 4, 8, 2, milestones=(2,), decay_rate=0.5)
    assert halved == pytest.approx(RATE / 2)


def test_segments_of_any_length_share_a_program():
    traces = []

    @jax.jit
    def rate(step, total, steps_per_epoch):
        traces.append(1)
        return schedules.make("cosine", learning_rate=RATE, warmup=0.2)(
            step, total, steps_per_epoch
        )

    for total, epoch in ((100, 10), (60, 3)):
        rate(jnp.int32(1), jnp.int32(total), jnp.int32(epoch))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "linear"},
            "schedules are exponential, geometric, constant, cosine, step, onecycle",
        ),
        ({"name": "cosine", "warmup": 1.0}, "train.lr_warmup=1.0"),
        ({"name": "exponential", "warmup": 0.2}, "has no warm-up"),
        ({"name": "geometric", "warmup": 0.2}, "has no warm-up"),
        ({"name": "step", "milestones": (0,)}, "train.lr_milestones"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(InvError, match=message):
        schedules.make(learning_rate=RATE, **settings)
