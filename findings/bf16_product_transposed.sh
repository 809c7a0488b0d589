#!/usr/bin/env bash
# 2026-11-30, jax and jaxlib 0.10.2, CPU.
#
# A product of two bfloat16 matrices that is added up in float32 (preferred_element_type) works on a
# CPU, compiled or not. So one guesses that its transpose works, too: a transpose multiplies nothing.
#
# What happens: compiled, the product followed by a transpose raises "UNIMPLEMENTED: Unsupported
# element type for DotThunk::Execute: BF16 x BF16 = F32" when it runs. XLA's CPU backend makes one
# product of both, of a kind that it has no bfloat16 for. Not compiled, with the product's result in
# bfloat16, or with an optimization barrier between the two, it works.
#
# Who is hurt: whoever trains in mixed precision on a CPU, for tests say, and keeps activations with
# features first: nobody writes this transpose, it comes with the gradient of one at the input, and
# the same model trains in float32, and on a GPU.
#
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2
cat > "$folder/try.py" <<'PYTHON'
import jax
import jax.numpy as jnp
import jaxlib
from jax import lax

a, b = jnp.ones((10, 32), jnp.bfloat16), jnp.ones((32, 64), jnp.bfloat16)


def product(a, b, kind=jnp.float32):
    return lax.dot_general(a, b, (((1,), (0,)), ((), ())), preferred_element_type=kind)


cases = {
    "product, compiled": (jax.jit(product), True),
    "product and transpose, not compiled": (lambda a, b: product(a, b).T, True),
    "product and transpose, compiled": (jax.jit(lambda a, b: product(a, b).T), False),
    "the same, result in bfloat16": (jax.jit(lambda a, b: product(a, b, jnp.bfloat16).T), True),
    "the same, a barrier between": (
        jax.jit(lambda a, b: lax.optimization_barrier(product(a, b)).T),
        True,
    ),
}
print("jax", jax.__version__, "jaxlib", jaxlib.__version__, jax.default_backend())
surprises = []
for name, (function, expected) in cases.items():
    try:
        result = jax.block_until_ready(function(a, b))
        works, shown = True, f"works: {result.shape} {result.dtype}, all {float(result[0, 0]):g}"
    except jax.errors.JaxRuntimeError as error:
        works, shown = False, f"raises: {str(error).splitlines()[0]}"
    print(f"{name}: {shown}")
    if works != expected:
        surprises.append(name)
raise SystemExit(f"this has changed: {', '.join(surprises)}" if surprises else 0)
PYTHON
JAX_PLATFORMS=cpu "$folder/env/bin/python" "$folder/try.py"
