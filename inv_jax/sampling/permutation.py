"""A pseudo-random permutation of n items that is computed, never stored.

A shuffled epoch over 20 cameras of 1352x1014 would need a table of 110 MB; here each place is
looked up on its own in constant memory. A Feistel network is a bijection of [0, 2^k) whatever
its round function (Luby and Rackoff 1988); walking its cycle until the value falls below n makes
it a bijection of [0, n) (Black and Rogaway 2002, cycle walking).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

_ROUNDS = 6  # four already hide the input's order; two more cost nothing next to a network


def _mix(x: UInt32[Array, "*b"]) -> UInt32[Array, "*b"]:
    """A bijective 32-bit hash: two multiply-xorshift rounds (constants of murmur3's finaliser)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def permute(
    key: PRNGKeyArray, places: Int[Array, "*b"], num_items: int | Int[Array, ""]
) -> Int[Array, "*b"]:
    """Items at the given places of a shuffled sequence of `range(num_items)`.

    Args:
      key: Names the shuffle; equal keys give equal shuffles.
      places: Places in the sequence, in [0, num_items); others wrap around.
      num_items: Length of the sequence, 1 to 2^31 - 1; a number that is traced gives the same.

    Returns:
      int32 items in [0, num_items); distinct places have distinct items.
    """
    num_items = jnp.uint32(num_items)
    bits = 32 - lax.clz(num_items - 1)  # of the last item
    half_bits = jnp.maximum(1, (bits + 1) // 2)
    mask = (jnp.uint32(1) << half_bits) - 1
    round_keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def shuffle(x: Array) -> Array:
        left, right = x >> half_bits, x & mask
        for i in range(_ROUNDS):
            left, right = right, left ^ (_mix(right + round_keys[i]) & mask)
        return (left << half_bits) | right

    # The domain is at most 4 n, so a walk takes 4 shuffles on average at most. It ends only
    # because it starts within [0, n): its cycle leads back there.
    start = places.astype(jnp.uint32) % num_items

    def outside(x: Array) -> Array:
        return jnp.any(x >= num_items)

    def walk(x: Array) -> Array:
        return jnp.where(x >= num_items, shuffle(x), x)

    items = lax.while_loop(outside, walk, shuffle(start))
    return items.astype(jnp.int32)
