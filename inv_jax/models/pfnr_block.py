"""How a block of PFNR is made up of a convolution and a Fourier operator.

`sum` adds what they make, `replace` is the operator alone, and with `concat` the convolution makes
the first channels and the operator the others.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from inv_jax.models import convolution
from inv_jax.models.convolution import Planes
from inv_jax.models.nerv_blocks import Block
from inv_jax.types import InvError

SUM, REPLACE, CONCAT = COMPOSITIONS = ("sum", "replace", "concat")

_LEAST_SIDE = 2  # places that go in, so that half of them is a row


def check(operator: int, composition: str, channels: int, blocks: Sequence[Block]) -> None:
    """Refuses an operator that cannot be.

    Args:
      operator: Index of its block; -1: there is none.
      composition: One of `COMPOSITIONS`.
      channels: That it makes of the block's with `concat`.
      blocks: All of them.

    Raises:
      InvError: With the setting to change.
    """
    if not -1 <= operator < len(blocks):
        raise InvError(
            f"model.operator={operator}, but there are {len(blocks)} blocks; want 0 to "
            f"{len(blocks) - 1}, or -1 for no Fourier operator"
        )
    if composition not in COMPOSITIONS:
        raise InvError(
            f"model.composition={composition!r}; choose one of {', '.join(COMPOSITIONS)}"
        )
    if composition != CONCAT and channels:
        raise InvError(
            f"model.operator_channels={channels} says nothing to model.composition="
            f"{composition!r}; set it to 0, or model.composition='concat'"
        )
    if operator < 0:
        if composition != SUM:
            raise InvError(
                f"model.composition={composition!r} says nothing without an operator; set "
                "model.operator to the index of a block, or model.composition='sum'"
            )
        return
    block = blocks[operator]
    if min(block.height, block.width) < _LEAST_SIDE:
        raise InvError(
            f"model.operator={operator}: {block.height}x{block.width} places go into that block, "
            f"and a Fourier operator wants {_LEAST_SIDE} each way at least; choose a later block, "
            "or raise model.grid"
        )
    if composition == CONCAT and not 0 < channels < block.fan_out:
        raise InvError(
            f"model.operator_channels={channels} of the {block.fan_out} channels of block "
            f"{operator}; model.composition='concat' wants 1 to {block.fan_out - 1}"
        )


def joined(convolved: Planes | None, mixed: Float[Array, "b c h w"], composition: str) -> Planes:
    """What a block shows, before its activation.

    Args:
      convolved: What its convolution makes; None with `replace`.
      mixed: What its operator makes.
      composition: One of `COMPOSITIONS`.
    """
    planes = convolution.from_nchw(mixed, like=convolved)
    if composition == SUM:
        return convolved + planes
    if composition == CONCAT:
        return jnp.concatenate([convolved, planes], axis=convolution.channel_axis(planes))
    return planes
