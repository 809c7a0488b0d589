"""One step, and many in one dispatch: what they change, what they cost, what they report."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build, captures
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.mixture import Kind, Mixture
from inv_jax.train.parallel import Devices
from inv_jax.train.state import WINDOW, Means, TrainState
from inv_jax.train.step import Stepper

_STRUCTURE, _BOTH = (params_lib.STRUCTURE,), (params_lib.STRUCTURE, params_lib.COLOR)
_WIDTH, _DEPTH, _RAYS, _COARSE, _FINE = 64, 3, 32, 4, 4
_TOTAL = 1000  # steps of the segment


@dataclasses.dataclass(frozen=True)
class _Bench:
    """A stepper outside of any device map, with a frame and cameras to step on."""

    stepper: Stepper
    frame: object
    cameras: object

    def state(self, roles=_BOTH, previous: TrainState | None = None) -> TrainState:
        params = self.stepper.model.init(jax.random.key(3)) if previous is None else previous.params
        trainable, frozen = params_lib.split(params, roles)
        opt_state = optimizer_lib.init_state(
            self.stepper.optimizer, trainable, None if previous is None else previous.opt_state
        )
        key, start = jax.random.key(1), (jnp.int32(0), Means.start(), jnp.int32(_TOTAL))
        return TrainState(trainable, frozen, opt_state, key, *start)

    def compile(self, roles=_BOTH, rows_per_pass: int = _RAYS):
        stepper = dataclasses.replace(self.stepper, rows_per_pass=rows_per_pass)
        return jax.jit(stepper.step).lower(self.state(roles), self.frame, self.cameras).compile()

    @functools.cached_property
    def frozen_program(self):
        return self.compile(_STRUCTURE)

    @functools.cached_property
    def full_program(self):
        return self.compile()

    @functools.cached_property
    def run(self) -> Callable[[TrainState, int], TrainState]:
        program = jax.jit(self.stepper.run)
        return lambda state, count: program(state, self.frame, self.cameras, jnp.int32(count))

    def bind(self, program) -> Callable[[TrainState], TrainState]:
        return lambda state: program(state, self.frame, self.cameras)


@pytest.fixture(scope="module")
def bench(tiny_config) -> _Bench:
    config = tiny_config(
        {
            "model.width": _WIDTH,
            "model.depth": _DEPTH,
            "model.coarse_samples": _COARSE,
            "model.fine_samples": _FINE,
            "train.rows_per_step": _RAYS,
            "train.rows_per_pass": _RAYS,
        }
    )
    nerf = build.model(config)
    stepper = build.stepper(config, nerf, Devices(jax.devices()[:1]))
    capture = captures.of(config, pathlib.Path())
    cams = np.array(capture.train_cams)
    frame = capture.load(1)
    return _Bench(
        stepper=dataclasses.replace(stepper, axis=None),
        frame=frame.replace(images=frame.images[cams]),
        cameras=capture.cameras.take(cams),
    )


def _assert_same_bits(left, right) -> None:
    left, right = params_lib.flatten(left), params_lib.flatten(right)
    assert left.keys() == right.keys()
    for path, leaf in left.items():
        np.testing.assert_array_equal(_host(leaf), _host(right[path]), err_msg=path)


def _host(leaf) -> np.ndarray:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


# Freezing.


def test_structure_transfer_moves_the_structure_and_leaves_color_equal_to_the_bit(bench):
    state = bench.bind(bench.full_program)(bench.state())  # so that color would have momentum
    state = before = bench.state(_STRUCTURE, previous=state)
    step = bench.bind(bench.frozen_program)
    for _ in range(3):
        state = step(state)
    old, new = params_lib.flatten(before.params), params_lib.flatten(state.params)
    for path in old:
        is_equal = np.array_equal(old[path], new[path])
        assert is_equal == (params_lib.role_of(path) == params_lib.COLOR), path


def test_frozen_params_have_no_optimizer_moments(bench):
    warm = bench.state()
    frozen = bench.state(_STRUCTURE, previous=warm)
    structure = [p for p in params_lib.flatten(warm.params) if params_lib.STRUCTURE in p]
    assert structure

    def with_role(state: TrainState, role: str) -> list[str]:
        return [path for path in params_lib.flatten(state.opt_state) if role in path.split("/")]

    assert with_role(warm, params_lib.COLOR)
    assert not with_role(frozen, params_lib.COLOR)
    assert len(with_role(frozen, params_lib.STRUCTURE)) == 2 * len(structure)  # mu and nu


def test_moments_of_the_structure_carry_on_when_color_freezes(bench):
    warm = bench.bind(bench.full_program)(bench.state())
    frozen = bench.state(_STRUCTURE, previous=warm)
    old, new = (params_lib.flatten(state.opt_state) for state in (warm, frozen))
    moments = [path for path in new if params_lib.STRUCTURE in path.split("/")]
    assert any(np.any(old[path] != 0) for path in moments)
    for path in moments:
        np.testing.assert_array_equal(new[path], old[path], err_msg=path)
    counts = [int(leaf) for path, leaf in new.items() if path.endswith("count")]
    assert counts == [1, 1]  # of the coarse and of the fine network


def test_a_frozen_step_saves_what_the_gradients_of_the_color_layers_cost(bench):
    """Multiply-adds count as two; nothing is in a loop, whose body would be counted once.

    By hand, for the color layers of both networks: the gradient of a kernel at n points is a
    product of 2 n in out; of a bias n out. `feature` and `views_0` are multiplied first, so there
    is one such product for both, and two of the kernels' size behind it. The direction's part of
    `views_0` is one product a ray. Clipping and Adam take about 20 for each param.
    """
    shapes = bench.stepper.model.mlp.layer_shapes()
    points = _RAYS * (_COARSE + _COARSE + _FINE)
    half, directions = _WIDTH // 2, shapes["views_0"][0] - _WIDTH
    color = [shapes[name] for name in ("layer_1", "layer_2", "density", "rgb")]
    kernels = sum(2 * points * fan_in * out for fan_in, out in color)
    kernels += 2 * points * _WIDTH * half + 2 * 2 * (2 * _WIDTH * _WIDTH * half)
    kernels += 2 * 2 * _RAYS * directions * half
    biases = points * (sum(out for _, out in color) + half)
    params = bench.state().params
    num_params = sum(x.size for x in jax.tree.leaves(params_lib.select(params, {"color"})))
    expected = kernels + biases + 20 * num_params

    full, frozen = (
        program.cost_analysis()["flops"] for program in (bench.full_program, bench.frozen_program)
    )
    assert frozen < full
    np.testing.assert_allclose(full - frozen, expected, rtol=0.1)


# Passes and dispatches.


@pytest.mark.parametrize("rows_per_pass", [1, 4])
def test_a_step_in_passes_is_the_same_step_to_rounding(bench, rows_per_pass):
    whole = bench.bind(bench.full_program)(bench.state())
    parts = bench.bind(bench.compile(rows_per_pass=rows_per_pass))(bench.state())
    np.testing.assert_allclose(parts.means.loss, whole.means.loss, rtol=1e-5)
    np.testing.assert_allclose(parts.means.mse, whole.means.mse, rtol=1e-5)
    # Adam's first moment is the clipped gradient, scaled; no division by itself hides its size.
    expected, found = (params_lib.flatten(state.opt_state) for state in (whole, parts))
    for path in expected:
        if "mu" in path.split("/"):
            scale = np.abs(expected[path]).max()
            np.testing.assert_allclose(
                found[path], expected[path], atol=1e-5 * scale, rtol=1e-4, err_msg=path
            )


def test_steps_may_be_cut_into_dispatches_anywhere(bench):
    whole = bench.run(bench.state(), 8)
    parts = bench.run(bench.run(bench.state(), 5), 3)
    assert int(whole.step) == int(parts.step) == 8
    _assert_same_bits(whole, parts)


def test_a_network_that_every_kind_trains_costs_nothing_to_keep(bench):
    """The program of such a step is that of a plain one, to the operation."""

    def program(mix) -> str:
        def step(state, frame, cameras):
            done = bench.stepper.step(state.replace(mix=mix), frame, cameras)
            return done.trainable, done.opt_state, done.means

        return str(jax.make_jaxpr(step)(bench.state(), bench.frame, bench.cameras))

    def of_kinds(*networks: tuple[str, ...]) -> str:
        kinds = tuple(Kind(networks=names) for names in networks)
        return program(Mixture(kinds, ((1.0, (1 / len(kinds),) * len(kinds)),)).over(10))

    both = ("coarse", "fine")
    assert of_kinds(both) == program(None)
    assert of_kinds(both, ("coarse",)).count("_where") > of_kinds(both, both).count("_where")


def test_no_steps_change_nothing(bench):
    state = bench.state()
    _assert_same_bits(bench.run(state, 0), state)


def test_a_step_depends_on_its_number(bench):
    start = bench.state()
    first, later = (bench.run(start.replace(step=jnp.int32(step)), 1) for step in (0, 1))
    assert float(first.means.loss) != float(later.means.loss)  # other rays, other noise


def test_loss_goes_down(bench):
    early = bench.run(bench.state(), 5)
    late = bench.run(early, 300)
    assert float(late.means.mse) < 0.5 * float(early.means.mse)


# Running means.


def test_running_mean_is_plain_at_first_then_exponential():
    losses = np.random.default_rng(0).uniform(size=WINDOW + 2).astype(np.float32)
    progress = Means.start()
    means = []
    for step, loss in enumerate(losses):
        progress = progress.update(
            jnp.int32(step), jnp.float32(loss), jnp.float32(2 * loss), jnp.bool_(True)
        )
        means.append(float(progress.loss))
    plain = np.cumsum(losses)[:WINDOW] / np.arange(1, WINDOW + 1)
    np.testing.assert_allclose(means[:WINDOW], plain, rtol=1e-5)
    for step in (WINDOW, WINDOW + 1):
        expected = means[step - 1] + (losses[step] - means[step - 1]) / WINDOW
        assert means[step] == pytest.approx(expected, rel=1e-5)
    assert float(progress.mse) == pytest.approx(2 * means[-1], rel=1e-5)


def test_bad_step_is_the_first_step_whose_loss_is_not_finite():
    progress = Means.start()
    for step, loss in enumerate([0.5, 0.4, np.inf, 0.4, np.nan]):
        assert int(progress.bad_step) == (2 if step > 2 else -1)
        finite = jnp.isfinite(jnp.float32(loss))
        progress = progress.update(jnp.int32(step), jnp.float32(loss), jnp.float32(0), finite)
    assert int(progress.bad_step) == 2


def test_a_dispatch_reports_the_step_that_went_wrong(bench):
    state = bench.run(bench.state(), 2)
    assert int(state.means.bad_step) == -1
    broken = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), state.trainable)
    assert int(bench.run(state.replace(trainable=broken), 3).means.bad_step) == 2
