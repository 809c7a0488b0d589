"""Params against a capture, on random pixels: others in each frame, the same for all params."""

import jax
import jax.numpy as jnp
import numpy as np

from comparing.transfers import Setup, fill
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.types import Params

PIXELS = {"training": 8_192, "held-out": 4_096}  # judged in each frame
_PASS = 128  # pixels rendered at once


class Judge:
    """Measures params against the capture, on random pixels that are the same for all."""

    def __init__(self, setup: Setup):
        """Draws the pixels of each frame."""
        self._setup = setup
        self._cameras = jax.tree.map(jnp.asarray, setup.capture.cameras)
        self._pixels: dict[int, dict[str, tuple]] = {}

        @jax.jit
        def render(params: Params, pixels: tuple[jax.Array, ...]) -> jax.Array:
            def one(part: tuple[jax.Array, ...]) -> jax.Array:
                cams, rows, cols = part
                rays = cameras_lib.cast_rays(self._cameras, cams, cols, rows)
                return list(setup.nerf.predict(params, rays).values())[-1].rgb

            return jax.lax.map(one, pixels)

        self._render = render

    def _of(self, frame: int) -> dict[str, tuple]:
        """Pixels and their true colors, by kind of camera."""
        if frame not in self._pixels:
            rng, capture = np.random.default_rng(frame), self._setup.capture
            images = np.asarray(capture.load(frame).images)
            found = {}
            for kind, cams in (("training", capture.train_cams), ("held-out", capture.test_cams)):
                shape = (PIXELS[kind] // _PASS, _PASS)
                cam = np.array(cams)[rng.integers(0, len(cams), shape)]
                row, col = (rng.integers(0, size, shape) for size in images.shape[1:3])
                pixels = tuple(np.asarray(x, np.int32) for x in (cam, row, col))
                found[kind] = pixels, images[pixels].astype(np.float32) / 255.0
            self._pixels[frame] = found
        return self._pixels[frame]

    def psnr(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """PSNR of frames (frames, size) in dB, (frames,) for each kind of camera."""
        setup, found = self._setup, {kind: [] for kind in PIXELS}
        for frame, leaves in zip(setup.frames, flat, strict=False):
            params = fill(setup.warm[0], setup.layout.unravel(leaves))
            for kind, (pixels, colors) in self._of(frame).items():
                difference = np.asarray(self._render(params, pixels)) - colors
                mse = np.mean(np.square(difference, dtype=np.float64))
                found[kind].append(-10.0 * np.log10(mse))
        return {kind: np.array(values) for kind, values in found.items()}
