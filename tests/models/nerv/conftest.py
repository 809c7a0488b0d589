"""The published decoder, one that is tiny, and cameras for them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import Nerv
from inv_jax.types import Cameras, Params


@pytest.fixture(scope="session")
def published() -> Nerv:
    """NeRV-S."""
    return Nerv(TimeWaves.of("1.25_40"))


@pytest.fixture(scope="session")
def tiny() -> Nerv:
    """Two blocks, of pictures of 12x18."""
    return Nerv(
        TimeWaves.of("1.25_4"),
        stem_width=7,
        grid=(2, 3),
        channels=5,
        strides=(3, 2),
        expansion=1.5,
        lower_width=4,
    )


@pytest.fixture(scope="session")
def shapes_of() -> Callable[[Nerv], Params]:
    """`shapes_of(model)`: its params, without numbers."""
    return lambda model: jax.eval_shape(model.init, jax.random.key(0))


@pytest.fixture(scope="session")
def make_cameras() -> Callable[..., Cameras]:
    """`make_cameras(height, width, num_cams)`: cameras of which nothing but their size matters."""

    def make(height: int, width: int, num_cams: int = 1) -> Cameras:
        return Cameras(
            jnp.zeros((num_cams, 3, 4)),
            jnp.zeros((num_cams, 3, 3)),
            near=jnp.float32(0),
            far=jnp.float32(1),
            height=height,
            width=width,
        )

    return make
