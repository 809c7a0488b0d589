"""Optax's optimizers with each network's gradient clipped on its own, over what is trainable.

The optimizer only ever sees the trainable half of the params (`params.split`): frozen leaves are
`optax.MaskedNode`, so they have no moments and nothing can move them, momentum included. Single
params of a leaf are held by an update mask (`with_update_mask`).
"""

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inv_jax import params as params_lib
from inv_jax.types import InvError, Params

SGD = "sgd"  # the gradient itself
_SCALE_BY = "scale_by_"
# These ask for the loss or a line search, or for arrays of one rank (`jax_numpy_rank_promotion`).
_LEFT_OUT = ("lbfgs", "polyak", "distance_over_gradients")
_SETTINGS: Mapping[str, Any] = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}


def names() -> list[str]:
    """The optimizers there are: `sgd`, and optax's `scale_by_*` that need a gradient alone."""
    found = [name.removeprefix(_SCALE_BY) for name in dir(optax) if name.startswith(_SCALE_BY)]
    return sorted([SGD, *(name for name in found if _is_complete(name))])


def _is_complete(name: str) -> bool:
    if name in _LEFT_OUT or "learning_rate" in name:
        return False
    parameters = inspect.signature(getattr(optax, f"{_SCALE_BY}{name}")).parameters.values()
    return all(parameter.default is not parameter.empty for parameter in parameters)


def make_optimizer(
    networks: Collection[str],
    clip_norm: float,
    name: str = "adam",
    settings: Mapping[str, Any] = _SETTINGS,
) -> optax.GradientTransformation:
    """Clipping per network, then `optax.scale_by_{name}`; the learning rate comes outside.

    Args:
      networks: Names of the networks, the first part of every leaf's path.
      clip_norm: Largest norm of one network's gradient.
      name: One of `names()`.
      settings: `b1`, `b2`, `eps`, as far as the optimizer has them: one that has none of them
        takes none. `weight_decay` above 0 adds so much of each param to its update (decoupled, as
        in AdamW), whatever the optimizer.

    Returns:
      A transformation of gradients of a (masked) params tree; its updates are ascent directions
      of unit scale, to be multiplied by minus the learning rate.

    Raises:
      InvError: If there is no such optimizer, or a setting cannot be right.
    """
    _check(settings)
    parts = [optax.clip_by_global_norm(clip_norm), _scale_by(name)(settings)]
    if settings.get("weight_decay", 0.0):
        parts.append(optax.add_decayed_weights(settings["weight_decay"]))
    clipped = optax.chain(*parts)
    return optax.partition({name: clipped for name in networks}, params_lib.networks)


def _check(settings: Mapping[str, Any]) -> None:
    for name in ("b1", "b2"):
        if not 0.0 <= settings.get(name, 0.0) < 1.0:
            raise InvError(f"train.{name}={settings[name]}; want 0.0 to below 1.0")
    if not settings.get("eps", 1.0) > 0.0:
        raise InvError(f"train.eps={settings['eps']}; want a number above 0, 1e-8 to begin with")
    if not settings.get("weight_decay", 0.0) >= 0.0:
        raise InvError(f"train.weight_decay={settings['weight_decay']}; want 0.0 (none) or more")


def _scale_by(name: str) -> Callable[[Mapping[str, Any]], optax.GradientTransformation]:
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise InvError(
            f"train.optimizer={name!r} is unknown; "
            + (f"is it {near[0]!r}? " if near else "")
            + f"optimizers are {', '.join(known)}"
        )
    if name == SGD:
        return lambda settings: optax.identity()
    make = getattr(optax, f"{_SCALE_BY}{name}")
    takes = [
        parameter for parameter in inspect.signature(make).parameters if parameter in _SETTINGS
    ]
    return lambda settings: make(**{one: settings[one] for one in takes if one in settings})


class MaskedState(NamedTuple):
    """The state of `with_update_mask`."""

    mask: Params  # of booleans: whether a leaf, (), or each of its params, may move
    inner: optax.OptState


def _all(params: Params) -> Params:
    return jax.tree.map(lambda _: np.bool_(True), params)


def with_update_mask(
    optimizer: optax.GradientTransformation, start: Callable[[Params], Params] = _all
) -> optax.GradientTransformation:
    """An optimizer that sees the gradient of what may move, and moves nothing else.

    The mask is data of its state: to change it is to replace it there. Zeroing gradients alone
    would not hold anything: moments from before, and weight decay, go on moving.

    Args:
      optimizer: The other one.
      start: Makes the first mask from the params; one boolean for each leaf, True, by default.
    """

    def init(params: Params) -> MaskedState:
        return MaskedState(start(params), optimizer.init(params))

    optimizer = optax.with_extra_args_support(optimizer)

    def update(
        grads: Params, state: MaskedState, params: Params | None = None, **more: Any
    ) -> tuple[Params, MaskedState]:
        only = lambda tree: jax.tree.map(lambda may, x: jnp.where(may, x, 0), state.mask, tree)  # noqa: E731
        updates, inner = optimizer.update(only(grads), state.inner, params, **more)
        return only(updates), MaskedState(state.mask, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def carry_over(old: optax.OptState, fresh: optax.OptState) -> optax.OptState:
    """The fresh state with every leaf that the old one has too, found by its path.

    When a phase freezes leaves, their moments are left behind; when one thaws leaves, theirs
    begin at zero while the network's step count goes on, so that their first steps are up to 3.2
    times as long as Adam's usual first ones (0.1 / sqrt(0.001)). No plan here thaws.
    """
    leaves = params_lib.flatten(old)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaves.get(params_lib.path_of(path), leaf), fresh
    )


def only(trains: Mapping[str, jax.Array], new: Any, old: Any) -> Any:
    """The new leaves of networks that train, the old ones of those that do not, moments included.

    Args:
      trains: Whether a network trains, a traced bool each; one that is not named does.
      new: Params, or a state of `make_optimizer`'s.
      old: The same, before.
    """

    def one(path: tuple[Any, ...], after: jax.Array, before: jax.Array) -> jax.Array:
        named = [part for part in params_lib.path_of(path).split("/") if part in trains]
        return jnp.where(trains[named[0]], after, before) if named else after

    return jax.tree_util.tree_map_with_path(one, new, old)


def init_state(
    optimizer: optax.GradientTransformation, trainable: Params, previous: optax.OptState | None
) -> optax.OptState:
    """The state a segment begins with: the one before's, as far as it still applies.

    An update mask begins anew: what was pruned of one segment may move in the next.
    """
    fresh = optimizer.init(trainable)
    if previous is None:
        return fresh
    if isinstance(fresh, MaskedState) and isinstance(previous, MaskedState):
        return MaskedState(fresh.mask, carry_over(previous.inner, fresh.inner))
    return carry_over(previous, fresh)
