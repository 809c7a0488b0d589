"""What each field of a run shows alone, beside their blend and the truth."""

from collections.abc import Sequence

from inv_jax.eval import pictures, sheets
from inv_jax.eval.sheets import Panel
from inv_jax.player import outputs
from inv_jax.report import overview
from inv_jax.report.blocks import Gallery, Shot
from inv_jax.report.measured import Picture
from inv_jax.report.series import Scored

_SCORES = ("psnr", "psnr_dynamic", "psnr_static")


def having(group: Sequence[Scored], frame: int, cam: int) -> list[Scored]:
    """The runs whose pictures are blends.

    Raises:
      InvError: If a picture cannot be had.
    """
    return [one for one in group if one.viewer is not None and one.viewer.layers(frame, cam)]


def gallery(group: Sequence[Scored], frame: int, why: str, cam: int, prefix: str = "") -> Gallery:
    """One frame: a row for each run, with the truth, the blend and what is in it.

    Args:
      group: As `having` returns them.
      frame: Which.
      why: It is shown.
      cam: From which camera.
      prefix: Of its file.

    Raises:
      InvError: If a picture cannot be had.
    """
    rows = []
    for one in group:
        viewer, number = one.viewer, one.run.number
        scores = viewer.scores(frame, (cam,))
        said = [
            f"{overview.heading(name).split(',')[0]} {overview.number(name, scores[name])}"
            for name in _SCORES
            if scores.get(name) is not None
        ]
        blend = Shot(viewer.picture(frame, cam), f"{one.run.name}, blend", ", ".join(said), number)
        alone = [
            Shot(picture, outputs.label(name), "", number)
            for name, picture in viewer.layers(frame, cam).items()
        ]
        rows.append([Shot(viewer.truth(frame, cam), "ground truth"), blend, *alone])
    camera = group[0].viewer.camera_name(cam)
    return Gallery(f"{prefix}layers{frame:04d}", f"Frame {frame} ({why}), {camera}", rows)


def sheet(found: Gallery) -> Picture:
    """The gallery as one picture, for its file."""
    rows = [
        [Panel(shot.picture, " ".join([shot.label, shot.note]).strip()) for shot in row]
        for row in found.rows
    ]
    times = pictures.enlargement(*rows[0][0].picture.shape[:2])
    return sheets.draw(rows, found.title, times=times)
