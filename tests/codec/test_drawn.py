"""Random numbers without JAX are those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.codec import drawn

_SHAPES = (("stem", (40, 30)), ("block", (3, 3, 5, 7)), ("fourier", (900,)))


def _words(seed: int) -> list[int]:
    return jax.random.key_data(jax.random.key(seed)).tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 5])
def test_bits_are_those_of_jax(seed):
    wanted = np.asarray(jax.random.bits(jax.random.key(seed), (1000,), jnp.uint32))
    np.testing.assert_array_equal(drawn.bits(_words(seed), 0, 1000), wanted)
    np.testing.assert_array_equal(drawn.bits(_words(seed), 700, 300), wanted[700:])


def test_classes_say_how_high_a_uniform_number_is(monkeypatch):
    monkeypatch.setattr(drawn, "_AT_ONCE", 256)
    sizes = [int(np.prod(shape)) for _, shape in _SHAPES]
    numbers = jax.random.uniform(jax.random.key(3), (sum(sizes),), minval=-1.0, maxval=1.0)
    found = drawn.classes(_words(3), _SHAPES, [True, True, False])
    parts = np.split(np.asarray(numbers, np.float64), np.cumsum(sizes)[:-1])
    for (path, shape), part in zip(_SHAPES, parts, strict=True):
        height = (part + 1) / 2 if path == "fourier" else np.abs(part)
        assert found[path].shape == shape and found[path].dtype == np.uint8
        np.testing.assert_array_equal(found[path].ravel(), np.floor(height * drawn.CLASSES))
        assert set(found[path].ravel().tolist()) == set(range(drawn.CLASSES))


def test_counters_go_beyond_32_bits():
    found = drawn.bits(_words(0), 2**32 - 2, 4)
    np.testing.assert_array_equal(found[:2], drawn.bits(_words(0), 2**32 - 2, 2))
    assert not (found[2:] == drawn.bits(_words(0), 0, 2)).any()
