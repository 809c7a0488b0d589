"""Bytes of a run on disk, from the params that it stores."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from inv_jax.cost import count
from inv_jax.models.base import Model

# Measured on folders that orbax 0.12 wrote, of networks from 8 to 256 wide (2026-11-22): zstd
# takes random float32 params to 0.905 of their size, moments to 0.97; to a folder come metadata.
_PACKED, _PACKED_MOMENTS = 0.905, 0.97
_FOLDER_BYTES, _LEAF_BYTES = 2500, 400
_FRAME_BYTES = 700  # the frame's own metadata
_PICTURE_BYTES = 6.5  # a pixel of the held-out view: PNG of it, and of three panels beside it


@dataclasses.dataclass(frozen=True)
class Disk:
    """Bytes on disk."""

    frame: int  # of each frame: its structure and what is noted of it
    color: int  # the shared layers: all of them in the first frame, then those that train
    pictures: int  # of each view that is shown
    newest: int  # once: optimizer of the newest frame, newest states within frames

    def run(self, frames: int, views: int | None = None) -> int:
        """Bytes of a run of so many frames (segments), with so many views shown; one each."""
        pictures = (frames if views is None else views) * self.pictures
        return frames * self.frame + pictures + self.color + self.newest


def of_run(
    model: Model,
    *,
    trained: Iterable[tuple[str, ...]],
    view_pixels: int,
    saves_within: bool,
    frames_at_once: int = 1,
) -> Disk:
    """What a run writes.

    Args:
      model: The model.
      trained: Roles that train, of each frame. What the optimizer has moments of are the most.
      view_pixels: Pixels of a camera.
      saves_within: Whether states within a frame are stored.
      frames_at_once: Frames in training, each with its state.
    """
    trained = list(trained)
    roles = max(trained, key=len)
    structure = _folder(model, model.roles.own)
    shared = _folder(model, model.roles.shared)
    later = Counter(
        tuple(role for role in model.roles.shared if role in one) for one in trained[1:]
    )
    color = shared + sum(_folder(model, stored) * frames for stored, frames in later.items())
    moments = round(
        2 * 4 * count.num_params(model, roles) * _PACKED_MOMENTS
        + _FOLDER_BYTES
        + 2 * _num_leaves(model, roles) * _LEAF_BYTES
    )
    within = frames_at_once * (structure + shared + moments) if saves_within else 0
    return Disk(
        frame=structure + _FRAME_BYTES,
        color=color,
        pictures=round(_PICTURE_BYTES * view_pixels),
        newest=moments + within,
    )


def _folder(model: Model, roles: tuple[str, ...]) -> int:
    leaves = _num_leaves(model, roles)
    if not leaves:
        return 0
    return round(
        4 * count.num_params(model, roles) * _PACKED + _FOLDER_BYTES + leaves * _LEAF_BYTES
    )


def _num_leaves(model: Model, roles: tuple[str, ...]) -> int:
    return len(count.leaf_shapes(model, roles))
