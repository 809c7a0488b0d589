"""Which kind of step is taken when."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.assembly.split_plan import Shares
from inv_jax.train.mixture import Kind, Mixture
from inv_jax.types import InvError

_STEPS = 4000


def _drawn(mixture: Mixture, steps: int = _STEPS) -> np.ndarray:
    """The kind of every step of a frame."""
    mix = mixture.over(steps)

    def one(step):
        return mix.draw(jax.random.fold_in(jax.random.key(3), step), step)

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(steps)))


def test_warm_up_has_the_mixture_of_the_specification():
    kinds = _drawn(Shares().warmup())
    names = [kind.name for kind in Shares().warmup().kinds]
    first, middle, last = np.split(kinds, [_STEPS // 2, _STEPS * 3 // 4])
    assert set(first) == {names.index("dynamic rays")}
    assert set(middle) == {names.index("static rays"), names.index("all rays")}
    assert set(last) == {names.index("static rays"), names.index("both fields")}
    for part in (middle, last):
        assert np.mean(part == names.index("static rays")) == pytest.approx(0.5, abs=0.05)


def test_structure_transfer_sees_dynamic_rays_in_three_of_four_steps():
    kinds = _drawn(Shares().transfer())
    assert np.mean(kinds == 0) == pytest.approx(0.75, abs=0.03)
    assert Shares().transfer().kinds[0].name == "dynamic rays"


def test_chance_of_one_draws_nothing_else():
    mixture = Shares(dynamic_chance=1.0).transfer()
    assert set(_drawn(mixture)) == {0}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"static_chance": 1.5}, "split.static_chance=1.5; want a part"),
        ({"dynamic_first": 0.9, "both_last": 0.2}, "more than a whole frame"),
    ],
)
def test_shares_that_cannot_be_are_errors(shares, message):
    with pytest.raises(InvError, match=message):
        Shares(**shares)


@pytest.mark.parametrize("parts", [(0.2, 0.8), (0.1, 0.9), (0.0, 1.0), (1.0, 0.0)])
def test_parts_may_fill_the_frame(parts):
    first, last = parts
    warmup = Shares(dynamic_first=first, both_last=last, static_chance=0.0).warmup()
    drawn = np.array([kind.name for kind in warmup.kinds])[_drawn(warmup, 500)]
    assert np.mean(drawn == "dynamic rays") == pytest.approx(first, abs=0.01)
    assert np.mean(drawn == "both fields") == pytest.approx(last, abs=0.01)


def test_later_steps_on_dynamic_rays_come_out_of_those_on_all():
    warmup = Shares(dynamic_first=0.0, both_last=0.0, static_chance=0.2, dynamic_later=0.5).warmup()
    shares = dict(zip([kind.name for kind in warmup.kinds], warmup.shares(), strict=True))
    assert shares == pytest.approx({"dynamic rays": 0.4, "static rays": 0.2, "all rays": 0.4})


def test_an_even_mixture_takes_each_kind_as_often():
    warmup = Shares().warmup()
    assert warmup.shares() == pytest.approx((0.5, 0.25, 0.125, 0.125))
    first = _drawn(warmup.even())[:1000]
    assert np.bincount(first, minlength=4) / 1000 == pytest.approx(warmup.shares(), abs=0.05)


def test_chances_must_belong_to_the_kinds():
    kinds = Kind(), dataclasses.replace(Kind(), name="other")
    with pytest.raises(ValueError, match="want a sum of 1"):
        Mixture(kinds, ((1.0, (0.5, 0.4)),))
    with pytest.raises(ValueError, match="growing fractions"):
        Mixture(kinds, ((0.5, (0.5, 0.5)),))
