"""Pictures of all runs beside the truth, with their errors."""

import io
from collections.abc import Sequence

from PIL import Image

from inv_jax.eval import pictures, sheets
from inv_jax.eval.sheets import Panel
from inv_jax.report import overview, series
from inv_jax.report.blocks import Shot, Strip
from inv_jax.report.measured import Picture
from inv_jax.report.series import Scored

_LOSSLESS_PIXELS = 1 << 18  # up to which a picture is embedded as PNG
_QUALITY = 92  # of larger ones, as WebP; the files beside the page are lossless


def chosen_frames(group: Sequence[Scored], frames: Sequence[int]) -> dict[int, str]:
    """The frames that are shown, with why: first, middle, last, and the worst of all runs."""
    if not frames:
        return {}
    chosen = {frames[0]: "first", frames[len(frames) // 2]: "middle", frames[-1]: "last"}
    measured = [n for n in series.common_frames(group, "psnr") if n in frames]
    if measured:
        means = {n: sum(one.values("psnr")[n] for one in group) for n in measured}
        worst = min(means, key=lambda n: means[n])
        chosen[worst] = f"{chosen[worst]}, worst" if worst in chosen else "worst"
    return dict(sorted(chosen.items()))


def strip(group: Sequence[Scored], frame: int, why: str, cam: int, prefix: str = "") -> Strip:
    """One frame of all runs that have pictures of it.

    Raises:
      InvError: If a picture cannot be had.
    """
    seen = [one for one in group if one.viewer is not None]
    truth = seen[0].viewer.truth(frame, cam)
    shots, errors = [], []
    for one in seen:
        picture = one.viewer.picture(frame, cam)
        scores = one.viewer.scores(frame, (cam,))  # of this picture; the tables' are means
        said = [
            f"{overview.heading(name).split(',')[0]} {overview.number(name, scores[name])}"
            for name in ("psnr", "psnr_dynamic", "ssim", "lpips", "flip")
            if scores.get(name) is not None
        ]
        shots.append(Shot(picture, one.run.name, ", ".join(said), one.run.number))
        errors.append(
            Shot(pictures.error_map(picture, truth), f"{one.run.name}, error", "", one.run.number)
        )
    camera = seen[0].viewer.camera_name(cam)
    title = f"Frame {frame} ({why}), {camera}"
    return Strip(f"{prefix}frame{frame:04d}", title, Shot(truth, "ground truth"), shots, errors)


def sheet(found: Strip) -> Picture:
    """The strip as one picture, for its file."""
    blank = [None] * (len(found.shots) - 1)
    rows = [
        [Panel(found.truth.picture, found.truth.label), *blank],
        [Panel(shot.picture, f"{shot.label}  {shot.note}") for shot in found.shots],
        [Panel(shot.picture, shot.label) for shot in found.errors],
    ]
    times = pictures.enlargement(*found.truth.picture.shape[:2])
    return sheets.draw(rows, found.title, bar=pictures.error_bar(), times=times)


def encode(picture: Picture) -> tuple[str, bytes]:
    """The media type and bytes to embed."""
    is_small = picture.shape[0] * picture.shape[1] <= _LOSSLESS_PIXELS
    buffer = io.BytesIO()
    if is_small:
        Image.fromarray(picture).save(buffer, format="PNG")
        return "image/png", buffer.getvalue()
    Image.fromarray(picture).save(buffer, format="WEBP", quality=_QUALITY)
    return "image/webp", buffer.getvalue()
