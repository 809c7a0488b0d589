"""What is measured and drawn of a segment: its shown views against the camera's images."""

import pathlib
from typing import Any

import numpy as np

from inv_jax.data.capture import Capture
from inv_jax.data.segments import Segment
from inv_jax.eval import measures, pictures
from inv_jax.player import outputs
from inv_jax.render.view import PendingView, View, ViewRenderer
from inv_jax.types import Params


class Evaluator:
    """Renders the shown views of every segment, measures them and writes their images."""

    def __init__(
        self,
        renderer: ViewRenderer,
        capture: Capture,
        workdir: pathlib.Path,
        step_picture: str,
        most_pictures: int = 0,
    ):
        """Images go to `workdir/nerf_esti`; `step_picture` names those from within a segment.

        Of a segment at most `most_pictures` are written, spread evenly; 0 is all.

        The first held-out camera is shown; where none is held out, the first one. What the layers
        of a view show goes to folders beside, `static`, ..., under the name of the whole picture.
        """
        self._renderer, self._capture = renderer, capture
        self._painter = outputs.Painter(capture)
        self.cam = capture.shown_cam
        self._folder, self._step_picture = pathlib.Path(workdir) / "nerf_esti", step_picture
        self._most_pictures = most_pictures

    def place(self, params: Params) -> Any:
        """Places params on the devices, for several views."""
        return self._renderer.params(params)

    def start(self, placed: Any, time: float, cam: int | None = None) -> PendingView:
        """Begins to render a camera, the shown one by default, at a time of a segment."""
        cam = self.cam if cam is None else cam
        return self._renderer.start(placed, self._capture.cameras, cam, time)

    def finish(
        self,
        segment: Segment,
        frame: int,
        view: View,
        truth: np.ndarray,
        step: int | None = None,
        cam: int | None = None,
    ) -> dict[str, Any]:
        """Writes the images of a rendered view, returns its measures; needs no device of its own.

        Args:
          segment: The one that is shown.
          frame: Of its frames, which one.
          view: As rendered.
          truth: The camera's image, (H, W, 3) uint8.
          step: For an image from within the segment: the step it was made at.
          cam: Whose view it is; the shown camera's by default.

        Returns:
          `cam`, `held_out`, `psnr` and `ssim`.
        """
        cam = self.cam if cam is None else cam
        scores = measures.QUICK(view.rgb, truth)
        if self._is_drawn(segment, frame):
            self._draw(frame, view, truth, step, cam, scores)
        return {"cam": cam, "held_out": cam in self._capture.test_cams, **scores}

    def _is_drawn(self, segment: Segment, frame: int) -> bool:
        shown, most = segment.shown, self._most_pictures
        if not 0 < most < len(shown):
            return True
        return frame in {shown[round(place)] for place in np.linspace(0, len(shown) - 1, most)}

    def _draw(
        self,
        number: int,
        view: View,
        truth: np.ndarray,
        step: int | None,
        cam: int,
        scores: dict[str, Any],
    ) -> None:
        """Writes the images of a view."""
        within = "" if step is None else f", step {step}"
        name = pictures.VIEW if step is None else self._step_picture
        rendered = pictures.to_uint8(view.rgb)
        compared = pictures.comparison(
            rendered,
            truth,
            f"{self._capture.camera_names[cam]}, frame {number:04d}{within}",
            **scores,
        )
        layers = outputs.of_layers(view)
        folders = [self._folder, *(self._folder / name for name in ("compare", *layers))]
        written = [rendered, compared, *self._painter.paint(view, layers)]
        for folder, picture in zip(folders, written, strict=True):
            path = pictures.view_path(folder, cam, number, scores["psnr"], step, name)
            pictures.write_png(path, picture)
            pictures.remove_views(folder, cam, number, step, keep=path, name=name)
