"""Opens a spoilt video, decodes all of it, and says how that went."""

import contextlib
import dataclasses
import functools
import pathlib
import random
import resource
import time
from collections.abc import Iterator, Mapping

import numpy as np

from inv_jax.codec import isolated
from inv_jax.codec.base import Codec
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.source import BytesSource, FileSource, Source
from inv_jax.codec.video import NeuralVideo
from inv_jax.params import flatten
from inv_jax.types import InvError

from . import mutations, samples

SECONDS = 1.0  # of the processor that a file may take
SPARE_BYTES = 1 << 26  # memory that any file may take
BYTES_PER_BYTE = 200  # and so much more for each of its bytes
_SHARES = {"raw": 3, "delta": 3, "bricks": 3, "twc": 2, "quant": 3}  # of the files
_CLIP = 4  # frames of a segment, where there are several

Frames = Mapping[int, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Original:
    """A video as it was."""

    codec: str
    data: bytes
    frames: Frames


def originals(folder: pathlib.Path, codecs: Mapping[str, list[Codec]]) -> list[Original]:
    """Videos of each codec, decoded once; the last one of those that can is of pruned clips.

    One is of clips with masks in a network that is quantised.
    """
    made = []
    for name, settings in codecs.items():
        for number, codec in enumerate(settings):
            path = folder / f"{name}{number}.inv"
            is_last = number == len(settings) - 1
            clip = _CLIP if is_last and codec.is_lag_free else 1
            frames = 5 * clip if clip > 1 else 6
            samples.write(
                *(path, codec),
                **{"frames": frames, "warmup": 3, "still": "layer_2"},
                seed=number,
                segment_frames=clip,
                pruned=0.4 if clip > 1 else 0.0,
            )
            made += [_original(name, path)] * _SHARES.get(name, 1)
    path = folder / "masked.inv"
    samples.write_masked(path, QuantCodec(), mask_key_every=2)
    return [*made, *[_original(QuantCodec.name, path)] * _SHARES[QuantCodec.name]]


def _original(name: str, path: pathlib.Path) -> "Original":
    video = NeuralVideo.open(path)
    decoded = {frame: flatten(video.params(frame)) for frame in video.frames()}
    return Original(name, path.read_bytes(), decoded)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a file."""

    codec: str
    mutation: str
    outcome: str  # "frames", "some frames", "refused"; any other is a failure
    seconds: float
    size: int

    @property
    def is_failure(self) -> bool:
        return self.outcome not in ("frames", "some frames", "refused")


@contextlib.contextmanager
def remembered_streams() -> Iterator[None]:
    """Meanwhile fpzip streams that were decoded before, which are unspoilt ones, take no time."""
    decompress = isolated.fpzip_decompress
    cached = functools.lru_cache(64)(decompress)
    isolated.fpzip_decompress = lambda streams, sizes: cached(tuple(streams), tuple(sizes))
    try:
        yield
    finally:
        isolated.fpzip_decompress = decompress


class Judge:
    """Makes spoilt files, each from its number alone, and tries them."""

    def __init__(self, made: list[Original], folder: pathlib.Path):
        """`folder` is for the files that are read from disk."""
        self._originals, self._path = made, folder / "spoilt.inv"

    def spoilt(self, seed: int) -> tuple[Original, mutations.Mutation, bytes]:
        """The file of a number."""
        rng = random.Random(seed)
        original = rng.choice(self._originals)
        others = [other.data for other in self._originals if other is not original]
        kinds = mutations.DAMAGES if rng.random() < 0.3 else mutations.FORGERIES
        mutation = rng.choice(kinds)
        return original, mutation, mutation(rng, original.data, others)

    def try_one(self, seed: int) -> Verdict:
        """Makes the file of a number and decodes it."""
        original, mutation, data = self.spoilt(seed)
        is_forged = mutation not in mutations.DAMAGES
        # The processor's time: a busy machine does not make a file slow.
        before, start = _memory(), time.process_time()
        outcome = self._outcome(original, data, is_forged, from_disk=seed % 16 == 0)
        seconds = time.process_time() - start
        if seconds > SECONDS:
            outcome = f"took {seconds:.1f} s ({outcome})"
        if _memory() - before > SPARE_BYTES + BYTES_PER_BYTE * len(data):
            outcome = f"took {_memory() - before} bytes of memory ({outcome})"
        return Verdict(original.codec, mutation.__name__, outcome, seconds, len(data))

    def _outcome(self, original: Original, data: bytes, is_forged: bool, *, from_disk: bool) -> str:
        source: Source = BytesSource(data)
        if from_disk:
            self._path.write_bytes(data)
            source = FileSource(self._path)
        try:
            return _decode(source, None if is_forged else original.frames, len(original.frames))
        except InvError as error:
            return "refused" if _is_printable(error) else f"control characters in {error!r}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if isinstance(source, FileSource):
                source.close()


def _decode(source: Source, wanted: Frames | None, num_frames: int) -> str:
    video = NeuralVideo(source, "video")
    layout, shared = video.header.layout, video.header.color_layout
    wanted_shapes = {path: (shape, np.float32) for path, shape in layout.shapes + shared.shapes}
    wanted_shapes |= {path: (shape, np.int32) for path, shape in layout.indices}
    wanted_shapes |= {path: (shape, np.bool_) for path, shape in layout.masks}
    refused = 0
    for frame in video.frames():
        try:
            leaves = flatten(video.params(frame))
        except InvError as error:
            refused += 1
            if not _is_printable(error):
                return f"control characters in {error!r}"
            continue
        if not all(np.isfinite(leaf).all() for leaf in leaves.values()):
            return f"frame {frame} is not finite"
        if {path: (leaf.shape, leaf.dtype) for path, leaf in leaves.items()} != wanted_shapes:
            return f"frame {frame} has other shapes than the layout"
        if wanted is not None and not _same(leaves, wanted.get(frame)):
            return f"frame {frame} is wrong"
    if len(video.frames()) - refused < num_frames and not (refused or video.damages):
        return "some frames" if _ends_early(video, num_frames) else "frames lost in silence"
    return "some frames" if refused or video.damages else "frames"


def _ends_early(video: NeuralVideo, num_frames: int) -> bool:
    """Whether only the end is missing: that may just not be there yet."""
    frames = video.frames()
    return frames == list(range(frames[0], frames[0] + len(frames))) if frames else True


def _same(leaves: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray] | None) -> bool:
    return wanted is not None and all(
        np.array_equal(leaf, wanted[path]) for path, leaf in leaves.items()
    )


def _is_printable(error: InvError) -> bool:
    return str(error).isprintable()


def _memory() -> int:
    """The most this process has held, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
