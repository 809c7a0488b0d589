"""Convolutions of a decoder: tiles on a CPU, pictures on a GPU; both have slow loops' numbers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.models import convolution, winograd


def normal(seed: int, *shape: int, dtype=np.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def planes_of(x: jax.Array, strides: tuple[int, ...]) -> jax.Array:
    """Planes of (b, c, h, w) as they lie behind shuffles of these strides."""
    b, c, h, w = x.shape
    s = math.prod(strides)
    like = jnp.zeros((b, c * s * s, h // s, w // s), x.dtype)
    planes = convolution.from_nchw(like)
    for stride in strides:
        planes = convolution.pixel_shuffle(planes, stride)
    return convolution.from_nchw(x, like=planes)


def with_gradients(function, *operands):
    """The result, and gradients of its product with fixed random numbers."""
    result, pull = jax.vjp(function, *operands)
    return result, pull(normal(9, *result.shape, dtype=result.dtype))


def assert_close(ours, expected, tolerance: float) -> None:
    """Within a fraction of the largest number, array by array."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(jnp.abs(b).max()))


@pytest.fixture
def as_pictures(monkeypatch):
    """Planes as on a GPU."""
    monkeypatch.setattr(convolution, "is_tiled", lambda: False)


# Strides of the shuffles before, then rows and columns: what tiles are left of them.
CASES = {
    "direct": ((), 5, 7, 3),
    "direct, a row": ((), 1, 9, 3),
    "direct, a pixel": ((), 1, 1, 3),
    "2x2 tiles": ((2,), 6, 10, 3),
    "2x2 tiles, one of them": ((2,), 2, 2, 3),
    "3x3 tiles": ((3,), 15, 9, 3),
    "4x4 tiles": ((4,), 12, 8, 3),
    "4x4 tiles of two shuffles": ((2, 2), 12, 20, 3),
    "8 cut into tiles of 4": ((4, 2), 16, 256, 3),
    "6 cut into tiles of 3": ((2, 3), 12, 192, 3),
    "5 made one": ((5,), 10, 15, 3),
    "one made tiles of 4": ((), 8, 128, 3),
    "kernel of 5": ((2,), 6, 10, 5),
    "kernel of 7, larger than the picture": ((), 2, 5, 7),
    "kernel of 1": ((3, 2), 6, 12, 1),
}


IN_FLOAT64 = (
    "direct",
    "2x2 tiles",
    "3x3 tiles",
    "4x4 tiles",
    "kernel of 7, larger than the picture",
)


@pytest.mark.parametrize(
    ("case", "dtype", "tolerance"),
    [(case, np.float32, 1e-5) for case in CASES]
    + [pytest.param(c, np.float64, 1e-12, marks=pytest.mark.slow) for c in IN_FLOAT64],
)
def test_tiles_equal_the_library(case, dtype, tolerance, monkeypatch):
    """Fast against plain: `conv` on a CPU, and `conv_plain`."""
    monkeypatch.setattr(winograd, "_COLUMNS", 30)  # a row or two in a band
    strides, height, width, k = CASES[case]
    with jax.enable_x64(dtype == np.float64):
        x = normal(0, 2, 3, height, width, dtype=dtype)
        kernel, bias = normal(1, k, k, 3, 5, dtype=dtype), normal(2, 5, dtype=dtype)

        def fast(x, kernel, bias):
            planes = convolution.conv(planes_of(x, strides), kernel, bias, "float32")
            return convolution.to_nchw(planes)

        def plain(x, kernel, bias):
            pictures = x.transpose(0, 2, 3, 1)
            result = convolution.conv_plain(pictures, kernel, bias, "float32")
            return result.transpose(0, 3, 1, 2)

        ours, expected = jax.jit(
            lambda *operands: [with_gradients(function, *operands) for function in (fast, plain)]
        )(x, kernel, bias)
        assert_close(ours, expected, tolerance)


def test_library_gradients_equal_derived_ones():
    with jax.enable_x64():
        x, kernel = normal(0, 2, 5, 6, 3, dtype=np.float64), normal(1, 3, 3, 3, 4, dtype=np.float64)

        def derived(x, kernel):
            axes = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=axes)

        ours = with_gradients(lambda *o: convolution.conv_plain(*o, None, "float32"), x, kernel)
        assert_close(ours, with_gradients(derived, x, kernel), 1e-13)


@pytest.mark.parametrize("m", winograd.POINTS)
def test_gradients_of_tiles_equal_finite_differences(m):
    """It is linear in each operand, so that a step of 1 is exact."""
    with jax.enable_x64():
        x = normal(0, 2, 2, m, m, 1, 3, dtype=np.float64)
        kernel, bias = normal(1, 3, 3, 2, 3, dtype=np.float64), normal(2, 3, dtype=np.float64)
        operands = x, kernel, bias
        factors = normal(3, 2, 3, m, m, 1, 3, dtype=np.float64)

        @jax.jit
        def value(*operands):
            return jnp.sum(factors * winograd.conv(*operands, False))

        gradients = jax.grad(value, (0, 1, 2))(*operands)
        for i, (operand, gradient) in enumerate(zip(operands, gradients, strict=True)):
            direction = normal(4 + i, *operand.shape, dtype=np.float64)
            ahead, behind = (
                value(*operands[:i], operand + sign * direction, *operands[i + 1 :])
                for sign in (0.5, -0.5)
            )
            np.testing.assert_allclose(ahead - behind, jnp.sum(gradient * direction), rtol=1e-10)


@pytest.mark.parametrize("m", winograd.POINTS)
def test_matrices_convolve(m):
    a, g, b = winograd.matrices(m, 3)
    kernel, inputs = np.array([0.3, -1.0, 2.0]), np.linspace(-1, 1, m + 2) ** 3
    results = a @ ((g @ kernel) * (b @ inputs))
    np.testing.assert_allclose(results, np.convolve(inputs, kernel[::-1], "valid"), rtol=1e-13)


def test_errors_of_tiles_stay_near_rounding():
    """96 channels, as a decoder has; the largest error against a result's usual size."""
    x, kernel = jnp.abs(normal(0, 1, 96, 16, 32)), normal(1, 3, 3, 96, 32) / 30
    exact = convolution.conv_plain(x.transpose(0, 2, 3, 1), kernel, None, "float32")
    for m, most in ((2, 5e-6), (4, 2e-5)):
        planes = convolution.conv(planes_of(x, (m,)), kernel, None, "float32")
        error = jnp.abs(convolution.images(planes) - exact).max() / exact.std()
        assert error < most, m


@pytest.mark.parametrize("layout", ["tiles", "pictures"])
def test_bfloat16_rounds_factors_alone(layout, monkeypatch):
    """Rounded beforehand, float32 gives the same: results and sums are float32."""
    monkeypatch.setattr(convolution, "is_tiled", lambda: layout == "tiles")
    x, kernel, bias = normal(0, 1, 3, 6, 8), normal(1, 3, 3, 3, 4), normal(2, 4)

    def run(precision, *operands):
        planes = convolution.from_nchw(operands[0])
        return convolution.to_nchw(convolution.conv(planes, *operands[1:], precision))

    rounded = [o.astype(jnp.bfloat16).astype(jnp.float32) for o in (x, kernel)]
    ours, gradients = with_gradients(functools.partial(run, "bfloat16"), x, kernel, bias)
    assert_close(ours, run("float32", *rounded, bias), 1e-5)
    assert {g.dtype for g in gradients} == {np.dtype(np.float32)}
    _, expected = with_gradients(functools.partial(run, "float32"), x, kernel, bias)
    assert_close(gradients, expected, 2e-2)


def test_pixel_shuffle_equals_a_loop():
    x = normal(0, 2, 12, 3, 4)
    expected = np.zeros((2, 3, 6, 8), np.float32)
    for k in range(3):
        for a in range(2):
            for b in range(2):
                expected[:, k, a::2, b::2] = x[:, k * 4 + a * 2 + b]
    assert (convolution.to_nchw(convolution.pixel_shuffle(planes_of(x, ()), 2)) == expected).all()


@pytest.mark.parametrize("strides", [(1,), (5, 1, 2), (2, 3, 2), (3, 4)])
def test_shuffles_in_a_row_equal_plain_ones(strides):
    s = math.prod(strides)
    x = normal(0, 2, 2 * s * s, 2, 3)
    ours, plain = convolution.from_nchw(x), x.transpose(0, 2, 3, 1)
    for stride in strides:
        ours = convolution.pixel_shuffle(ours, stride)
        plain = convolution.pixel_shuffle_plain(plain, stride)
    assert convolution.shape(ours) == (2, 2, 2 * s, 3 * s)
    assert (convolution.images(ours) == plain).all()


@pytest.mark.parametrize("strides", [(), (2,), (3, 2)])
@pytest.mark.parametrize("s", [1, 2, 3])
def test_bilinear_equals_a_loop(strides, s):
    x = normal(0, 2, 3, 6, 12)
    rows, columns = 6 * s, 12 * s
    expected = np.zeros((2, 3, rows, columns))
    for y in range(rows):
        for column in range(columns):
            at = y * 5 / (rows - 1), column * 11 / (columns - 1)
            top, left = (min(int(v), side) for v, side in zip(at, (4, 10), strict=True))
            down, right = at[0] - top, at[1] - left
            corner = x[:, :, top : top + 2, left : left + 2]
            by_row = corner[:, :, 0] * (1 - down) + corner[:, :, 1] * down
            expected[:, :, y, column] = by_row[..., 0] * (1 - right) + by_row[..., 1] * right
    planes = convolution.upsample_bilinear(planes_of(x, strides), s)
    np.testing.assert_allclose(convolution.to_nchw(planes), expected, atol=1e-5)


def test_transpose_conv_equals_a_loop():
    x, kernel, bias = normal(0, 2, 3, 4, 6), normal(1, 3, 3, 3, 2), normal(2, 2)
    expected = np.zeros((2, 2, 12, 18))
    for a in range(3):
        for b in range(3):
            expected[:, :, a::3, b::3] = np.einsum("bchw,cd->bdhw", x, kernel[a, b])
    expected += np.asarray(bias)[:, None, None]
    planes = convolution.transpose_conv(planes_of(x, (2,)), kernel, bias, "float32")
    np.testing.assert_allclose(convolution.to_nchw(planes), expected, atol=1e-5)


@pytest.mark.parametrize("strides", [(), (2,), (3, 2)])
def test_planes_come_back(strides):
    x = normal(0, 2, 3, 6, 12)
    planes = planes_of(x, strides)
    assert convolution.shape(planes) == x.shape
    assert (convolution.to_nchw(planes) == x).all()
    assert (convolution.images(planes) == x.transpose(0, 2, 3, 1)).all()
    assert (convolution.from_vector(x.reshape(2, -1), 3, 6, 12) == planes_of(x, ())).all()


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("layout", ["tiles", "pictures"])
def test_channels_are_counted_in_every_layout(per_image, layout, monkeypatch):
    monkeypatch.setattr(convolution, "is_tiled", lambda: layout == "tiles")
    x = normal(0, 2, 3, 6, 12)
    planes = planes_of(x, (2,))
    centered = planes - convolution.channel_mean(planes, per_image)
    scaled = centered * convolution.per_channel(jnp.arange(1.0, 4.0), planes)
    joined = jnp.concatenate([scaled, planes], convolution.channel_axis(planes))
    axes = (2, 3) if per_image else (0, 2, 3)
    factors = np.arange(1.0, 4.0, dtype=np.float32)[None, :, None, None]
    expected = (x - x.mean(axes, keepdims=True)) * factors
    ours = convolution.to_nchw(joined)
    np.testing.assert_allclose(ours[:, :3], expected, atol=1e-5)
    assert (ours[:, 3:] == x).all()


def decoder(x: jax.Array, kernels: list[jax.Array], precision: str = "float32") -> jax.Array:
    """Shuffles of 2 and 3, then a head."""
    planes = convolution.from_vector(x, 4, 2, 3)
    for kernel, stride in zip(kernels[:-1], (2, 3), strict=True):
        planes = convolution.conv(planes, kernel, None, precision)
        planes = jax.nn.silu(convolution.pixel_shuffle(planes, stride))
    return convolution.images(convolution.conv(planes, kernels[-1], None, precision))


def decoder_operands() -> tuple[jax.Array, list[jax.Array]]:
    shapes = [(4, 16), (4, 36)]
    kernels = [normal(i, 3, 3, *shape) / 6 for i, shape in enumerate(shapes)]
    return normal(8, 2, 4 * 2 * 3), [*kernels, normal(7, 1, 1, 4, 3)]


def test_a_decoder_is_the_same_in_both_layouts(monkeypatch):
    tiled = with_gradients(jax.jit(decoder), *decoder_operands())
    monkeypatch.setattr(convolution, "is_tiled", lambda: False)
    assert tiled[0].shape == (2, 12, 18, 3)
    assert_close(tiled, with_gradients(decoder, *decoder_operands()), 1e-5)


@pytest.mark.slow
def test_a_decoder_runs_under_every_transformation():
    """Loops, `pmap` and `vmap` give the numbers of `jit`, to rounding; `jit` the same bits."""
    x, kernels = decoder_operands()

    def step(x, kernels):
        return jax.grad(lambda k: jnp.square(decoder(x, k)).mean())(kernels)

    expected = jax.jit(step)(x, kernels)
    again = jax.jit(step)(x, kernels)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), again, expected))
    _, scanned = jax.lax.scan(lambda _, x: (None, step(x, kernels)), None, jnp.stack([x, x]))
    assert_close(jax.tree.map(lambda a: a[1], scanned), expected, 1e-6)
    looped = jax.lax.fori_loop(
        0, 2, lambda _, k: step(x, jax.tree.map(lambda a, b: a + 0 * b, kernels, k)), kernels
    )
    assert_close(looped, expected, 1e-6)
    count = min(2, jax.local_device_count())
    parallel = jax.pmap(step, in_axes=(0, None))(jnp.stack([x] * count), kernels)
    assert_close(jax.tree.map(lambda a: a[0], parallel), expected, 1e-6)
    several = jax.vmap(step, in_axes=(0, None))(jnp.stack([x, 2 * x]), kernels)
    assert_close(jax.tree.map(lambda a: a[0], several), expected, 1e-5)


def test_pictures_lie_channels_last_on_a_gpu(as_pictures):
    x = normal(0, 2, 3, 4, 5)
    assert (convolution.from_nchw(x) == x.transpose(0, 2, 3, 1)).all()
    planes = convolution.transpose_conv(
        convolution.from_nchw(x), normal(1, 2, 2, 3, 4), None, "float32"
    )
    assert planes.shape == (2, 8, 10, 4)
