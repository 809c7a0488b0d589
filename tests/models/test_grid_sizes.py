"""How large a fast field is: it grows with the picture, and a budget says how long it trains."""

import itertools

import pytest

from inv_jax.geometry.boxes import AXES, KINDS, PROJECTIVE
from inv_jax.models import grid_sizes
from inv_jax.models.bricks import Bricks
from inv_jax.types import InvError

PICTURES = [(80, 144), (168, 224), (378, 504), (1014, 1352)]  # height, width


def _num_nodes(levels) -> int:
    return sum(x * y * z for x, y, z in levels)


def test_bricks_grow_with_the_picture():
    found = [grid_sizes.bricks(*picture, 7, PROJECTIVE) for picture in PICTURES]
    for smaller, larger in itertools.pairwise(found):
        assert all(a < b for a, b in zip(smaller, larger, strict=True))
    for (height, width), (x, y, z, count) in zip(PICTURES, found, strict=True):
        assert 0.6 * width < x < 0.7 * width
        assert y / x == pytest.approx(height / width, rel=0.1)
        assert z < x
        assert Bricks((x, y, z), count).count > count  # no more than there are


@pytest.mark.parametrize("num_cams", [3, 7, 20])
def test_levels_go_from_coarse_to_fine(num_cams):
    for picture, kind in itertools.product(PICTURES, KINDS):
        across = [level[0] for level in grid_sizes.levels(*picture, num_cams, kind)]
        assert across == sorted(set(across))
        assert across[0] == 10
        bricks = grid_sizes.bricks(*picture, num_cams, kind)
        assert not any(bricks) or bricks[0] > across[-1]


def test_many_cameras_of_small_pictures_have_flat_levels_and_of_large_ones_bricks():
    few, many = (grid_sizes.levels(144, 192, count, PROJECTIVE) for count in (9, 10))
    assert few == many[: len(few)]
    assert many[len(few) :] == ((96, 72, 12), (182, 137, 3))
    assert grid_sizes.bricks(144, 192, 10, PROJECTIVE) == (0, 0, 0, 0)
    assert grid_sizes.levels(189, 252, 20, PROJECTIVE) == few  # 10 nodes a side and their multiples
    assert grid_sizes.bricks(189, 252, 20, PROJECTIVE) == (160, 120, 96, 1984)


def test_few_cameras_and_a_box_of_axes_have_nothing_finer():
    for kind, num_cams in ((PROJECTIVE, 6), (AXES, 30)):
        assert len(grid_sizes.levels(378, 504, num_cams, kind)) == 4
        assert grid_sizes.bricks(378, 504, num_cams, kind) == (0, 0, 0, 0)


def test_a_picture_no_finer_than_the_levels_gets_no_more_of_them():
    assert len(grid_sizes.levels(16, 24, 20, PROJECTIVE)) == 4
    assert grid_sizes.bricks(16, 24, 20, PROJECTIVE) == (0, 0, 0, 0)


@pytest.mark.parametrize("picture", [*PICTURES, (2, 2000)])
def test_every_level_has_two_nodes_a_side(picture):
    for kind, num_cams in itertools.product(KINDS, (2, 20)):
        for budget in grid_sizes.BUDGETS:
            sizes = grid_sizes.of(*picture, num_cams, kind, budget)
            assert min(map(min, (*sizes.levels, sizes.guide))) >= 2
            if any(sizes.bricks):
                Bricks(sizes.bricks[:3], sizes.bricks[3])


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
