"""Counted operations and bytes, by hand and against the compiler's."""

import jax
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import split_plan
from inv_jax.cost import count
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.models.split import SplitNerf
from inv_jax.train.mixture import Mixture

STRUCTURE, BOTH = (params_lib.STRUCTURE,), (params_lib.STRUCTURE, params_lib.COLOR)
RAYS = 64


# By hand: width 4, two layers, no encoding (3 features), so shapes can be written down.

TINY = Nerf(
    NerfMlp(width=4, depth=2, structure_layers=1, position_octaves=0, direction_octaves=0),
    coarse_samples=3,
    fine_samples=2,
)
SPLIT = SplitNerf(TINY.mlp, 3, 2)


def test_forward_products_are_those_of_the_layers():
    points = 7 * 5  # of the fine network; the coarse one has 7 * 3, and no color in an image
    expected = {
        (points, 3, 4): 1,  # layer_0
        (points, 4, 4): 1,  # layer_1
        (points, 4, 1): 1,  # density
        (points, 4, 2): 1,  # into the color head
        (points, 2, 3): 1,  # rgb
        (7, 3, 2): 1,  # the direction's part, once a ray
        (4, 4, 2): 1,  # `feature` times its rows of `views_0`
        (7 * 3, 3, 4): 1,
        (7 * 3, 4, 4): 1,
        (7 * 3, 4, 1): 1,
    }
    found = count.image(TINY, rows=7, rows_per_chunk=7).products
    assert {(p.m, p.k, p.n): times for p, times in found.items()} == expected
    assert {product.kind for product in found} == {count.FORWARD}


def test_a_gradient_exists_where_something_trains():
    products = count.step(TINY, rows=7, rows_per_pass=7, roles=STRUCTURE).products
    kernels = {(p.m, p.k, p.n) for p in products if p.kind == count.KERNEL}
    assert kernels == {(3, 7 * 3, 4), (3, 7 * 5, 4)}  # of layer_0 alone
    inputs = {(p.m, p.k, p.n) for p in products if p.kind == count.INPUT and p.m == 7 * 5}
    # Through everything behind layer_0, not into the encoded position.
    assert inputs == {(35, 4, 4), (35, 1, 4), (35, 2, 4), (35, 3, 2)}


def test_nothing_is_differentiated_below_what_trains():
    nerf = Nerf(NerfMlp(width=4, depth=2, structure_layers=0, structure_heads=("rgb",)), 3, 2)
    products = count.step(nerf, rows=1, rows_per_pass=1, roles=STRUCTURE).products
    assert {p.kind for p in products} == {count.FORWARD, count.KERNEL}
    assert {(p.m, p.n) for p in products if p.kind == count.KERNEL} == {(2, 3)}


def test_passes_repeat_the_products_of_one():
    whole = count.step(TINY, rows=16, rows_per_pass=4, roles=BOTH)
    one = count.step(TINY, rows=4, rows_per_pass=4, roles=BOTH)
    assert whole.products == {product: 4 * times for product, times in one.products.items()}
    assert whole.product_flops == 4 * one.product_flops


def _split_step(*kinds, shares=(1.0,), roles=SPLIT.roles.all) -> count.Cost:
    mixture = Mixture(kinds, ((1.0, shares),))
    return count.step(SPLIT, rows=7, rows_per_pass=7, roles=roles, mixture=mixture)


def test_a_kind_of_step_costs_what_it_renders_and_trains():
    plain = count.step(TINY, rows=7, rows_per_pass=7, roles=BOTH)
    static = _split_step(split_plan.STATIC_RAYS)
    assert static.products == plain.products  # the dynamic field is not there
    dynamic, both = _split_step(split_plan.ALL_RAYS), _split_step(split_plan.BOTH_FIELDS)
    assert both.product_flops == 2 * plain.product_flops
    forward = {p: n for p, n in plain.products.items() if p.kind == count.FORWARD}
    assert dynamic.products - plain.products == forward  # of the static field


def test_a_mixture_costs_the_mean_of_its_kinds():
    kinds, shares = (split_plan.STATIC_RAYS, split_plan.BOTH_FIELDS), (0.75, 0.25)
    static, both = (_split_step(kind) for kind in kinds)
    mixed = _split_step(*kinds, shares=shares)
    assert mixed.flops == pytest.approx(0.75 * static.flops + 0.25 * both.flops, abs=2)
    mean_bytes = 0.75 * static.bytes.fused + 0.25 * both.bytes.fused
    assert mixed.bytes.fused == pytest.approx(mean_bytes, abs=2)


def test_published_network_has_the_published_params():
    nerf = Nerf(NerfMlp())
    assert count.num_params(nerf, STRUCTURE) == 295_936
    shapes = jax.eval_shape(nerf.init, jax.random.key(0))
    assert count.num_params(nerf, BOTH) == sum(x.size for x in jax.tree.leaves(shapes))


def test_full_step_has_the_operations_that_were_published():
    """By layer: 508,288 multiply-adds a point forward, as BUILD_NOTES.md has it, and 196 GFLOP."""
    cost = count.image(Nerf(NerfMlp()), rows=1, rows_per_chunk=1)
    fine = sum(p.flops * n for p, n in cost.products.items() if p.m == 128)
    assert fine == 2 * 128 * 508_288


def test_floor_is_the_slower_of_computing_and_moving():
    cost = count.step(TINY, rows=7, rows_per_pass=7, roles=STRUCTURE)
    computing = cost.floor_seconds(1.0, 1e30, in_cache=False)
    moving = cost.floor_seconds(1e30, 1.0, in_cache=False)
    assert computing == cost.flops
    assert moving == cost.bytes.fused
    assert cost.floor_seconds(1e30, 1.0, in_cache=True) == cost.bytes.rest < moving
    assert cost.floor_seconds(1.0, 1.0, in_cache=False) == max(computing, moving)


def test_half_the_bytes_in_half_the_precision():
    wide, narrow = (
        count.step(TINY, rows=8, rows_per_pass=8, roles=STRUCTURE, itemsize=size).bytes
        for size in (4, 2)
    )
    assert (wide.products, wide.pointwise) == (2 * narrow.products, 2 * narrow.pointwise)
    assert wide.rest == narrow.rest  # params, moments and rays stay float32


# Against the compiler, which counts the body of a loop once: one pass.


def test_counted_flops_are_the_compilers_within_two_percent(case, analyses):
    nerf, roles = case
    counted = count.step(nerf, rows=RAYS, rows_per_pass=RAYS, roles=roles)
    found = analyses(nerf, roles, RAYS, RAYS)
    assert found.flops == pytest.approx(counted.flops, rel=0.02)
    assert found.written_flops == pytest.approx(counted.flops, rel=0.02)


def test_a_loop_of_passes_is_counted_once_by_the_compiler(analyses):
    from_passes = analyses(SMALL_WIDTH, STRUCTURE, 2 * RAYS, RAYS)
    counted = count.step(SMALL_WIDTH, rows=RAYS, rows_per_pass=RAYS, roles=STRUCTURE)
    assert from_passes.flops == pytest.approx(counted.flops, rel=0.02)


SMALL_WIDTH = Nerf(NerfMlp(width=64, depth=2, structure_layers=2), 16, 8)


def test_counted_bytes_are_the_compilers_within_fifteen_percent(case, analyses):
    """On a CPU, which fuses little; on a GPU they may be as few as `fused`."""
    nerf, roles = case
    counted = count.step(nerf, rows=RAYS, rows_per_pass=RAYS, roles=roles).bytes
    found = analyses(nerf, roles, RAYS, RAYS).bytes_accessed
    assert found == pytest.approx(counted.unfused, rel=0.15)
    assert counted.fused < found


def test_counted_flops_of_an_image_are_the_compilers(chunk_analysis):
    counted = count.image(SMALL_WIDTH, rows=RAYS, rows_per_chunk=RAYS)
    assert chunk_analysis(SMALL_WIDTH, RAYS).flops == pytest.approx(counted.flops, rel=0.04)
