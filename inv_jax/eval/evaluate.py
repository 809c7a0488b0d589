"""What is measured and drawn of a frame: its held-out view against the camera's image."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from inv_jax.data.capture import Capture
from inv_jax.eval import metrics, pictures
from inv_jax.render.view import View, ViewRenderer
from inv_jax.types import Frame, Params


def measure(view: View, truth: np.ndarray) -> dict[str, float | None]:
    """PSNR (dB) and SSIM of a rendered view against an image (H, W, 3) uint8."""
    reference = np.asarray(truth, np.float32) / 255.0
    return {
        "psnr": metrics.psnr(view.rgb, reference),
        "ssim": metrics.ssim(view.rgb, reference),
    }


def shown_cam(capture: Capture) -> int:
    """The camera that pictures and videos show: the first held-out one, if there is any."""
    return (capture.test_cams or capture.train_cams)[0]


class Evaluator:
    """Renders the held-out view of frames, measures it and writes its images."""

    def __init__(self, renderer: ViewRenderer, capture: Capture, workdir: pathlib.Path):
        """Images go to `workdir/nerf_esti`.

        The first held-out camera is shown; where none is held out, the first one.
        """
        self._renderer, self._capture = renderer, capture
        self._cam = shown_cam(capture)
        self._folder = pathlib.Path(workdir) / "nerf_esti"

    def held_out_view(
        self,
        number: int,
        frame: Frame,
        params: Params,
        step: int | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Renders the shown camera, writes the images, returns the measures.

        Args:
          number: The frame's number.
          frame: Images of all cameras of the capture.
          params: All params.
          step: For an image from within the frame: the step it was made at.
          should_stop: Asked while it renders; `Stopped` is raised if it says so.

        Returns:
          `cam`, `held_out`, `psnr`, `ssim` and `eval_seconds`.
        """
        start = time.perf_counter()
        cam = self._cam
        placed = self._renderer.params(params)
        view = self._renderer.render(placed, self._capture.cameras, cam, should_stop)
        truth = np.asarray(frame.images)[cam]
        measures = measure(view, truth)
        seconds = time.perf_counter() - start
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
        return {
            "cam": cam,
            "held_out": cam in self._capture.test_cams,
            **measures,
            "eval_seconds": round(seconds, 3),
        }
