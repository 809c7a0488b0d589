"""Pruning: the smallest params of a network go to zero and stay there (NeRV; Han et al. 2015).

Global and unstructured: the kernels that may be pruned are one list of numbers, of which the
smallest in absolute value go, wherever they are. A **mask** is a tree of the params' shape: an
array of booleans for a kernel that may be pruned, True where it is left, and a single True for
every other leaf. It is an update mask, too (`optimizer.with_update_mask`). On the host, in numpy.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from inv_jax import params as params_lib
from inv_jax.types import InvError, Params


def start(params: Params, layers: Sequence[str]) -> Params:
    """The mask before anything is pruned.

    Args:
      params: Any.
      layers: How the names of layers begin whose kernels may be pruned, `stem` and `block` say.

    Raises:
      InvError: If there is no such layer.
    """
    names = {params_lib.layer_of(path) for path in params_lib.flatten(params)}
    for prefix in layers:
        if not any(name.startswith(prefix) for name in names):
            raise InvError(
                f"prune.layers={tuple(layers)}: no layer begins with {prefix!r}; there are "
                f"{', '.join(sorted(names))}"
            )

    def one(key_path: tuple[Any, ...], leaf: Any) -> np.ndarray | np.bool_:
        path = params_lib.path_of(key_path)
        is_kernel = path.endswith("/kernel")
        if is_kernel and params_lib.layer_of(path).startswith(tuple(layers)):
            return np.ones(np.shape(leaf), bool)
        return np.bool_(True)

    return jax.tree_util.tree_map_with_path(one, params)


def prune(params: Params, mask: Params, amount: float) -> tuple[Params, Params]:
    """Sets the smallest of the params that are left to zero.

    Args:
      params: In host memory.
      mask: As from `start`, or from the pruning before.
      amount: Part of those left that goes, in [0, 1]; the number is rounded, half to even. Of
        equal ones the first go, by leaf and place.

    Returns:
      New params, zero where the new mask says so, and the mask; both in host memory.
    """
    leaves, tree = jax.tree.flatten(params)
    kept = jax.tree.leaves(mask)
    prunable = [i for i, may in enumerate(kept) if np.ndim(may)]
    sizes = np.concatenate([np.abs(np.asarray(leaves[i]))[kept[i]] for i in prunable])
    stays = np.ones(sizes.size, bool)
    stays[np.argsort(sizes, kind="stable")[: round(amount * sizes.size)]] = False
    for i, stay in zip(prunable, np.split(stays, _ends(kept, prunable)), strict=True):
        left = kept[i].copy()
        left[left] = stay
        kept[i], leaves[i] = left, np.where(left, np.asarray(leaves[i]), 0).astype(leaves[i].dtype)
    return tree.unflatten(leaves), tree.unflatten(kept)


def _ends(kept: list[Any], prunable: list[int]) -> np.ndarray:
    """Where each leaf's params end among all that are left, but for the last."""
    return np.cumsum([np.count_nonzero(kept[i]) for i in prunable])[:-1]


def check(ratio: float, steps: Sequence[float]) -> None:
    """Refuses settings that cannot be right.

    Raises:
      InvError: With the setting to change.
    """
    if not 0.0 < ratio <= 1.0:
        raise InvError(f"prune.ratio={ratio}; want the part that is kept: above 0.0, to 1.0 (all)")
    if not all(0.0 <= step < 1.0 for step in steps) or list(steps) != sorted(set(steps)):
        raise InvError(
            f"prune.steps={tuple(steps)}; want parts of the epochs, 0.0 to below 1.0, each larger "
            "than the one before"
        )
    if ratio < 1.0 and not steps:
        raise InvError(f"prune.ratio={ratio}, but prune.steps is empty; 0.0 prunes at the start")


def amounts(ratio: float, steps: int) -> list[float]:
    """Part of the survivors that each of some prunings removes, as the original computes it.

    With `r0 = ratio ** (1 / steps)` the n-th removes `1 - r0 ** n`. So one keeps `ratio`, and
    several keep less than that (`remaining`): each acts on what those before have left.
    """
    return [1.0 - ratio ** (n / steps) for n in range(1, steps + 1)]


def remaining(ratio: float, steps: int) -> float:
    """Part that is left behind all prunings: `ratio ** ((steps + 1) / 2)`.

    Example:
      remaining(0.4, 1)  # 0.4
      remaining(0.4, 2)  # 0.253: 0.632 of all, then 0.4 of those
    """
    return float(np.prod([1.0 - amount for amount in amounts(ratio, steps)]))


def at_steps(steps: Sequence[float], epochs: int, steps_per_epoch: int) -> list[int]:
    """The training steps in front of which to prune: beginnings of epochs, rounded down."""
    return [int(Fraction(str(step)) * epochs) * steps_per_epoch for step in steps]
