"""How large a fast field is: it grows with the picture, and a budget says how long it trains."""

import itertools

import pytest

from inv_jax.geometry.boxes import AXES, KINDS, PROJECTIVE
from inv_jax.models import grid_sizes
from inv_jax.types import InvError

PICTURES = [(80, 144), (168, 224), (378, 504), (1014, 1352)]  # height, width


def _num_nodes(levels) -> int:
    return sum(x * y * z for x, y, z in levels)


@pytest.mark.parametrize("num_cams", [12, 20])
def test_levels_grow_with_the_picture(num_cams):
    found = [grid_sizes.levels(*picture, num_cams, PROJECTIVE) for picture in PICTURES]
    for smaller, larger in itertools.pairwise(found):
        assert _num_nodes(larger) > _num_nodes(smaller)
    for (height, width), levels in zip(PICTURES, found, strict=True):
        across, along, _ = levels[-1]
        assert 0.9 * width < across <= width
        assert along / across == pytest.approx(height / width, rel=0.02)


def test_levels_go_from_coarse_to_fine():
    for picture, kind, num_cams in itertools.product(PICTURES, KINDS, (3, 12)):
        across = [level[0] for level in grid_sizes.levels(*picture, num_cams, kind)]
        assert across == sorted(set(across))
        assert across[0] == 10


def test_few_cameras_have_no_levels_that_are_flat():
    few, many = (grid_sizes.levels(378, 504, count, PROJECTIVE) for count in (9, 10))
    assert few == many[: len(few)]
    assert len(many) == len(few) + 2
    assert all(deep >= 0.75 * across for across, _, deep in few)
    assert all(deep < 0.2 * across for across, _, deep in many[len(few) :])


def test_a_picture_no_finer_than_the_levels_gets_no_more_of_them():
    assert len(grid_sizes.levels(16, 24, 20, PROJECTIVE)) == 4


@pytest.mark.parametrize("picture", [*PICTURES, (2, 2000)])
def test_every_level_has_two_nodes_a_side(picture):
    for kind, num_cams in itertools.product(KINDS, (2, 20)):
        for budget in grid_sizes.BUDGETS:
            sizes = grid_sizes.of(*picture, num_cams, kind, budget)
            assert min(map(min, (*sizes.levels, sizes.guide))) >= 2


def test_a_box_of_axes_has_cubes():
    sizes = grid_sizes.of(100, 300, 20, AXES, "second")
    assert all(len(set(grid)) == 1 for grid in (*sizes.levels, sizes.guide))


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_budget_takes_more_steps_or_rays(kind):
    realtime, second, best = (
        grid_sizes.of(80, 144, 7, kind, name) for name in ("realtime", "second", "best")
    )
    for less, more in ((realtime, second), (second, best)):
        assert less.steps < more.steps
        assert less.rows_per_step <= more.rows_per_step
        assert less.warmup_steps <= more.warmup_steps
    assert (realtime.steps, second.steps, best.steps) == (20, 50, 200)
    assert realtime.levels == best.levels


def test_warm_up_grows_with_the_root_of_the_pixels_and_twice_so_in_the_first_frame():
    small, large = (grid_sizes.of(80 * n, 144 * n, 7, PROJECTIVE, "second") for n in (1, 3))
    assert (small.warmup_steps, large.warmup_steps) == (300, 900)
    for sizes in (small, large):
        assert sizes.first_steps == 2 * sizes.warmup_steps
    assert small.steps == large.steps
    assert grid_sizes.of(8, 14, 2, PROJECTIVE, "second").warmup_steps == 300


@pytest.mark.parametrize("budget", ["", "slow", "Best"])
def test_an_unknown_budget_is_refused(budget):
    with pytest.raises(InvError, match=rf"fast.budget={budget!r}; choose one of realtime, second"):
        grid_sizes.of(80, 144, 7, PROJECTIVE, budget)
