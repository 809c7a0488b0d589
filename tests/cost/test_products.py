"""The timed forms of a product are that product, and all that is to be timed is done."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.cost import products
from inv_jax.cost.count import INPUT, KERNEL, Product
from inv_jax.cost.products import Floor, Form, Timer

CASES = [
    (Form(*choice), precision)
    for choice in np.ndindex(2, 2, 2, 2)
    for precision in ("float32", "tf32", "bfloat16")
]


@pytest.mark.parametrize(("form", "precision"), CASES)
def test_every_form_is_the_product(form, precision):
    form = Form(
        *(bool(x) for x in (form.a_transposed, form.b_transposed, form.flipped, form.narrow))
    )
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 7)), rng.normal(size=(7, 3))
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    stored_a = jnp.asarray(a.T if form.a_transposed else a, dtype)
    stored_b = jnp.asarray(b.T if form.b_transposed else b, dtype)
    result = products._multiply(stored_a, stored_b, form, precision)
    assert result.dtype == (jnp.bfloat16 if form.narrow else jnp.float32)
    expected = (a @ b).T if form.flipped else a @ b
    coarse = form.narrow or precision == "bfloat16"
    np.testing.assert_allclose(
        np.asarray(result, np.float32), expected, atol=0.1 if coarse else 1e-5
    )


def test_a_cpu_tries_forms_and_a_gpu_the_one_of_differentiation():
    kernel = Product(8, 64, 8, KERNEL)
    assert len(products.forms(kernel, "float32", "cpu")) > 1
    assert products.forms(kernel, "bfloat16", "gpu") == [Form(a_transposed=True)]
    back = Product(64, 8, 8, INPUT)
    assert products.forms(back, "float32", "gpu") == [Form(b_transposed=True)]
    assert Form(b_transposed=True, narrow=True) in products.forms(back, "bfloat16", "gpu")


def test_no_product_of_a_batch_is_left_out_or_merged():
    product = Product(256, 256, 256)
    multiply, pairs = products.batch(product, Form(), "float32", jax.devices()[0])
    flops = multiply.lower(pairs).compile().cost_analysis()["flops"]
    assert flops == pytest.approx(len(pairs) * product.flops, rel=1e-3)


def test_the_product_of_a_loop_is_not_done_before_it():
    operand = jnp.ones((256, 256))
    program = products.loop(Form(), "float32").lower(operand, operand, np.int32(1))
    text = program.compile().as_text()
    (body,) = re.findall(r"body=(%[\w.\-]+)", text)
    computation = text[text.index(f"\n{body} (") :]
    assert "dot_general" in computation[: computation.index("\n}")]


def test_a_floor_is_the_sum_over_products(monkeypatch):
    made = []

    class Fake:
        def __init__(self, product: Product, precision: str, device: object):
            made.append(product)
            self._product = product

        def seconds(self) -> float:
            return self._product.m

    monkeypatch.setattr(products, "Timer", Fake)
    floor = Floor("float32")
    a, b = Product(2, 1, 1), Product(30, 1, 1)
    assert floor.seconds({a: 5, b: 2}) == 2 * 5 + 30 * 2
    assert floor.seconds({b: 1}) == 30
    assert made == [a, b]  # each is prepared once
    assert Timer is not Fake
