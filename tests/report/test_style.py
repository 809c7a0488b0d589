import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inv_jax.report import style


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.floats(0.01, 1))
def test_labels_keep_apart_in_their_order(places, apart):
    moved = style.spread(places, apart)
    order = np.argsort(places, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= apart - 1e-9).all()
    assert np.mean(moved) == pytest.approx(np.mean(places), abs=1e-6)


def test_labels_that_are_apart_stay():
    assert style.spread([3.0, 1.0, 2.0], 0.5) == pytest.approx([3.0, 1.0, 2.0])


def test_lines_look_different_beyond_the_number_of_colors():
    count = len(style.LIGHT.lines)
    assert len(style.DARK.lines) == count
    looks = {(style.line(n)["color"], style.line(n)["linestyle"]) for n in range(3 * count)}
    assert len(looks) == 3 * count


def test_a_figure_is_written_whole_in_the_colors_of_its_theme(tmp_path):
    figure, (axes,) = style.new_figure(theme=style.DARK)
    axes.plot([1, 2], [3, 4], label="a", **style.line(0, style.DARK, count=2))
    style.label_lines(axes)
    assert [text.get_text() for text in axes.texts] == ["a"]
    path = tmp_path / "new" / "a.png"
    style.write_png(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [one.name for one in path.parent.iterdir()] == ["a.png"]
