"""Clips one after the other: the runs of a comparison, and what their networks take as bytes."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

from comparing.running import Command
from inv_jax import params as params_lib
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.codec import mask_coding
from inv_jax.codec.base import Layout
from inv_jax.codec.mask_contexts import Past
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.data import images2d, synthetic
from inv_jax.eval import matrix, metrics
from inv_jax.player.player import segments_of
from inv_jax.train.journal import Journal
from inv_jax.types import InvError, Params

_REAL = {  # of the captures: the clip's name, where its pictures are, and the first one
    "bunny": ("bunny/frames", 0),
    "bunny_later": ("bunny/frames", 12),
    "basketball": ("multiview/basketball/frames_2/frame*cam00.png", 0),
    "basketball_beside": ("multiview/basketball/frames_2/frame*cam03.png", 0),
    "balloon": ("mono/balloon1/images", 0),
}
_THEATRE = "theatre"  # the procedural capture, seen by its first camera
_WEIGHTS = "weights"


def write_list(folder: pathlib.Path, data: pathlib.Path, frames: int) -> pathlib.Path:
    """A list of six clips of so many frames: links to pictures of captures, and one that is drawn.

    Args:
      folder: Gets the clips and the list.
      data: Folder of the captures.
      frames: Of each clip, at most.

    Raises:
      InvError: If a capture is not there.
    """
    for name, (where, first) in _REAL.items():
        found = images2d.find_pictures(data / where)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in sorted(found)[first : first + frames]:
            link = folder / name / f"{number:05d}{found[number].suffix}"
            if not link.exists():
                link.symlink_to(found[number].absolute())
    capture, drawn = folder / "capture", range(1, frames + 1)
    synthetic.write_capture(capture, height=90, width=160, num_cams=1, frames=drawn, factor=1)
    listed = folder / "clips.txt"
    lines = [*_REAL, f"capture/frames/frame*cam00.png  # {_THEATRE}"]
    listed.write_text("".join(f"{line}\n" for line in lines))
    return listed


@dataclasses.dataclass(frozen=True)
class System:
    """A way to learn clips.

    Attributes:
      name: As in `configs/pfnr.py`.
      capacity: Part of the weights that a clip uses; None: the config's, or all.
    """

    name: str
    capacity: float | None = None

    @classmethod
    def parse(cls, text: str) -> "System":
        """`NAME`, or `NAME:CAPACITY`.

        Raises:
          InvError: If the capacity is no number.
        """
        name, _, capacity = text.partition(":")
        try:
            return cls(name, float(capacity) if capacity else None)
        except ValueError as error:
            raise InvError(f"--systems has {text!r}; want NAME or NAME:CAPACITY") from error

    def command(self, folder: pathlib.Path, settings: tuple[str, ...]) -> Command:
        """The run of a seed, with settings over the config's."""
        own = () if self.capacity is None else (f"model.capacity={self.capacity}",)
        file = f"configs/pfnr.py:small/{self.name}"
        return Command(folder, file, (*settings, *own))


def measure(system: System, folder: pathlib.Path, bits: int) -> dict[str, Any]:
    """What a finished run shows and takes.

    `bytes` are of all that a receiver needs: weights of so many bits, tables included
    (`codec/quant_codec.py`), masks coded one given those before (`codec/mask_coding.py`), heads as
    they are. `psnr_coded` is what is shown of that. `used` is the part of the weights that any
    clip uses.
    """
    playback = open_playback(folder)
    segments, roles = segments_of(playback.source), playback.model.roles
    if roles.shared:
        size, coded, found = _of_sessions(playback, segments, bits)
    else:
        size, coded, found = _of_networks(playback, segments, bits)
    rows = Journal(folder).rows()  # a row a frame, of whose seconds a clip's are the sum
    cameras = playback.capture.cameras
    pixels = sum(map(len, segments)) * cameras.height * cameras.width
    return {
        "system": system.name,
        "capacity": system.capacity,
        "params": _num_params(playback, segments),
        **found,
        "bytes": size,
        "bits_a_pixel": 8 * size / pixels,
        "psnr_coded": coded,
        "step_ms": 1e3 * sum(r["seconds"] for r in rows) / sum(r.get("steps", 0) for r in rows),
    }


def _num_params(playback: Playback, segments: list[range]) -> int:
    """Of all that is sent, masks left out: what is shared once, what clips own for each."""
    roles, shared, own = playback.model.roles, 0, 0
    for frames in segments:
        leaves = params_lib.flatten(playback.source.params(frames[0]))
        by_role = {role: 0 for role in (*roles.own, *roles.shared)}
        for path, leaf in leaves.items():
            if (role := params_lib.role_of(path)) in by_role:
                by_role[role] += leaf.size
        own += sum(by_role[role] for role in roles.own)
        shared = sum(by_role[role] for role in roles.shared)
    return own + shared


def _shown(playback: Playback, params: Params, frames: range) -> list[np.ndarray]:
    cameras, cam = playback.capture.cameras, playback.capture.shown_cam
    times = map(playback.time, frames)
    return [np.asarray(playback.player.look(params, cameras, cam, time).rgb) for time in times]


def _truth(playback: Playback, frame: int) -> np.ndarray:
    return np.asarray(playback.capture.load(frame, [playback.capture.shown_cam]).images[0])


def _psnr(playback: Playback, params: Params, frames: range) -> float:
    pairs = zip(_shown(playback, params, frames), frames, strict=True)
    return statistics.fmean(
        metrics.psnr(one, _truth(playback, frame) / 255.0) for one, frame in pairs
    )


def _quantised(leaves: Mapping[str, np.ndarray], bits: int) -> tuple[int, dict[str, np.ndarray]]:
    """Bytes of a network of so many bits, and the network as a receiver has it."""
    encoder = QuantCodec(bits).encoder(Layout(tuple((p, x.shape) for p, x in leaves.items())))
    (packet,) = encoder.push(1, leaves)
    return len(packet.payload), dict(encoder.decoded())


def _of_networks(
    playback: Playback, segments: list[range], bits: int
) -> tuple[int, float, dict[str, Any]]:
    """A network for each segment."""
    size, psnr, coded = 0, [], []
    for frames in segments:
        params = playback.source.params(frames[0])
        taken, leaves = _quantised(params_lib.flatten(params), bits)
        size += taken
        # Of clips that train together each counts alike, as of those that do not.
        for clip in _clips(playback, frames):
            psnr.append(_psnr(playback, params, clip))
            coded.append(_psnr(playback, params_lib.nest(leaves), clip))
    return size, statistics.fmean(coded), {"psnr": statistics.fmean(psnr)}


def _clips(playback: Playback, frames: range) -> list[range]:
    ends = np.cumsum(playback.capture.clips)
    spans = [
        range(end - n + 1, end + 1) for end, n in zip(ends, playback.capture.clips, strict=True)
    ]
    return [span for span in spans if span[0] in frames]


def _of_sessions(
    playback: Playback, segments: list[range], bits: int
) -> tuple[int, float, dict[str, Any]]:
    """One network for all, with masks and heads."""
    roles, source = playback.model.roles, playback.source
    found = matrix.measure(
        *(segments, source.params, roles),
        lambda params, frames: _shown(playback, params, frames),
        lambda frame: _truth(playback, frame),
        is_whole=False,
    )
    last = params_lib.flatten(source.params(segments[-1][0]))
    network = next(iter(last)).split("/")[0]
    masks = [params_lib.flatten(source.params(frames[0])[network]["mask"]) for frames in segments]
    used = {path: np.logical_or.reduce([mask[path] for mask in masks]) for path in masks[0]}
    weights = {
        path: np.where(used[path], last[f"{network}/{_WEIGHTS}/{path}"], np.float32(0))
        for path in used
    }
    size, decoded = _quantised(weights, bits)
    coded = {f"{network}/{_WEIGHTS}/{path}": leaf for path, leaf in decoded.items()}
    past, mask_bytes, head_bytes, psnr = Past.none(_shapes(used)), 0, 0, []
    for frames, mask in zip(segments, masks, strict=True):
        own = source.params(frames[0])
        mask_bytes += len(mask_coding.encode(mask, past.contexts))
        past = past.then(mask)
        head_bytes += params_lib.num_bytes(own[network]["head"])
        shown = params_lib.nest(params_lib.flatten(own) | coded)
        psnr.append(_psnr(playback, shown, frames))
    count = sum(mask.size for mask in used.values())
    return (
        size + mask_bytes + head_bytes,
        statistics.fmean(psnr),
        {
            "psnr": found.final,
            "backward": found.backward_transfer,
            "is_equal": all(found.is_equal),
            "used": sum(int(mask.sum()) for mask in used.values()) / count,
            "mask_bits": 8 * mask_bytes / (count * len(segments)),
            "weight_bytes": size,
        },
    )


def _shapes(leaves: Mapping[str, np.ndarray]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((path, leaf.shape) for path, leaf in leaves.items())
