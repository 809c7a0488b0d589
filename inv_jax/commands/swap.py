"""`inv-jax swap`: layers of other frames in a base frame, one more at a time, and what is seen."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import flags, logging

from inv_jax import build
from inv_jax import params as params_lib
from inv_jax.commands import flagged
from inv_jax.commands.stop import Stop
from inv_jax.eval import pictures, report, sheets
from inv_jax.eval.evaluate import measure
from inv_jax.playback import Playback, open_playback
from inv_jax.train.refine import Refiner
from inv_jax.types import InvError, Params, Stopped

USAGE = "--workdir=runs/demo --base=5 --donors=6,9 [--swaps=1:11] [--refine_steps=100]"
REQUIRED = flagged.WORKDIR | {
    "base": "give the frame that layers are put into",
    "donors": "give the frames that layers are taken from, as 6,9",
}
_COLUMNS = ["donor", "kind", "swap", "psnr", "ssim"]


@dataclasses.dataclass(frozen=True)
class Swap:
    """Which layers come from the donor."""

    label: str  # "0-3"; part of the picture's name
    layers: tuple[int, ...]


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flagged.define_workdir(values, or_video=True)
    flags.DEFINE_integer("base", None, "Frame that layers are put into.", flag_values=values)
    flags.DEFINE_list(
        "donors", None, "Frames that they come from, before or behind it.", flag_values=values
    )
    flags.DEFINE_string(
        "swaps", "1:11", "Numbers n of swapped layers, FIRST:LAST: 0 to n - 1.", flag_values=values
    )
    flags.DEFINE_bool(
        "density", True, "Also the whole trunk and the density head.", flag_values=values
    )
    flags.DEFINE_integer(
        "refine_steps", 0, "Steps that fine-tune the swapped layers, too.", flag_values=values
    )
    flags.DEFINE_integer("cam", None, "Camera; default: the held-out one.", flag_values=values)
    flags.DEFINE_string("out", "", "Folder; default: swap, beside the frames.", flag_values=values)
    flags.DEFINE_string(
        "data_path", "", "The capture's folder, if it has moved since.", flag_values=values
    )
    flagged.define_processes(values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    flagged.join_processes(values)
    stop.install()
    workdir = flagged.workdir(values)
    playback = open_playback(workdir, values.data_path)
    folder = workdir if workdir.is_dir() else workdir.parent
    out = pathlib.Path(values.out).expanduser().absolute() if values.out else folder / "swap"
    cam = playback.rig.shown_cam if values.cam is None else values.cam
    if not 0 <= cam < playback.rig.cameras.num_cams:
        raise InvError(f"--cam={cam}: cameras are 0 to {playback.rig.cameras.num_cams - 1}")
    if values.refine_steps < 0:
        raise InvError(f"--refine_steps={values.refine_steps}; want 0 or more")
    frames = playback.source.frames()
    base, *donors = (_frame(text, frames) for text in [values.base, *values.donors])
    if not donors:
        raise InvError("--donors= names no frame; give some, as 6,9")
    refiner = None
    if values.refine_steps:
        nerf = build.model(playback.config)
        step = build.stepper(playback.config, nerf, playback.devices)
        refiner = Refiner(step, playback.devices, stop)
    swaps = swaps_of(playback.source.params(base), values.swaps, values.density)
    made = Sheet(playback, cam, base, out)
    try:
        for donor in donors:
            made.add(donor, swaps, refiner, values.refine_steps)
    except Stopped as stopped:
        logging.info("%s", stopped)
        return stop.status
    if playback.is_main:
        print(report.format_table(made.rows, _COLUMNS, has_summary=False))
        print(made.write())
    playback.wait_for_all()
    return 0


def _frame(text: Any, stored: list[int]) -> int:
    try:
        frame = int(text)
    except ValueError as error:
        raise InvError(f"{text!r} is no frame number; give one, as 6") from error
    if frame not in stored:
        raise InvError(f"frame {frame}: stored frames are {stored[0]} to {stored[-1]}")
    return frame


def swaps_of(params: Params, text: str, density: bool) -> list[Swap]:
    """The swaps that FIRST:LAST asks for, and the trunk with the density head.

    Raises:
      InvError: If the text is not of that form, or the model has fewer layers.
    """
    numbers = params_lib.layer_numbers(params)
    first, _, last = text.partition(":")
    try:
        wanted = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise InvError(f"--swaps={text}: expected FIRST:LAST, for example 1:11") from error
    if not wanted or wanted[0] < 1 or wanted[-1] > len(numbers):
        raise InvError(f"--swaps={text}: the model has {len(numbers)} layers; want 1 to that")
    swaps = [Swap(f"0-{n}", tuple(range(n))) for n in wanted]
    if density and "density" in numbers:
        trunk = tuple(i for name, i in numbers.items() if name.startswith("layer_"))
        swaps.append(Swap(f"0-{len(trunk)}_density", (*trunk, numbers["density"])))
    return swaps


class Sheet:
    """Renders and measures swaps against the donor's image; gathers a page of them."""

    def __init__(self, playback: Playback, cam: int, base: int, out: pathlib.Path):
        """Pictures go to `out`, named as the original's."""
        self._playback, self._cam, self._base, self._out = playback, cam, base, out
        self.rows: list[dict[str, Any]] = []
        self._pictures: list[list[tuple[str, np.ndarray]]] = []

    def add(self, donor: int, swaps: list[Swap], refiner: Refiner | None, steps: int) -> None:
        """All swaps from one donor: a row of raw pictures, and one of refined ones."""
        source, capture = self._playback.source, self._playback.capture
        base_params, donor_params = source.params(self._base), source.params(donor)
        truth = np.asarray(capture.load(donor, (self._cam,)).images)[0]
        found = params_lib.relative_change(base_params, donor_params)
        logging.info("frame %d: relative change by layer %s", donor, found)
        row = [self._see(donor, "base", "", base_params, truth)]
        for swap in swaps:
            params = params_lib.swap(base_params, donor_params, layers=swap.layers)
            row.append(self._see(donor, "raw", swap.label, params, truth))
        row.append(self._see(donor, "donor", "", donor_params, truth))
        self._pictures.append([*row, (f"frame {donor}, truth", truth)])
        if refiner is not None:
            refined = self._refined(donor, swaps, refiner, steps, truth)
            self._pictures.append(list(refined))

    def _refined(
        self, donor: int, swaps: list[Swap], refiner: Refiner, steps: int, truth: np.ndarray
    ) -> Iterator[tuple[str, np.ndarray]]:
        playback = self._playback
        base_params = playback.source.params(self._base)
        donor_params = playback.source.params(donor)
        cams = np.array(playback.capture.train_cams)
        frame, cameras = playback.capture.load(donor, cams), playback.rig.cameras.take(cams)
        for swap in swaps:
            params = params_lib.swap(base_params, donor_params, layers=swap.layers)
            chosen = params_lib.mask(params, layers=swap.layers)
            params = refiner.refine(params, chosen, frame, cameras, steps=steps, seed=donor)
            yield self._see(donor, "refined", swap.label, params, truth)

    def _see(
        self, donor: int, kind: str, swap: str, params: Params, truth: np.ndarray
    ) -> tuple[str, np.ndarray]:
        view = self._playback.player.look(params, self._playback.rig.cameras, self._cam)
        scores = measure(view, truth)
        picture = pictures.to_uint8(view.rgb)
        self.rows.append({"donor": donor, "kind": kind, "swap": swap, **scores})
        if self._playback.is_main and swap:
            name = f"cam{self._cam:02d}_frame{self._base:04d}_e{donor:04d}_{kind}_swap_{swap}"
            for old in self._out.glob(f"{name}_[0-9]*.png"):
                old.unlink()
            pictures.write_png(self._out / f"{name}_{scores['psnr']:.6f}.png", picture)
        return f"{kind} {swap.replace('_', ' ')}  {scores['psnr']:.2f} dB", picture

    def write(self) -> pathlib.Path:
        """Writes the page and the table; where the page is."""
        path = self._out / f"sheet_cam{self._cam:02d}_frame{self._base:04d}.png"
        title = f"layers of later or earlier frames in frame {self._base}; PSNR against their image"
        pictures.write_png(path, sheets.contact_sheet(self._pictures, title))
        report.write_json(path.with_suffix(".json"), self.rows)
        return path
