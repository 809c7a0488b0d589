"""The decoder's operations and bytes: as the compiler counts them, and by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from inv_jax.cost import count, memory
from inv_jax.models import convolution
from inv_jax.models.nerv import DECODER, Nerv
from inv_jax.train import losses
from inv_jax.types import Batch, Params


def compiled(model: Nerv, params: Params, batch: int):
    """A step's loss and gradient, as the compiler sees it."""
    target = jax.ShapeDtypeStruct((batch, *model.size, 3), jnp.float32)

    def loss(params, times, target):
        return losses.get("l2")(model.predict(params, times), Batch(None, target, jnp.arange(1)))

    times = jax.ShapeDtypeStruct((batch,), jnp.float32)
    return jax.jit(jax.grad(loss)).lower(params, times, target).compile()


@pytest.mark.parametrize(
    "settings",
    [{}, {"activation": "relu"}, {"norm": "in"}, {"upsampling": "bilinear"}, {"single_res": False}],
)
def test_counts_are_about_the_compilers_of_the_librarys_convolutions(
    settings, monkeypatch, published, shapes_of
):
    monkeypatch.setattr(convolution, "is_tiled", lambda: False)
    small = {"stem_width": 128, "channels": 24, "strides": (5, 2), "lower_width": 24}
    model = dataclasses.replace(published, **small, **settings)
    program = compiled(model, shapes_of(model), 1)
    cost = count.step(model, rows=1, rows_per_pass=1, roles=(DECODER,))
    flops = program.cost_analysis()["flops"]
    assert 0.9 * flops < cost.flops < 1.3 * flops
    found = program.memory_analysis().temp_size_in_bytes
    assert found / 1.5 < memory.activations(model, 1, (DECODER,)) < 2.0 * found


def test_a_step_at_640x360_has_the_products_of_its_layers(published):
    model = dataclasses.replace(published, strides=(5, 2, 2, 2))
    places = (9 * 16, 45 * 80, 90 * 160, 180 * 320)
    channels = ((26, 650), (26, 384), (96, 384), (96, 384))
    forward = sum(n * 9 * c * d for n, (c, d) in zip(places, channels, strict=True))
    forward += 80 * 512 + 512 * 9 * 16 * 26 + 360 * 640 * 96 * 3
    found = count.step(model, rows=1, rows_per_pass=1, roles=(DECODER,)).product_flops
    assert found == 2 * (3 * forward - 80 * 512)  # times have no gradient
    assert found == pytest.approx(145.8e9, rel=1e-3)
    assert count.image(model, rows=1, rows_per_chunk=1).product_flops == 2 * forward
