"""Whole views from a model: all devices, chunk by chunk of its rows, one compile per size."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from inv_jax.models.base import Model
from inv_jax.sampling.rows import Rows
from inv_jax.train import parallel
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params, Rendering, Stopped

Array = jax.Array | np.ndarray
Placed = Any  # params on the devices, with what `ViewRenderer.params` makes of them


@struct.dataclass
class View:
    """A rendered image; `ViewRenderer.render` returns it on the host (numpy)."""

    rgb: Array  # (H, W, 3) float32 in [0, 1]
    # None where the model has no depth: its picture is flat.
    depth: Array | None = None  # (H, W) float32, expected distance along the ray, in its units
    acc: Array | None = None  # (H, W) float32 opacity
    # What each field shows alone, by name, where the picture is a blend of several.
    layers: "dict[str, View] | None" = None

    @classmethod
    def of(cls, rendering: Rendering) -> "View":
        """A rendering without what training alone looks at."""
        layers = rendering.layers
        return cls(
            rgb=jnp.clip(rendering.rgb, 0.0, 1.0),
            depth=rendering.depth,
            acc=rendering.acc,
            layers=layers and {name: cls.of(layer) for name, layer in layers.items()},
        )


class PendingView:
    """An image that is being rendered, chunk by chunk, at the pace of whoever wants it.

    Attributes:
      chunks_left: Chunks that are still to be rendered.
      seconds: Time that rendering took so far.
    """

    def __init__(
        self,
        chunk: Callable[..., View],
        devices: Devices,
        placed: Placed,
        cameras: Cameras,
        cam: int,
        time: float,
        rows: Rows,
        rows_per_chunk: int,
    ):
        """See `ViewRenderer.start`."""
        self._chunk, self._devices, self._placed = chunk, devices, placed
        self._shape, self._rows = (cameras.height, cameras.width), rows
        num_rows = rows.in_view(*self._shape)
        # Equal chunks, no larger than needed: a small image is not padded to a large chunk.
        per_round = min(rows_per_chunk, -(-num_rows // devices.count))
        self.chunks_left = -(-num_rows // (per_round * devices.count))
        indices = np.minimum(
            np.arange(self.chunks_left * per_round * devices.count, dtype=np.int32), num_rows - 1
        ).reshape(self.chunks_left, devices.count, per_round)
        self._indices = indices[:, devices.local_places]
        where = cameras.take(np.array([cam])), np.int32(0), np.float32(time)
        self._where = devices.replicate(where)
        self._parts: list[View] = []
        self.seconds = 0.0

    def advance(self, chunks: int = 1) -> None:
        """Renders the next chunks, on all devices."""
        start = time.perf_counter()
        with parallel.out_of_memory_as_error("eval.rows_per_chunk"):
            for _ in range(min(chunks, self.chunks_left)):
                part = self._chunk(self._placed, *self._where, self._indices[len(self._parts)])
                self._parts.append(jax.tree.map(np.asarray, part))
                self.chunks_left -= 1
        self.seconds += time.perf_counter() - start

    def view(self) -> View:
        """The image, when all chunks are there; all processes get it whole."""
        local = jax.tree.map(lambda *xs: np.stack(xs, axis=1), *self._parts)
        everyones = self._devices.gather(local)  # (devices, chunks, rows, ...)

        def image(x: np.ndarray) -> np.ndarray:
            in_order = np.moveaxis(x, 0, 1)
            return self._rows.image(in_order.reshape(-1, *x.shape[3:]), *self._shape)

        return jax.tree.map(image, everyones)


class ViewRenderer:
    """Renders images of any camera with any params; holds the compiled program."""

    def __init__(self, model: Model, devices: Devices, rows_per_chunk: int):
        """Makes a renderer.

        Args:
          model: What is rendered.
          devices: Who renders; each takes its share of a chunk.
          rows_per_chunk: Rows at once on a device; bounds the memory.
        """
        self._devices, self._rows = devices, model.rows
        self._rows_per_chunk = rows_per_chunk

        def chunk(
            placed: Placed, cameras: Cameras, cam: jax.Array, time: jax.Array, indices: jax.Array
        ) -> View:
            params, guide = placed
            places = model.rows.places(cameras, cam, time, indices)
            inputs = model.inputs(cameras, places)
            return View.of(list(model.guided(params, inputs, guide).values())[-1])

        self._chunk = devices.map(chunk)
        self._guide = devices.map(model.guide) if model.guide_every else lambda params: None

    def params(self, params: Params) -> Placed:
        """Places params on the devices, and what says where to look, once for several images."""
        placed = self._devices.replicate(params)
        return placed, self._guide(placed)

    def start(self, placed: Placed, cameras: Cameras, cam: int, time: float = 0.0) -> PendingView:
        """Begins an image, of which nothing is rendered yet.

        Args:
          placed: Params as `self.params` returns them.
          cameras: Any cameras.
          cam: Which of them.
          time: When, as a part of the segment that the params are of, in [0, 1).
        """
        return PendingView(
            *(self._chunk, self._devices, placed, cameras, cam, time),
            *(self._rows, self._rows_per_chunk),
        )

    def render(
        self,
        placed: Placed,
        cameras: Cameras,
        cam: int,
        time: float = 0.0,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> View:
        """Renders one image; arguments as of `start`.

        Args:
          placed: Params.
          cameras: Any cameras.
          cam: Which of them.
          time: When.
          should_stop: Asked before each chunk; of several processes, all must say the same.

        Raises:
          Stopped: If it said so.
        """
        pending = self.start(placed, cameras, cam, time)
        while pending.chunks_left:
            if should_stop():
                raise Stopped("stopped while rendering; the same command goes on")
            pending.advance()
        return pending.view()
