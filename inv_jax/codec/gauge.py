"""How much a picture suffers when params change, measured on a fixed set of rays.

The rays are the same at every call, there is no noise, and the program is compiled once: on one
machine the same params give the same number, to the bit. An encoder that is rebuilt after a kill
relies on it; a decoder never asks.
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from inv_jax import params as params_lib
from inv_jax.codec.base import Leaves
from inv_jax.models.base import Model
from inv_jax.types import Cameras, Params


@runtime_checkable
class KeenGauge(Protocol):
    """A gauge that also knows which params of a leaf matter."""

    def mse(self, true: Leaves, changed: Leaves) -> float:
        """See `Gauge.mse`."""
        ...

    def keenness(self, true: Leaves) -> dict[str, np.ndarray]:
        """For each param, about how much the picture's error grows with its squared change.

        Each leaf's numbers are relative to each other: their mean is 1, none is negative.
        """
        ...


class RayGauge:
    """A gauge on rays through random pixels of some cameras."""

    def __init__(
        self,
        model: Model,
        cameras: Cameras,
        params: Params,
        *,
        num_rays: int = 2048,
        rays_per_pass: int = 64,
        seed: int = 0,
    ):
        """Draws the rays; nothing is compiled yet.

        Args:
          model: Makes the pictures.
          cameras: Pictures are taken from these; those that are trained on, as a rule.
          params: All of them: the leaves that no one changes are taken from here.
          num_rays: How many; rounded up to whole passes.
          rays_per_pass: Rays rendered at once; bounds the memory.
          seed: Names the rays.
        """
        self._params = params
        rng = np.random.default_rng(seed)
        passes = -(-num_rays // rays_per_pass)
        shape = (passes, min(rays_per_pass, num_rays))
        cams, rows, cols = (
            jnp.asarray(rng.integers(0, size, shape), jnp.int32)
            for size in (cameras.num_cams, cameras.height, cameras.width)
        )
        signs = jnp.asarray(rng.choice([-1.0, 1.0], (*shape, 3)), jnp.float32)

        def pictures(params: Params, inputs: Any) -> list[jax.Array]:
            return [picture.rgb for picture in model.predict(params, inputs).values()]

        def render(params: Params, cameras: Cameras) -> jax.Array:
            def one(pixels: tuple[jax.Array, ...]) -> jax.Array:
                cams, rows, cols = pixels
                return pictures(params, model.inputs(cameras, cams, cols, rows))[-1]

            return lax.map(one, (cams, rows, cols))

        def squares(leaves: Params, params: Params, cameras: Cameras) -> Params:
            def one(total: Params, pixels: tuple[jax.Array, ...]) -> tuple[Params, None]:
                cams, rows, cols, signs = pixels
                inputs = model.inputs(cameras, cams, cols, rows)

                def signed(leaves: Params) -> jax.Array:
                    filled = params_lib.fill(params, params_lib.flatten(params) | leaves)
                    return sum(jnp.sum(rgb * signs) for rgb in pictures(filled, inputs))

                grads = jax.grad(signed)(leaves)
                return jax.tree.map(lambda t, g: t + jnp.square(g), total, grads), None

            zeros = jax.tree.map(jnp.zeros_like, leaves)
            return lax.scan(one, zeros, (cams, rows, cols, signs))[0]

        self._cameras = cameras
        self._render, self._squares = jax.jit(render), jax.jit(squares)
        self._last: tuple[dict[str, np.ndarray], np.ndarray] | None = None

    def show(self, params: Params) -> None:
        """Takes the leaves that no one changes from other params; for Warm-Up, where all train."""
        self._params, self._last = params, None

    def picture(self, leaves: Leaves) -> np.ndarray:
        """Colors of the rays, (num_rays, 3) float32, with these leaves instead of one's own."""
        filled = params_lib.fill(self._params, params_lib.flatten(self._params) | dict(leaves))
        return np.asarray(self._render(filled, self._cameras)).reshape(-1, 3)

    def mse(self, true: Leaves, changed: Leaves) -> float:
        """See `Gauge.mse`. The picture of the leaves that were true last is kept."""
        if self._last is None or not _same(self._last[0], true):
            kept = {path: np.array(leaf) for path, leaf in true.items()}
            self._last = kept, self.picture(true)
        difference = self._last[1] - self.picture(changed)
        return float(np.mean(np.square(difference, dtype=np.float64)))

    def keenness(self, true: Leaves) -> dict[str, np.ndarray]:
        """See `KeenGauge.keenness`: the diagonal of the Gauss-Newton matrix J'J of the colors.

        With random signs v, the squares of J'v have J'J's diagonal as their mean (Hutchinson
        1989, Bekas et al. 2007); each pass of rays has signs of its own and is one sample.
        The pictures of all networks are summed: through its samples' places the coarse network
        has no gradient in the fine one's picture.
        """
        leaves = {path: jnp.asarray(leaf) for path, leaf in true.items()}
        squares = self._squares(leaves, self._params, self._cameras)
        relative = {}
        for path, square in squares.items():
            found = np.asarray(square, np.float64)
            mean = float(found.mean())
            is_usable = math.isfinite(mean) and mean > 0.0
            relative[path] = found / mean if is_usable else np.ones_like(found)
        return relative


def _same(left: Leaves, right: Leaves) -> bool:
    return left.keys() == right.keys() and all(
        np.array_equal(left[path], right[path]) for path in left
    )
