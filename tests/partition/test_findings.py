"""Which layers are tried, which pixels are looked at, and what the numbers say."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inv_jax.partition import choices, page, probe
from inv_jax.partition.choices import ALL, FIRST, LAST, NONE, RANDOM
from inv_jax.partition.findings import (
    FRAMES,
    STILL,
    SWAP,
    TRAIN,
    Findings,
    describe,
    sentences,
    tables,
)
from inv_jax.partition.study import default_pairs
from inv_jax.types import InvError


def test_every_number_of_layers_is_swapped_from_both_ends():
    found = choices.in_order(3)
    assert [(one.kind, one.layers) for one in found] == [
        *((NONE, ()), (FIRST, (0,)), (LAST, (2,)), (FIRST, (0, 1)), (LAST, (1, 2))),
        (ALL, (0, 1, 2)),
    ]


@given(st.integers(2, 14), st.lists(st.integers(1, 14), max_size=4), st.integers(0, 3))
def test_choices_are_of_layers_that_there_are_and_come_again(num_layers, counts, draws):
    found = choices.to_train(num_layers, counts, draws, seed=3)
    assert found == choices.to_train(num_layers, counts, draws, seed=3)
    assert [one.kind for one in found[:2]] == [NONE, ALL]
    for one in found:
        assert one.count == len(one.layers) == len(set(one.layers))
        assert set(one.layers) <= set(range(num_layers))
    fitting = [count for count in counts if count < num_layers]
    assert sum(one.kind == RANDOM for one in found) == draws * len(fitting)


def test_random_choices_differ_from_draw_to_draw_and_seed_to_seed():
    layers = {
        one.layers
        for seed in range(3)
        for one in choices.to_train(12, [4], 3, seed)
        if one.kind == RANDOM
    }
    assert len(layers) > 6


def test_pixels_are_drawn_once_each_and_all_if_there_are_few():
    where = np.zeros((5, 7), bool)
    where[1:4, 2:6] = True
    few = probe.draw(2, where, 5, np.random.default_rng(0))
    assert len(few) == len({*zip(few.rows, few.cols, strict=True)}) == 5
    assert where[few.rows, few.cols].all()
    everything = probe.draw(2, where, 100, np.random.default_rng(0))
    assert len(everything) == where.sum()
    assert set(everything.cams) == {2}
    assert len(probe.join([few, everything])) == 5 + where.sum()


def test_what_moved_is_where_images_differ():
    before = np.full((2, 2, 3), 100, np.uint8)
    after = before.copy()
    after[0, 1] = 100 + 20
    after[1, 1, 0] = 100 + 20  # a third of it on average
    assert probe.moved(before, after).tolist() == [[False, True], [False, False]]
    assert probe.moved(after, before).tolist() == [[False, True], [False, False]]


def test_the_base_is_in_the_middle_and_the_donor_at_the_end():
    assert default_pairs(range(1, 8)) == ((4, 7),)
    assert default_pairs([3, 9]) == ((3, 9),)
    with pytest.raises(InvError, match="two at least"):
        default_pairs([3])


def _picture(what, kind, count, psnr, *, view="training", moved=None, draw=0) -> dict:
    return {
        **{"what": what, "kind": kind, "count": count, "draw": draw, "layers": "", "params": 1},
        **{"base": 1, "donor": 2, "view": view, "cam": 0, "psnr": psnr, "psnr_moved": moved},
    }


@pytest.fixture
def findings() -> Findings:
    """Of 4 layers: the first 2 do 3/4 of what all do, the last 2 nothing, random ones 1/4."""
    found = Findings("run", ["layer_0", "layer_1", "rgb", "density"], [0, 1], ["look out"])
    levels = ((NONE, 0, 0.0), (FIRST, 2, 3.0), (LAST, 2, 0.0), (ALL, 4, 4.0))
    for what in (SWAP, TRAIN):
        for view in ("training", "held out"):
            found.pictures += [
                _picture(what, kind, count, 20.0, view=view, moved=10.0 + level)
                for kind, count, level in levels
            ]
    found.pictures += [
        _picture(TRAIN, RANDOM, 2, 20.0, moved=10.0 + level, draw=draw)
        for draw, level in enumerate((0.0, 2.0))
    ]
    found.changes += [
        {"kind": kind, "frame": frame, "donor": frame, "network": network}
        | {"number": number, "layer": name, "change": 0.1 * number + 0.01 * frame}
        for kind in (FRAMES, STILL, ALL)
        for network in ("coarse", "fine")
        for frame in (2, 3, 4)
        for number, name in enumerate(found.layers)
    ]
    return found


def test_shares_are_of_what_all_layers_gain(findings):
    share = lambda kind: findings.share(TRAIN, kind, 2, "training", "psnr_moved")  # noqa: E731
    assert share(FIRST) == pytest.approx(0.75)
    assert share(LAST) == pytest.approx(0.0)
    assert share(RANDOM) == pytest.approx(0.25)
    assert findings.share(TRAIN, RANDOM, 2, "held out", "psnr_moved") is None  # not measured
    assert findings.share(TRAIN, FIRST, 2, "training", "psnr") is None  # nothing was gained


def test_the_tables_say_what_was_found(findings):
    said = sentences(findings)
    assert said[1] == (
        "trained, training view, moved pixels: all 4 layers +4.00 dB, first 2 +3.00 (75%), "
        "last 2 +0.00 (0%), random 2 +1.00 (25%)"
    )
    text = tables(findings)
    assert "CAVEAT: look out" in text
    assert said[0] in text
    assert "0 layer_0" in text
    assert "random 2" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"freeze_frame": 0, "scratch": False}, []),
        ({"freeze_frame": 9, "scratch": False}, []),  # none of the stored frames
        ({"freeze_frame": 3, "scratch": False}, ["frozen from frame 3 on"]),
        ({"freeze_frame": 0, "scratch": True}, ["from random params"]),
    ],
)
def test_what_makes_a_run_say_less_is_a_caveat(settings, said):
    leaf = {"kernel": np.ones((2, 2)), "bias": np.ones(2)}
    params = {"fine": {"structure": {"layer_0": leaf}, "color": {"rgb": leaf, "density": leaf}}}
    source = types.SimpleNamespace(frames=lambda: [1, 2, 3], params=lambda _: params)
    config = types.SimpleNamespace(train=types.SimpleNamespace(**settings))
    found = describe(types.SimpleNamespace(source=source, config=config), "run")
    assert (found.layers, found.structure) == (["layer_0", "rgb", "density"], [0])
    assert len(found.caveats) == len(said)
    assert all(part in text for part, text in zip(said, found.caveats, strict=True))


def test_without_moved_pixels_all_are_looked_at(findings):
    assert findings.measure() == "psnr_moved"
    findings.pictures[3]["psnr_moved"] = None
    assert findings.measure() == "psnr"


def test_the_page_has_two_rows_of_three_plots_for_every_run(findings):
    figure = page.draw([findings, findings])
    assert len(figure.axes) == 12
    titles = [axes.get_title("left").strip() for axes in figure.axes[:6]]
    assert titles[0] == "Change of each layer, fine network"  # what makes the picture comes first
    assert titles[3] == "Change of each layer, coarse network"
    assert titles[4] == "Layers swapped in, held out view"
    assert all(axes.get_lines() for axes in figure.axes)


def test_what_was_not_measured_is_left_empty(findings):
    findings.pictures.clear()
    figure = page.draw([findings])
    assert [axes.axison for axes in figure.axes] == [True, False, False] * 2
    assert "PSNR" not in tables(findings)


def test_one_network_and_one_view_are_one_row(findings):
    findings.changes = [row for row in findings.changes if row["network"] == "fine"]
    findings.pictures = [row for row in findings.pictures if row["view"] == "training"]
    assert len(page.draw([findings]).axes) == 3
