"""How long the matrix products of a step take on their own, each in the form it is fastest in.

A product can be asked for in several forms: with either operand stored transposed, or the result.
A CPU's library is fast at some and several times slower at others, so each is tried, and the best
one stands for the product, whatever the network can make of it. Operands are where the last
repetition left them, in the caches if they fit: no step that does these products can be faster.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from inv_jax.cost.count import INPUT, KERNEL, Product, Products

_BATCH = 8  # products in a program that a GPU runs
_LARGE_BYTES = 2**28  # of a product's operands and result; less may be merged with others
_SECONDS = 0.02  # of one measurement, at least: many times what starting a program takes


@dataclasses.dataclass(frozen=True)
class Form:
    """How a product is asked for."""

    a_transposed: bool = False  # stored as (k, m)
    b_transposed: bool = False  # stored as (n, k)
    flipped: bool = False  # the result as (n, m)
    narrow: bool = False  # the result in bfloat16


# On two AMD cores, for the shapes of a pass: rows major and features major, and what mixes them.
_CPU_FORMS = (Form(), Form(False, True), Form(False, True, True), Form(True, True, True))


def forms(product: Product, precision: str, platform: str) -> list[Form]:
    """The forms worth trying."""
    if platform == "cpu":
        return list(_CPU_FORMS)
    # The library transposes as it reads: as automatic differentiation asks for it. Gradients of
    # params stay float32.
    natural = Form(a_transposed=product.kind == KERNEL, b_transposed=product.kind == INPUT)
    if precision != "bfloat16" or product.kind == KERNEL:
        return [natural]
    return [natural, dataclasses.replace(natural, narrow=True)]


def _multiply(a: jax.Array, b: jax.Array, form: Form, precision: str) -> jax.Array:
    operands, axes = (a, b), (0 if form.a_transposed else 1, 1 if form.b_transposed else 0)
    if form.flipped:
        operands, axes = (b, a), axes[::-1]
    exact = {"float32": lax.Precision.HIGHEST, "tf32": lax.Precision.HIGH}.get(precision)
    return lax.dot_general(
        *operands,
        (((axes[0],), (axes[1],)), ((), ())),
        precision=exact,
        preferred_element_type=jnp.bfloat16 if form.narrow else jnp.float32,
    )


class Timer:
    """Times one product, in its best form."""

    def __init__(self, product: Product, precision: str, device: jax.Device | None = None):
        """Tries the forms. `device`: one of JAX's devices; None is the default one."""
        device = device or jax.local_devices()[0]
        timed = timed_in_loop if device.platform == "cpu" else timed_in_batch
        tried = [
            (timed(product, form, precision, device), form)
            for form in forms(product, precision, device.platform)
        ]
        quick = [(min(measure(1) for _ in range(3)), i) for i, (measure, _) in enumerate(tried)]
        seconds, best = min(quick)
        self._measure, self.form = tried[best]
        self._repeats = max(1, round(_SECONDS / max(seconds, 1e-6)))

    def seconds(self) -> float:
        """Seconds of one product now."""
        return self._measure(self._repeats)


Measure = Callable[[int], float]  # does a product at least so many times; the seconds of one


def _operands(
    product: Product, form: Form, precision: str, device: jax.Device, seed: int
) -> tuple[jax.Array, jax.Array]:
    """Random numbers: a GPU draws less power, and clocks higher, on equal ones."""
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    a_shape, b_shape = (product.m, product.k), (product.k, product.n)
    keys = jax.random.split(jax.random.key(seed))
    with jax.default_device(device):
        return (
            jax.random.normal(keys[0], a_shape[::-1] if form.a_transposed else a_shape, dtype),
            jax.random.normal(keys[1], b_shape[::-1] if form.b_transposed else b_shape, dtype),
        )


def loop(form: Form, precision: str) -> Callable[..., jax.Array]:
    """A program of a, b and a number: multiplies so many times, returns a, hardly changed."""

    @functools.partial(jax.jit, donate_argnums=0)
    def repeat(a: jax.Array, b: jax.Array, times: jax.Array) -> jax.Array:
        def again(_: jax.Array, a: jax.Array) -> jax.Array:
            result = lax.optimization_barrier(_multiply(a, b, form, precision))
            # The next product depends on this one, or the compiler would do it once.
            first = 1e-30 * result[:1, :1]
            return lax.dynamic_update_slice(a, first.astype(a.dtype), (0, 0))

        return lax.fori_loop(0, times, again, a)

    return repeat


def timed_in_loop(product: Product, form: Form, precision: str, device: jax.Device) -> Measure:
    """Repeats the product in a loop of the program: what starting one takes is not in it."""
    repeat = loop(form, precision)
    a, b = _operands(product, form, precision, device, seed=0)
    held = [repeat(a, b, np.int32(1))]

    def measure(times: int) -> float:
        held[0].block_until_ready()
        start = time.perf_counter()
        held[0] = repeat(held[0], b, np.int32(times))
        held[0].block_until_ready()
        return (time.perf_counter() - start) / times

    return measure


def batch(
    product: Product, form: Form, precision: str, device: jax.Device
) -> tuple[Callable[..., list[jax.Array]], list[tuple[jax.Array, jax.Array]]]:
    """A program of several products, and their operands.

    Each product has an operand of its own, so that none is left out, and both if they are small,
    so that none are merged.
    """
    pairs = [_operands(product, form, precision, device, seed=i) for i in range(_BATCH)]
    if 4 * product.elements > _LARGE_BYTES:
        pairs = [(pairs[0][0], b) if product.kind != KERNEL else (a, b) for a, b in pairs]
    return jax.jit(lambda pairs: [_multiply(a, b, form, precision) for a, b in pairs]), pairs


def timed_in_batch(product: Product, form: Form, precision: str, device: jax.Device) -> Measure:
    """Sends programs of several products ahead of each other, as a GPU likes it.

    A GPU's loop asks the host after each round whether to go on, which takes as long as a product.
    """
    multiply, pairs = batch(product, form, precision, device)
    jax.block_until_ready(multiply(pairs))

    def measure(times: int) -> float:
        calls = -(-times // _BATCH)
        start = time.perf_counter()
        for _ in range(calls):
            results = multiply(pairs)
        jax.block_until_ready(results)
        return (time.perf_counter() - start) / (calls * _BATCH)

    return measure


class Floor:
    """Times all products of steps, which may share some of them."""

    def __init__(self, precision: str, device: jax.Device | None = None):
        self._precision, self._device = precision, device
        self._timers: dict[Product, Timer] = {}

    def prepare(self, products: Iterable[Product]) -> None:
        """Finds the best form of products that are new."""
        for product in products:
            if product not in self._timers:
                self._timers[product] = Timer(product, self._precision, self._device)

    def seconds(self, products: Products) -> float:
        """Seconds that they take, one after the other."""
        self.prepare(products)
        return sum(self._timers[product].seconds() * n for product, n in products.items())

    def rates(self, products: Products) -> Mapping[Product, float]:
        """Operations a second of each."""
        self.prepare(products)
        return {product: product.flops / self._timers[product].seconds() for product in products}
