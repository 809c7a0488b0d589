"""Numbers as people read them."""

import pytest

from inv_jax.cost import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(12, "12 bytes"), (2048, "2 KiB"), (82_255_680, "78.4 MiB"), (1023 * 2**20, "1023 MiB")],
)
def test_sizes(value, text):
    assert words.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(593.3e9, "593 GFLOP"), (4.12e12, "4.12 TFLOP"), (7, "7 FLOP")]
)
def test_quantities(value, text):
    assert words.quantity(value, "FLOP") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00512, "5.12 ms"),
        (3.07, "3.07 s"),
        (59.99, "1 min 0 s"),
        (460, "7 min 40 s"),
        (43_500, "12 h 5 min"),
        (800_000, "9 days 6 h"),
    ],
)
def test_durations(seconds, text):
    assert words.duration(seconds) == text
