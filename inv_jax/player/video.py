"""Pictures over time to a video file: H.264 in .mp4, or an animated .gif."""

import fractions
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from jaxtyping import UInt8
from PIL import Image

from inv_jax.data import files
from inv_jax.types import InvError

Picture = UInt8[np.ndarray, "h w 3"]

_CRF = 16  # x264's constant quality: 0 is lossless, 18 close to invisible, 23 its default
_GIF_TICK = 10  # ms; the format counts delays in these
_GIF_SHORTEST = 20  # ms; browsers take shorter delays for a mistake and play at 10 frames/s


def write_video(path: pathlib.Path, frames: Iterable[Picture], fps: float) -> int:
    """Writes a video, whole or not at all; frames are taken one by one, never held together.

    MP4 is H.264, 4:2:0, in BT.709 colors, playable from its first bytes on; odd heights and
    widths get one more row or column that repeats the last, since 4:2:0 needs even ones. A GIF
    has 256 colors a frame, and delays of whole hundredths of a second: 30 frames/s become 33.

    Args:
      path: Where to; its suffix, .mp4 or .gif, says what. The folder is made if it is missing.
      frames: RGB pictures of one size.
      fps: Frames per second.

    Returns:
      The number of frames written.

    Raises:
      InvError: If the suffix or `fps` does not serve, the folder cannot be written to, there are
        no frames, or they differ in size. Nothing is left behind then, nor if `frames` raises.
      ValueError: If a frame is not (H, W, 3) uint8.
    """
    if path.suffix.lower() not in _WRITERS:
        raise InvError(f"{path}: cannot write {path.suffix!r} videos; name it .mp4 or .gif")
    if not 0 < fps <= 1000:
        raise InvError(f"{path}: {fps} frames per second; expected more than 0 and at most 1000")
    checked = _Checked(path, frames)
    iterator = iter(checked)
    first = next(iterator)  # Before anything is made on disk: there may be none.
    with files.replacing(path) as temporary:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch()
        except OSError as error:
            reason = f"{path}: cannot be written ({error.strerror}); choose another folder"
            raise InvError(reason) from error
        _WRITERS[path.suffix.lower()](temporary, first, iterator, fps)
    return checked.count


class _Checked:
    """Frames on their way into a file: counted, and all of the size of the first."""

    def __init__(self, path: pathlib.Path, frames: Iterable[Picture]):
        self.count = 0
        self._path, self._frames = path, frames

    def __iter__(self) -> Iterator[Picture]:
        shape = None
        for frame in self._frames:
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
                raise ValueError(f"frame is {frame.dtype} {frame.shape}; want uint8 (H, W, 3)")
            if shape not in (None, frame.shape):
                raise InvError(
                    f"{self._path}: frame {self.count} is {frame.shape[1]}x{frame.shape[0]}, those "
                    f"before it are {shape[1]}x{shape[0]}; a video has one size"
                )
            shape = frame.shape
            self.count += 1
            yield frame
        if self.count == 0:
            raise InvError(f"{self._path}: there are no frames to write a video of")


def _write_mp4(path: pathlib.Path, first: Picture, others: Iterator[Picture], fps: float) -> None:
    height, width = (size + size % 2 for size in first.shape[:2])
    # Whole rates and those of television, 30000/1001, are exact below this denominator.
    rate = fractions.Fraction(fps).limit_denominator(1001)
    options = {"movflags": "+faststart"}  # the index in front, so that it plays while it loads
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(_CRF)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Untagged colors are guessed from the size by players, differently by each.
        context = stream.codec_context
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        for picture in itertools.chain([first], others):
            padding = [(0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)]
            frame = av.VideoFrame.from_ndarray(np.pad(picture, padding, mode="edge"), "rgb24")
            container.mux(stream.encode(_to_bt709(frame)))
        container.mux(stream.encode(None))


def _to_bt709(frame: av.VideoFrame) -> av.VideoFrame:
    return frame.reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
    )


def _write_gif(path: pathlib.Path, first: Picture, others: Iterator[Picture], fps: float) -> None:
    delay = max(_GIF_SHORTEST, round(1000 / fps / _GIF_TICK) * _GIF_TICK)
    rest = map(Image.fromarray, others)
    Image.fromarray(first).save(
        path, format="GIF", save_all=True, append_images=rest, duration=delay, loop=0
    )


_WRITERS: dict[str, Callable[[pathlib.Path, Picture, Iterator[Picture], float], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
}
