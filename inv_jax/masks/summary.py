"""What masks say, in one pass over them: how much moves, how well others agree, a video."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from inv_jax.data.capture import Capture
from inv_jax.data.masks import Masks
from inv_jax.eval import pictures, sheets
from inv_jax.eval.sheets import Panel, Picture
from inv_jax.player.video import VideoWriter
from inv_jax.types import Stopped

Row = dict[str, Any]

_TINT = np.array([255, 0, 144], np.float32)  # a color that footage seldom has
_OPACITY = 0.5
_PAGE = (1000, 1900)  # height and width, pixels, that panels are reduced to


@dataclasses.dataclass
class Counts:
    """Pixels of masks that are to be judged by others."""

    both: int = 0  # dynamic in both
    alone: int = 0  # dynamic in the judged ones alone
    lacking: int = 0  # dynamic in the others alone
    masks: int = 0

    def add(self, mask: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> None:
        """Counts one more mask."""
        both = int((mask & truth).sum())
        self.both += both
        self.alone += int(mask.sum()) - both
        self.lacking += int(truth.sum()) - both
        self.masks += 1

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Counts(*(a + b for a, b in pairs))

    def scores(self) -> dict[str, float | None]:
        """Precision, recall and intersection over union of dynamic pixels; None for 0 / 0."""
        found, true = self.both + self.alone, self.both + self.lacking
        union = found + self.lacking
        parts = {"precision": found, "recall": true, "iou": union}
        return {name: self.both / all_ if all_ else None for name, all_ in parts.items()}


@dataclasses.dataclass
class _OfCamera:
    """What is known of one camera's masks."""

    shares: list[float] = dataclasses.field(default_factory=list)
    counts: Counts = dataclasses.field(default_factory=Counts)


def summarise(
    capture: Capture,
    masks: Masks,
    frames: Sequence[int],
    cams: Sequence[int],
    *,
    truth: Masks | None = None,
    preview: VideoWriter | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[Row], list[int]]:
    """Reads masks, frame by frame.

    Args:
      capture: Its images, for the preview.
      masks: The masks.
      frames: Of these frames.
      cams: Of these cameras, indices.
      truth: Masks to judge them by, as far as there are any.
      preview: Takes the footage with the masks as a tint, cameras side by side.
      should_stop: Asked before each frame.

    Returns:
      A row for each camera (`camera`, `masks`, and parts of the image: `dynamic`, the mean, with
      `least` and `most`; with `truth`, `judged` masks and their `precision`, `recall`, `iou`), with
      `truth` one of `all` too; and the frames where nothing moves in any of the cameras.

    Raises:
      InvError: If a mask or an image is broken.
      Stopped: If asked to stop.
    """
    found = {cam: _OfCamera() for cam in cams}
    unjudged = set(truth.missing(frames, cams)) if truth else set()
    still = []
    for frame in frames:
        if should_stop():
            raise Stopped(
                "stopped while reading the masks, which are whole; the same command goes on"
            )
        stack = masks.load(frame, cams)
        for cam, mask in zip(cams, stack, strict=True):
            found[cam].shares.append(float(mask.mean()))
            if truth is not None and (frame, cam) not in unjudged:
                found[cam].counts.add(mask, truth.load(frame, [cam])[0])
        if not stack.any():
            still.append(frame)
        if preview is not None:
            images = np.asarray(capture.load(frame, cams).images)
            preview.push(page(images, stack, [masks.camera_names[cam] for cam in cams], frame))
    rows: list[Row] = []
    for cam, one in found.items():
        row: Row = {"camera": masks.camera_names[cam], "masks": len(one.shares)}
        row |= {"dynamic": float(np.mean(one.shares))}
        row |= {"least": min(one.shares), "most": max(one.shares)}
        rows.append(row | (_judged(one.counts) if truth else {}))
    if truth is not None:
        total = sum((one.counts for one in found.values()), Counts())
        shares = [share for one in found.values() for share in one.shares]
        row = {"camera": "all", "masks": len(shares), "dynamic": float(np.mean(shares))}
        rows.append(row | {"least": min(shares), "most": max(shares)} | _judged(total))
    return rows, still


def _judged(counts: Counts) -> Row:
    return {"judged": counts.masks, **counts.scores()}


def page(
    images: UInt8[np.ndarray, "N h w 3"],
    masks: Bool[np.ndarray, "N h w"],
    names: Sequence[str],
    frame: int,
) -> Picture:
    """The images of a frame with their masks as a tint, in rows of about equal length."""
    count, height, width = masks.shape
    columns, scale = _grid(count, height, width)
    panels = []
    for image, mask, name in zip(images, masks, names, strict=True):
        picture = tinted(image, mask)
        if scale < 1:
            size = max(1, int(scale * width)), max(1, int(scale * height))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        panels.append(Panel(picture, name, f"{mask.mean():.1%}"))
    rows = [panels[i : i + columns] for i in range(0, count, columns)]
    return sheets.draw(rows, f"frame {frame:04d}", "part that moves", times=max(1, int(scale)))


def _grid(count: int, height: int, width: int) -> tuple[int, float]:
    """How many columns of panels make them largest, and how much larger than the images."""
    grids = []
    for columns in range(1, count + 1):
        lines = -(-count // columns)
        scale = min(_PAGE[0] / (lines * height), _PAGE[1] / (columns * width))
        if scale > 1:  # by whole pixels
            scale = min(int(scale), pictures.enlargement(height, width))
        grids.append((scale, count - lines * columns, columns))  # few places stay empty
    scale, _, columns = max(grids)
    return columns, scale


def tinted(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Picture:
    """The image, colored where the mask is True."""
    mixed = (1 - _OPACITY) * image.astype(np.float32) + _OPACITY * _TINT
    return np.where(mask[..., None], np.rint(mixed).astype(np.uint8), image)
