"""Colors at some pixels of some cameras: a bounded measure where whole views would be many.

The same pixels are asked of many params, so that their differences are not those of the choice.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from inv_jax.models.base import Model
from inv_jax.sampling.rays import RAYS
from inv_jax.train import parallel
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, InvError, Params, Places

MOVED = 0.05  # mean absolute difference of two images' colors where something moved


@struct.dataclass
class Pixels:
    """P pixels of any cameras."""

    cams: np.ndarray  # (P,) int32
    rows: np.ndarray  # (P,) int32
    cols: np.ndarray  # (P,) int32

    def __len__(self) -> int:
        return len(self.cams)


def join(parts: Sequence[Pixels]) -> Pixels:
    """Several of them as one, in order."""
    return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


def draw(cam: int, where: np.ndarray, most: int, generator: np.random.Generator) -> Pixels:
    """Pixels of a view, each once; all that are wanted if these are no more than `most`.

    Args:
      cam: The view's camera.
      where: (H, W) bool, which are wanted.
      most: How many, or fewer.
      generator: Of the choice.
    """
    found = np.flatnonzero(where)
    if len(found) > most:
        found = np.sort(generator.choice(found, most, replace=False))
    rows, cols = np.unravel_index(found, where.shape)
    return Pixels(np.full(len(found), cam, np.int32), rows.astype(np.int32), cols.astype(np.int32))


def moved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two images (H, W, 3) uint8 differ: (H, W) bool, by more than `MOVED`."""
    return np.abs(a.astype(np.float32) - b.astype(np.float32)).mean(axis=-1) > 255 * MOVED


class Probe:
    """Renders pixels with any params; holds the compiled program."""

    def __init__(self, model: Model, devices: Devices, cameras: Cameras, rows_per_chunk: int):
        """Makes a probe.

        Args:
          model: What is rendered.
          devices: Who renders.
          cameras: All that pixels are of.
          rows_per_chunk: Pixels at once on a device; bounds the memory.

        Raises:
          InvError: If the model does not show pixels one by one.
        """
        if model.rows is not RAYS:
            raise InvError(
                f"partition looks at single pixels, and this model shows {model.rows.name}s as a "
                "whole; inv-jax swap and report show how its layers differ from clip to clip"
            )
        self._devices, self._rows_per_chunk = devices, rows_per_chunk
        self._cameras = devices.replicate(cameras)

        def chunk(params: Params, cameras: Cameras, pixels: Pixels) -> jax.Array:
            times = jnp.zeros(pixels.cams.shape, jnp.float32)
            places = Places(cams=pixels.cams, times=times, cols=pixels.cols, rows=pixels.rows)
            inputs = model.inputs(cameras, places)
            return jnp.clip(list(model.predict(params, inputs).values())[-1].rgb, 0.0, 1.0)

        self._chunk = devices.map(chunk)

    def rgb(self, params: Params, pixels: Pixels) -> np.ndarray:
        """Colors (P, 3) in [0, 1]; on all processes.

        Args:
          params: All of them, on the host.
          pixels: One at least.
        """
        devices = self._devices
        # Equal rounds, no larger than needed.
        per_round = min(self._rows_per_chunk, -(-len(pixels) // devices.count)) * devices.count
        rounds = -(-len(pixels) // per_round)
        places = np.minimum(np.arange(rounds * per_round), len(pixels) - 1)
        places = places.reshape(rounds, devices.count, -1)[:, devices.local_places]
        placed, parts = devices.replicate(params), []
        with parallel.out_of_memory_as_error("eval.rows_per_chunk"):
            for chosen in places:
                part = jax.tree.map(lambda x, chosen=chosen: x[chosen], pixels)
                parts.append(np.asarray(self._chunk(placed, self._cameras, part)))
        everyones = devices.gather(np.stack(parts, axis=1))  # (devices, rounds, rays, 3)
        return np.moveaxis(everyones, 0, 1).reshape(-1, 3)[: len(pixels)]
