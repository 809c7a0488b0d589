"""Adam with each network's gradient clipped on its own, over what is trainable.

The optimizer only ever sees the trainable half of the params (`params.split`): frozen leaves are
`optax.MaskedNode`, so they have no moments and nothing can move them, momentum included.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inv_jax import params as params_lib
from inv_jax.types import Params


def make_optimizer(networks: Collection[str], clip_norm: float) -> optax.GradientTransformation:
    """Clipping per network, then Adam (0.9, 0.999, eps 1e-8); the learning rate comes outside.

    Args:
      networks: Names of the networks, the first part of every leaf's path.
      clip_norm: Largest norm of one network's gradient.

    Returns:
      A transformation of gradients of a (masked) params tree; its updates are ascent directions
      of unit scale, to be multiplied by minus the learning rate.
    """
    clipped_adam = optax.chain(
        optax.clip_by_global_norm(clip_norm), optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)
    )
    return optax.partition({name: clipped_adam for name in networks}, params_lib.networks)


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


def learning_rate(
    step: jax.Array, *, init: float, decay_rate: float, decay_steps: int
) -> jax.Array:
    """`init * decay_rate ** (step / decay_steps)`; `step` counts from 0 in every frame."""
    return optax.exponential_decay(init, decay_steps, decay_rate)(step)


def init_state(
    optimizer: optax.GradientTransformation, trainable: Params, previous: optax.OptState | None
) -> optax.OptState:
    """The state a frame begins with: the previous frame's, as far as it still applies."""
    fresh = optimizer.init(trainable)
    return fresh if previous is None else carry_over(previous, fresh)
