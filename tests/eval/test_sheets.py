"""Contact sheets show every picture whole, with its caption below it."""

import numpy as np
import pytest

from inv_jax.eval import sheets

_GREEN = np.uint8([20, 200, 40])


def _picture(height: int = 130, width: int = 40) -> np.ndarray:
    return np.tile(_GREEN, (height, width, 1))


def _is_green(sheet: np.ndarray) -> np.ndarray:
    return (sheet == _GREEN).all(-1)


def _boxes(sheet: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left, right of each solid green rectangle, row by row."""
    green = _is_green(sheet)
    tops = np.flatnonzero(np.diff(green.any(1).astype(int), prepend=0) == 1)
    found = []
    for top in tops:
        bottom = top + np.argmin(np.append(green[top:].any(1), False))
        edges = np.diff(green[top].astype(int), prepend=0, append=0)
        for left, right in zip(
            np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True
        ):
            assert green[top:bottom, left:right].all()
            found.append((top, bottom, left, right))
    assert sum((b - t) * (r - le) for t, b, le, r in found) == green.sum()
    return found


@pytest.mark.parametrize("caption", ["a", "a caption that is much wider than its picture"])
def test_every_picture_is_whole_and_its_caption_does_not_overlap_it(caption):
    sheet = sheets.contact_sheet([[(caption, _picture())] * 3, [(caption, _picture())]], "title")
    boxes = _boxes(sheet)
    assert [(b - t, r - le) for t, b, le, r in boxes] == [(130, 40)] * 4
    # What is written differs from the backdrop, and is neither beside the pictures nor cut off.
    written = ((sheet != sheet[0, 0]).any(-1)) & ~_is_green(sheet)
    assert not any(written[top:bottom].any() for top, bottom, _, _ in boxes)
    ends = [boxes[3][0], len(sheet)]
    for (_, bottom, _, _), end in zip((boxes[0], boxes[3]), ends, strict=True):
        assert written[bottom:end].any()
    assert written[: boxes[0][0]].any()
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        assert (edge == sheet[0, 0]).all()


def test_captions_of_neighbours_do_not_touch():
    sheet = sheets.contact_sheet([[("a caption of some length", _picture())] * 2], "")
    _, bottom, _, _ = _boxes(sheet)[0]
    columns = (sheet[bottom:] != sheet[0, 0]).any((0, 2))
    middle = len(columns) // 2
    assert columns[:middle].any()
    assert columns[middle:].any()
    assert not columns[middle - 3 : middle + 3].any()


def test_small_pictures_are_enlarged_by_a_whole_number():
    (box,) = _boxes(sheets.contact_sheet([[("", _picture(50, 30))]], ""))
    assert (box[1] - box[0], box[3] - box[2]) == (150, 90)


def test_a_long_title_is_not_cut():
    sheet = sheets.contact_sheet([[("", _picture())]], "W" * 60)
    assert (sheet[:, -1] == sheet[0, 0]).all()
    assert sheet.shape[1] > 500


def test_pictures_of_two_sizes_are_refused():
    rows = [[("", _picture(130)), ("", _picture(131))]]
    with pytest.raises(ValueError, match="expected one shape"):
        sheets.contact_sheet(rows, "")


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_a_sheet_of_nothing_is_refused(rows):
    with pytest.raises(ValueError, match="no picture"):
        sheets.contact_sheet(rows, "title")


def test_pages_that_differ_in_digits_have_one_size():
    def page(number: int, score: float) -> np.ndarray:
        row = [sheets.Panel(_picture(), "a run of a long name", f"{score:.2f} dB")]
        return sheets.draw([row], f"a long title of frame {number:04d}")

    sizes = {page(number, score).shape for number, score in [(1, 11.11), (8888, 48.08)]}
    assert len(sizes) == 1
    assert all(size % 2 == 0 for size in sizes.pop()[:2])


def test_a_place_may_be_empty():
    rows = [[sheets.Panel(_picture())] * 2, [None, sheets.Panel(_picture())]]
    boxes = _boxes(sheets.draw(rows, ""))
    assert [box[2] for box in boxes] == [boxes[0][2], boxes[1][2], boxes[1][2]]


def test_a_color_bar_stands_beside_the_last_row_from_its_top_to_its_bottom():
    colors = np.stack([np.arange(256)[::-1], np.zeros(256), np.full(256, 99)], -1).astype(np.uint8)
    rows = [[sheets.Panel(_picture(200))], [sheets.Panel(_picture(200))]]
    sheet = sheets.draw(rows, "", bar=sheets.Bar(colors, "0.1"))
    _, _, _, right = _boxes(sheet)[1]
    top, bottom = _boxes(sheet)[1][:2]
    column = sheet[:, right:][:, (sheet[:, right:, 2] == 99).any(0)][:, 0]
    np.testing.assert_array_equal(np.flatnonzero(column[:, 2] == 99), np.arange(top, bottom))
    np.testing.assert_array_equal(column[[top, bottom - 1]], colors[[0, -1]])
