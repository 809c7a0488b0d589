"""Contact sheets: many small pictures on one page, each with its caption."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

Picture = UInt8[np.ndarray, "h w 3"]

_BACKDROP, _TEXT = (18, 18, 20), (235, 235, 235)
_LEAST_HEIGHT = 120  # smaller pictures are enlarged by a whole number of times
_FONT_SIZE, _GAP = 15, 8


def contact_sheet(rows: Sequence[Sequence[tuple[str, Picture]]], title: str) -> Picture:
    """Rows of captioned pictures under a title.

    Args:
      rows: Pictures of one size, each with what stands under it; rows may differ in length.
      title: Above them.

    Raises:
      ValueError: If there is no picture, or one of another size.
    """
    shapes = {picture.shape for row in rows for _, picture in row}
    if not shapes:
        raise ValueError(f"no picture for the sheet {title!r}; expected one at least")
    if len(shapes) != 1:
        raise ValueError(f"a sheet of pictures of shapes {sorted(shapes)}; expected one shape")
    height, width = shapes.pop()[:2]
    times = max(1, -(-_LEAST_HEIGHT // height))
    font = ImageFont.load_default(_FONT_SIZE)
    captions = [caption for row in rows for caption, _ in row]
    column = max(times * width, *(round(font.getlength(text)) for text in captions)) + _GAP
    line = times * height + 2 * _FONT_SIZE
    top = 2 * _FONT_SIZE + _GAP
    total = max(max(map(len, rows)) * column, round(font.getlength(title))) + 2 * _GAP
    canvas = Image.new("RGB", (total, top + len(rows) * line + _GAP), _BACKDROP)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, _FONT_SIZE + _GAP // 2), title, font=font, fill=_TEXT, anchor="lm")
    for y, row in enumerate(rows):
        for x, (caption, picture) in enumerate(row):
            large = picture.repeat(times, axis=0).repeat(times, axis=1)
            # In the middle of its column, since a caption may be wider.
            left = _GAP + x * column + (column - _GAP - times * width) // 2
            upper = top + y * line
            canvas.paste(Image.fromarray(large), (left, upper))
            below = left + times * width / 2, upper + times * height + _FONT_SIZE
            draw.text(below, caption, font=font, fill=_TEXT, anchor="mm")
    return np.asarray(canvas)
