"""Rows that are rays, each through a pixel of a view.

Every ray of a step has an id, its place in the step's batch over all devices. What a ray is, and
which random numbers it meets later, depends on (seed, segment, step, id) alone: one device or
eight, the same batch is trained on.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from inv_jax.sampling.hardness import Hardness
from inv_jax.sampling.permutation import permute
from inv_jax.sampling.rows import ALL, DYNAMIC, STATIC, Rows
from inv_jax.types import Batch, Cameras, Places, Regions, Views


class RayRows(Rows):
    """A ray through a pixel of a view."""

    name = "ray"

    def in_view(self, height: int, width: int) -> int:
        """See `Rows.in_view`."""
        return height * width

    def sample(
        self,
        inputs: Any,
        key: PRNGKeyArray,
        step: Int[Array, ""],
        ids: Int[Array, "b"],
        rows_per_step: int,
        views: Views,
        cameras: Cameras,
        region: str = ALL,
        hardness: Hardness | None = None,
    ) -> Batch:
        """See `Rows.sample`: rays are made on the device from pixel indices.

        Epochs go by steps: batches of steps that see another region are never drawn, so that a
        pixel is met once an epoch at most. Of a region with fewer pixels than a batch all are
        drawn, over and over; of one without any, all pixels are. But for all pixels the views have
        to know their regions.
        """
        num_views, height, width = views.shape
        num_pixels = num_views * height * width
        if num_pixels < rows_per_step:
            raise ValueError(f"{rows_per_step} rays a step, but the views have {num_pixels} pixels")
        if hardness is not None and region != ALL:
            raise ValueError(f"hard rays are drawn from all pixels, not from the {region} ones")
        num_even = rows_per_step if hardness is None else hardness.num_even(rows_per_step)
        first, count = 0, num_pixels
        if region != ALL:
            first, count = _region(views.regions, region, num_pixels)
        steps_per_epoch = jnp.maximum(count // num_even, 1)
        epoch, batch = step // steps_per_epoch, step % steps_per_epoch
        pixels = permute(jax.random.fold_in(key, epoch), batch * num_even + ids, count)
        if hardness is not None:
            key_hard = jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), step)
            pixels = jnp.where(ids < num_even, pixels, hardness.draw(key_hard, ids))
        is_dynamic = None
        if views.regions is not None:
            places = first + pixels
            pixels, is_dynamic = views.regions.order[places], places >= views.regions.num_static
        of_view, rest = pixels // (height * width), pixels % (height * width)
        rows, cols = rest // width, rest % width
        colors = views.images.reshape(num_pixels, 3)[pixels]
        return Batch(
            inputs=inputs(cameras, of_views(views, of_view, cols=cols, rows=rows)),
            target=colors.astype(jnp.float32) / 255.0,
            ids=ids,
            is_dynamic=is_dynamic,
            pixels=None if hardness is None else pixels,
        )

    def places(self, cameras: Cameras, cam: Array, time: Array, indices: Int[Array, "n"]) -> Places:
        """See `Rows.places`."""
        return Places(
            cams=jnp.full_like(indices, cam),
            times=jnp.full(indices.shape, time, jnp.float32),
            cols=indices % cameras.width,
            rows=indices // cameras.width,
        )

    def image(self, rows: Any, height: int, width: int) -> Any:
        """See `Rows.image`."""
        return rows[: height * width].reshape(height, width, *rows.shape[1:])


RAYS = RayRows()


def of_views(views: Views, which: Int[Array, "*b"], **pixels: Array) -> Places:
    """Places in some views of a segment, given by their indices."""
    times = jnp.zeros(which.shape, jnp.float32) if views.times is None else views.times[which]
    cams = which if views.cams is None else views.cams[which]
    return Places(cams=cams, times=times, **pixels)


def _region(
    regions: Regions | None, region: str, num_pixels: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """First place in the order, and number, of a region's pixels; an empty one is all pixels."""
    if regions is None:
        raise ValueError(f"the views do not know their {region} pixels; they have no regions")
    static = regions.num_static
    first = {STATIC: jnp.zeros_like(static), DYNAMIC: static}[region]
    count = {STATIC: static, DYNAMIC: num_pixels - static}[region]
    return jnp.where(count > 0, first, 0), jnp.where(count > 0, count, num_pixels)


def regions(is_dynamic: Bool[np.ndarray, "N H W"]) -> Regions:
    """The regions of a segment's training views, from their masks; on the host."""
    flat = np.asarray(is_dynamic).reshape(-1)
    # Stable: pixels of a region lie in memory as they lie in the image.
    order = np.concatenate([np.flatnonzero(~flat), np.flatnonzero(flat)]).astype(np.int32)
    return Regions(order=order, num_static=np.int32(flat.size - flat.sum()))
