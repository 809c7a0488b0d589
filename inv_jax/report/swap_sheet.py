"""Swapped layers, seen: one picture each, a page of them, and PSNR over distance in time.

Every picture is measured against the donor's image, which it ought to become; the base besides
against its own, which says how good it was to begin with.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from inv_jax import params as params_lib
from inv_jax.assembly.playback import Playback
from inv_jax.eval import measures, pictures, report, sheets
from inv_jax.report import style
from inv_jax.train.refine import Refiner
from inv_jax.types import Cameras, Params, Stopped, Views

BASE, RAW, REFINED, DONOR = "base", "raw", "refined", "donor"
_LEAST_HEIGHT = 120  # of a picture on the page

Picture = UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True)
class Swap:
    """Which layers come from the donor."""

    label: str  # "0-3"; part of the picture's name
    layers: tuple[int, ...]


class SwapSheet:
    """Renders and measures swaps from one camera; what is done is kept, whatever comes."""

    def __init__(
        self,
        playback: Playback,
        cam: int,
        base: int,
        out: pathlib.Path,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Pictures go to `out`, named as the original's."""
        self._playback, self._cam, self._base, self._out = playback, cam, base, out
        self._should_stop, self._note = should_stop, ""
        self._base_params = playback.source.params(base)
        self.rows: list[dict[str, Any]] = []
        truth = self._truth(base)
        own = self._see(base, BASE, "", self._base_params, truth)
        self._panels: list[list[sheets.Panel | None]] = [
            [self._panel(own, f"base {base}"), sheets.Panel(truth, f"{base}, truth")]
        ]
        self._title = f"Layers of other frames in frame {base}; PSNR in dB against their images"

    def add(
        self, donor: int, swaps: Sequence[Swap], refiner: Refiner | None = None, steps: int = 0
    ) -> None:
        """All swaps from one donor: a row of raw pictures, and one of refined ones below.

        Args:
          donor: The frame.
          swaps: What is taken of it.
          refiner: Fine-tunes the swapped layers on the donor's images; None: no second row.
          steps: How long.

        Raises:
          Stopped: If asked to.
        """
        truth, donor_params = self._truth(donor), self._playback.source.params(donor)
        row = self._row()
        picture = self._see(donor, BASE, "", self._base_params, truth)
        row.append(self._panel(picture, "base"))
        for swap in swaps:
            params = params_lib.swap(self._base_params, donor_params, layers=swap.layers)
            row.append(self._swapped(donor, RAW, swap, params, truth))
        picture = self._see(donor, DONOR, "", donor_params, truth)
        row += [self._panel(picture, f"donor {donor}"), sheets.Panel(truth, f"{donor}, truth")]
        if refiner is None:
            return
        row = self._row()
        row.append(None)  # below the base
        self._note = f"refined: {steps} steps"
        images = self._images(donor)
        for swap in swaps:
            params = params_lib.swap(self._base_params, donor_params, layers=swap.layers)
            chosen = params_lib.mask(params, layers=swap.layers)
            params = refiner.refine(params, chosen, *images, steps=steps, seed=donor)
            row.append(self._swapped(donor, REFINED, swap, params, truth))

    def write(self) -> list[pathlib.Path]:
        """Writes the page and the table, of several donors the plot too; where they are."""
        name = f"cam{self._cam:02d}_frame{self._base:04d}"
        paths = [self._out / f"sheet_{name}.png"]
        rows = [row for row in self._panels if any(row)]
        times = max(1, -(-_LEAST_HEIGHT // self._playback.rig.cameras.height))
        page = sheets.draw(rows, self._title, self._note, times=times)
        pictures.write_png(paths[0], page)
        report.write_json(paths[0].with_suffix(".json"), self.rows)
        if len({row["donor"] for row in self.rows} - {self._base}) > 1:
            paths.append(self._out / f"distance_{name}.png")
            style.write_png(plot_distance(self.rows, self._base), paths[1])
        return paths

    def _row(self) -> list[sheets.Panel | None]:
        """A new row of the page."""
        self._panels.append([])
        return self._panels[-1]

    def _truth(self, frame: int) -> Picture:
        return np.asarray(self._playback.capture.load(frame, (self._cam,)).images)[0]

    def _images(self, frame: int) -> tuple[Views, Cameras]:
        return self._playback.training_views(frame)

    def _panel(self, picture: Picture, caption: str) -> sheets.Panel:
        """What was seen last, with its PSNR."""
        return sheets.Panel(picture, caption, f"{self.rows[-1]['psnr']:.2f}")

    def _swapped(
        self, donor: int, kind: str, swap: Swap, params: Params, truth: Picture
    ) -> sheets.Panel:
        picture = self._see(donor, kind, swap.label, params, truth)
        return self._panel(picture, f"{kind} {swap.label.replace('_', ' ')}")

    def _see(self, donor: int, kind: str, swap: str, params: Params, truth: Picture) -> Picture:
        """Renders params, measures and writes the picture."""
        if self._playback.devices.agree(self._should_stop())[0]:
            raise Stopped("stopped; the pictures made so far are kept")
        view = self._playback.player.look(
            params, self._playback.rig.cameras, self._cam, self._playback.time(donor)
        )
        scores = measures.QUICK(view.rgb, truth)
        picture = pictures.to_uint8(view.rgb)
        self.rows.append(
            {"donor": donor, "distance": donor - self._base, "kind": kind, "swap": swap, **scores}
        )
        if self._playback.is_main and swap:
            name = f"cam{self._cam:02d}_frame{self._base:04d}_e{donor:04d}_{kind}_swap_{swap}"
            for old in self._out.glob(f"{name}_[0-9]*.png"):
                old.unlink()
            pictures.write_png(self._out / f"{name}_{scores['psnr']:.6f}.png", picture)
        return picture


def plot_distance(rows: Sequence[dict[str, Any]], base: int) -> Figure:
    """PSNR of each swap over how far the donor is from the base in time.

    Args:
      rows: `donor`, `distance`, `kind`, `swap`, `psnr`.
      base: The base frame.

    Returns:
      Raw swaps, and beside them refined ones if there are any.
    """
    kinds = [kind for kind in (RAW, REFINED) if any(row["kind"] == kind for row in rows)]
    labels = list(dict.fromkeys(row["swap"] for row in rows if row["swap"]))
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(labels), 1)))
    looks = {label: {"color": color} for label, color in zip(labels, colors, strict=True)}
    faint = style.LIGHT.faint
    figure, axes = style.new_figure(
        columns=len(kinds), width=2.4 + 3.8 * len(kinds), height=3.6, sharey=True
    )
    for one, kind in zip(axes, kinds, strict=True):
        lines = [(DONOR, "", "donor itself", {"color": faint})]
        lines += [(kind, label, label.replace("_", " "), look) for label, look in looks.items()]
        lines += [(BASE, "", "base as it is", {"color": faint, "linestyle": ":"})]
        for wanted, swap, name, look in lines:
            found = sorted(
                (row["distance"], row["psnr"])
                for row in rows
                if (row["kind"], row["swap"]) == (wanted, swap) and row["donor"] != base
            )
            if found:
                one.plot(*zip(*found, strict=True), label=name, marker="o", markersize=3.5, **look)
        style.whole_numbers(one)
        style.title(one, f"{kind} swaps into frame {base}", x="donor's frame minus the base's")
    axes[0].set_ylabel("PSNR against the donor's image, dB")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside right center",
        title="first n layers: 0-n",
        frameon=False,
        fontsize=9,
    )
    return figure
