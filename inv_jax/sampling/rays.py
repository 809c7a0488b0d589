"""Draws a step's rays: without replacement within an epoch over all pixels of a frame.

Every ray of a step has an id, its place in the step's batch over all devices. What a ray is, and
which random numbers it meets later, depends on (seed, frame, step, id) alone: one device or
eight, the same batch is trained on.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from inv_jax.sampling.permutation import permute
from inv_jax.types import Batch, Cameras, Frame


def sample_rays(
    inputs: Callable[..., Any],
    key: PRNGKeyArray,
    step: Int[Array, ""],
    ids: Int[Array, "b"],
    rays_per_step: int,
    frame: Frame,
    cameras: Cameras,
) -> Batch:
    """The rays `ids` of a step's batch, made on the device from pixel indices.

    An epoch is `pixels // rays_per_step` steps over a fresh shuffle. The remainder of the pixels
    (fewer than one batch) rests for that epoch.

    Args:
      inputs: What a ray is: `Model.inputs`.
      key: The frame's key; the epoch is folded into it.
      step: Step within the frame, from 0.
      ids: Which rays of the batch, in [0, rays_per_step).
      rays_per_step: Size of the batch over all devices.
      frame: Images of the training cameras.
      cameras: The same cameras, in the same order.

    Returns:
      A `Batch` of as many rays as `ids`, with colors as `uint8 / 255`.

    Raises:
      ValueError: If a batch asks for more rays than there are pixels.
    """
    num_cams, height, width, _ = frame.images.shape
    num_pixels = num_cams * height * width
    steps_per_epoch = num_pixels // rays_per_step
    if steps_per_epoch == 0:
        raise ValueError(f"{rays_per_step} rays a step, but the frame has {num_pixels} pixels")
    epoch, batch = step // steps_per_epoch, step % steps_per_epoch
    pixels = permute(jax.random.fold_in(key, epoch), batch * rays_per_step + ids, num_pixels)
    cams, rest = pixels // (height * width), pixels % (height * width)
    rows, cols = rest // width, rest % width
    colors = frame.images.reshape(num_pixels, 3)[pixels]
    return Batch(
        inputs=inputs(cameras, cams, cols, rows),
        target=colors.astype(jnp.float32) / 255.0,
        ids=ids,
    )
