"""Operations and bytes of a step: as the compiler counts them, and by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import count, memory
from inv_jax.models import convolution
from inv_jax.models.pfnr import HEAD, SCORES, WEIGHTS
from inv_jax.train import losses
from inv_jax.types import Batch

TRAINED = WEIGHTS, SCORES, HEAD


@pytest.mark.parametrize(
    "settings", [{}, {"operator": 1}, {"operator": 0, "composition": "replace"}]
)
def test_counts_are_about_the_compilers_of_the_librarys_convolutions(
    settings, monkeypatch, small, shapes_of
):
    monkeypatch.setattr(convolution, "is_tiled", lambda: False)
    model = dataclasses.replace(small, **settings)

    def gradient(params, times, target):
        trained, rest = params_lib.halves(model.derived(params), TRAINED)

        def loss(trained):
            keys = jax.random.split(jax.random.key(0), 1)
            shown = model.predict(params_lib.merge(trained, rest), times, keys=keys)
            return losses.get("l2")(shown, Batch(None, target, jnp.arange(1)))

        return jax.grad(loss)(trained)

    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1,), (1, *model.size, 3))]
    program = jax.jit(gradient).lower(shapes_of(model), *shapes).compile()
    found = program.memory_analysis().temp_size_in_bytes
    masked = 4 * count.num_params(model, (WEIGHTS,))  # weights where the mask is, for a pass
    counted = memory.activations(model, 1, TRAINED) + masked
    assert found / 1.5 < counted < 2.0 * found
    # The compiler counts the body of a loop once, and no transform.
    cost = count.step(model, rows=1, rows_per_pass=1, roles=TRAINED)
    if not settings:
        flops = program.cost_analysis()["flops"]
        assert 0.9 * flops < cost.flops < 1.3 * flops


def test_an_operator_costs_its_transforms_its_products_and_its_params(small):
    plain, other = (
        count.image(model, rows=1, rows_per_chunk=1)
        for model in (small, dataclasses.replace(small, operator=1))
    )
    leaf, pixels = 24 * 24 * 22 * 40, 45 * 80
    transforms = 24 * 2.5 * (pixels * 11.8138 + 4 * pixels * 13.8138)  # log2 of the pixels
    masks = 4 * leaf
    extra = other.pointwise_flops - plain.pointwise_flops
    assert extra == pytest.approx(16 * leaf + transforms + masks, rel=1e-4)
    assert other.product_flops == plain.product_flops
    assert other.bytes.rest - plain.bytes.rest > 4 * 4 * leaf


def test_a_step_pays_for_scores_and_masks(small):
    dense = count.step(small.decoder, rows=1, rows_per_pass=1, roles=("decoder",))
    masked = count.step(small, rows=1, rows_per_pass=1, roles=TRAINED)
    sizes = count.num_params(small, (WEIGHTS,)), count.num_params(small, (SCORES,))
    assert sizes[0] == sizes[1]
    assert masked.flops > dense.flops + 20 * sizes[1]  # Adam of the scores alone
    assert masked.bytes.rest > dense.bytes.rest + 4 * (9 + 11) * sizes[1]
    shown = [count.image(m, rows=1, rows_per_chunk=1) for m in (small.decoder, small)]
    assert shown[1].bytes.rest - shown[0].bytes.rest < 4 * 3 * sizes[0]
