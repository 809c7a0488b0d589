"""Labelled pictures on one page: rows of panels under a title, and a color bar beside them."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

Picture = UInt8[np.ndarray, "h w 3"]

_BACKDROP, _TEXT, _FAINT = (20, 22, 26), (226, 228, 232), (150, 154, 162)
_LEAST_HEIGHT = 120  # of a contact sheet; smaller pictures are enlarged by a whole number of times
_FONT_SIZES = (14, 40)  # a 24th of the panels' height, within these


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture with its caption, and a number at the right of that."""

    picture: Picture
    caption: str = ""
    score: str = ""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A color bar beside the last row: its colors from the top down, and what both ends mean."""

    colors: UInt8[np.ndarray, "n 3"]
    top: str
    bottom: str = "0"


def contact_sheet(rows: Sequence[Sequence[tuple[str, Picture]]], title: str) -> Picture:
    """Rows of captioned pictures under a title.

    Args:
      rows: Pictures of one size, each with what stands under it; rows may differ in length.
      title: Above them.

    Raises:
      ValueError: If there is no picture, or one of another size.
    """
    panels = [[Panel(picture, caption) for caption, picture in row] for row in rows]
    heights = [panel.picture.shape[0] for row in panels for panel in row]
    return draw(panels, title, times=max(1, -(-_LEAST_HEIGHT // max(heights, default=1))))


def draw(
    rows: Sequence[Sequence[Panel | None]],
    title: str,
    note: str = "",
    *,
    bar: Bar | None = None,
    times: int = 1,
) -> Picture:
    """Rows of panels under a title bar.

    Pages of equal captions, with other digits in their numbers, have one size: they make a video.

    Args:
      rows: Panels of pictures of one size; None leaves a place empty.
      title: At the left of the title bar.
      note: At its right.
      bar: A color bar.
      times: How often each pixel is repeated, so that pixels stay square and sharp.

    Raises:
      ValueError: If there is no picture, or one of another size.
    """
    panels = [panel for row in rows for panel in row if panel is not None]
    shapes = {panel.picture.shape for panel in panels}
    if not shapes:
        raise ValueError(f"no picture for the sheet {title!r}; expected one at least")
    if len(shapes) != 1:
        raise ValueError(f"a sheet of pictures of shapes {sorted(shapes)}; expected one shape")
    height, width = (times * side for side in shapes.pop()[:2])
    size = int(np.clip(height / 24, *_FONT_SIZES))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(12, size * 5 // 6))
    gap = max(8, size // 2)
    column = gap + max(width, *(_label_width(small, panel, gap) for panel in panels))
    top, line = round(1.9 * size), height + round(1.6 * size)
    bar_space = round(_width(small, bar.top)) + 2 * gap + size if bar else 0
    total = max(
        max(map(len, rows)) * column + gap + bar_space,
        _width(font, title) + _width(font, note) + 4 * gap,
    )
    full = top + len(rows) * line
    # Even sizes, for video codecs that halve the colors.
    canvas = Image.new("RGB", (total + total % 2, full + full % 2), _BACKDROP)
    pen = ImageDraw.Draw(canvas)
    pen.text((gap, top / 2), title, font=font, fill=_TEXT, anchor="lm")
    pen.text((canvas.width - gap, top / 2), note, font=font, fill=_TEXT, anchor="rm")
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            if panel is not None:
                corner = (gap + x * column, top + y * line)
                _place(canvas, panel, corner, (column - gap, line - height), small, times)
    if bar is not None:
        corner = (gap + max(map(len, rows)) * column, top + (len(rows) - 1) * line)
        _place_bar(canvas, bar, corner, (height, size), small)
    return np.asarray(canvas)


def _width(font: ImageFont.FreeTypeFont, text: str) -> int:
    """Room for a text, whatever its digits are."""
    return round(font.getlength(re.sub(r"\d", "0", text)))


def _label_width(font: ImageFont.FreeTypeFont, panel: Panel, gap: int) -> int:
    # A score may gain a digit.
    score = _width(font, f"0{panel.score}") + 2 * gap if panel.score else 0
    return _width(font, panel.caption) + score


def _place(
    canvas: Image.Image,
    panel: Panel,
    corner: tuple[int, int],
    room: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    times: int,
) -> None:
    """Puts a panel into its column and the label under it; `room`: column width, label height."""
    (left, top), (column, label) = corner, room
    picture = panel.picture.repeat(times, axis=0).repeat(times, axis=1)
    # In the middle of its column, since a label may be wider.
    canvas.paste(Image.fromarray(picture), (left + (column - picture.shape[1]) // 2, top))
    pen, middle = ImageDraw.Draw(canvas), top + picture.shape[0] + label / 2
    if panel.score:
        pen.text((left, middle), panel.caption, font=font, fill=_FAINT, anchor="lm")
        pen.text((left + column, middle), panel.score, font=font, fill=_TEXT, anchor="rm")
    else:
        pen.text((left + column / 2, middle), panel.caption, font=font, fill=_FAINT, anchor="mm")


def _place_bar(
    canvas: Image.Image,
    bar: Bar,
    corner: tuple[int, int],
    shape: tuple[int, int],
    font: ImageFont.FreeTypeFont,
) -> None:
    (left, top), (height, width) = corner, shape
    rows = np.linspace(0, len(bar.colors) - 1, height).round().astype(int)
    canvas.paste(Image.fromarray(bar.colors[rows][:, None].repeat(width, axis=1)), corner)
    pen, beside = ImageDraw.Draw(canvas), left + width + width // 4
    pen.text((beside, top), bar.top, font=font, fill=_FAINT, anchor="lt")
    pen.text((beside, top + height), bar.bottom, font=font, fill=_FAINT, anchor="lb")
