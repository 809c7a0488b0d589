"""Three training steps of the original, unfrozen and frozen, array by array.

The fixtures can be exchanged for others of other sizes: every size is read from the arrays.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from inv_jax import params as params_lib
from inv_jax.geometry import ndc
from inv_jax.models import convert
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.sampling.rays import RayRows
from inv_jax.train import losses, optimizer, schedules
from inv_jax.train.mixture import PLAIN
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Batch, Rays


def _state_dicts(arrays, prefix: str) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for name in arrays.files:
        if name.startswith(prefix + "/"):
            _, network, layer = name.split("/")
            found.setdefault(network, {})[layer] = arrays[name]
    return found


def _model(state_dict, arrays, structure_layers: int = 3) -> Nerf:
    width, encoded = state_dict["pts_linears.0.weight"].shape
    depth = sum(name.startswith("pts_linears.") and name.endswith("bias") for name in state_dict)
    views = state_dict["views_linears.0.weight"].shape[1] - width
    return Nerf(
        NerfMlp(
            width=width,
            depth=depth,
            structure_layers=structure_layers,
            position_octaves=(encoded // 3 - 1) // 2,
            direction_octaves=(views // 3 - 1) // 2,
        ),
        coarse_samples=int(arrays["num_coarse"]),
        fine_samples=int(arrays["num_fine"]),
        density_noise=0.0,
    )


def _ndc_rays(arrays) -> Rays:
    origins, directions = jnp.asarray(arrays["origins"]), jnp.asarray(arrays["directions"])
    viewdirs = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    ones = jnp.ones_like(origins[:, :1])
    warped = ndc.warp_rays(
        origins,
        directions,
        focal=float(arrays["fx"]) * ones[:, 0],
        height=int(arrays["height"]),
        width=int(arrays["width"]),
    )
    return Rays(*warped, viewdirs, float(arrays["near"]) * ones, float(arrays["far"]) * ones)


@struct.dataclass
class _Given:
    """The batch of all steps, in place of views to draw from."""

    batch: Batch

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.batch.ids.shape[0], 1


class _AsGiven(RayRows):
    """Rays that are not drawn."""

    def sample(
        self, inputs, key, step, ids, rows_per_step, views, cameras, region="all", hardness=None
    ):
        return views.batch


@dataclasses.dataclass(frozen=True)
class _Deterministic(Nerf):
    """A `Nerf` that ignores the keys: the fixtures have no jitter."""

    @property
    def rows(self) -> RayRows:
        return _AsGiven()

    def predict(self, params, rays, *, keys=None):
        return super().predict(params, rays)


def _exported(params) -> dict[str, dict[str, np.ndarray]]:
    return convert.export_state_dicts(params_lib.nest(params_lib.flatten(params)))


def _names(state_dicts) -> set[tuple[str, str]]:
    return {(network, name) for network, state in state_dicts.items() for name in state}


def _spread(function, batch: Batch, reduce, draws: int = 16) -> dict[tuple[str, str], float]:
    """How far rounding the rays' origins moves each array that a function makes of a batch.

    A ReLU whose input is within rounding of zero has one gradient or the other, and Adam turns a
    gradient near zero into a whole step: in float64 the fine network's gradients differ from the
    original's as much as in float32.
    """
    exact = function(batch)
    spread = dict.fromkeys(_names(exact), 0.0)
    noise = np.random.default_rng(0)
    for _ in range(draws):
        origins = np.asarray(batch.inputs.origins)
        rounded = origins * (1 + noise.uniform(-(2.0**-23), 2.0**-23, origins.shape))
        moved = function(batch.replace(inputs=batch.inputs.replace(origins=jnp.float32(rounded))))
        for network, name in spread:
            error = reduce(np.abs(moved[network][name] - exact[network][name]))
            spread[network, name] = max(spread[network, name], float(error))
    return spread


@pytest.mark.parametrize("stage", ["warmup", "structure_transfer"])
@pytest.mark.parametrize("rows_per_pass", ["all", pytest.param("one", marks=pytest.mark.slow)])
def test_three_steps_equal_the_original(parity: pathlib.Path, stage: str, rows_per_pass: str):
    arrays = np.load(parity / "inv" / f"train_3steps_{stage}.npz")
    before = _state_dicts(arrays, "param")
    model = _Deterministic(
        **dataclasses.asdict(_model(before["fine"], arrays))
        | {"mlp": _model(before["fine"], arrays).mlp}
    )
    template = model.init(jax.random.key(0))
    params = convert.import_state_dicts(before, template)
    roles = model.roles.all if stage == "warmup" else model.roles.own
    trainable, frozen = params_lib.split(params, roles)
    rays = _ndc_rays(arrays)
    num_rays = rays.origins.shape[0]
    batch = Batch(rays, jnp.asarray(arrays["target"]), jnp.arange(num_rays))
    tx = optimizer.make_optimizer(params.keys(), float(arrays["clip_norm_per_network"]))
    stepper = Stepper(
        model=model,
        loss=losses.get("mse"),
        optimizer=tx,
        schedule=schedules.make("exponential", learning_rate=float(arrays["learning_rate"])),
        rows_per_step=num_rays,
        rows_per_pass=num_rays if rows_per_pass == "all" else 1,
    )
    num_steps = len(arrays["losses"])
    start = jnp.int32(0), Means.start(), jnp.int32(num_steps)
    state = TrainState(trainable, frozen, tx.init(trainable), jax.random.key(0), *start)

    # The gradient of the first step, before clipping.
    (kind,) = PLAIN.kinds
    differentiate = jax.jit(lambda part: stepper._gradients(kind, state, part, state.key, part)[0])
    gradients = lambda part: _exported(differentiate(part))  # noqa: E731
    expected, ours = _state_dicts(arrays, "grad"), gradients(batch)
    spread = _spread(gradients, batch, np.max)
    for network, name in sorted(_names(ours)):
        error = np.abs(ours[network][name] - expected[network][name]).max()
        scale = np.abs(expected[network][name]).max()
        assert error <= 1e-5 * scale + 3.0 * spread[network, name], (network, name)

    # Three steps. The first loss is that of the given params, the others of updated ones.
    step = jax.jit(stepper.step)

    def train(part: Batch) -> TrainState:
        trained = state
        for _ in range(num_steps):
            trained = step(trained, _Given(part), None)
        return trained

    running = np.cumsum(arrays["losses"]) / np.arange(1, num_steps + 1)
    np.testing.assert_allclose(step(state, _Given(batch), None).means.loss, running[0], rtol=1e-5)
    trained = train(batch)
    np.testing.assert_allclose(trained.means.loss, running[-1], rtol=1e-4)

    after, ours = _state_dicts(arrays, "after"), _exported(trained.params)
    frozen_names = _names(_exported(frozen))
    spread = _spread(lambda part: _exported(train(part).params), batch, np.mean)
    for network, name in sorted(_names(after)):
        if (network, name) in frozen_names:
            np.testing.assert_array_equal(ours[network][name], before[network][name])
            np.testing.assert_array_equal(after[network][name], before[network][name])
        error = np.abs(ours[network][name] - after[network][name]).mean()
        moved = np.abs(after[network][name] - before[network][name]).mean()
        assert error <= 1e-4 * moved + 3.0 * spread[network, name], (network, name)
