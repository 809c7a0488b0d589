"""Steps and renderings that the compiler has analysed, to hold what is counted against."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import trial
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.render.view import ViewRenderer
from inv_jax.train import losses, optimizer, parallel
from inv_jax.train.mixture import PLAIN, Mixture
from inv_jax.train.parallel import Devices
from inv_jax.train.step import Stepper


@pytest.fixture(scope="session")
def analyses() -> Callable[..., trial.Compiled]:
    """`(nerf, roles, rays, rows_per_pass)`: the compiler's analysis of that step, made once."""

    @functools.cache
    def analyse(
        nerf: Nerf, roles: tuple[str, ...], rays: int, rows_per_pass: int
    ) -> trial.Compiled:
        return make_trial(nerf, roles, rays, rows_per_pass).analysis

    return analyse


@pytest.fixture(scope="session")
def tiny_trial() -> Callable[..., trial.Trial]:
    return make_trial


def make_trial(
    nerf: Nerf,
    roles: tuple[str, ...],
    rays: int,
    rows_per_pass: int,
    mixture: Mixture = PLAIN,
) -> trial.Trial:
    devices = Devices(jax.devices()[:1])
    networks = jax.eval_shape(nerf.init, jax.random.key(0)).keys()
    stepper = Stepper(
        nerf,
        losses.get("mse"),
        optimizer.make_optimizer(networks, 2.0),
        lambda step, total, steps_per_epoch: jnp.float32(1e-3),
        rows_per_step=rays,
        rows_per_pass=rows_per_pass,
        axis=parallel.AXIS,
    )
    frame, cameras = devices.replicate(trial.random_views(2, 24, 32))
    return trial.Trial(stepper, devices, roles, frame, cameras, mixture)


@pytest.fixture(scope="session")
def chunk_analysis() -> Callable[..., trial.Compiled]:
    """`(nerf, rays)`: the compiler's analysis of rendering that many rays at once."""

    def analyse(nerf: Nerf, rays: int) -> trial.Compiled:
        devices = Devices(jax.devices()[:1])
        _, cameras = trial.random_views(1, rays, 1)
        renderer = ViewRenderer(nerf, devices, rays)
        placed = renderer.params(nerf.init(jax.random.key(0)))
        where = devices.replicate((cameras, np.int32(0), np.float32(0)))
        lowered = renderer._chunk.lower(placed, *where, np.zeros((1, rays), np.int32))
        return trial.analysis(lowered, lowered.compile())

    return analyse


BOTH = (params_lib.STRUCTURE, params_lib.COLOR)
SMALL = Nerf(NerfMlp(width=64, depth=4, skip_layer=2), coarse_samples=32, fine_samples=16)
HEADS = Nerf(
    NerfMlp(width=96, depth=5, structure_heads=("density", "rgb")),
    coarse_samples=24,
    fine_samples=24,
)
FULL = Nerf(NerfMlp())


@pytest.fixture(
    params=[
        pytest.param((SMALL, BOTH), id="width 64, all"),
        pytest.param((SMALL, (params_lib.STRUCTURE,)), id="width 64, structure"),
        pytest.param((HEADS, (params_lib.STRUCTURE,)), id="heads", marks=pytest.mark.slow),
        pytest.param((FULL, BOTH), id="full, all", marks=pytest.mark.slow),
        pytest.param((FULL, (params_lib.STRUCTURE,)), id="full", marks=pytest.mark.slow),
    ]
)
def case(request) -> tuple[Nerf, tuple[str, ...]]:
    """A model and the roles that train."""
    return request.param
