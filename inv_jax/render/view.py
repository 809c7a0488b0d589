"""Whole images from a model: all devices, chunk by chunk, one compile per image size."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.models.base import Model
from inv_jax.train import parallel
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params, Stopped

Array = jax.Array | np.ndarray


@struct.dataclass
class View:
    """A rendered image; `ViewRenderer.render` returns it on the host (numpy)."""

    rgb: Array  # (H, W, 3) float32 in [0, 1]
    depth: Array  # (H, W) float32, expected distance along the ray, in the ray's units
    acc: Array  # (H, W) float32 opacity


class ViewRenderer:
    """Renders images of any camera with any params; holds the compiled program."""

    def __init__(self, model: Model, devices: Devices, rays_per_chunk: int):
        """Makes a renderer.

        Args:
          model: What is rendered.
          devices: Who renders; each takes its share of a chunk.
          rays_per_chunk: Rays at once on a device; bounds the memory.
        """
        self._devices = devices
        self._rays_per_chunk = rays_per_chunk

        def chunk(params: Params, cameras: Cameras, cam: jax.Array, pixels: jax.Array) -> View:
            rows, cols = pixels // cameras.width, pixels % cameras.width
            rays = cameras_lib.cast_rays(cameras, jnp.full_like(pixels, cam), cols, rows)
            picture = list(model.predict(params, rays).values())[-1]
            return View(rgb=picture.rgb, depth=picture.depth, acc=picture.acc)

        self._chunk = devices.map(chunk)

    def params(self, params: Params) -> Params:
        """Places params on the devices, once for several images."""
        return self._devices.replicate(params)

    def render(
        self,
        placed: Params,
        cameras: Cameras,
        cam: int,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> View:
        """Renders one image.

        Args:
          placed: Params as `self.params` returns them.
          cameras: Any cameras.
          cam: Which of them.
          should_stop: Asked before each chunk.

        Raises:
          Stopped: If it said so.
        """
        height, width = cameras.height, cameras.width
        num_pixels = height * width
        # Equal chunks, no larger than needed: a small image is not padded to a large chunk.
        per_round = min(self._rays_per_chunk, -(-num_pixels // self._devices.count))
        rounds = -(-num_pixels // (per_round * self._devices.count))
        pixels = np.minimum(
            np.arange(rounds * per_round * self._devices.count, dtype=np.int32), num_pixels - 1
        ).reshape(rounds, self._devices.count, per_round)
        one = self._devices.replicate((cameras.take(np.array([cam])), np.int32(0)))
        parts = []
        with parallel.out_of_memory_as_error("eval.rays_per_chunk"):
            for part in pixels:
                if should_stop():
                    raise Stopped("stopped while rendering; the same command goes on")
                chunk = self._chunk(placed, *one, part)
                parts.append(jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), chunk))
        flat = jax.tree.map(lambda *xs: np.concatenate(xs)[:num_pixels], *parts)
        return jax.tree.map(lambda x: x.reshape(height, width, *x.shape[1:]), flat)
