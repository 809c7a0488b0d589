"""Global pruning: by the original's masks, and what it leaves alone."""

import pathlib

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models import convert_nerv
from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import Nerv
from inv_jax.train import prune
from inv_jax.types import InvError

LAYERS = ("stem", "block")


def tree(seed: int = 0):
    rng = np.random.default_rng(seed)
    make = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    layers = {
        "stem_0": {"kernel": make(3, 4), "bias": make(4)},
        "block_0": {"kernel": make(3, 3, 2, 8), "bias": make(8)},
        "head_0": {"kernel": make(1, 1, 2, 3), "bias": make(3)},
    }
    return {"nerv": {"decoder": layers}}


def zeros(params) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf) == 0 for path, leaf in params_lib.flatten(params).items()}


def slow_prune(params, left: list[tuple[str, tuple[int, ...]]], amount: float):
    """What is left, one at a time: the smallest goes."""
    leaves, left = params_lib.flatten(params), list(left)
    for _ in range(round(amount * len(left))):
        left.remove(min(left, key=lambda at: abs(leaves[at[0]][at[1]])))
    return left


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.5, 1.0])
def test_the_smallest_of_all_kernels_go_whatever_their_layer(amount):
    params = tree()
    mask = prune.start(params, LAYERS)
    everything = [
        (path, at)
        for path, leaf in params_lib.flatten(params).items()
        if path.endswith("kernel") and "head" not in path
        for at in np.ndindex(leaf.shape)
    ]
    left = slow_prune(params, everything, amount)
    pruned, mask = prune.prune(params, mask, amount)
    kept = {
        (path, at)
        for path, may in params_lib.flatten(mask).items()
        if np.ndim(may)
        for at in np.ndindex(may.shape)
        if may[at]
    }
    assert kept == set(left)
    for path, old in params_lib.flatten(params).items():
        new, may = params_lib.flatten(pruned)[path], params_lib.flatten(mask)[path]
        np.testing.assert_array_equal(new, np.where(may, old, 0))
        assert new.dtype == old.dtype


def test_heads_and_biases_are_never_pruned():
    params = tree()
    pruned, _ = prune.prune(params, prune.start(params, LAYERS), 1.0)
    for path, is_zero in zeros(pruned).items():
        assert is_zero.all() == (path.endswith("kernel") and "head" not in path), path


def test_a_pruning_acts_on_what_is_left():
    params, size = tree(), 3 * 4 + 3 * 3 * 2 * 8
    mask = prune.start(params, LAYERS)
    left = size
    for amount in prune.amounts(0.4, 2):
        params, mask = prune.prune(params, mask, amount)
        left -= round(amount * left)
        assert sum(np.count_nonzero(may) for may in masks(mask)) == left
    assert left / size == pytest.approx(prune.remaining(0.4, 2), abs=0.01)


def masks(mask) -> list[np.ndarray]:
    return [may for may in params_lib.flatten(mask).values() if np.ndim(may)]


def test_a_pruned_param_stays_pruned_even_if_it_is_large():
    params = tree()
    pruned, mask = prune.prune(params, prune.start(params, LAYERS), 0.5)
    moved = {"nerv": {"decoder": {
        name: {leaf: array + 1.0 for leaf, array in layer.items()}
        for name, layer in pruned["nerv"]["decoder"].items()
    }}}  # fmt: skip
    _, later = prune.prune(moved, mask, 0.5)
    for before, after in zip(masks(mask), masks(later), strict=True):
        assert not (after & ~before).any()


def test_nothing_is_changed_in_place():
    params = tree()
    mask = prune.start(params, LAYERS)
    prune.prune(params, mask, 0.5)
    assert all(may.all() for may in masks(mask))
    for path, leaf in params_lib.flatten(tree()).items():
        np.testing.assert_array_equal(params_lib.flatten(params)[path], leaf)


def test_masks_equal_the_originals(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "prune_global_l1.npz")
    state = {n.removeprefix("dense/"): arrays[n] for n in arrays.files if n.startswith("dense/")}
    model = Nerv(TimeWaves.of("1.25_8"), 12, 1, (2, 3), 6, (3, 2), 2.0, 2, 4)
    params = convert_nerv.import_state_dict(state, model)
    mask = prune.start(params, LAYERS)
    ratio = float(arrays["prune_ratio"])
    for step, amount in enumerate(prune.amounts(ratio, 2), start=1):
        assert amount == pytest.approx(1 - float(arrays["base_ratio"]) ** step)
        params, mask = prune.prune(params, mask, amount)
        theirs = convert_nerv.export_state_dict(
            params_lib.nest({p: m for p, m in params_lib.flatten(mask).items() if np.ndim(m)}),
            model,
        )
        names = [n for n in arrays.files if n.startswith(f"mask_step{step}/")]
        assert len(names) == len(theirs)
        for name in names:
            layer = name.split("/")[1]
            (found,) = (m for n, m in theirs.items() if n.startswith(layer))
            np.testing.assert_array_equal(found, arrays[name].astype(bool))


def test_one_pruning_keeps_the_ratio_and_more_keep_less():
    assert prune.remaining(0.4, 1) == pytest.approx(0.4)
    assert prune.remaining(0.4, 2) == pytest.approx(0.253, abs=1e-3)
    assert prune.remaining(0.4, 2) == pytest.approx(0.4 ** (3 / 2))


def test_it_prunes_at_the_beginning_of_epochs():
    assert prune.at_steps((0.0, 0.25, 0.99), epochs=10, steps_per_epoch=24) == [0, 48, 216]


@pytest.mark.parametrize(
    ("ratio", "steps", "message"),
    [
        (0.0, (0.0,), "prune.ratio=0.0"),
        (1.1, (0.0,), "prune.ratio=1.1"),
        (float("nan"), (0.0,), "prune.ratio=nan"),
        (0.5, (1.0,), r"prune.steps=\(1.0,\)"),
        (0.5, (0.5, 0.2), "each larger"),
        (0.5, (), "prune.steps is empty"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(ratio, steps, message):
    with pytest.raises(InvError, match=message):
        prune.check(ratio, steps)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(InvError, match=r"'trunk'; there are block_0, head_0, stem_0"):
        prune.start(tree(), ("stem", "trunk"))
