"""Pictures for people: views on disk, comparisons with the truth, depth in colors.

Colors are floats in [0, 1] until `to_uint8`; everything drawn here is uint8 RGB.
"""

import pathlib
import re

import matplotlib as mpl
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from inv_jax.data import files

Picture = UInt8[np.ndarray, "h w 3"]

ERROR_SCALE = 0.1  # mean absolute error at the top of the color bar
_COLORMAP = "magma"  # perceptually uniform, black to pale yellow

_BACKDROP = (20, 22, 26)
_TEXT = (226, 228, 232)
_FAINT = (150, 154, 162)
_COMFORTABLE_SIZE = (320, 576)  # height and width up to which a panel is enlarged


def to_uint8(rgb: Float[np.ndarray, "..."] | Float[Array, "..."]) -> UInt8[np.ndarray, "..."]:
    """Colors in [0, 1] to 8 bits, clipped and rounded; NaN becomes 0."""
    return np.rint(np.clip(np.nan_to_num(np.asarray(rgb), nan=0.0), 0.0, 1.0) * 255).astype(
        np.uint8
    )


# Views on disk.


def view_path(
    folder: pathlib.Path, cam: int, frame: int, psnr: float, step: int | None = None
) -> pathlib.Path:
    """`cam00_frame0001_31.250000.png`; with `_iter005000` before the PSNR inside a frame."""
    return folder / f"{_view_prefix(cam, frame, step)}_{psnr:.6f}.png"


def write_png(path: pathlib.Path, picture: Picture) -> None:
    """Writes a PNG, whole or not at all; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def remove_views(
    folder: pathlib.Path,
    cam: int,
    frame: int,
    step: int | None = None,
    keep: pathlib.Path | None = None,
) -> None:
    """Removes the views of one camera, frame and step that earlier runs left.

    The PSNR is part of the name, so a run that renders a view again does not overwrite it. What
    a killed run left half written goes too.

    Args:
      folder: Where the views are; it may be missing.
      cam: Camera.
      frame: Frame.
      step: Step within the frame; None for the view of the finished frame.
      keep: The view that was just written, which stays.
    """
    prefix = _view_prefix(cam, frame, step)
    view = re.compile(rf"\.?{prefix}_[^_]+\.png(\.tmp)?")
    for path in [*folder.glob(f"{prefix}_*"), *folder.glob(f".{prefix}_*")]:
        if view.fullmatch(path.name) and (keep is None or path.name != keep.name):
            path.unlink(missing_ok=True)


def _view_prefix(cam: int, frame: int, step: int | None) -> str:
    within = "" if step is None else f"_iter{step:06d}"
    return f"cam{cam:02d}_frame{frame:04d}{within}"


# Colors for numbers.


def colorize(values: Float[np.ndarray, "h w"]) -> Picture:
    """Values in [0, 1] from black over magenta to pale yellow; clipped, NaN is black."""
    values = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
    return to_uint8(mpl.colormaps[_COLORMAP](values)[..., :3])


def colorize_depth(depth: Float[np.ndarray, "h w"], near: float, far: float) -> Picture:
    """Depth in colors, bright where near, black at `far` and behind it.

    Args:
      depth: In the units of `near` and `far`; infinite or NaN shows as far. A rendering's depth
        is 0 on an empty ray: add `(1 - acc) * far` to it, or emptiness looks near.
      near: Depth of the brightest color.
      far: Depth of black.

    Raises:
      ValueError: If `far` is not beyond `near`.
    """
    if not far > near:
        raise ValueError(f"near is {near}, far {far}; expected near < far")
    depth = np.nan_to_num(np.asarray(depth, np.float64), nan=far, posinf=far, neginf=near)
    return colorize((far - depth) / (far - near))


# Comparisons.


def comparison(
    rendered: Picture,
    truth: Picture,
    title: str,
    psnr: float,
    ssim: float | None = None,
    *,
    error_scale: float = ERROR_SCALE,
) -> Picture:
    """Rendering, ground truth and their error side by side, with labels and a color bar.

    Small images are enlarged by a whole number of times, so that pixels stay square and sharp.
    Pictures of images of one size have one size.

    Args:
      rendered: The rendered image.
      truth: What it should look like.
      title: What is seen, for instance 'cam 00, frame 0012'; shown at the left.
      psnr: In dB, shown at the right.
      ssim: Shown behind it; None leaves it out.
      error_scale: Mean absolute error over the channels (colors in [0, 1]) at the top of the
        color bar; larger errors have its color. The same for all frames, so they compare.

    Raises:
      ValueError: If the images differ in shape.
    """
    if rendered.shape != truth.shape:
        raise ValueError(f"rendered is {rendered.shape}, truth {truth.shape}; expected one shape")
    height, width = truth.shape[:2]
    times = max(1, min(_COMFORTABLE_SIZE[0] // height, _COMFORTABLE_SIZE[1] // width))
    error = np.abs(rendered.astype(np.float64) - truth).mean(axis=-1) / 255
    panels = {
        "rendered": rendered,
        "ground truth": truth,
        f"mean absolute error, 0 to {error_scale:g}": colorize(error / error_scale),
    }
    panels = {name: _enlarge(panel, times) for name, panel in panels.items()}
    scores = f"PSNR {psnr:.2f} dB" + ("" if ssim is None else f"   SSIM {ssim:.4f}")
    return _draw_panels(panels, title, scores, f"{error_scale:g}")


def _enlarge(picture: Picture, times: int) -> Picture:
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _draw_panels(panels: dict[str, Picture], title: str, scores: str, bar_top: str) -> Picture:
    """Panels in a row under a title bar, each with its caption; right of the last a color bar."""
    height, width = next(iter(panels.values())).shape[:2]
    size = int(np.clip(height / 24, 14, 40))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(12, size * 5 // 6))
    gap = max(4, size // 2)
    title_height, caption_height = round(1.9 * size), round(1.6 * size)
    # A panel may be narrower than its caption.
    column = max(width, *(round(small.getlength(name)) for name in panels))
    bar_width, bar_space = size, round(small.getlength(bar_top)) + 2 * gap + size
    total = max(
        len(panels) * (column + gap) + gap + bar_space,
        round(font.getlength(title) + font.getlength(scores)) + 4 * gap,
    )
    # Even sizes, for video codecs that halve the colors.
    canvas_size = total + total % 2, (full := title_height + height + caption_height) + full % 2
    canvas = Image.new("RGB", canvas_size, _BACKDROP)
    draw = ImageDraw.Draw(canvas)
    middle = title_height / 2
    draw.text((gap, middle), title, font=font, fill=_TEXT, anchor="lm")
    draw.text((canvas_size[0] - gap, middle), scores, font=font, fill=_TEXT, anchor="rm")
    left = gap
    for name, panel in panels.items():
        canvas.paste(Image.fromarray(panel), (left + (column - width) // 2, title_height))
        below = (left + column / 2, title_height + height + caption_height / 2)
        draw.text(below, name, font=small, fill=_FAINT, anchor="mm")
        left += column + gap

    ramp = colorize(np.linspace(1.0, 0.0, height)[:, None]).repeat(bar_width, axis=1)
    canvas.paste(Image.fromarray(ramp), (left, title_height))
    beside = left + bar_width + gap // 2
    draw.text((beside, title_height), bar_top, font=small, fill=_FAINT, anchor="lt")
    draw.text((beside, title_height + height), "0", font=small, fill=_FAINT, anchor="lb")
    return np.asarray(canvas)
