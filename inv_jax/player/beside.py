"""Pictures of several runs, or several pictures of one, beside each other on a page."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from inv_jax.assembly.playback import Playback
from inv_jax.eval import metrics, pictures, sheets
from inv_jax.eval.sheets import Panel, Picture
from inv_jax.player import outputs as outputs_lib
from inv_jax.player.outputs import Painter
from inv_jax.player.paths import CameraPath
from inv_jax.render.view import View
from inv_jax.types import InvError

_ASPECT_TOLERANCE = 0.02  # of images of one capture at two factors, which round odd sizes

Row = list[Panel | None]


@dataclasses.dataclass(frozen=True)
class Run:
    """One of the runs.

    Attributes:
      name: As it is called.
      playback: Its frames.
      path: Its pictures.
      cam: The camera that took them, which there is an image of; or None.
    """

    name: str
    playback: Playback
    path: CameraPath
    cam: int | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures."""
        return self.path.cameras.height, self.path.cameras.width

    def view(self, picture: int) -> View:
        """Renders a picture; all processes do it together."""
        return self.playback.player.view(self.path.frames[picture], self.path.cameras, picture)

    def truth(self, picture: int) -> Picture | None:
        """The camera's image, if there is one."""
        if self.cam is None:
            return None
        frame = self.path.frames[picture]
        return np.asarray(self.playback.capture.load(frame, (self.cam,)).images)[0]


class Drawing:
    """Renders the pictures of all runs and draws them beside each other.

    Of several runs, a row holds one output of each; of a single one, it holds all its outputs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        outputs: Sequence[str],
        has_truth: bool,
        error_scale: float | None,
        height: int,
    ):
        """Makes one.

        Args:
          runs: What is shown, in this order.
          outputs: What is shown of each, of those that it has; none: colors, and of a single run
            those of its layers too.
          has_truth: Whether the images of the first run's camera stand in front.
          error_scale: Of the errors below; None: they are not shown.
          height: Of a panel; 0: of the largest rendering, enlarged if that is small.

        Raises:
          InvError: If the images are of different shapes.
        """
        self._runs, self._has_truth, self._error_scale = runs, has_truth, error_scale
        self._outputs = tuple(dict.fromkeys(outputs))
        largest = max(run.size for run in runs)
        aspect = largest[1] / largest[0]
        for run in runs:
            rows, columns = run.size
            if abs(columns / rows / aspect - 1.0) > _ASPECT_TOLERANCE:
                raise InvError(
                    f"{run.name} has images of {columns}x{rows}, another of "
                    f"{largest[1]}x{largest[0]}: another shape; show runs of one capture"
                )
        self._size = (height, round(height * aspect)) if height else largest
        self._times = 1 if height else pictures.enlargement(*largest)
        self.is_main = runs[0].playback.is_main
        rig = runs[0].playback.rig
        self._painter = Painter(rig)  # the first one's for all: one depth has one color
        self._where = "moving camera" if runs[0].cam is None else rig.camera_names[runs[0].cam]

    def render(self, picture: int) -> list[View]:
        """A view of each run; all processes do it together.

        Raises:
          InvError: If none of them has one of the outputs.
        """
        views = [run.view(picture) for run in self._runs]
        if not self._outputs:
            alone = outputs_lib.of_layers(views[0]) if len(views) == 1 else ()
            self._outputs = ("rgb", *alone)
        offered = dict.fromkeys(name for view in views for name in outputs_lib.offered(view))
        outputs_lib.check(self._outputs, tuple(offered))
        return views

    def draw(self, picture: int) -> Picture:
        """The page of one picture; in the main process."""
        views = self.render(picture)
        truths = [run.truth(picture) for run in self._runs]
        has_scores = "rgb" in self._outputs and any(truth is not None for truth in truths)
        rows = [
            [
                self._panel(run, view, name, truth, has_scores=has_scores)
                for run, view, truth in zip(self._runs, views, truths, strict=True)
            ]
            for name in self._outputs
        ]
        if len(self._runs) == 1:
            rows = [[panel for row in rows for panel in row]]
        if self._error_scale is not None:
            rows.append([self._error(*pair) for pair in zip(views, truths, strict=True)])
        if self._has_truth and truths[0] is not None:
            front = Panel(self._fit(truths[0]), "ground truth")
            rows = [[front if row is rows[0] else None, *row] for row in rows]
        title = f"{self._where}, frame {self._runs[0].path.frames[picture]:04d}"
        if len(self._runs) == 1 and self._outputs != ("rgb",):
            title = f"{self._runs[0].name}, {title}"
        return sheets.draw(
            rows,
            title,
            "PSNR of the frame" if has_scores else "",
            bar=None if self._error_scale is None else pictures.error_bar(self._error_scale),
            times=self._times,
        )

    def _panel(
        self, run: Run, view: View, name: str, truth: Picture | None, *, has_scores: bool
    ) -> Panel | None:
        """An output of a run; None if it has no such."""
        if name not in outputs_lib.offered(view):
            return None
        (painted,) = self._painter.paint(view, [name])
        score = "-" if has_scores and name == "rgb" else ""
        if truth is not None and name == "rgb":
            score = f"{metrics.psnr(view.rgb, truth.astype(np.float32) / 255):.2f} dB"
        return Panel(self._fit(painted), self._caption(run, name), score)

    def _caption(self, run: Run, name: str) -> str:
        is_single = len(self._runs) == 1
        if name == "rgb" and (not is_single or len(self._outputs) == 1):
            return run.name
        label = outputs_lib.label(name)
        return label if is_single else f"{run.name}, {label}"

    def _error(self, view: View, truth: Picture | None) -> Panel | None:
        if truth is None:
            return None
        error = pictures.error_map(pictures.to_uint8(view.rgb), truth, self._error_scale)
        return Panel(self._fit(error), f"mean absolute error, 0 to {self._error_scale:g}")

    def _fit(self, picture: Picture) -> Picture:
        """The picture in the size of a panel; enlarged by whole pixels where that goes."""
        if picture.shape[:2] == self._size:
            return picture
        height, width = self._size
        whole = height % picture.shape[0] == 0 and width % picture.shape[1] == 0
        way = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
        return np.asarray(Image.fromarray(picture).resize((width, height), way))
