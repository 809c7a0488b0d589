"""Bytes against quality: what codecs make of the frames of the fast field's runs.

Two ways, both as a file that is decoded and shown again:

    afterwards    the frames of a run behind its Warm-Up, a key frame and what follows
    in the loop   a run of its own, trained from what a receiver has of the frame before

A loss is the held-out PSNR of the run without a codec less that of what is decoded, frame by frame.
Afterwards both are of the same training; in the loop of two, which also differ by chance, as other
seeds do. Files and what was measured stay with the runs.
"""

import dataclasses
import functools
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from benching import decoding

from comparing.fast_cases import Cell
from inv_jax.assembly import record
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.codec import bitstream, make
from inv_jax.codec.gauge import PictureGauge
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.data import files
from inv_jax.eval import measures
from inv_jax.settings import compose
from inv_jax.types import InvError

Row = dict[str, Any]

AFTERWARDS, LOOP = "afterwards", "in the loop"
_VIDEO = "video.inv"  # in the workdir of a run with a codec
_ROUNDS = 5  # times that a file is decoded to know how long it takes


@dataclasses.dataclass(frozen=True)
class Setting:
    """A codec and its fidelity, in dB."""

    codec: str
    fidelity: float

    @property
    def name(self) -> str:
        return f"{self.codec}_{self.fidelity:g}"

    @property
    def settings(self) -> tuple[str, ...]:
        """Of a run with it in the loop."""
        codec = (f"codec.name={self.codec}", f"codec.fidelity={self.fidelity:g}")
        return (*codec, "codec.from_decoded=True")


def settings_of(codecs: Sequence[str], fidelities: Sequence[str]) -> list[Setting]:
    """All settings of these codecs with these fidelities.

    Raises:
      InvError: If a fidelity is no number, or a codec has none.
    """
    try:
        numbers = [float(one) for one in fidelities if one]
    except ValueError as error:
        raise InvError(
            f"fidelities {','.join(fidelities)}; want numbers of dB, as 35,37"
        ) from error
    codecs = [codec for codec in codecs if codec]
    for codec in codecs:
        if "fidelity" not in compose(codec=codec).codec:
            raise InvError(f"--codecs={codec} has no fidelity; bricks and delta have")
    return [Setting(codec, one) for codec in codecs for one in numbers]


class Rater:
    """What codecs make of one run; what it takes to make pictures is compiled once."""

    def __init__(self, cell: Cell, exact: Mapping[int, float]):
        """Opens nothing yet.

        Args:
          cell: Its commands are through.
          exact: The run's own held-out PSNR, by frame.
        """
        self._cell, self._exact = cell, exact

    @functools.cached_property
    def _playback(self) -> Playback:
        return open_playback(self._cell.folder)

    @functools.cached_property
    def _gauge(self) -> PictureGauge:
        playback, first = self._playback, self._cell.scene.measured[0]
        cameras = playback.rig.cameras.take(np.array(playback.rig.train_cams))
        return PictureGauge(playback.model, cameras, playback.source.params(first))

    def afterwards(self, setting: Setting) -> Row:
        """A row of the run's frames, encoded afterwards."""
        path = self._cell.folder / "rates" / f"{setting.name}.inv"
        if not path.is_file():
            self._encode(path, setting)
        return self._row(setting, AFTERWARDS, path)

    def in_the_loop(self, setting: Setting, folder: pathlib.Path) -> Row:
        """The same of a run with the codec in the loop, which is through."""
        return self._row(setting, LOOP, folder / _VIDEO)

    def _encode(self, path: pathlib.Path, setting: Setting) -> None:
        playback, frames = self._playback, self._cell.scene.measured
        settings = compose(codec=setting.codec).codec.to_dict() | {"fidelity": setting.fidelity}
        codec, first = make.codec(setting.codec, settings), playback.source.params(frames[0])
        about = playback.config.to_dict(), playback.rig, record.provenance(playback.rig.fingerprint)
        header = make.header(codec, first, playback.model.roles, *about)
        path.parent.mkdir(exist_ok=True)
        with files.replacing(path) as temporary:
            writer = VideoWriter(temporary, header, codec, self._gauge)
            for frame in frames:
                params = playback.source.params(frame)
                writer.push(frame, params, playback.source.color_id(frame))
            writer.close()

    def _row(self, setting: Setting, way: str, path: pathlib.Path) -> Row:
        frames, kept = list(self._cell.scene.measured), path.with_suffix(".json")
        if kept.is_file() and (old := json.loads(kept.read_text()))["frames"] == frames:
            return old["row"]
        scene, budget, seed = self._cell.scene, self._cell.budget, self._cell.seed
        row = {
            "case": f"{scene.name}, {setting.name}, {way}, {budget}, seed {seed}",
            "capture": scene.name,
            "budget": budget,
            "seed": seed,
            "way": way,
            "codec": setting.codec,
            "fidelity": setting.fidelity,
            "frames": len(frames),
            "file_bytes": path.stat().st_size,
        }
        with NeuralVideo.open(path) as video:
            row |= _sizes(video, frames) | self._quality(video, frames)
            seconds = decoding.in_order(video, _ROUNDS, frames)
        row |= {name: statistics.median(one) for name, one in seconds.items()}
        with files.replacing(kept) as temporary:
            text = json.dumps({"frames": frames, "row": files.json_row(row)}, indent=1)
            temporary.write_text(f"{text}\n")
        return row

    def _quality(self, video: NeuralVideo, frames: Sequence[int]) -> Row:
        """Held-out PSNR of what is decoded, and what is lost."""
        player, capture = self._playback.player, self._playback.capture
        measure, found = measures.make(("psnr",)), {}
        for frame in frames:
            params, ours = video.params(frame), []
            for cam in capture.test_cams:
                rgb = player.look(params, capture.cameras, cam).rgb
                ours.append(measure(rgb, capture.load(frame, [cam]).images[0])["psnr"])
            found[frame] = statistics.fmean(ours)
        lost = [self._exact[frame] - psnr for frame, psnr in found.items()]
        return {
            "psnr": statistics.fmean(found.values()),
            "lost": statistics.fmean(lost),
            "most_lost": max(lost),
        }


def _sizes(video: NeuralVideo, frames: Sequence[int]) -> Row:
    """Bytes of frames as they lie in the file, of predicted ones and of keys."""
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for entry in (entry for group in video.groups for entry in group):
        if entry.first in frames:
            part = bitstream.packet_part(video.packet(entry), entry.color)
            sizes[entry.is_key].append(len(part))
    return {
        "params": video.header.layout.size,
        "frame_bytes": statistics.fmean(sizes[False]) if sizes[False] else None,
        "largest_bytes": max(sizes[False], default=None),
        "keys": len(sizes[True]),
        "key_bytes": statistics.fmean(sizes[True]) if sizes[True] else None,
    }
