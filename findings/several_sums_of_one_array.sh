#!/usr/bin/env bash
# 2026-11-30, jax and jaxlib 0.10.2, CPU.
#
# Several sums over one large array in one jitted function, say how many entries are below each of
# seven limits. One guesses that XLA fuses them into one pass over the array, so that seven cost
# little more than one, and seven at most seven times as much as one in a program of its own.
#
# What happens: XLA's CPU backend does put them into one loop, and that one is slow: seven counts of
# 8 million numbers take over five times as long as seven programs of one count each, and about a
# hundred times as long as the same seven in one `lax.reduce` with seven operands, which takes less
# than a single `jnp.sum`. The numbers are the same, and nothing is said.
#
# Who is hurt: whoever computes several statistics of an array in one program on a CPU: histograms by
# limits, quantiles by bisection, norms and extremes of gradients for a log. In a training step it
# looks as if the selection of weights were slow.
#
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$folder/env/bin/python" - <<'PYTHON'
import sys
import time

import jax
import jax.numpy as jnp
from jax import lax

LIMITS = 7
values = jax.random.uniform(jax.random.key(0), (8_000_000,))
limits = (jnp.arange(LIMITS) + 1.0) / (LIMITS + 1.0)


@jax.jit
def one(values, limit):
    return jnp.sum((values < limit).astype(jnp.int32))


@jax.jit
def separate(values, limits):
    return [jnp.sum((values < limits[i]).astype(jnp.int32)) for i in range(LIMITS)]


@jax.jit
def together(values, limits):
    operands = tuple((values < limits[i]).astype(jnp.int32) for i in range(LIMITS))
    zeros = tuple(jnp.int32(0) for _ in operands)
    add = lambda a, b: tuple(x + y for x, y in zip(a, b))
    return lax.reduce(operands, zeros, add, (0,))


def programs(values, limits):
    return [one(values, limits[i]) for i in range(LIMITS)]


def milliseconds(function):
    """The least of nine, of processor time: others may be at work."""
    jax.block_until_ready(function(values, limits))
    found = []
    for _ in range(9):
        start = time.process_time()
        jax.block_until_ready(function(values, limits))
        found.append(1e3 * (time.process_time() - start))
    return min(found)


print("jax", jax.__version__, "on", jax.devices()[0].platform)
counts = [[int(n) for n in made(values, limits)] for made in (separate, together, programs)]
cost = {made.__name__: milliseconds(made) for made in (separate, programs, together)}
for name, value in cost.items():
    print(f"{LIMITS} counts, {name}: {value:.1f} ms of processor time")
as_described = cost["separate"] > 2 * cost["programs"] and cost["separate"] > 10 * cost["together"]
print("equal counts:", counts[0] == counts[1] == counts[2])
print("as described above" if as_described else "it is otherwise now")
sys.exit(not (as_described and counts[0] == counts[1] == counts[2]))
PYTHON
