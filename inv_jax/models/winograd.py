"""Convolutions as products over tiles, row by row: the way of a CPU.

**Minimal filtering** (Winograd 1980; Lavin and Gray 2016, eq. 8). A tile of m x m results of a
k x k kernel needs n x n inputs, n = m + k - 1. With three small matrices

    results = A.T [(G kernel G.T) * (B.T inputs B)] A

where `*` is element by element: n * n products instead of m * m * k * k, which for k = 3 and
m = 2, 3, 4 is 2.25, 3.24 and 4 times fewer. Summed over input channels they are n * n matrix
products of kernel and tiles. A, B and G evaluate polynomials at n - 1 points and at infinity; at
the points below, float32 results of 96 channels are off by 8e-7 of their size (direct: 2e-7).
With m = 1 it is direct convolution: B and A are identities, and the products become one.

**Tiles without strides.** Planes are (h, c, m, m, b, w): pixel (y, x) is at [y // m, :, y % m,
x % m, :, x // m]. A tile is then one index of h and w; every step is a sum of long rows.

**Row by row.** A scan over a few rows of tiles at a time keeps what lies between the matrix
products in the caches. The backward pass makes the tiles anew instead of keeping them.
"""

import dataclasses
import fractions
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Planes = Float[Array, "h c m m b w"]  # of tiles

_HALF = fractions.Fraction(1, 2)
POINTS = {2: (0, 1, -1), 3: (0, 1, -1, _HALF), 4: (0, 1, -1, _HALF, -2)}
_ONE = 1  # where the point 1 is among them
_COLUMNS = 240  # of a matrix product, at most: fewer are slower, more leave the caches


@functools.cache
def matrices(m: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A.T (m, n), G (n, k) and B.T (n, n), from polynomials through `POINTS` (Toom and Cook)."""
    if m == 1:
        return np.ones((1, k)), np.eye(k), np.eye(k)
    points = [fractions.Fraction(point) for point in POINTS[m]]
    a = [[point**i for point in points] + [int(i == m - 1)] for i in range(m)]
    b, g = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = np.prod([point - other for other in others])
        b.append([*_polynomial(others), 0])
        g.append([point**i / scale for i in range(k)])
    b.append(_polynomial(points))
    g.append([int(i == k - 1) for i in range(k)])
    return tuple(np.array(rows).astype(np.float64) for rows in (a, g, b))


def _polynomial(roots: list[fractions.Fraction]) -> list[fractions.Fraction]:
    """Coefficients of the product of all x - root, the constant first."""
    result = [fractions.Fraction(1)]
    for root in roots:
        shifted, scaled = [0, *result], [*(-root * c for c in result), 0]
        result = [p + q for p, q in zip(shifted, scaled, strict=True)]
    return result


def _combine(coefficients: np.ndarray, arrays: Sequence[Array]) -> Array:
    """The sum of arrays times numbers, in order; what is times 0 is left out."""
    total = None
    for number, x in zip(coefficients, arrays, strict=True):
        if number:
            term = x if number == 1 else -x if number == -1 else x * np.asarray(number, x.dtype)
            total = term if total is None else total + term
    assert total is not None
    return total


def _apply(matrix: np.ndarray, arrays: Sequence[Array]) -> Float[Array, "o ..."]:
    """The matrix times a list of arrays, computed before what reads it: else it is done anew there.

    As one concatenation of sums of long rows it runs at the rate of the caches.
    """
    return lax.optimization_barrier(jnp.stack([_combine(row, arrays) for row in matrix]))


@dataclasses.dataclass(frozen=True)
class _Tiling:
    """Shapes of one convolution, and the ways between pixels and products.

    Attributes:
      m: Pixels of a tile, each way.
      k: Of the kernel, each way.
      images: How many.
      height: Rows of tiles.
      width: Columns of tiles.
      rows: Rows of tiles that are computed at a time; they divide the height.
    """

    m: int
    k: int
    images: int
    height: int
    width: int
    rows: int

    @classmethod
    def of(cls, x: Planes, kernel: Array) -> "_Tiling":
        """Of planes and the kernel that is applied to them."""
        height, _, m, _, images, width = x.shape
        columns = images * width
        fit = [r for r in range(1, height + 1) if height % r == 0 and r * columns <= _COLUMNS]
        return cls(m, kernel.shape[0], images, height, width, max(fit, default=1))

    @property
    def n(self) -> int:
        """Inputs of a tile, each way."""
        return self.m + self.k - 1

    @property
    def halo(self) -> int:
        """Tiles that a tile reaches over, on each side."""
        return -(-(self.k // 2) // self.m)

    def starts(self) -> Array:
        """First row of each band."""
        return jnp.arange(0, self.height, self.rows)

    def padded(self, x: Planes) -> Array:
        """Zeros around the picture."""
        around = (self.halo, self.halo)
        return jnp.pad(x, (around, *[(0, 0)] * 4, around))

    def _at(self) -> list[tuple[int, int]]:
        """Of each input of a tile, along one axis: its pixel in its tile, and which tile."""
        places = [i - self.k // 2 for i in range(self.n)]
        return [(place % self.m, self.halo + place // self.m) for place in places]

    def tiles(self, padded: Array, start: Array) -> Float[Array, "t c p"]:
        """B.T inputs B, for the products of a band."""
        _, _, b = matrices(self.m, self.k)
        band = lax.dynamic_slice_in_dim(padded, start, self.rows + 2 * self.halo, 0)
        inputs = [band[row : row + self.rows, :, y] for y, row in self._at()]
        x = _apply(b, inputs) if self.m > 1 else jnp.stack(inputs)  # n, rows, c, m, b, w + halos
        columns = [x[:, :, :, i, :, left : left + self.width] for i, left in self._at()]
        x = jnp.stack([_combine(row, columns) for row in b], 1)  # n, n, rows, c, b, width
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(self.n**2, x.shape[3], -1)

    def inputs_grad(self, grad: Float[Array, "t c p"]) -> Float[Array, "r c n m b w"]:
        """The transpose of `tiles`, but that the rows of a tile's halo stay apart."""
        _, _, b = matrices(self.m, self.k)
        n, half, channels = self.n, self.k // 2, grad.shape[1]
        x = grad.reshape(n, -1)
        x = _apply(b.T, list(x)) if self.m > 1 else x
        x = x.reshape(n, n, channels, self.rows, self.images, self.width)
        x = jnp.pad(x, (*[(0, 0)] * 5, (self.halo, self.halo)))
        columns = []
        for i in range(self.m):
            numbers, terms = [], []
            for tile in range(-self.halo, self.halo + 1):
                place = i - self.m * tile + half  # of this pixel among that tile's inputs
                if 0 <= place < n:
                    left = self.halo + tile
                    numbers += list(b[:, place])
                    terms += [x[:, j, ..., left : left + self.width] for j in range(n)]
            columns.append(_combine(np.array(numbers), terms))
        return jnp.stack(columns, 1).transpose(3, 2, 0, 1, 4, 5)

    def whole(self, grad: Float[Array, "h c n m b w"]) -> Planes:
        """Adds the halos' rows to the tiles above and below."""
        m, half = self.m, self.k // 2
        result = grad[:, :, half : half + m]
        for tile in range(1, self.halo + 1):
            below = grad[:-tile, :, half + tile * m : half + tile * m + m]
            result = result.at[tile:, :, : below.shape[2]].add(below)
            above = grad[tile:, :, max(0, half - tile * m) : half - tile * m + m]
            result = result.at[:-tile, :, m - above.shape[2] :].add(above)
        return result

    def results(self, products: Float[Array, "t d p"]) -> Float[Array, "r d m m b w"]:
        """A.T products A."""
        a, _, _ = matrices(self.m, self.k)
        m, n, channels = self.m, self.n, products.shape[1]
        x = products
        if m > 1:
            x = _apply(a, list(products.reshape(n, -1))).reshape(m, n, -1)
            x = jnp.stack([_combine(row, list(x.swapaxes(0, 1))) for row in a], 1)
        x = x.reshape(m, m, channels, self.rows, self.images, self.width)
        return x.transpose(3, 2, 0, 1, 4, 5)

    def products_grad(self, grad: Planes, start: Array) -> Float[Array, "t d p"]:
        """The transpose of `results`, of a band."""
        a, _, _ = matrices(self.m, self.k)
        m, n, channels = self.m, self.n, grad.shape[1]
        band = lax.dynamic_slice_in_dim(grad, start, self.rows, 0)
        if m == 1:
            return band.transpose(2, 3, 1, 0, 4, 5).reshape(1, channels, -1)
        # As it lies: transposed on the way in, this takes four times as long.
        x = _apply(a.T, [band[:, :, y] for y in range(m)])  # n, rows, d, m, b, w
        x = jnp.stack([_combine(row, [x[:, :, :, i] for i in range(m)]) for row in a.T], 1)
        return x.transpose(0, 1, 3, 2, 4, 5).reshape(n * n, channels, -1)

    def kernels(self, kernel: Array) -> Float[Array, "t i d"]:
        """G kernel G.T; with m = 1 one kernel of k * k * c inputs."""
        _, c, d = kernel.shape[1:]
        if self.m == 1:
            return kernel.reshape(1, -1, d)
        g = jnp.asarray(matrices(self.m, self.k)[1], kernel.dtype)
        return _einsum("ia,jb,abcd->ijcd", g, g, kernel).reshape(-1, c, d)

    def kernel_grad(self, grad: Float[Array, "t i d"]) -> Float[Array, "k k c d"]:
        """The transpose of `kernels`."""
        if self.m == 1:
            return grad.reshape(self.k, self.k, -1, grad.shape[2])
        g = jnp.asarray(matrices(self.m, self.k)[1], grad.dtype)
        return _einsum("ia,jb,ijcd->abcd", g, g, grad.reshape(self.n, self.n, *grad.shape[1:]))


_einsum = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def conv(
    x: Planes, kernel: Float[Array, "k k c d"], bias: Float[Array, "d"], rounded: bool
) -> Float[Array, "h d m m b w"]:
    """Convolves, with k // 2 zeros around the picture.

    Differentiable in reverse mode only: the gradients are written out, as products of the same
    tiles.

    Args:
      x: Planes of m x m tiles; m is 1 or one of `POINTS`, and 1 if k is not 3.
      kernel: k is odd.
      bias: Is added.
      rounded: Whether what goes into products is rounded to bfloat16 first, also in the gradients.
        Sums are of the dtype of `x` all the same.
    """
    tiling = _Tiling.of(x, kernel)
    padded, kernels = tiling.padded(_round(x, rounded)), tiling.kernels(_round(kernel, rounded))
    shape = (tiling.height, kernel.shape[3], tiling.m, tiling.m, tiling.images, tiling.width)

    def band(i: Array, result: Array) -> Array:
        start = i * tiling.rows
        tiles = tiling.tiles(padded, start).reshape(len(kernels), kernels.shape[1], -1)
        band = tiling.results(_einsum("tcd,tcp->tdp", kernels, tiles))
        band += bias.reshape(1, -1, 1, 1, 1, 1)
        return lax.dynamic_update_slice_in_dim(result, band, start, 0)

    return lax.fori_loop(0, tiling.height // tiling.rows, band, jnp.zeros(shape, x.dtype))


def _forward(
    x: Array, kernel: Array, bias: Array, rounded: bool
) -> tuple[Array, tuple[Array, Array]]:
    return conv(x, kernel, bias, rounded), (x, kernel)


def _backward(rounded: bool, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array, Array]:
    x, kernel = saved
    tiling = _Tiling.of(x, kernel)
    padded, kernels = tiling.padded(_round(x, rounded)), tiling.kernels(_round(kernel, rounded))
    by_result = kernels.swapaxes(1, 2)
    # The sum over a tile is its value at 1 in both directions.
    ones = tiling.n * _ONE + _ONE if tiling.m > 1 else 0

    def band(sums: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], Array]:
        to_products = tiling.products_grad(_round(grad, rounded), start)
        tiles = tiling.tiles(padded, start).reshape(len(kernels), kernels.shape[1], -1)
        to_kernel = sums[0] + _einsum("tdp,tcp->tdc", to_products, tiles)
        to_bias = sums[1] + _einsum("dp->d", to_products[ones])
        to_tiles = _einsum("tdc,tdp->tcp", by_result, to_products)
        return (to_kernel, to_bias), tiling.inputs_grad(
            to_tiles.reshape(tiling.n**2, x.shape[1], -1)
        )

    zeros = jnp.zeros_like(by_result), jnp.zeros(kernel.shape[3], x.dtype)
    (to_kernel, to_bias), to_x = lax.scan(band, zeros, tiling.starts())
    to_x = tiling.whole(to_x.reshape(tiling.height, *to_x.shape[2:]))
    return to_x, tiling.kernel_grad(to_kernel.swapaxes(1, 2)), to_bias


conv.defvjp(_forward, _backward)


def _round(x: Array, rounded: bool) -> Array:
    return x.astype(jnp.bfloat16).astype(x.dtype) if rounded else x
