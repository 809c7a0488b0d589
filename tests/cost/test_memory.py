"""Bytes on the device against the compiler's, and what is refused."""

import dataclasses

import jax
import optax
import pytest

from inv_jax import params as params_lib
from inv_jax.cost import memory
from inv_jax.cost.memory import Lever, Memory
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.types import InvError

RAYS = 64
MIB = 2**20


def test_counted_activations_are_the_compilers_within_half(case, analyses):
    nerf, roles = case
    found = analyses(nerf, roles, RAYS, RAYS).temp_bytes
    assert found / 1.5 < memory.activations(nerf, RAYS, roles) < 1.5 * found


def test_counted_chunk_is_the_compilers_within_half(chunk_analysis):
    nerf = Nerf(NerfMlp(width=64, depth=2, structure_layers=2), 16, 8)
    counted = _of_training(nerf, rows_per_chunk=256).image
    assert counted / 1.5 < chunk_analysis(nerf, 256).temp_bytes < 1.5 * counted


def test_params_and_moments_are_those_that_optax_makes():
    nerf = Nerf(NerfMlp(width=16, depth=3), 4, 4)
    params = nerf.init(jax.random.key(0))
    for roles in (nerf.roles.all, nerf.roles.own):
        trainable, _ = params_lib.split(params, roles)
        moments = optax.scale_by_adam().init(trainable)
        found = _of_training(nerf, phases=[roles])
        assert found.params == params_lib.num_bytes(params)
        assert found.moments == params_lib.num_bytes((moments.mu, moments.nu))


def test_pixels_of_two_segments_take_three_bytes_each():
    nerf = Nerf(NerfMlp(), 4, 4)
    assert _of_training(nerf, segment_pixels=1000).pixels == 6000
    assert _of_training(nerf, segment_pixels=1000, ahead=0).pixels == 3000  # a single one


def test_frames_at_once_take_what_each_takes():
    nerf = Nerf(NerfMlp(), 4, 4)
    one, four = (_of_training(nerf, frames=frames) for frames in (1, 4))
    for part in ("gradients", "activations"):
        assert getattr(four, part) == 4 * getattr(one, part)
    for part in ("params", "moments"):
        assert getattr(four, part) == 2 * 4 * getattr(one, part)  # in training, and stacked there
    assert four.pixels == 4 * 3 * 300  # in training, stacked there, and the next ones
    assert four.image == one.image


def _of_training(nerf: Nerf, **changes) -> Memory:
    settings = {
        "phases": [nerf.roles.all],
        "rows_per_pass": 8,
        "rows_per_chunk": 8,
        "segment_pixels": 100,
    }
    return memory.of_training(nerf, **{**settings, **changes})


# What is refused.

NEED = Memory(
    params=10 * MIB,
    gradients=10 * MIB,
    moments=20 * MIB,
    pixels=100 * MIB,
    activations=400 * MIB,
    image=50 * MIB,
)
PASS = Lever("train.rows_per_pass", 1024, "activations", power=1, divides=1024)
FACTOR = Lever("data.factor", 2, "pixels", power=-2)
CHUNK = Lever("eval.rows_per_chunk", 4096, "image", power=1)


def test_total_has_the_larger_of_a_pass_and_a_chunk():
    assert NEED.total == 540 * MIB
    assert dataclasses.replace(NEED, activations=0).total == 190 * MIB


@pytest.mark.parametrize("available", [None, 10_000 * MIB, 540 * MIB, 450 * MIB])
def test_what_fits_or_may_fit_is_not_refused(available):
    """Also what is counted a little too large, and what nobody can say."""
    memory.check_fits(NEED, available, [PASS])


def test_refusal_says_need_room_and_the_setting_to_lower():
    with pytest.raises(InvError) as error:
        memory.check_fits(NEED, 250 * MIB, [FACTOR, PASS, CHUNK], where="on each of 8 x GPU")
    text = str(error.value)
    assert "540 MiB on each of 8 x GPU, where 250 MiB are free" in text
    # 250 - 140 = 110 of 400 MiB: at most 281 rays, and a divisor of 1024.
    assert "lower train.rows_per_pass from 1024 to about 256" in text
    assert "\n" not in text


def test_a_setting_that_is_advised_makes_it_fit():
    with pytest.raises(InvError, match=r"raise data\.factor from 2 to about 5"):
        need = dataclasses.replace(NEED, pixels=1000 * MIB, activations=MIB)
        memory.check_fits(need, 300 * MIB, [FACTOR, PASS])
    # Factor 5 leaves 1000 * (2 / 5)^2 = 160 MiB of pixels, 250 in all; factor 4 would leave 340.


def test_a_part_that_cannot_help_is_not_advised():
    """With 140 MiB of state and pixels, no pass fits 100 MiB, nor does any other part alone."""
    with pytest.raises(InvError, match=r"no single setting helps; change train\.rows_per_pass and"):
        memory.check_fits(NEED, 100 * MIB, [PASS, FACTOR])


def test_a_chunk_is_advised_where_the_chunk_is_what_is_large():
    need = dataclasses.replace(NEED, image=4000 * MIB)
    with pytest.raises(InvError, match=r"eval\.rows_per_chunk from 4096 to about 872"):
        # 992 - 140 = 852 MiB for the chunk.
        memory.check_fits(need, 992 * MIB, [PASS, CHUNK])
