"""Adam by the textbook, clipped network by network, and what survives a change of roles."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inv_jax import params as params_lib
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.types import InvError

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


def test_todays_adam_is_the_default():
    settings = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    named = optimizer_lib.make_optimizer(NETWORKS, CLIP, "adam", settings)
    grads = jax.tree.map(jnp.asarray, random_tree(0))
    ours, state = named.update(grads, named.init(grads), grads)
    (expected,), same = run([random_tree(0)], ("structure", "color"))
    jax.tree.map(np.testing.assert_allclose, params_lib.flatten(ours), expected)
    assert jax.tree.structure(state) == jax.tree.structure(same)
    # By these paths it is stored: runs of before go on.
    paths = set(params_lib.flatten(state))
    assert "inner_states/coarse/inner_state/1/count" in paths
    assert "inner_states/fine/inner_state/1/mu/fine/color/rgb/bias" in paths
    assert len(paths) == len(NETWORKS) + 2 * len(params_lib.flatten(grads))


@pytest.mark.parametrize("name", ["lion", "rms", "adamax", "sgd"])
def test_other_optimizers_are_optaxs_with_the_settings_they_have(name):
    settings = {"b1": 0.7, "b2": 0.8, "eps": 1e-3, "weight_decay": 0.0}
    ours = optimizer_lib.make_optimizer(NETWORKS, 1e9, name, settings)
    theirs = {
        "lion": optax.scale_by_lion(b1=0.7, b2=0.8),
        "rms": optax.scale_by_rms(eps=1e-3),
        "adamax": optax.scale_by_adamax(b1=0.7, b2=0.8, eps=1e-3),
        "sgd": optax.identity(),
    }[name]
    grads = jax.tree.map(jnp.asarray, random_tree(0))
    update, _ = ours.update(grads, ours.init(grads), grads)
    expected, _ = theirs.update(grads, theirs.init(grads), grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), update, expected)


def test_weight_decay_pulls_every_param_beside_its_step():
    params, grads = (jax.tree.map(jnp.asarray, random_tree(seed)) for seed in (0, 1))
    updates = []
    for decay in (0.0, 0.1):
        tx = optimizer_lib.make_optimizer(NETWORKS, CLIP, "adam", {"weight_decay": decay})
        updates.append(tx.update(grads, tx.init(params), params)[0])
    jax.tree.map(
        lambda plain, pulled, p: np.testing.assert_allclose(pulled, plain + 0.1 * p, rtol=1e-9),
        *updates,
        params,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [("adm", "is it 'adam'"), ("adamw", "is it 'adam'"), ("zzz", r"optimizers are .*adam, .*sgd")],
)
def test_an_unknown_optimizer_is_refused_with_the_nearest(name, message):
    with pytest.raises(InvError, match=rf"train\.optimizer='{name}'.*{message}"):
        optimizer_lib.make_optimizer(NETWORKS, CLIP, name)


@pytest.mark.parametrize("name", optimizer_lib.names())
def test_every_optimizer_that_is_named_takes_a_step(name):
    tx = optimizer_lib.make_optimizer(NETWORKS, CLIP, name)
    grads = params_lib.select(jax.tree.map(jnp.asarray, random_tree(0)), ("structure",))
    update, _ = tx.update(grads, tx.init(grads), grads)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(update))


@pytest.mark.parametrize(
    "settings", [{"b1": 1.0}, {"b2": -0.1}, {"eps": 0.0}, {"weight_decay": -1.0}]
)
def test_settings_that_cannot_be_right_are_refused(settings):
    (name,) = settings
    with pytest.raises(InvError, match=rf"train\.{name}="):
        optimizer_lib.make_optimizer(NETWORKS, CLIP, "adam", settings)


def test_what_is_masked_does_not_move_by_gradient_moment_or_decay():
    tx = optimizer_lib.with_update_mask(
        optimizer_lib.make_optimizer(NETWORKS, CLIP, "adam", {"weight_decay": 0.1})
    )
    params = jax.tree.map(jnp.asarray, random_tree(0))
    state = tx.init(params)
    assert all(np.shape(may) == () and may for may in jax.tree.leaves(state.mask))
    for seed in (1, 2):  # moments to begin with
        _, state = tx.update(random_tree(seed), state, params)
    rng = np.random.default_rng(3)
    mask = jax.tree.map(lambda leaf: rng.random(leaf.shape) < 0.5, params)
    mask["fine"]["color"]["rgb"]["bias"] = np.bool_(False)  # of a whole leaf
    step = jax.jit(tx.update)
    for seed in (4, 5):
        update, state = step(random_tree(seed), state._replace(mask=mask), params)
        for path, value in params_lib.flatten(update).items():
            may = np.broadcast_to(params_lib.flatten(mask)[path], value.shape)
            np.testing.assert_array_equal(np.asarray(value)[~may], 0.0)
            assert (np.asarray(value)[may] != 0).all()


def test_a_masked_gradient_does_not_clip_the_others():
    params = jax.tree.map(jnp.asarray, random_tree(0))
    mask = jax.tree.map(lambda _: np.bool_(True), params)
    mask["fine"]["color"]["rgb"]["kernel"] = np.bool_(False)
    tx = optimizer_lib.with_update_mask(optimizer_lib.make_optimizer(NETWORKS, CLIP, "sgd"))
    state = tx.init(params)._replace(mask=mask)
    calm, wild = random_tree(1), random_tree(1)
    wild["fine"]["color"]["rgb"]["kernel"] = 1e9 * wild["fine"]["color"]["rgb"]["kernel"]
    updates = [tx.update(grads, state, params)[0] for grads in (calm, wild)]
    jax.tree.map(np.testing.assert_array_equal, *updates)


def test_with_everything_free_a_mask_changes_nothing():
    plain = optimizer_lib.make_optimizer(NETWORKS, CLIP)
    masked = optimizer_lib.with_update_mask(plain)
    grads = jax.tree.map(jnp.asarray, random_tree(0))
    ours, state = masked.update(grads, masked.init(grads), grads)
    expected, inner = plain.update(grads, plain.init(grads), grads)
    jax.tree.map(np.testing.assert_array_equal, (ours, state.inner), (expected, inner))
