"""Floating-point operations and bytes of a training step and of an image, by arithmetic.

A multiplication with its addition is two operations. `products` are the matrix products that the
network does (`models/mlp.py`), forward and backward, and no others: a layer whose role is frozen
has no gradient of its kernel, one with nothing trainable below it none of its input.

Bytes are those that go through memory. Each matrix product reads its two operands and writes its
result, once, at the compute dtype; what is done element by element (bias, ReLU, its mask on the
way back, the bias gradient) is counted apart, as if each layer's were one more pass over memory:
`Bytes.fused` leaves it out, as when the products had it in their prologue and epilogue,
`Bytes.unfused` has it. Params, gradients and moments are float32, pixels a byte a color.
"""

import dataclasses
from collections import Counter

from inv_jax.models import encodings
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf

FORWARD, INPUT, KERNEL = "forward", "input", "kernel"  # the kinds of product: what is computed

_POINT_FLOPS = (70, 100)  # noise, compositing, sorting, drawing: a point, forward and backward
_POINT_FLOATS = (12, 20)  # ... and float32 values written and read
_ADAM_FLOPS = 20  # a param: norm, clipping, moments, update
_ADAM_ACCESSES = 9  # param, gradient twice, two moments: read; param, moments: written; its norm
_RAY_FLOATS = 2 * 11  # a ray's fields, written and read
_COLOR_MAPS = 3  # the last maps of a network: into the color head, the direction's part, out of it


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


Products = Counter[Product]  # and how often each is done


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
        return sum(product.flops * times for product, times in self.products.items())

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


@dataclasses.dataclass(frozen=True)
class _Map:
    """A linear map of the network: `rows` times `fan_in -> fan_out`."""

    rows: int
    fan_in: int
    fan_out: int
    is_activated: bool
    trains: bool  # whether its kernel does
    trains_below: bool  # whether anything that its input depends on does

    @property
    def is_differentiated(self) -> bool:
        return self.trains or self.trains_below


def _maps(mlp: NerfMlp, rays: int, points: int, roles: tuple[str, ...]) -> list[_Map]:
    """The maps of one network, in order. `feature` and `views_0` meet the points as one."""
    shapes = mlp.layer_shapes()
    trains = {name: mlp.layer_role(name) in roles for name in shapes}
    half = mlp.width // 2
    encoded = encodings.octave_features(3, mlp.position_octaves)
    maps, below = [], False
    for i in range(mlp.depth):
        name, from_skip = f"layer_{i}", mlp.skip_layer is not None and i == mlp.skip_layer + 1
        if i == 0 or from_skip:  # the encoded position has no gradient
            maps.append(_Map(points, encoded, mlp.width, i == 0, trains[name], False))
        if i > 0:
            maps.append(_Map(points, mlp.width, mlp.width, True, trains[name], below))
        below = below or trains[name]
    maps.append(_Map(points, mlp.width, 1, False, trains["density"], below))
    head = trains["feature"] or trains["views_0"]
    maps.append(_Map(points, mlp.width, half, True, head, below))
    directions = encodings.octave_features(3, mlp.direction_octaves)
    maps.append(_Map(rays, directions, half, False, trains["views_0"], False))
    maps.append(_Map(points, half, 3, False, trains["rgb"], below or head))
    return maps


def _map_products(map_: _Map) -> list[Product]:
    found = [Product(map_.rows, map_.fan_in, map_.fan_out)]
    if map_.trains_below:
        found.append(Product(map_.rows, map_.fan_out, map_.fan_in, INPUT))
    if map_.trains:
        found.append(Product(map_.fan_in, map_.rows, map_.fan_out, KERNEL))
    return found


def _head_products(mlp: NerfMlp, roles: tuple[str, ...]) -> list[Product]:
    """The kernel of the color's path: `feature` times the rows of `views_0` that read it."""
    width, half = mlp.width, mlp.width // 2
    found = [Product(width, width, half)]
    if mlp.layer_role("feature") in roles:
        found.append(Product(width, half, width, INPUT))
    if mlp.layer_role("views_0") in roles:
        found.append(Product(width, width, half, KERNEL))
    return found


def _samples(nerf: Nerf) -> tuple[int, int]:
    """Points on a ray that each network sees."""
    return nerf.coarse_samples, nerf.coarse_samples + nerf.fine_samples


def itemsize(precision: str) -> int:
    """Bytes of a number in the network, by `model.precision`."""
    return 2 if precision == "bfloat16" else 4


def num_params(nerf: Nerf, roles: tuple[str, ...]) -> int:
    """Params with these roles, in both networks."""
    shapes = nerf.mlp.layer_shapes().items()
    return 2 * sum(
        fan_in * fan_out + fan_out
        for name, (fan_in, fan_out) in shapes
        if nerf.mlp.layer_role(name) in roles
    )


def _pass(nerf: Nerf, rays: int, roles: tuple[str, ...], itemsize: int) -> Cost:
    """Rays that go through both networks at once, forward and (if anything trains) backward.

    An image shows no color of the coarse network, so that none is computed.
    """
    products: Products = Counter()
    flops = pointwise = rest = 0
    ways = 2 if roles else 1
    for samples, has_color in zip(_samples(nerf), (bool(roles), True), strict=True):
        points = rays * samples
        maps = _maps(nerf.mlp, rays, points, roles)
        for map_ in maps if has_color else maps[:-_COLOR_MAPS]:
            products.update(_map_products(map_))
            elements = map_.rows * map_.fan_out
            flops += elements * (2 if map_.is_activated else 1)
            pointwise += 2 * elements
            if map_.is_differentiated and map_.is_activated:
                flops += elements
                pointwise += 3 * elements  # gradient and activation are read, a gradient written
            if map_.trains:
                flops += elements  # of the bias
                pointwise += elements
        if has_color:
            products.update(_head_products(nerf.mlp, roles))
        flops += points * (sum(_POINT_FLOPS[:ways]) + 3 * nerf.mlp.position_octaves)
        rest += 4 * points * sum(_POINT_FLOATS[:ways])
        pointwise += points * encodings.octave_features(3, nerf.mlp.position_octaves)
    moved = sum(product.elements * times for product, times in products.items())
    return Cost(
        products,
        flops,
        Bytes(
            itemsize * moved,
            itemsize * pointwise,
            rest + rays * (4 * _RAY_FLOATS + 3),
        ),
    )


def step(
    nerf: Nerf, *, rays: int, rays_per_pass: int, roles: tuple[str, ...], itemsize: int = 4
) -> Cost:
    """A training step on one device.

    Args:
      nerf: The model.
      rays: That the device takes of the step.
      rays_per_pass: That go through the network at once.
      roles: What trains.
      itemsize: Bytes of a number in the network: 4, or 2 for bfloat16.
    """
    passes = rays // min(rays, rays_per_pass)
    one = _pass(nerf, rays // passes, roles, itemsize)
    trainable = num_params(nerf, roles)
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


def image(nerf: Nerf, *, rays: int, rays_per_chunk: int, itemsize: int = 4) -> Cost:
    """An image of so many rays (pixels) on one device; the last chunk is as large as the others."""
    per_chunk = min(rays, rays_per_chunk)
    chunks = -(-rays // per_chunk)
    one = _pass(nerf, per_chunk, (), itemsize)
    return Cost(
        Counter({product: times * chunks for product, times in one.products.items()}),
        one.pointwise_flops * chunks,
        Bytes(one.bytes.products * chunks, one.bytes.pointwise * chunks, one.bytes.rest * chunks),
    )
