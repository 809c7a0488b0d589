"""`inv-jax video`: runs side by side, frame by frame, with their names, PSNR and errors.

    inv-jax video runs/inv runs/scratch --out=side_by_side.mp4 --truth --error
    inv-jax video runs/inv runs/inv/video.inv --names=trained,compressed --data_path=CAPTURE
    inv-jax video runs/inv runs/scratch --path=spiral       no camera was there: there is no PSNR

Shown are the frames that all of them have. Panels have the size of the largest rendering, smaller
ones are enlarged to it; each is measured as it was rendered, against its own capture.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import flags, logging
from PIL import Image

from inv_jax.commands import flagged
from inv_jax.commands import render as render_lib
from inv_jax.commands.stop import Stop
from inv_jax.eval import metrics, pictures, sheets
from inv_jax.eval.sheets import Panel, Picture
from inv_jax.playback import Playback, open_playback
from inv_jax.player import paths
from inv_jax.player.paths import CameraPath
from inv_jax.player.video import VideoWriter
from inv_jax.types import InvError

USAGE = "RUN|FILE [RUN|FILE ...] --out=side_by_side.mp4 [--truth] [--error] [--path=test|cams:3]"
POSITIONAL = "runs"
REQUIRED = {"runs": "give folders of runs, or .inv files"}

_ASPECT_TOLERANCE = 0.02  # of images of one capture at two factors, which round odd sizes


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_list("runs", None, "Folders of runs, or .inv files.", flag_values=values)
    flags.DEFINE_list("names", [], "What to call them; default: as the files.", flag_values=values)
    flags.DEFINE_bool("truth", False, "Also shows the camera's images.", flag_values=values)
    flags.DEFINE_bool("error", False, "Also shows the errors.", flag_values=values)
    flags.DEFINE_float(
        "error_scale",
        pictures.ERROR_SCALE,
        "Mean absolute error, of colors in [0, 1], that is brightest.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "height",
        0,
        "Height of a panel, pixels; 0: as rendered, small ones enlarged by a whole number.",
        flag_values=values,
    )
    flags.DEFINE_string("out", "side_by_side.mp4", "Video: .mp4 or .gif.", flag_values=values)
    render_lib.define_path(values, "test")
    flagged.define_stored_frames(values)
    flagged.define_processes(values)


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

    def truth(self, picture: int) -> Picture | None:
        """The camera's image, if there is one."""
        if self.cam is None:
            return None
        frame = self.path.frames[picture]
        return np.asarray(self.playback.capture.load(frame, (self.cam,)).images)[0]


def run(values: flags.FlagValues, stop: Stop) -> int:
    del stop
    flagged.join_processes(values)
    if values.height < 0 or not values.error_scale > 0:
        raise InvError(
            f"--height={values.height} --error_scale={values.error_scale}; expected pixels, and "
            "more than 0"
        )
    runs, fps = open_runs(values)
    out = pathlib.Path(values.out).expanduser().absolute()
    drawing = Drawing(
        runs,
        has_truth=values.truth,
        error_scale=values.error_scale if values.error else None,
        height=values.height,
    )
    writer = VideoWriter(out, fps)  # in all processes: what it refuses, it refuses in all
    if drawing.is_main:
        with writer:
            for picture in range(len(runs[0].path)):
                writer.push(drawing.draw(picture))
        print(out)
    else:
        for picture in range(len(runs[0].path)):
            drawing.render(picture)  # this process's part
    for one in runs:
        one.playback.wait_for_all()
    return 0


def open_runs(values: flags.FlagValues) -> tuple[list[Run], float]:
    """The runs with their paths, and pictures per second.

    Raises:
      InvError: If they cannot be shown together.
    """
    files = [pathlib.Path(text).expanduser().absolute() for text in values.runs]
    names = list(values.names) or _names(files)
    if len(names) != len(files):
        raise InvError(f"--names={','.join(names)} for {len(files)} runs; give one for each")
    playbacks = [open_playback(file, values.data_path) for file in files]
    stored = [playback.player.frames for playback in playbacks]
    common = sorted(set.intersection(*map(set, stored)))
    if not common:
        ranges = ", ".join(f"{n} {f[0]} to {f[-1]}" for n, f in zip(names, stored, strict=True))
        raise InvError(f"the runs have no frame in common: {ranges}")
    if any(len(frames) > len(common) for frames in stored):
        logging.info("frames %d to %d are in all runs", common[0], common[-1])
    frames = flagged.select_frames(common, values.frames)
    fps = playbacks[0].config.render.fps if values.fps is None else values.fps
    runs = []
    for name, playback in zip(names, playbacks, strict=True):
        path = render_lib.path_of(values, playback, frames, fps)
        cam = paths.standing_cam(playback.rig, values.path)
        runs.append(Run(name, playback, path, _if_seen(playback, name, cam, values)))
    if len({run.path.frames for run in runs}) > 1:
        raise InvError(f"--path={values.path} shows other frames in each run; give --frames")
    return runs, fps


def _names(files: Sequence[pathlib.Path]) -> list[str]:
    """The last part of each file's name; of files of one name, the folder too."""
    names = [file.stem if file.suffix == ".inv" else file.name for file in files]
    return [
        f"{file.parent.name}/{file.name}" if names.count(name) > 1 else name
        for file, name in zip(files, names, strict=True)
    ]


def _if_seen(
    playback: Playback, name: str, cam: int | None, values: flags.FlagValues
) -> int | None:
    """The camera, if its images are there; they must be for the truth and for errors."""
    wants = values.truth or values.error
    if cam is None and wants:
        raise InvError(
            f"--path={values.path} goes where no camera was, so there is no truth; choose "
            "--path=test or --path=cams:NUMBER, or leave --truth and --error out"
        )
    if cam is None:
        return None
    try:
        playback.capture  # noqa: B018
    except InvError as error:
        if wants:
            raise
        logging.info("%s: no PSNR, since there are no images: %s", name, error)
        return None
    return cam


class Drawing:
    """Renders the pictures of all runs and draws them beside each other."""

    def __init__(
        self, runs: Sequence[Run], *, has_truth: bool, error_scale: float | None, height: int
    ):
        """Makes one.

        Args:
          runs: What is shown, in this order.
          has_truth: Whether the images of the first run's camera stand in front.
          error_scale: Of the errors below; None: they are not shown.
          height: Of a panel; 0: of the largest rendering, enlarged if that is small.

        Raises:
          InvError: If the images are of different shapes.
        """
        self._runs, self._has_truth, self._error_scale = runs, has_truth, error_scale
        largest = max(map(_size, runs))
        aspect = largest[1] / largest[0]
        for run, (rows, columns) in zip(runs, map(_size, runs), strict=True):
            if abs(columns / rows / aspect - 1.0) > _ASPECT_TOLERANCE:
                raise InvError(
                    f"{run.name} has images of {columns}x{rows}, another of "
                    f"{largest[1]}x{largest[0]}: another shape; show runs of one capture"
                )
        self._size = (height, round(height * aspect)) if height else largest
        self._times = 1 if height else pictures.enlargement(*largest)
        self.is_main = runs[0].playback.is_main
        names = runs[0].playback.rig.camera_names
        self._where = "moving camera" if runs[0].cam is None else names[runs[0].cam]

    def render(self, picture: int) -> list[np.ndarray]:
        """Colors (H, W, 3) of each run; all processes do it together."""
        return [
            run.playback.player.view(run.path.frames[picture], run.path.cameras, picture).rgb
            for run in self._runs
        ]

    def draw(self, picture: int) -> Picture:
        """The page of one picture; in the main process."""
        images: list[Panel | None] = []
        errors: list[Panel | None] = []
        truths = [run.truth(picture) for run in self._runs]
        has_scores = any(truth is not None for truth in truths)
        if self._has_truth and truths[0] is not None:
            images.append(Panel(self._fit(truths[0]), "ground truth"))
            errors.append(None)
        for run, truth, rgb in zip(self._runs, truths, self.render(picture), strict=True):
            rendered, score = pictures.to_uint8(rgb), "-" if has_scores else ""
            if truth is not None:
                psnr = metrics.psnr(rgb, truth.astype(np.float32) / 255)
                score = f"{psnr:.2f} dB"
                if self._error_scale is not None:
                    error = pictures.error_map(rendered, truth, self._error_scale)
                    caption = f"mean absolute error, 0 to {self._error_scale:g}"
                    errors.append(Panel(self._fit(error), caption))
            images.append(Panel(self._fit(rendered), run.name, score))
        has_errors = self._error_scale is not None
        return sheets.draw(
            [images, errors] if has_errors else [images],
            f"{self._where}, frame {self._runs[0].path.frames[picture]:04d}",
            "PSNR of the frame" if has_scores else "",
            bar=pictures.error_bar(self._error_scale) if has_errors else None,
            times=self._times,
        )

    def _fit(self, picture: Picture) -> Picture:
        """The picture in the size of a panel; enlarged by whole pixels where that goes."""
        if picture.shape[:2] == self._size:
            return picture
        height, width = self._size
        whole = height % picture.shape[0] == 0 and width % picture.shape[1] == 0
        way = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
        return np.asarray(Image.fromarray(picture).resize((width, height), way))


def _size(run: Run) -> tuple[int, int]:
    return run.path.cameras.height, run.path.cameras.width
