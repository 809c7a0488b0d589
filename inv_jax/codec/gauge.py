"""How much a picture suffers when params change, measured on a fixed set of rows.

The rows are the same at every call, there is no noise, and the program is compiled once: on one
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
from inv_jax.types import Cameras, Params, Places

_PIXELS, _LEAST_ROWS = 2048, 4
_PIXELS_PER_PASS = 64


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


class PictureGauge:
    """A gauge on random rows of some cameras' views: on rays, or on whole pictures."""

    def __init__(
        self,
        model: Model,
        cameras: Cameras,
        params: Params,
        *,
        num_frames: int = 1,
        num_rows: int = 0,
        rows_per_pass: int = 0,
        seed: int = 0,
    ):
        """Draws the rows; nothing is compiled yet.

        Args:
          model: Makes the pictures.
          cameras: Pictures are taken from these; those that are trained on, as a rule.
          params: All of them: the leaves that no one changes are taken from here.
          num_frames: Of a segment; rows are spread over its times.
          num_rows: How many; rounded up to whole passes. 0: as many as hold 2048 pixels, and 4 at
            least.
          rows_per_pass: Rows rendered at once; bounds the memory. 0: as many as hold 64 pixels.
          seed: Names the rows.
        """
        self._params = params
        rng = np.random.default_rng(seed)
        drawn = _draw(rng, model, cameras, num_frames, num_rows, rows_per_pass)

        def inputs(cameras: Cameras, which: tuple[jax.Array, ...]) -> Any:
            def place(cam: jax.Array, time: jax.Array, index: jax.Array) -> Places:
                return model.rows.places(cameras, cam, time, index[None])

            return model.inputs(cameras, jax.tree.map(lambda x: x[:, 0], jax.vmap(place)(*which)))

        def pictures(params: Params, inputs: Any) -> list[jax.Array]:
            return [picture.rgb for picture in model.predict(params, inputs).values()]

        def render(params: Params, cameras: Cameras) -> jax.Array:
            return lax.map(lambda which: pictures(params, inputs(cameras, which))[-1], drawn)

        first = jax.tree.map(lambda x: x[0], drawn)
        shown = jax.eval_shape(lambda p, c: pictures(p, inputs(c, first)), params, cameras)
        shapes = [(len(drawn[0]), *one.shape) for one in shown]
        # Pictures of one shape, of all passes, have the same signs; the last one's are drawn first.
        by_shape = {
            one: np.float32(rng.choice([-1.0, 1.0], one)) for one in dict.fromkeys(shapes[::-1])
        }
        self._signs = [by_shape[one] for one in shapes]

        def squares(
            leaves: Params, params: Params, cameras: Cameras, signs: list[jax.Array]
        ) -> Params:
            def one(total: Params, here: tuple[Any, ...]) -> tuple[Params, None]:
                which, signs = here
                made = inputs(cameras, which)

                def signed(leaves: Params) -> jax.Array:
                    filled = params_lib.fill(params, params_lib.flatten(params) | leaves)
                    shown = zip(pictures(filled, made), signs, strict=True)
                    return sum(jnp.sum(rgb * sign) for rgb, sign in shown)

                grads = jax.grad(signed)(leaves)
                return jax.tree.map(lambda t, g: t + jnp.square(g), total, grads), None

            zeros = jax.tree.map(jnp.zeros_like, leaves)
            return lax.scan(one, zeros, (drawn, signs))[0]

        self._cameras = cameras
        self._render, self._squares = jax.jit(render), jax.jit(squares)
        self._last: tuple[dict[str, np.ndarray], np.ndarray] | None = None

    def show(self, params: Params) -> None:
        """Takes the leaves that no one changes from other params; for Warm-Up, where all train."""
        self._params, self._last = params, None

    def picture(self, leaves: Leaves) -> np.ndarray:
        """Colors of the rows, (pixels, 3) float32, with these leaves instead of one's own."""
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
        1989, Bekas et al. 2007); each pass of rows has signs of its own and is one sample.
        The pictures of all networks are summed: through its samples' places the coarse network
        has no gradient in the fine one's picture.
        """
        leaves = {path: jnp.asarray(leaf) for path, leaf in true.items()}
        squares = self._squares(leaves, self._params, self._cameras, self._signs)
        relative = {}
        for path, square in squares.items():
            found = np.asarray(square, np.float64)
            mean = float(found.mean())
            is_usable = math.isfinite(mean) and mean > 0.0
            relative[path] = found / mean if is_usable else np.ones_like(found)
        return relative


def _draw(
    rng: np.random.Generator,
    model: Model,
    cameras: Cameras,
    num_frames: int,
    num_rows: int,
    rows_per_pass: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Cameras, times and indices of random rows, (passes, rows of a pass) each."""
    num_pixels = cameras.height * cameras.width
    in_view = model.rows.in_view(cameras.height, cameras.width)
    num_rows = num_rows or max(_LEAST_ROWS, -(-_PIXELS * in_view // num_pixels))
    per_pass = rows_per_pass or max(1, _PIXELS_PER_PASS * in_view // num_pixels)
    shape = -(-num_rows // per_pass), min(per_pass, num_rows)
    cams, rows, cols = (
        rng.integers(0, size, shape) for size in (cameras.num_cams, cameras.height, cameras.width)
    )
    # The row that a pixel is in; times go evenly from the first row to the last one.
    indices = (rows * cameras.width + cols) * in_view // num_pixels
    order = np.arange(cams.size).reshape(shape)
    times = (2 * order + 1) * num_frames // (2 * cams.size) / num_frames
    return (
        jnp.asarray(cams, jnp.int32),
        jnp.asarray(times, jnp.float32),
        jnp.asarray(indices, jnp.int32),
    )


def _same(left: Leaves, right: Leaves) -> bool:
    return left.keys() == right.keys() and all(
        np.array_equal(left[path], right[path]) for path in left
    )
