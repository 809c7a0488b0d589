"""Which params a session uses: those of the highest scores (WSN, Kang et al. 2022).

Of n scores of a leaf those are selected that reach the k-th smallest value, k = 1 + rho (n - 1)
with rho = 1 - capacity, rounded half to even. Leaves whose layer is a product or a convolution go
by the magnitude of their scores, those of a Fourier operator by the scores as they are.

A score sees what the loss would gain from its param: the gradient goes straight through the
selection, as if the mask were the score (or its magnitude).
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt

from inv_jax import params as params_lib
from inv_jax.models.work import Work
from inv_jax.types import InvError, Params

_BITS = 32  # of a score
# Of them found in a pass over the scores. XLA's CPU backend counts below seven numbers at once in
# the time of below three, and faster than below one.
_BITS_A_PASS = 3
_PASSES = -(-_BITS // _BITS_A_PASS)


def check_capacity(capacity: float) -> None:
    """Refuses what is no part of the params.

    Raises:
      InvError: Naming the setting.
    """
    if not 0.0 < capacity <= 1.0:  # nor NaN
        raise InvError(
            f"model.capacity={capacity}; want the part of the params that a session uses, above "
            "0.0, 1.0 at most, as 0.3"
        )


def rank(size: int, capacity: float) -> int:
    """Which of `size` scores, in ascending order from 1, is the lowest that is selected."""
    return 1 + round((1.0 - capacity) * (size - 1))


def count(size: int, capacity: float) -> int:
    """How many of `size` scores are selected if no two are equal."""
    return size + 1 - rank(size, capacity)


def select(scores: Float[Array, "*n"], capacity: float, *, by_magnitude: bool) -> Bool[Array, "*n"]:
    """The mask of the highest scores of a leaf.

    Args:
      scores: Float32; not NaN.
      capacity: Part that is selected, above 0, 1 at most.
      by_magnitude: Whether it is the magnitude of a score that counts.

    Returns:
      True where a score is selected: `count` of them, and more where scores are equal.

    Example:
      select(jnp.asarray([0.1, -0.4, 0.2]), 0.5, by_magnitude=True)  # False, True, True
    """
    values = jnp.abs(scores) if by_magnitude else scores
    return values >= kth_smallest(values, rank(scores.size, capacity))


def kth_smallest(values: Float[Array, "*n"], k: int | Int[Array, ""]) -> Float[Array, ""]:
    """The k-th smallest of the values, from 1: exactly, in O(n).

    The bits of a float32, read as a whole number, are in its order. So they are found from the
    highest on: the largest number below which fewer than k of the values are.
    """
    keys = _keys(values).reshape(-1)

    def one(i: Array, found: Array) -> Array:
        width = jnp.minimum(_BITS_A_PASS, _BITS - _BITS_A_PASS * i).astype(jnp.uint32)
        place = jnp.uint32(_BITS) - _BITS_A_PASS * i.astype(jnp.uint32) - width
        digits = [jnp.uint32(d) for d in range(1, 2**_BITS_A_PASS)]
        below = _counts_below(keys, [found + (d << place) for d in digits])
        # What a last, narrower digit cannot say is beyond the values, or has run over.
        fits = [(n < k) & (d < (1 << width)) for n, d in zip(below, digits, strict=True)]
        digit = sum(fit.astype(jnp.uint32) for fit in fits)
        return found + (digit << place)

    return _values(lax.fori_loop(0, _PASSES, one, jnp.uint32(0)))


def _counts_below(keys: UInt[Array, "n"], limits: list[Array]) -> tuple[Array, ...]:
    """How many keys are below each limit, in one pass over them."""
    operands = tuple((keys < limit).astype(jnp.int32) for limit in limits)
    zeros = tuple(jnp.int32(0) for _ in limits)
    add = lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True))  # noqa: E731
    return lax.reduce(operands, zeros, add, (0,))


def _keys(values: Array) -> Array:
    """Numbers without a sign, in the order of the values."""
    bits = lax.bitcast_convert_type(values, jnp.uint32)
    top = jnp.uint32(1 << (_BITS - 1))
    return jnp.where(bits < top, bits | top, ~bits)


def _values(keys: Array) -> Array:
    """The inverse of `_keys`."""
    top = jnp.uint32(1 << (_BITS - 1))
    return lax.bitcast_convert_type(jnp.where(keys < top, ~keys, keys ^ top), jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def masked(
    param: Float[Array, "*n"],
    score: Float[Array, "*n"],
    mask: Bool[Array, "*n"],
    by_magnitude: bool,
) -> Float[Array, "*n"]:
    """The param where the mask is, else 0.

    With G the gradient of the result, that of the param is G where the mask is, that of the score
    is G * param, selected or not, and times the sign of the score if its magnitude counts.
    """
    del score, by_magnitude
    return jnp.where(mask, param, jnp.zeros_like(param))


def _masked_forward(
    param: Array, score: Array, mask: Array, by_magnitude: bool
) -> tuple[Array, tuple[Array, Array, Array]]:
    return masked(param, score, mask, by_magnitude), (param, score, mask)


def _masked_backward(
    by_magnitude: bool, saved: tuple[Array, Array, Array], grad: Array
) -> tuple[Array, Array, None]:
    param, score, mask = saved
    to_score = grad * param * jnp.sign(score) if by_magnitude else grad * param
    return jnp.where(mask, grad, jnp.zeros_like(grad)), to_score, None


masked.defvjp(_masked_forward, _masked_backward)


def hold(
    optimizer: optax.GradientTransformation, trained: str, taken: str
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that sees no gradient of what is taken, and does not move it.

    Zeroing gradients alone would hold nothing: moments and weight decay go on moving.

    Args:
      optimizer: The other one; it is told `frozen`, too.
      trained: The role of the params that may be taken.
      taken: The role of booleans of the same layers, leaves and shapes, in the extra argument
        `frozen` of updates: the params that do not train. Where there are none, nothing is held.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def update(
        grads: Params,
        state: optax.OptState,
        params: Params | None = None,
        *,
        frozen: Params,
        **more: Any,
    ) -> tuple[Params, optax.OptState]:
        held = params_lib.flatten(frozen)

        def free(path: tuple[Any, ...], leaf: Array) -> Array:
            network, role, *rest = params_lib.path_of(path).split("/")
            is_held = held.get("/".join([network, taken, *rest]))
            if role != trained or is_held is None:
                return leaf
            return jnp.where(is_held, jnp.zeros_like(leaf), leaf)

        only = functools.partial(jax.tree_util.tree_map_with_path, free)
        updates, state = optimizer.update(only(grads), state, params, frozen=frozen, **more)
        return only(updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def kept(sessions: Iterable[tuple[Params, Params]]) -> Params:
    """What the last session has left of the params that any of them uses; others are 0.

    Args:
      sessions: Mask and params of each, trees of the same shape, in the order of training.

    Raises:
      InvError: If a param moved behind a session that uses it.
    """
    used: dict[str, np.ndarray] = {}
    held: dict[str, np.ndarray] = {}
    for number, session in enumerate(sessions):
        masks, leaves = map(params_lib.flatten, session)
        for path, before in used.items():
            if not np.array_equal(leaves[path][before], held[path][before]):
                raise InvError(
                    f"{path} of session {number + 1} is not what the sessions before use; a run "
                    "that was changed by hand cannot be sent as one network"
                )
            masks[path] = before | masks[path]
        used, held = masks, leaves
    return params_lib.nest(
        {path: np.where(mask, held[path], np.float32(0)) for path, mask in used.items()}
    )


def with_masks(work: Work, size: int, trains: bool) -> Work:
    """What a model with so many masked params computes: selects and masks once a pass.

    Args:
      work: What its first network computes with the params as they are.
      size: Of all masked leaves.
      trains: Whether masks are selected, and scores have gradients.
    """
    network = work.networks[0]
    # A param and its mask are read (a byte of it), and what is used is written.
    flops, floats = 1, 2.25
    if trains:
        limits = 2**_BITS_A_PASS - 1
        flops += _PASSES * 2 * limits + 4  # ... and the score's gradient
        floats += (_PASSES + 3.25) + 6.25  # keys; gradient, param, score, mask: two gradients
    network = dataclasses.replace(
        network,
        pass_flops=network.pass_flops + flops * size,
        pass_floats=network.pass_floats + round(floats * size),
    )
    return dataclasses.replace(work, networks=(network, *work.networks[1:]))
