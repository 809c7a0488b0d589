"""Draws a step's rays: without replacement within an epoch over all pixels of a frame.

Every ray of a step has an id, its place in the step's batch over all devices. What a ray is, and
which random numbers it meets later, depends on (seed, frame, step, id) alone: one device or
eight, the same batch is trained on.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from inv_jax.sampling.permutation import permute
from inv_jax.types import Batch, Cameras, Frame, Regions

ALL, STATIC, DYNAMIC = "all", "static", "dynamic"  # regions: which pixels rays go through


def sample_rays(
    inputs: Callable[..., Any],
    key: PRNGKeyArray,
    step: Int[Array, ""],
    ids: Int[Array, "b"],
    rows_per_step: int,
    frame: Frame,
    cameras: Cameras,
    region: str = ALL,
) -> Batch:
    """The rays `ids` of a step's batch, made on the device from pixel indices.

    An epoch is `pixels // rows_per_step` steps over a fresh shuffle. The remainder of the pixels
    (fewer than one batch) rests for that epoch. Epochs go by steps: batches of steps that see
    another region are never drawn, so that a pixel is met once an epoch at most. Of a region with
    fewer pixels than a batch all are drawn, over and over; of one without any, all pixels are.

    Args:
      inputs: What a ray is: `Model.inputs`.
      key: The frame's key; the epoch is folded into it.
      step: Step within the frame, from 0.
      ids: Which rays of the batch, in [0, rows_per_step).
      rows_per_step: Size of the batch over all devices.
      frame: Images of the training cameras.
      cameras: The same cameras, in the same order.
      region: `ALL` pixels, the `STATIC` or the `DYNAMIC` ones; but for all of them the frame has
        to know its regions.

    Returns:
      A `Batch` of as many rays as `ids`, with colors as `uint8 / 255`.

    Raises:
      ValueError: If a batch asks for more rays than there are pixels.
    """
    num_cams, height, width, _ = frame.images.shape
    num_pixels = num_cams * height * width
    if num_pixels < rows_per_step:
        raise ValueError(f"{rows_per_step} rays a step, but the frame has {num_pixels} pixels")
    first, count = 0, num_pixels
    if region != ALL:
        first, count = _region(frame.regions, region, num_pixels)
    steps_per_epoch = jnp.maximum(count // rows_per_step, 1)
    epoch, batch = step // steps_per_epoch, step % steps_per_epoch
    pixels = permute(jax.random.fold_in(key, epoch), batch * rows_per_step + ids, count)
    is_dynamic = None
    if frame.regions is not None:
        places = first + pixels
        pixels, is_dynamic = frame.regions.order[places], places >= frame.regions.num_static
    cams, rest = pixels // (height * width), pixels % (height * width)
    rows, cols = rest // width, rest % width
    colors = frame.images.reshape(num_pixels, 3)[pixels]
    return Batch(
        inputs=inputs(cameras, cams, cols, rows),
        target=colors.astype(jnp.float32) / 255.0,
        ids=ids,
        is_dynamic=is_dynamic,
    )


def _region(
    regions: Regions | None, region: str, num_pixels: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """First place in the order, and number, of a region's pixels; an empty one is all pixels."""
    if regions is None:
        raise ValueError(f"the frame does not know its {region} pixels; it has no regions")
    static = regions.num_static
    first = {STATIC: jnp.zeros_like(static), DYNAMIC: static}[region]
    count = {STATIC: static, DYNAMIC: num_pixels - static}[region]
    return jnp.where(count > 0, first, 0), jnp.where(count > 0, count, num_pixels)


def regions(is_dynamic: Bool[np.ndarray, "N H W"]) -> Regions:
    """The regions of a frame's training cameras, from their masks; on the host."""
    flat = np.asarray(is_dynamic).reshape(-1)
    # Stable: pixels of a region lie in memory as they lie in the image.
    order = np.concatenate([np.flatnonzero(~flat), np.flatnonzero(flat)]).astype(np.int32)
    return Regions(order=order, num_static=np.int32(flat.size - flat.sum()))
