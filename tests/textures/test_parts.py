"""Numbers as bytes, in the order in which WebGL2 takes and samples them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.codec.base import CorruptError
from inv_jax.geometry.boxes import Box
from inv_jax.models import grids
from inv_jax.models.bricks import Bricks
from inv_jax.models.encodings import Octaves
from inv_jax.models.grid_field import GridField
from inv_jax.models.image_mlp import ImageMlp
from inv_jax.textures import kinds
from inv_jax.textures.field import TexturedField
from inv_jax.textures.parts import Cells, Dense
from inv_jax.textures.pool import Pool
from inv_jax.textures.steps import Steps
from inv_jax.types import InvError

SIZE = (5, 3, 4)
LEVEL = "field/structure/level_0/kernel"
CELLS = "guide/structure/cells/kernel"
POOL, CELLS_OF_POOL = "field/structure/level_1/kernel", "field/index/level_1/cells"


def level(channels: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """A leaf; its last channel is constant."""
    made = np.random.default_rng(seed).normal(0.2, 3.0, (*SIZE, channels)).astype(np.float32)
    made[..., -1] = 0.7
    return {LEVEL: made}


def fitted(leaves: dict[str, np.ndarray]) -> Dense:
    part = Dense("level_0", SIZE, Steps.none(leaves[LEVEL].shape[-1]))
    return part.within(part.extremes(leaves))


def guide(densities: np.ndarray) -> tuple[Cells, dict[str, np.ndarray]]:
    leaves = {CELLS: densities.reshape(SIZE).astype(np.float32)}
    part = Cells("cells", SIZE, Steps.none(1))
    return part.within(part.extremes(leaves)), leaves


def pool(seed: int = 0) -> tuple[Pool, dict[str, np.ndarray]]:
    """Of 8x12x4 nodes, 6 bricks, 4 have a slot; one of 5 slots is empty, but for what was there."""
    numbers = np.random.default_rng(seed).normal(0.2, 3.0, (5, 4, 4, 4, 6)).astype(np.float32)
    leaves = {POOL: numbers, CELLS_OF_POOL: np.array([4, 0, -1, 5, 3], np.int32)}
    part = Pool("level_1", (8, 12, 4), Steps.none(6), 5)
    return part.within(part.extremes(leaves)), leaves


def field(**changes) -> TexturedField:
    box = Box("axes", (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), near=0.1, far=4.0)
    return TexturedField.of(GridField(box, levels=((4, 4, 4), (9, 7, 5)), **changes))


def test_bytes_lie_as_webgl_takes_them():
    leaves = level()
    part = fitted(leaves)
    raw = [texture.tobytes() for texture in part.pack(leaves)]
    assert (
        [len(x) for x in raw] == [t.num_bytes for t in part.textures] == [4 * math.prod(SIZE)] * 2
    )
    for x, y, z in np.ndindex(*SIZE):
        for channel in range(5):
            above = leaves[LEVEL][x, y, z, channel] - part.steps.offset[channel]
            at = 4 * (x + SIZE[0] * (y + SIZE[1] * z)) + channel % 4
            assert raw[channel // 4][at] == round(255 * above / part.steps.scale[channel])
    assert {raw[1][at] for at in range(len(raw[1])) if at % 4 > 1} == {0}  # there is no channel


def test_numbers_come_back_within_half_a_step_and_zero_and_constants_to_rounding():
    leaves = level()
    leaves[LEVEL][1:3, ..., :2] = 0.0
    part = fitted(leaves)
    spread = np.ptp(leaves[LEVEL], axis=(0, 1, 2))
    np.testing.assert_allclose(part.steps.scale, spread * 255 / 254, rtol=1e-6)
    found = part.unpack(part.pack(leaves))[LEVEL]
    assert found.dtype == np.float32
    error = np.abs(found - leaves[LEVEL])
    assert (error <= 0.5001 * np.array(part.steps.scale) / 255).all()
    assert error[leaves[LEVEL] == 0.0].max() < 1e-6
    assert error[..., -1].max() < 1e-7


def test_numbers_of_one_sign_take_all_bytes():
    leaves = {LEVEL: 5.0 + np.abs(level()[LEVEL])}
    packed = fitted(leaves).pack(leaves)
    assert [(x[..., :1].min(), x[..., :1].max()) for x in packed] == [(0, 255)] * 2


@pytest.mark.parametrize("channels", [1, 4, 5, 8])
def test_what_was_read_has_the_same_bytes_again(channels):
    leaves = level(channels)
    part = fitted(leaves)
    packed = part.pack(leaves)
    assert len(packed) == -(-channels // 4)
    for a, b in zip(packed, part.pack(part.unpack(packed)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_numbers_of_a_few_frames_fit_their_common_range():
    frames = [level(seed=seed) for seed in range(3)]
    part = fitted(frames[0])
    extremes = np.stack([part.extremes(leaves) for leaves in frames])
    part = part.within(np.stack([extremes[:, 0].min(0), extremes[:, 1].max(0)]))
    for leaves in frames:
        error = np.abs(part.unpack(part.pack(leaves))[LEVEL] - leaves[LEVEL])
        assert (error <= 0.5001 * np.array(part.steps.scale) / 255 + 1e-7).all()


def test_a_guide_keeps_small_densities_beside_large_ones():
    densities = np.concatenate([[0.0, 400.0], np.geomspace(0.02, 300.0, math.prod(SIZE) - 2)])
    part, leaves = guide(densities)
    found = part.unpack(part.pack(leaves))[CELLS]
    assert found.shape == SIZE
    # Half a step of log(1 + density): 0.0118.
    assert (np.abs(found - leaves[CELLS]) <= 0.0119 * (1.0 + leaves[CELLS])).all()


def test_a_texture_sampled_as_the_manifest_says_is_the_level():
    """Linear filtering, clamped to the edge, at (p (N - 1) + 0.5) / N."""
    leaves = level()
    part = fitted(leaves)
    packed = part.pack(leaves)
    points = np.random.default_rng(1).uniform(0.0, 1.0, (40, 3)).astype(np.float32)
    points[0], points[1] = 0.0, 1.0
    expected = jax.jit(grids.read)(jnp.asarray(part.unpack(packed)[LEVEL]), jnp.asarray(points))
    size = np.array(SIZE)
    at = (points * (size - 1) + 0.5) / size * size - 0.5  # texels from the first one's center
    first = np.floor(at).astype(int)
    found = np.zeros((len(points), 6))
    for corner in np.ndindex(2, 2, 2):
        x, y, z = np.clip(first + corner, 0, size - 1).T
        weight = np.prod(np.where(corner, at - first, 1 - (at - first)), axis=1)
        texel = np.concatenate([t[z, y, x] for t in packed], axis=-1)[:, :6] / 255.0
        found += weight[:, None] * (
            np.array(part.steps.offset) + np.array(part.steps.scale) * texel
        )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# Levels in bricks.


def test_a_pool_comes_back_and_its_table_says_which_brick_is_where():
    part, leaves = pool()
    packed = part.pack(leaves)
    found = part.unpack(packed)
    np.testing.assert_array_equal(found[CELLS_OF_POOL], leaves[CELLS_OF_POOL])
    error = np.abs(found[POOL] - leaves[POOL])[leaves[CELLS_OF_POOL] >= 0]
    assert (error <= 0.5001 * np.array(part.steps.scale) / 255).all()
    assert np.abs(found[POOL][2]).max() < 1e-6  # an empty slot is at 0
    for a, b in zip(packed, part.pack(found), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bricks_looked_up_as_the_manifest_says_are_the_level():
    part, leaves = pool()
    table, *packed = part.pack(leaves)
    assert [t.shape for t in part.textures] == [x.shape for x in (table, *packed)]
    bricks = Bricks((8, 12, 4), 5)
    found = part.unpack([table, *packed])
    level = bricks.dense(found[POOL], found[CELLS_OF_POOL])
    across = [n // 4 for n in packed[0].shape[2::-1]]
    for n in np.ndindex(8, 12, 4):
        x, y, z = (i // 4 for i in n)
        slot = int.from_bytes(table[z, y, x].tobytes(), "little") - 1
        if slot < 0:
            expected = np.zeros(6)
        else:
            place = slot % across[0], slot // across[0] % across[1], slot // across[0] // across[1]
            x, y, z = (4 * p + i % 4 for p, i in zip(place, n, strict=True))
            texel = np.concatenate([texture[z, y, x] for texture in packed])[:6] / 255.0
            expected = np.array(part.steps.offset) + np.array(part.steps.scale) * texel
        np.testing.assert_allclose(level[n], expected, rtol=1e-5, atol=1e-6)


def test_a_large_pool_is_no_wider_than_every_webgl2_allows():
    part = Pool("level_4", (400, 400, 400), Steps.none(8), 70_000)
    assert [texture.size for texture in part.textures] == [
        (100, 100, 100),
        (256, 256, 72),
        (256, 256, 72),
    ]


@pytest.mark.parametrize("slots", [[1, 1], [6], [1 << 31]])
def test_a_table_that_is_none_is_refused(slots):
    part, leaves = pool()
    table, *packed = part.pack(leaves)
    wrong = np.zeros(6, "<u4")
    wrong[: len(slots)] = slots
    with pytest.raises(CorruptError, match="slots that are not 5"):
        part.unpack([wrong.view(np.uint8).reshape(table.shape), *packed])


# What parts there are.


@pytest.mark.parametrize("part", [fitted(level()), guide(np.arange(60.0))[0], pool()[0]])
def test_a_part_comes_back_from_its_fields(part):
    assert kinds.KINDS[part.kind].load(part.name, part.fields()) == part


@pytest.mark.parametrize(
    "change", [{"size": [5, 3]}, {"size": [5, 3, 0]}, {"scale": [1.0]}, {"offset": [math.nan] * 6}]
)
def test_fields_that_are_of_no_part_are_refused(change):
    with pytest.raises(ValueError):
        Dense.load("level_0", {**fitted(level()).fields(), **change})


def test_numbers_that_are_not_finite_are_refused():
    leaves = level()
    leaves[LEVEL][1, 1, 1, 1] = np.nan
    with pytest.raises(InvError, match="level_0 has numbers that are not finite"):
        fitted(leaves)


def test_a_field_has_a_part_for_each_leaf_of_its_structure():
    model = field(bricks=Bricks((12, 8, 8), 5))
    params = jax.eval_shape(model.init, jax.random.key(0))
    found = {path: shape for part in kinds.of(model) for path, shape in part.shapes.items()}
    assert found == {
        "field/structure/level_0/kernel": (4, 4, 4, 8),
        "field/structure/level_1/kernel": (9, 7, 5, 8),
        "field/structure/level_2/kernel": (5, 4, 4, 4, 8),
        "field/index/level_2/cells": (5,),
        "guide/structure/cells/kernel": (40, 24, 32),
    }
    of_model = {path: leaf.shape for path, leaf in params_lib.flatten(params).items()}
    assert found == {path: shape for path, shape in of_model.items() if "/color/" not in path}


def test_a_level_that_is_larger_than_textures_is_refused():
    model = dataclasses.replace(field(), levels=((4, 4, 4), (3000, 4, 4)))
    with pytest.raises(InvError, match="level_1 of 3000x4x4 nodes"):
        kinds.of(model)


def test_the_guide_is_the_one_in_the_params():
    model = field(guide_shape=(3, 2, 2))
    params = model.init(jax.random.key(1))
    plain = GridField.guide(model, params).densities
    np.testing.assert_array_equal(model.guide(params).densities, plain)
    params["guide"]["structure"]["cells"]["kernel"] = np.full((3, 2, 2), 7.0, np.float32)
    np.testing.assert_array_equal(model.guide(params).densities, np.full((3, 2, 2), 7.0))


def test_another_model_is_refused():
    with pytest.raises(InvError, match=r"model\.name=grid; this is a ImageMlp"):
        TexturedField.of(ImageMlp(Octaves(2)))
