"""Sessions of one decoder: their params, what they show, and what they leave alone."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models import convolution, pfnr_block, selection, spectral
from inv_jax.models.pfnr import HEAD, MASK, NETWORK, SCORES, SESSION, TAKEN, WEIGHTS
from inv_jax.sampling.views import VIEWS
from inv_jax.train import losses, optimizer
from inv_jax.types import Batch, Cameras, Params, Places

TIMES = jnp.asarray([0.0, 0.5])
TRAINED = WEIGHTS, SCORES, HEAD


def num(params: Params, *roles: str) -> int:
    leaves = params_lib.flatten(params).items()
    return sum(math.prod(x.shape) for path, x in leaves if path.split("/")[1] in roles)


def leaves_of(params: Params, role: str) -> dict[str, jax.Array]:
    """By layer and leaf."""
    return params_lib.flatten(params[NETWORK][role])


def test_published_sizes(published, shapes_of):
    def total(**changes) -> int:
        params = shapes_of(published, **changes)
        heads = changes.get("sessions", published.sessions) * num(params, HEAD)
        assert num(params, SCORES) == num(params, WEIGHTS) == num(params, MASK)
        return num(params, WEIGHTS) + heads

    assert total() == 12_546_560
    assert total(sessions=17) == 12_549_152
    assert total(operator=1, composition="replace") == 50_006_528
    assert total(operator=1) == 50_006_528 + 387_072
    assert total(operator=2, composition="replace") == 12_546_560 - 331_776 + 132_710_400
    params = shapes_of(published, operator=1, composition="concat", operator_channels=16)
    kernel = params[NETWORK][WEIGHTS]["block_1"]["kernel"]
    assert kernel.shape == (3, 3, 112, 80 * 4)
    assert params[NETWORK][WEIGHTS]["fourier_1"]["imag_0"].shape == (112, 16, 22, 40)


def test_a_first_session_has_a_mask_and_nothing_is_taken(tiny):
    params = tiny.init(jax.random.key(0))
    assert list(params) == [NETWORK]
    roles = tiny.roles
    assert {*params[NETWORK]} == {*roles.own, *roles.shared, *roles.indices, *roles.carried}
    weights = leaves_of(params, WEIGHTS)
    names = {
        f"{layer}/{leaf}"
        for layer in ("stem_0", "stem_1", "block_0", "block_1")
        for leaf in ("kernel", "bias")
    }
    assert weights.keys() == names | {f"fourier_1/{leaf}" for leaf in spectral.LEAVES}
    kinds = {WEIGHTS: np.float32, SCORES: np.float32, MASK: np.bool_, TAKEN: np.bool_}
    for role, kind in kinds.items():
        leaves = leaves_of(params, role)
        assert {p: x.shape for p, x in leaves.items()} == {p: x.shape for p, x in weights.items()}
        assert all(leaf.dtype == kind for leaf in leaves.values())
    for path, mask in leaves_of(params, MASK).items():
        values = np.asarray(leaves_of(params, SCORES)[path])
        values = values if path.startswith("fourier") else np.abs(values)
        assert mask.sum() == selection.count(mask.size, 0.5)
        assert values[mask].min() > values[~mask].max()
    assert not any(leaf.any() for leaf in leaves_of(params, TAKEN).values())
    number = params[NETWORK][SESSION]["code"]["number"]
    assert (number.shape, number.dtype, int(number)) == ((), jnp.int32, 0)
    assert {*params[NETWORK][HEAD]} == {"head_1"}
    for name, bound in {
        "stem_1/kernel": 7,
        "stem_1/bias": 7,
        "block_0/kernel": 45,
        "fourier_1/real_0": 4 * 3 * 4,
    }.items():
        for role in (WEIGHTS, SCORES):
            largest = np.abs(leaves_of(params, role)[name]).max() * np.sqrt(bound)
            assert 0.8 < largest <= 1.0, name


def test_the_next_session_takes_what_was_used(tiny):
    for reinit in (True, False):
        model = dataclasses.replace(tiny, reinit=reinit)
        begin = jax.jit(model.next_segment)
        first = model.init(jax.random.key(0))
        second = begin(first, jax.random.key(1))
        third = begin(second, jax.random.key(2))
        for before, after in ((first, second), (second, third)):
            jax.tree.map(
                np.testing.assert_array_equal, before[NETWORK][WEIGHTS], after[NETWORK][WEIGHTS]
            )
            for path, taken in leaves_of(after, TAKEN).items():
                used = leaves_of(before, TAKEN)[path] | leaves_of(before, MASK)[path]
                np.testing.assert_array_equal(taken, used)
            kept = [
                (leaves_of(before, SCORES)[path] == leaf).all()
                for path, leaf in leaves_of(after, SCORES).items()
            ]
            assert (not any(kept)) if reinit else all(kept)
            head = [x[NETWORK][HEAD]["head_1"]["kernel"] for x in (before, after)]
            assert not np.allclose(*head)
            mask = jax.tree.leaves(after[NETWORK][MASK])
            same = jax.tree.leaves(jax.jit(model.derived)(after)[NETWORK][MASK])
            jax.tree.map(np.testing.assert_array_equal, mask, same)
        assert int(third[NETWORK][SESSION]["code"]["number"]) == 2
        jax.tree.map(lambda a, b: np.testing.assert_(a.dtype == b.dtype), first, third)


def _trained(model, params: Params, steps: int) -> Params:
    """Params behind some steps on noise."""
    plain = optimizer.make_optimizer([NETWORK], 1.0, "adam", {"b1": 0.5, "weight_decay": 0.1})
    held = model.around(plain)
    target = jax.random.uniform(jax.random.key(5), (1, *model.size, 3))

    @jax.jit
    def step(params, state):
        trained, rest = params_lib.halves(model.derived(params), TRAINED)

        def loss_of(trained):
            keys = jax.random.split(jax.random.key(0), 1)
            shown = model.predict(params_lib.merge(trained, rest), TIMES[:1], keys=keys)
            return losses.get("l2")(shown, Batch(TIMES[:1], target, jnp.arange(1)))

        updates, state = held.update(jax.grad(loss_of)(trained), state, trained, frozen=rest)
        trained = jax.tree.map(lambda p, u: p - 1e-2 * u, trained, updates)
        return params_lib.merge(trained, rest), state

    state = held.init(params_lib.halves(params, TRAINED)[0])
    for _ in range(steps):
        params, state = step(params, state)
    return params


def test_what_a_session_showed_is_shown_to_the_bit_after_the_next(tiny):
    show = jax.jit(tiny.predict)
    first = _trained(tiny, tiny.init(jax.random.key(0)), 4)
    before = show(first, TIMES)["head_1"].rgb
    second = _trained(tiny, jax.jit(tiny.next_segment)(first, jax.random.key(1)), 4)
    now = {NETWORK: {**first[NETWORK], WEIGHTS: second[NETWORK][WEIGHTS]}}
    np.testing.assert_array_equal(show(now, TIMES)["head_1"].rgb, before)
    moved = 0
    for path, weight in leaves_of(second, WEIGHTS).items():
        taken = leaves_of(second, TAKEN)[path]
        same = weight == leaves_of(first, WEIGHTS)[path]
        assert same[taken].all(), path
        moved += (~same).sum()
    assert moved > 100
    for path, score in leaves_of(second, SCORES).items():  # those of what is taken move, too
        taken = leaves_of(second, TAKEN)[path] & leaves_of(second, MASK)[path]
        assert (score != leaves_of(first, SCORES)[path])[taken].all()
    # Without its own mask, head or number it is another picture.
    for role in (MASK, HEAD, SESSION):
        other = {NETWORK: {**now[NETWORK], role: second[NETWORK][role]}}
        assert not np.allclose(show(other, TIMES)["head_1"].rgb, before)


def test_what_is_shown_needs_no_scores_and_is_the_same_in_training(tiny):
    params = tiny.init(jax.random.key(0))
    stored = {NETWORK: {r: x for r, x in params[NETWORK].items() if r not in (SCORES, TAKEN)}}
    shown = jax.jit(tiny.predict)(stored, TIMES)["head_1"].rgb
    assert shown.shape == (2, 12, 18, 3)
    assert (shown >= 0).all() and (shown <= 1).all() and shown.std() > 0
    keys = jax.random.split(jax.random.key(0), 2)
    again = jax.jit(lambda params: tiny.predict(params, TIMES, keys=keys))(params)
    np.testing.assert_allclose(again["head_1"].rgb, shown, rtol=1e-6)


def test_compositions_are_of_convolution_and_operator(tiny):
    x = jax.random.normal(jax.random.key(1), (2, 7, 6, 9))

    def of(composition: str, channels: int = 0):
        model = dataclasses.replace(tiny, composition=composition, operator_channels=channels)

        @jax.jit
        def all_of(params):
            layers, planes = model.used(params), convolution.from_nchw(x)
            made = convolution.to_nchw(model.through(layers, 1, planes))
            convolved = None
            if "block_1" in layers:
                convolved = model.decoder.enlarged(layers["block_1"], 1, planes)
                convolved = convolution.to_nchw(convolved)
            return made, convolved, spectral.apply(x, layers["fourier_1"], 2)

        return all_of(model.init(jax.random.key(0)))

    compositions = {"sum": 0, "replace": 0, "concat": 3}
    assert (*compositions,) == pfnr_block.COMPOSITIONS
    for composition, channels in compositions.items():
        made, convolved, mixed = of(composition, channels)
        expected = {
            "sum": lambda: convolved + mixed,  # noqa: B023
            "replace": lambda: mixed,  # noqa: B023
            "concat": lambda: np.concatenate([convolved, mixed], axis=1),  # noqa: B023
        }[composition]()
        assert made.shape == (2, 4, 12, 18)
        np.testing.assert_allclose(made, jax.nn.silu(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("upsampling", ["deconv", "bilinear"])
def test_other_blocks_and_more_heads_show_pictures(upsampling, tiny):
    decoder = dataclasses.replace(
        tiny.decoder, upsampling=upsampling, num_blocks=2, single_res=False
    )
    model = dataclasses.replace(
        tiny, decoder=decoder, composition="concat", operator_channels=2, operator=2
    )
    shown = jax.jit(model.predict)(model.init(jax.random.key(0)), TIMES)
    assert {n: one.rgb.shape for n, one in shown.items()} == {
        "head_0": (2, 6, 9, 3),
        "head_1": (2, 12, 18, 3),
    }


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_lower_precision_shows_about_the_same(precision, tiny):
    rough = dataclasses.replace(
        tiny, decoder=dataclasses.replace(tiny.decoder, precision=precision)
    )
    assert rough.precision == precision
    params = tiny.init(jax.random.key(0))
    exact, found = (jax.jit(m.predict)(params, TIMES)["head_1"].rgb for m in (tiny, rough))
    np.testing.assert_allclose(found, exact, atol=0.02)


def test_a_row_is_a_view_and_its_input_the_time(tiny):
    assert tiny.rows is VIEWS
    cameras = Cameras(
        jnp.zeros((1, 3, 4)), jnp.zeros((1, 3, 3)), near=0.0, far=1.0, height=12, width=18
    )
    places = Places(cams=jnp.zeros(2, jnp.int32), times=TIMES)
    np.testing.assert_array_equal(tiny.inputs(cameras, places), TIMES)
