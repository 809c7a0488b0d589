"""Pictures for people: views on disk, numbers in colors, comparisons with the truth.

Colors are floats in [0, 1] until `to_uint8`; everything drawn here is uint8 RGB.
"""

import pathlib
import re
import string

import matplotlib as mpl
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from inv_jax.data import files
from inv_jax.eval import sheets
from inv_jax.eval.sheets import Bar, Panel, Picture
from inv_jax.types import InvError

VIEW = "cam{cam:02d}_frame{frame:04d}_{psnr:.6f}.png"  # the name of a finished frame's view

ERROR_SCALE = 0.1  # mean absolute error at the top of the color bar
_COLORMAP = "magma"  # perceptually uniform, black to pale yellow

_PSNR = r"(-?\d+\.\d+|-?inf|nan)"  # any, in a name
_COMFORTABLE_SIZE = (320, 576)  # height and width up to which a panel is enlarged


def to_uint8(rgb: Float[np.ndarray, "..."] | Float[Array, "..."]) -> UInt8[np.ndarray, "..."]:
    """Colors in [0, 1] to 8 bits, clipped and rounded; NaN becomes 0."""
    return np.rint(np.clip(np.nan_to_num(np.asarray(rgb), nan=0.0), 0.0, 1.0) * 255).astype(
        np.uint8
    )


# Views on disk.


def view_path(
    folder: pathlib.Path,
    cam: int,
    frame: int,
    psnr: float,
    step: int | None = None,
    name: str = VIEW,
) -> pathlib.Path:
    """`cam00_frame0001_31.250000.png`, or what another template makes of the same numbers."""
    return folder / name.format(cam=cam, frame=frame, step=step, psnr=psnr)


def check_view_name(name: str, setting: str, needed: tuple[str, ...]) -> None:
    """Refuses a template of view names that would give two views one name.

    Args:
      name: As `VIEW`; besides its numbers it may have `{step}`.
      setting: Its name, for errors.
      needed: Numbers in which the views differ.

    Raises:
      InvError: If it lacks one of these, names something else, or a folder.
    """
    try:
        named = {field for _, field, _, _ in string.Formatter().parse(name) if field is not None}
        name.format(cam=0, frame=1, step=0, psnr=30.0)
    except (LookupError, ValueError, AttributeError) as error:
        raise InvError(
            f"{setting}={name!r}: {error}; numbers are {{cam}}, {{frame}}, {{step}}, {{psnr}}, "
            "with a format as {step:06d} or none"
        ) from error
    is_name = "/" not in name and name.endswith(".png")
    if not set(needed) <= named <= {"cam", "frame", "step", "psnr"} or not is_name:
        wanted = ", ".join(f"{{{number}}}" for number in needed)
        raise InvError(f"{setting}={name!r}: want a name as a_{{step}}.png, with {wanted} in it")


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
    name: str = VIEW,
) -> None:
    """Removes the views of one camera, frame and step that earlier runs left.

    Where the PSNR is part of the name, a run that renders a view again does not overwrite it.
    What a killed run left half written goes too.

    Args:
      folder: Where the views are; it may be missing.
      cam: Camera.
      frame: Frame.
      step: Step within the frame; None for the view of the finished frame.
      keep: The view that was just written, which stays.
      name: Template of their names.
    """
    if not folder.is_dir():
        return
    numbers, view = {"cam": cam, "frame": frame, "step": step}, ""
    for text, field, how, _ in string.Formatter().parse(name):
        number = "" if field in (None, "psnr") else format(numbers[field], how or "")
        view += re.escape(text + number) + (_PSNR if field == "psnr" else "")
    for path in folder.iterdir():
        is_view = re.fullmatch(rf"\.?{view}(\.tmp)?", path.name)
        if is_view and (keep is None or path.name != keep.name):
            path.unlink(missing_ok=True)


# Colors for numbers.


def colorize(values: Float[np.ndarray, "h w"]) -> Picture:
    """Values in [0, 1] from black over magenta to pale yellow; clipped, NaN is black."""
    values = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
    return to_uint8(mpl.colormaps[_COLORMAP](values)[..., :3])


def error_map(rendered: Picture, truth: Picture, error_scale: float = ERROR_SCALE) -> Picture:
    """Mean absolute error over the channels in colors, from black at 0 to `error_scale` and above.

    Raises:
      ValueError: If the images differ in shape.
    """
    if rendered.shape != truth.shape:
        raise ValueError(f"rendered is {rendered.shape}, truth {truth.shape}; expected one shape")
    error = np.abs(rendered.astype(np.float64) - truth).mean(axis=-1) / 255
    return colorize(error / error_scale)


def error_bar(error_scale: float = ERROR_SCALE) -> Bar:
    """The color bar of `error_map`."""
    return Bar(colorize(np.linspace(1.0, 0.0, 256)[:, None])[:, 0], f"{error_scale:g}")


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
    panels = [
        Panel(rendered, "rendered"),
        Panel(truth, "ground truth"),
        Panel(
            error_map(rendered, truth, error_scale), f"mean absolute error, 0 to {error_scale:g}"
        ),
    ]
    scores = f"PSNR {psnr:.2f} dB" + ("" if ssim is None else f"   SSIM {ssim:.4f}")
    times = enlargement(*truth.shape[:2])
    return sheets.draw([panels], title, scores, bar=error_bar(error_scale), times=times)


def enlargement(height: int, width: int) -> int:
    """How often the pixels of a panel of this size are repeated, so that one sees something."""
    return max(1, min(_COMFORTABLE_SIZE[0] // height, _COMFORTABLE_SIZE[1] // width))
