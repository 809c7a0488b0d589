"""Views in colors: of depth and opacity, and of what a model has of them."""

import numpy as np
import pytest

from inv_jax.player import outputs
from inv_jax.player.outputs import Painter, choose
from inv_jax.render.view import View
from inv_jax.types import InvError


def _view(depth, acc=1.0) -> View:
    depth = np.atleast_2d(np.float32(depth))
    return View(np.zeros((*depth.shape, 3), np.float32), depth, np.full_like(depth, acc))


def _luminance(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([0.2126, 0.7152, 0.0722])


def _depth(painter: Painter, view: View) -> np.ndarray:
    return painter.paint(view, ["depth"])[0][0]


def test_nearer_is_brighter(make_rig):
    colors = _depth(Painter(make_rig(ndc=False)), _view(np.linspace(1.5, 6.0, 64)))
    assert (np.diff(_luminance(colors)) < 0.5).all()  # up to rounding of the channels
    assert _luminance(colors[0]) > 230
    assert _luminance(colors[-1]) < 2


def test_the_color_of_a_depth_is_linear_in_its_inverse_and_the_same_in_ndc(make_rig):
    depth = np.linspace(1.0, 9.0, 30)
    world = _depth(Painter(make_rig(ndc=False)), _view(depth))
    warped = _depth(Painter(make_rig(ndc=True)), _view(1.0 - 1.0 / depth))
    np.testing.assert_allclose(world.astype(int), warped, atol=1)
    inner = Painter(make_rig(ndc=False), (1.0, 2.0))
    halfway = _depth(inner, _view([4 / 3]))
    (expected,) = inner.paint(_view([0.0], acc=0.5), ["acc"])
    np.testing.assert_array_equal(halfway, expected[0])


def test_depths_out_of_range_have_the_color_of_its_end(make_rig):
    painter = Painter(make_rig(ndc=False))
    near, far = _depth(painter, _view([1.5, 6.0]))
    found = _depth(painter, _view([0.0, 1.0, 7.0, 1e10, np.inf]))
    np.testing.assert_array_equal(found, [near, near, far, far, far])


def test_what_light_passes_through_lies_at_the_far_end(make_rig):
    painter = Painter(make_rig(ndc=True))
    black = _depth(painter, _view([0.0], acc=0.0))
    np.testing.assert_array_equal(black, _depth(painter, _view([1.0])))


def test_colors_and_depth_are_chosen_unless_others_are_wanted():
    flat = View(np.zeros((2, 2, 3), np.float32))
    assert choose([], _view([1.0])) == ("rgb", "depth")
    assert choose(["acc", "rgb"], _view([1.0])) == ("acc", "rgb")
    assert choose([], flat) == ("rgb",)
    with pytest.raises(InvError, match="there is no 'depth', but rgb"):
        choose(["depth"], flat)
    with pytest.raises(InvError, match="there is no 'normals', but rgb, depth, acc"):
        choose(["normals"], _view([1.0]))


def _blend() -> View:
    """A view of two layers, each with numbers of its own."""
    layers = {
        name: _view(np.full((2, 3), depth), acc=acc).replace(rgb=np.full((2, 3, 3), acc))
        for name, depth, acc in (("static", 0.5, 0.75), ("dynamic", 0.25, 0.125))
    }
    return _view(np.full((2, 3), 0.4)).replace(layers=layers)


def test_what_a_layer_shows_is_what_its_view_shows(make_rig):
    painter, view = Painter(make_rig(ndc=True)), _blend()
    for layer, alone in view.layers.items():
        shown = painter.paint(view, [layer, f"{layer}_depth", f"{layer}_acc"])
        expected = painter.paint(alone, ["rgb", "depth", "acc"])
        for ours, theirs in zip(shown, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_layers_are_offered_only_where_a_view_has_them():
    layered, plain = _blend(), _view([1.0])
    assert outputs.offered(plain) == ("rgb", "depth", "acc")
    assert outputs.offered(layered)[3:] == (
        *("static", "static_depth", "static_acc"),
        *("dynamic", "dynamic_depth", "dynamic_acc"),
    )
    assert outputs.of_layers(layered) == ("static", "dynamic", "dynamic_acc")
    assert outputs.of_layers(plain) == ()
    assert choose([], layered) == ("rgb", "depth", "static", "dynamic", "dynamic_acc")
    with pytest.raises(InvError, match="there is no 'dynamic', but rgb, depth, acc"):
        choose(["rgb", "dynamic"], plain)


def test_outputs_have_names_for_people():
    names = ("rgb", "depth", "acc", "static", "static_depth", "dynamic_acc")
    assert [*map(outputs.label, names)] == [
        *("blend", "depth", "opacity", "static", "static, depth", "dynamic, opacity")
    ]
