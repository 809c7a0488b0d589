"""Adam by the textbook, clipped network by network, and what survives a change of roles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.train import optimizer as optimizer_lib

NETWORKS = ("coarse", "fine")
CLIP = 2.0


def random_tree(seed: int, scale: float = 1.0):
    """One layer of each role in both networks; gradients of `fine` are the smaller ones."""
    rng = np.random.default_rng(seed)
    make = lambda *shape: scale * rng.normal(size=shape)  # noqa: E731
    tree = {
        network: {
            "structure": {"layer_0": {"kernel": make(2, 3), "bias": make(3)}},
            "color": {"rgb": {"kernel": make(3, 2), "bias": make(2)}},
        }
        for network in NETWORKS
    }
    tree["fine"] = jax.tree.map(lambda x: 0.1 * x, tree["fine"])
    return tree


def loop_adam(gradients: list[dict], paths: set[str]) -> list[dict]:
    """Updates of unit scale (Kingma and Ba 2015, algorithm 1), after clipping each network."""
    first, second, updates = {}, {}, []
    for step, tree in enumerate(gradients, start=1):
        flat = {path: g for path, g in params_lib.flatten(tree).items() if path in paths}
        update = {}
        for path, g in flat.items():
            network = path.split("/")[0]
            squares = [np.sum(x**2) for p, x in flat.items() if p.split("/")[0] == network]
            norm = np.sqrt(sum(squares))
            clipped = g * min(1.0, CLIP / norm)
            first[path] = 0.9 * first.get(path, 0.0) + 0.1 * clipped
            second[path] = 0.999 * second.get(path, 0.0) + 0.001 * clipped**2
            mean = first[path] / (1 - 0.9**step)
            variance = second[path] / (1 - 0.999**step)
            update[path] = mean / (np.sqrt(variance) + 1e-8)
        updates.append(update)
    return updates


def paths_of(*roles: str) -> set[str]:
    return {
        path for path in params_lib.flatten(random_tree(0)) if params_lib.role_of(path) in roles
    }


def run(gradients: list[dict], roles, state=None):
    """Our updates, step by step, and the state after the last."""
    tx = optimizer_lib.make_optimizer(NETWORKS, CLIP)
    select = lambda tree: params_lib.select(jax.tree.map(jnp.asarray, tree), roles)  # noqa: E731
    state = tx.init(select(gradients[0])) if state is None else state
    updates, step = [], jax.jit(tx.update)
    for tree in gradients:
        update, state = step(select(tree), state)
        updates.append(params_lib.flatten(update))
    return updates, state


def moments(state) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf) for path, leaf in params_lib.flatten(state).items()}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("roles", [("structure",), ("structure", "color")])
def test_updates_equal_the_textbook(roles):
    # Norms on both sides of the clip: of one network clipped, of the other not, and so on.
    gradients = [
        random_tree(seed, scale) for seed, scale in enumerate((1.0, 30.0, 0.01, 5.0, 1e-9))
    ]
    ours, _ = run(gradients, roles)
    for update, expected in zip(ours, loop_adam(gradients, paths_of(*roles)), strict=True):
        assert set(update) == set(expected)
        for path, value in expected.items():
            np.testing.assert_allclose(update[path], value, rtol=1e-9, err_msg=path)


def test_one_networks_large_gradient_does_not_shrink_the_others():
    large = random_tree(0)
    large["coarse"] = jax.tree.map(lambda x: 1e6 * x, large["coarse"])
    gradients = [random_tree(1), large, random_tree(2)]
    calm = [random_tree(1), random_tree(0), random_tree(2)]
    ours, expected = run(gradients, ("structure",))[0], run(calm, ("structure",))[0]
    for path, value in expected[-1].items():
        same = np.allclose(ours[-1][path], value, rtol=1e-9)
        assert same == path.startswith("fine")


def test_first_step_has_unit_size_whatever_the_gradients_scale():
    for scale in (1e-2, 1.0, 1e4):
        (update,), _ = run([random_tree(0, scale)], ("structure", "color"))
        for path, value in update.items():
            sign = np.sign(params_lib.flatten(random_tree(0))[path])
            np.testing.assert_allclose(value, sign, rtol=1e-3)


def test_frozen_leaves_have_no_state_and_do_not_clip():
    _, state = run([random_tree(0)], ("structure",))
    arrays = moments(state)
    assert not any("color" in path for path in arrays)
    # A count for each network, and two moments for each trainable leaf.
    assert len(arrays) == len(NETWORKS) + 2 * len(paths_of("structure"))
    huge = random_tree(0)
    for network in NETWORKS:
        huge[network]["color"] = jax.tree.map(lambda x: 1e9 * x, huge[network]["color"])
    _, same = run([huge], ("structure",))
    jax.tree.map(np.testing.assert_array_equal, state, same)


def test_a_frame_goes_on_with_the_moments_of_the_one_before():
    gradients = [random_tree(seed) for seed in range(4)]
    whole, _ = run(gradients, ("structure",))
    _, state = run(gradients[:2], ("structure",))
    tx = optimizer_lib.make_optimizer(NETWORKS, CLIP)
    trainable = params_lib.select(jax.tree.map(jnp.asarray, random_tree(9)), ("structure",))
    carried = optimizer_lib.init_state(tx, trainable, state)
    jax.tree.map(np.testing.assert_array_equal, carried, state)
    later, _ = run(gradients[2:], ("structure",), carried)
    for ours, expected in zip(later, whole[2:], strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, expected)


def test_the_first_frame_begins_at_zero():
    tx = optimizer_lib.make_optimizer(NETWORKS, CLIP)
    trainable = params_lib.select(jax.tree.map(jnp.asarray, random_tree(9)), ("structure",))
    state = optimizer_lib.init_state(tx, trainable, None)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(state))


def test_freezing_keeps_the_moments_and_counts_of_what_still_trains():
    _, before = run([random_tree(seed) for seed in range(3)], ("structure", "color"))
    _, fresh = run([random_tree(0)], ("structure",))
    after = moments(optimizer_lib.carry_over(before, fresh))
    assert set(after) == set(moments(fresh))
    for path, leaf in after.items():
        np.testing.assert_array_equal(leaf, moments(before)[path])
    counts = [leaf for path, leaf in after.items() if path.endswith("count")]
    np.testing.assert_array_equal(counts, [3] * len(NETWORKS))


def test_thawed_leaves_begin_at_zero_and_the_others_go_on():
    _, before = run([random_tree(seed) for seed in range(3)], ("structure",))
    tx = optimizer_lib.make_optimizer(NETWORKS, CLIP)
    everything = jax.tree.map(jnp.asarray, random_tree(9))
    after = moments(optimizer_lib.init_state(tx, everything, before))
    assert len(after) == len(NETWORKS) + 2 * len(params_lib.flatten(everything))
    for path, leaf in after.items():
        if "color" in path:
            np.testing.assert_array_equal(leaf, 0.0)
        else:
            np.testing.assert_array_equal(leaf, moments(before)[path])


@pytest.mark.parametrize("step", [0, 1, 9_999, 250_000, 400_000])
def test_learning_rate_is_an_exponential_of_the_step(step):
    settings = {"init": 5e-4, "decay_rate": 0.1, "decay_steps": 250_000}
    rate = optimizer_lib.learning_rate(jnp.int32(step), **settings)
    np.testing.assert_allclose(rate, 5e-4 * 0.1 ** (step / 250_000), rtol=1e-6)
    constant = optimizer_lib.learning_rate(jnp.int32(step), **settings | {"decay_rate": 1.0})
    np.testing.assert_allclose(constant, 5e-4, rtol=1e-6)
