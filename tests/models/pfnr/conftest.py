"""A decoder of clips that is tiny, and shapes of params."""

import dataclasses
from collections.abc import Callable

import jax
import pytest

from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import Nerv
from inv_jax.models.pfnr import Pfnr
from inv_jax.types import Params


@pytest.fixture(scope="session")
def published() -> Pfnr:
    """WSN of eight sessions at 720p."""
    return Pfnr(Nerv(TimeWaves.of("1.25_40"), channels=112), sessions=8)


@pytest.fixture(scope="session")
def tiny() -> Pfnr:
    """Two blocks, of pictures of 12x18; all that there may be: operator, biases, fresh scores."""
    decoder = Nerv(
        TimeWaves.of("1.25_4"),
        stem_width=7,
        grid=(2, 3),
        channels=5,
        strides=(3, 2),
        expansion=1.5,
        lower_width=4,
    )
    return Pfnr(decoder, capacity=0.5, sessions=3, bias=True, reinit=True, operator=1)


@pytest.fixture(scope="session")
def small() -> Pfnr:
    """The WSN of `configs/nerv.py:small`: 160x90, 600,000 params."""
    decoder = Nerv(
        TimeWaves.of("1.25_40"), stem_width=128, channels=24, strides=(5, 2), lower_width=24
    )
    return Pfnr(decoder)


@pytest.fixture(scope="session")
def shapes_of() -> Callable[..., Params]:
    """`shapes_of(model, **changes)`: the params of the changed model, without numbers."""
    return lambda model, **changes: jax.eval_shape(
        dataclasses.replace(model, **changes).init, jax.random.key(0)
    )
