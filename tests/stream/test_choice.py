import itertools

import numpy as np
import pytest

from inv_jax.stream.choice import Chooser, Throughput

NEEDS = [250e3, 1.5e6, 9e6]


def _levels(throughput, *, buffered=4.0, full=8.0, start=0):
    chooser = Chooser(start)
    return [chooser.choose(NEEDS, bits, buffered, full) for bits in throughput]


def test_it_begins_with_the_least():
    assert _levels([1e9])[0] == 0


def test_it_climbs_one_level_at_a_time_while_the_network_carries_it():
    levels = _levels([1e9] * 20)
    assert levels[-1] == 2
    assert max(np.diff(levels)) == 1


@pytest.mark.parametrize("bits", [1e5, 1e6, 2e6, 5e6, 9e6, 12e6])
def test_no_level_needs_more_than_there_is_with_reserve(bits):
    levels = _levels([bits] * 30)
    assert all(level == 0 or NEEDS[level] <= 0.7 * bits for level in levels)


@pytest.mark.parametrize("middle", [1.6e6, 2.2e6, 9.5e6, 13e6])
def test_noise_does_not_make_it_oscillate(middle):
    noise = np.random.default_rng(0).uniform(0.85, 1.15, 200)
    levels = _levels(middle * noise)
    assert sum(a != b for a, b in itertools.pairwise(levels)) <= 2


def test_it_goes_down_at_once_when_the_buffer_runs_out():
    chooser = Chooser(2)
    assert chooser.choose(NEEDS, 2e6, buffered=7.0, full=8.0) == 2
    assert chooser.choose(NEEDS, 2e6, buffered=1.0, full=8.0) == 1
    assert chooser.choose(NEEDS, 1e5, buffered=1.0, full=8.0) == 0


def test_little_in_the_buffer_asks_for_more_reserve():
    assert _levels([2.5e6] * 10, buffered=0.2)[-1] == 0
    assert _levels([5e6] * 10, buffered=0.2)[-1] == 1


def test_throughput_falls_faster_than_it_rises():
    throughput = Throughput()
    assert throughput.bits_per_second == 0.0
    for _ in range(40):
        throughput.add(250_000, 1.0)
    assert throughput.bits_per_second == pytest.approx(2e6)
    throughput.add(50_000, 2.0)
    after_drop = throughput.bits_per_second
    assert after_drop < 1.2e6
    throughput.add(500_000, 2.0)
    assert throughput.bits_per_second < 2e6
