"""The Fourier operator against sums over all pixels and frequencies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.models import spectral


def by_hand(x: np.ndarray, layer: dict[str, np.ndarray], stride: int) -> np.ndarray:
    """The operator as sums of waves, in float64."""
    height, width = x.shape[2:]
    rows, columns = layer["real_0"].shape[2:]
    tall, wide = height * stride, width * stride
    y, x_at = np.mgrid[:height, :width]
    made = np.zeros((len(x), layer["real_0"].shape[1], tall, wide), complex)
    out_y, out_x = np.mgrid[:tall, :wide]
    for corner, first in enumerate((0, height - rows)):
        matrix = layer[f"real_{corner}"] + 1j * layer[f"imag_{corner}"]
        for row, column in np.ndindex(rows, columns):
            wave = np.exp(-2j * np.pi * ((first + row) * y / height + column * x_at / width))
            of_input = np.einsum("bchw,hw->bc", x, wave) / (height * width)
            of_result = of_input @ matrix[:, :, row, column]
            # A negative row keeps its place, so it is another wave on more rows.
            turns = (first + row) * out_y / tall + column * out_x / wide
            twice = 1 if column == 0 or 2 * column == wide else 2  # ... and its conjugate
            made += twice * of_result[:, :, None, None] * np.exp(2j * np.pi * turns)
    return made.real


@pytest.mark.parametrize(
    ("height", "width", "stride"), [(4, 6, 2), (5, 7, 1), (3, 4, 3), (2, 2, 1)]
)
def test_it_is_a_product_of_each_frequency(height, width, stride):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2, 3, height, width))
    shape = spectral.shape(3, 2, height, width)
    assert shape == (3, 2, height // 2, width // 2)
    layer = {leaf: draw.normal(size=shape) for leaf in spectral.LEAVES}
    ours = jax.jit(spectral.apply, static_argnums=2)(
        *jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (x, layer)), stride
    )
    assert ours.shape == (2, 2, height * stride, width * stride)
    expected = by_hand(x, layer, stride)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_the_loop_over_channels_is_the_complex_product_and_its_gradient():
    draw = np.random.default_rng(0)
    operands = [jnp.asarray(draw.normal(size=(2, 3, 4, 5)), jnp.float32) for _ in range(2)]
    operands += [jnp.asarray(draw.normal(size=(3, 6, 4, 5)), jnp.float32) for _ in range(2)]
    grads = [jnp.asarray(draw.normal(size=(2, 6, 4, 5)), jnp.float32) for _ in range(2)]

    def plain(x_real, x_imag, real, imag):
        product = jnp.einsum("bcxy,cdxy->bdxy", x_real + 1j * x_imag, real + 1j * imag)
        return product.real, product.imag

    def both(mixed):
        result, back = jax.vjp(mixed, *operands)
        return result, back(tuple(grads))

    ours, theirs = (jax.jit(both, static_argnums=0)(one) for one in (spectral._mixed, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)


def test_fresh_params_are_within_one_over_the_root_of_what_comes_out():
    assert spectral.bound((7, 4, 3, 2)) == pytest.approx(1 / np.sqrt(4 * 3 * 2))
