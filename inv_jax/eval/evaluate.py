"""What is measured and drawn of a frame: its held-out view against the camera's image."""

import pathlib
from typing import Any

import numpy as np

from inv_jax.data.capture import Capture
from inv_jax.eval import metrics, pictures
from inv_jax.render.view import PendingView, View, ViewRenderer
from inv_jax.types import Params


def measure(view: View, truth: np.ndarray) -> dict[str, float | None]:
    """PSNR (dB) and SSIM of a rendered view against an image (H, W, 3) uint8."""
    reference = np.asarray(truth, np.float32) / 255.0
    return {
        "psnr": metrics.psnr(view.rgb, reference),
        "ssim": metrics.ssim(view.rgb, reference),
    }


class Evaluator:
    """Renders one view of every frame, measures it and writes its images."""

    def __init__(self, renderer: ViewRenderer, capture: Capture, workdir: pathlib.Path):
        """Images go to `workdir/nerf_esti`.

        The first held-out camera is shown; where none is held out, the first one.
        """
        self._renderer, self._capture = renderer, capture
        self.cam = capture.shown_cam
        self._folder = pathlib.Path(workdir) / "nerf_esti"

    def start(self, params: Params) -> PendingView:
        """Begins to render the shown camera with a frame's params."""
        placed = self._renderer.params(params)
        return self._renderer.start(placed, self._capture.cameras, self.cam)

    def finish(
        self, number: int, view: View, truth: np.ndarray, step: int | None = None
    ) -> dict[str, Any]:
        """Writes the images of a rendered view, returns its measures; needs no device of its own.

        Args:
          number: The frame's number.
          view: As rendered.
          truth: The camera's image, (H, W, 3) uint8.
          step: For an image from within the frame: the step it was made at.

        Returns:
          `cam`, `held_out`, `psnr` and `ssim`.
        """
        cam, measures = self.cam, measure(view, truth)
        within = "" if step is None else f", step {step}"
        rendered = pictures.to_uint8(view.rgb)
        compared = pictures.comparison(
            rendered,
            truth,
            f"{self._capture.camera_names[cam]}, frame {number:04d}{within}",
            **measures,
        )
        for folder, picture in (
            (self._folder, rendered),
            (self._folder / "compare", compared),
        ):
            path = pictures.view_path(folder, cam, number, measures["psnr"], step)
            pictures.write_png(path, picture)
            pictures.remove_views(folder, cam, number, step, keep=path)
        return {"cam": cam, "held_out": cam in self._capture.test_cams, **measures}
