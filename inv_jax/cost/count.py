"""Floating-point operations and bytes of a training step and of an image, by arithmetic.

A multiplication with its addition is two operations. `products` are the matrix products that the
model does (`Model.work`), forward and backward, and no others: a layer whose role is frozen
has no gradient of its kernel, one with nothing trainable below it none of its input.

Bytes are those that go through memory. Each matrix product reads its two operands and writes its
result, once, at the compute dtype; what is done element by element (bias, ReLU, its mask on the
way back, the bias gradient) is counted apart, as if each layer's were one more pass over memory:
`Bytes.fused` leaves it out, as when the products had it in their prologue and epilogue,
`Bytes.unfused` has it. Params, gradients and moments are float32, pixels a byte a color.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from inv_jax import params as params_lib
from inv_jax.models.base import Model
from inv_jax.models.work import Map
from inv_jax.train.mixture import PLAIN, Kind, Mixture

FORWARD, INPUT, KERNEL = "forward", "input", "kernel"  # the kinds of product: what is computed

_ADAM_FLOPS = 20  # a param: norm, clipping, moments, update
_ADAM_ACCESSES = 9  # param, gradient twice, two moments: read; param, moments: written; its norm
_PIXEL_BYTES = 3


@dataclasses.dataclass(frozen=True)
class Product:
    """(m, k) @ (k, n). For `INPUT` the second operand, for `KERNEL` the first is transposed."""

    m: int
    k: int
    n: int
    kind: str = FORWARD

    @property
    def flops(self) -> int:
        return 2 * self.m * self.k * self.n

    @property
    def elements(self) -> int:
        """Numbers read and written."""
        return self.m * self.k + self.k * self.n + self.m * self.n


Products = Counter[Product]  # and how often each is done; of a mixture on average, no whole number


@dataclasses.dataclass(frozen=True)
class Bytes:
    """Bytes moved, by what moves them."""

    products: int  # operands and results of the matrix products
    pointwise: int  # what is done to their results element by element
    rest: int  # params, gradients, moments, rays, samples

    @property
    def fused(self) -> int:
        """The least, if every matrix product is an operation of its own."""
        return self.products + self.rest

    @property
    def unfused(self) -> int:
        """If what is done element by element is one too."""
        return self.products + self.pointwise + self.rest


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a step or an image costs."""

    products: Products
    pointwise_flops: int
    bytes: Bytes

    @property
    def product_flops(self) -> int:
        return round(sum(product.flops * times for product, times in self.products.items()))

    @property
    def flops(self) -> int:
        return self.product_flops + self.pointwise_flops

    def floor_seconds(self, flops_rate: float, bytes_rate: float, *, in_cache: bool) -> float:
        """The least time at these rates: computing or moving, whichever takes longer.

        Args:
          flops_rate: Floating-point operations a second, in matrix products.
          bytes_rate: Bytes a second, to and from memory.
          in_cache: Whether what the network computes stays in caches, as the passes of a CPU
            are made to; then only the rest is moved.
        """
        moved = self.bytes.rest if in_cache else self.bytes.fused
        return max(self.flops / flops_rate, moved / bytes_rate)


def _map_products(map_: Map, batch: int) -> list[Product]:
    rows = map_.rows * batch
    found = [Product(rows, map_.fan_in, map_.fan_out)]
    if map_.trains_below:
        found.append(Product(rows, map_.fan_out, map_.fan_in, INPUT))
    if map_.trains:
        found.append(Product(map_.fan_in, rows, map_.fan_out, KERNEL))
    return found


def itemsize(precision: str) -> int:
    """Bytes of a number in the network, by `model.precision`."""
    return 2 if precision == "bfloat16" else 4


def num_params(model: Model, roles: tuple[str, ...]) -> int:
    """Params with these roles, in all networks."""
    return sum(math.prod(shape) for shape in leaf_shapes(model, roles))


def num_moving(model: Model, roles: tuple[str, ...]) -> int:
    """Those of them that the model puts elsewhere now and then: of layers that have an index."""
    if not model.rearrange_every:
        return 0
    leaves = _leaves(model)
    moving = {params_lib.layer_of(p) for p in leaves if params_lib.role_of(p) == params_lib.INDEX}
    return sum(
        math.prod(leaf.shape)
        for path, leaf in leaves.items()
        if params_lib.role_of(path) in roles and params_lib.layer_of(path) in moving
    )


def leaf_shapes(model: Model, roles: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Shapes of the leaves with these roles that may train; nothing is computed."""
    leaves = _leaves(model).items()
    return [
        leaf.shape
        for path, leaf in leaves
        if params_lib.role_of(path) in roles and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]


def num_bytes(model: Model) -> int:
    """Bytes of all leaves, also of those that never train."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in _leaves(model).values())


@functools.lru_cache
def _leaves(model: Model) -> dict[str, jax.ShapeDtypeStruct]:
    """The params by path; a forecast asks for them again and again."""
    return params_lib.flatten(jax.eval_shape(model.init, jax.random.key(0)))


def _pass(model: Model, batch: int, roles: tuple[str, ...], itemsize: int) -> Cost:
    """Rows that go through all networks at once, forward and (if anything trains) backward."""
    work = model.work(roles)
    products: Products = Counter()
    flops = pointwise = rest = 0
    for network in work.networks:
        points = batch * network.points
        for map_ in network.maps:
            products.update(_map_products(map_, batch))
            elements = map_.rows * batch * map_.fan_out
            flops += elements * (2 if map_.is_activated else 1)
            pointwise += 2 * elements
            if map_.is_differentiated and map_.is_activated:
                flops += elements
                pointwise += 3 * elements  # gradient and activation are read, a gradient written
            if map_.trains:
                flops += elements  # of the bias
                pointwise += elements
        for map_ in network.folded:
            products.update(_map_products(map_, 1))
        flops += points * network.point_flops
        flops += network.pass_flops
        rest += 4 * (points * network.point_floats + network.pass_floats)
        pointwise += points * network.encoded
    moved = sum(product.elements * times for product, times in products.items())
    return Cost(
        products,
        flops,
        Bytes(
            itemsize * moved,
            itemsize * pointwise,
            rest + batch * (4 * work.row_floats + _PIXEL_BYTES),
        ),
    )


def _roles_of(kind: Kind, model: Model, roles: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the roles that train in a step of this kind: any that its networks have."""
    if not kind.networks:
        return roles
    leaves = (path for path in _leaves(model) if path.split("/")[0] in kind.networks)
    there = {params_lib.role_of(path) for path in leaves}
    return tuple(role for role in roles if role in there)


def _mean(costs: Sequence[Cost], shares: Sequence[float]) -> Cost:
    """The mean of costs, each with its share."""
    if len(costs) == 1:
        return costs[0]  # exact
    products: Products = Counter()
    for cost, share in zip(costs, shares, strict=True):
        products.update({product: share * times for product, times in cost.products.items()})

    def mean(values: Sequence[int]) -> int:
        return round(sum(share * value for share, value in zip(shares, values, strict=True)))

    return Cost(
        products,
        mean([cost.pointwise_flops for cost in costs]),
        Bytes(
            products=mean([cost.bytes.products for cost in costs]),
            pointwise=mean([cost.bytes.pointwise for cost in costs]),
            rest=mean([cost.bytes.rest for cost in costs]),
        ),
    )


def step(
    model: Model,
    *,
    rows: int,
    rows_per_pass: int,
    roles: tuple[str, ...],
    itemsize: int = 4,
    mixture: Mixture = PLAIN,
) -> Cost:
    """A training step on one device; of a mixture, the mean of its kinds over a frame.

    Args:
      model: The model.
      rows: That the device takes of the step.
      rows_per_pass: That go through the network at once.
      roles: What trains in the phase. Whatever of it a step of some kind leaves as it is has no
        gradient there, but takes part in the update.
      itemsize: Bytes of a number in the network: 4, or 2 for bfloat16.
      mixture: What its steps are made of.
    """
    passes = rows // min(rows, rows_per_pass)
    kinds = [
        _pass(
            model.part(kind.part) if kind.part else model,
            rows // passes,
            _roles_of(kind, model, roles),
            itemsize,
        )
        for kind in mixture.kinds
    ]
    one = _mean(kinds, mixture.shares())
    trainable = num_params(model, roles)
    accumulated = 3 * trainable * passes if passes > 1 else 0
    return Cost(
        Counter({product: times * passes for product, times in one.products.items()}),
        one.pointwise_flops * passes + _ADAM_FLOPS * trainable,
        Bytes(
            one.bytes.products * passes,
            one.bytes.pointwise * passes,
            one.bytes.rest * passes + 4 * (_ADAM_ACCESSES * trainable + accumulated),
        ),
    )


def image(model: Model, *, rows: int, rows_per_chunk: int, itemsize: int = 4) -> Cost:
    """An image of so many rows on one device; the last chunk is as large as the others."""
    per_chunk = min(rows, rows_per_chunk)
    chunks = -(-rows // per_chunk)
    one = _pass(model, per_chunk, (), itemsize)
    return Cost(
        Counter({product: times * chunks for product, times in one.products.items()}),
        one.pointwise_flops * chunks,
        Bytes(one.bytes.products * chunks, one.bytes.pointwise * chunks, one.bytes.rest * chunks),
    )
