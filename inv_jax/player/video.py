"""Pictures over time to a video file: H.264 in .mp4, an animated .gif, or a folder of PNGs."""

import contextlib
import fractions
import pathlib
from collections.abc import Iterable
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from jaxtyping import UInt8
from PIL import Image

from inv_jax.data import files
from inv_jax.types import InvError

Picture = UInt8[np.ndarray, "h w 3"]

_CRF = 16  # x264's constant quality: 0 is lossless, 18 close to invisible, 23 its default
_GIF_FASTEST = 50  # frames/s; browsers take delays under 20 ms for a mistake and play at 10


class VideoWriter:
    """A video file that pictures are pushed to, one by one; none of them is kept.

    MP4 is H.264, 4:2:0, in BT.709 colors, playable from its first bytes on; odd heights and
    widths get one more row or column that repeats the last, since 4:2:0 needs even ones. A GIF
    has 256 colors for each frame and plays for ever; its frames last whole hundredths of a second,
    at 30 frames/s 0.03, 0.03 and 0.04 in turn, and at least two. A folder has 0001.png, ..., which
    lose nothing.

    A context manager: the file appears when the block ends well, and not at all if it raises.
    """

    def __init__(self, path: pathlib.Path, fps: float):
        """Makes nothing on disk yet.

        Args:
          path: Where to; its suffix, .mp4 or .gif, says what, none a folder that is not there or
            empty. The folder that it is in is made if it is missing.
          fps: Frames per second.

        Raises:
          InvError: If the suffix or `fps` does not serve.
        """
        if path.suffix.lower() not in _ENCODERS:
            raise InvError(
                f"{path}: cannot write {path.suffix!r} videos; name it .mp4 or .gif, or without a "
                "suffix, for a folder of pictures"
            )
        if path.is_dir() and any(path.iterdir()):
            raise InvError(f"{path} is a folder with something in it; choose another name")
        if not 0 < fps <= 1000:
            raise InvError(f"{path}: {fps} frames per second; expected more than 0, at most 1000")
        self.path, self.count = path, 0
        self._fps = fps
        self._shape: tuple[int, ...] = ()
        self._encoder: _Mp4 | _Gif | _Pngs
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "VideoWriter":
        return self

    def push(self, picture: Picture) -> None:
        """Appends a picture.

        Raises:
          InvError: If the folder cannot be written to, or the picture has another size than the
            first.
          ValueError: If it is not (H, W, 3) uint8.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise ValueError(f"frame is {picture.dtype} {picture.shape}; want uint8 (H, W, 3)")
        if self.count == 0:
            self._begin(picture.shape)
        if picture.shape != self._shape:
            raise InvError(
                f"{self.path}: frame {self.count} is {picture.shape[1]}x{picture.shape[0]}, those "
                f"before it are {self._shape[1]}x{self._shape[0]}; a video has one size"
            )
        self._encoder.push(picture)
        self.count += 1

    def _begin(self, shape: tuple[int, ...]) -> None:
        temporary = self._open.enter_context(files.replacing(self.path))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch() if self.path.suffix else temporary.mkdir()
        except OSError as error:
            reason = f"{self.path}: cannot be written ({error.strerror}); choose another folder"
            raise InvError(reason) from error
        kind = _ENCODERS[self.path.suffix.lower()]
        # Whole rates and those of television, 30000/1001, are exact below this denominator.
        rate = fractions.Fraction(self._fps).limit_denominator(1001)
        self._shape = shape
        self._encoder = self._open.enter_context(contextlib.closing(kind(temporary, shape, rate)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._open.__exit__(kind, error, trace)
            return
        with self._open:
            if self.count == 0:
                raise InvError(f"{self.path}: there are no frames to write a video of")
            self._encoder.finish()


class _Mp4:
    """The H.264 stream of a file."""

    def __init__(self, path: pathlib.Path, shape: tuple[int, ...], rate: fractions.Fraction):
        options = {"movflags": "+faststart"}  # the index in front, so that it plays while it loads
        self._container = av.open(str(path), "w", format="mp4", options=options)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": str(_CRF)})
        height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        self._padding = [(0, shape[0] % 2), (0, shape[1] % 2), (0, 0)]
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        # Untagged colors are guessed from the size by players, differently by each.
        context = self._stream.codec_context
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG

    def push(self, picture: Picture) -> None:
        frame = av.VideoFrame.from_ndarray(np.pad(picture, self._padding, mode="edge"), "rgb24")
        bt709 = frame.reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        self._container.mux(self._stream.encode(bt709))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._container.close()


class _Gif:
    """An animation with a palette for each frame; FFmpeg's, as Pillow's holds all frames."""

    def __init__(self, path: pathlib.Path, shape: tuple[int, ...], rate: fractions.Fraction):
        self._container = av.open(str(path), "w", format="gif", options={"loop": "0"})
        rate = min(rate, fractions.Fraction(_GIF_FASTEST))
        self._stream = self._container.add_stream("gif", rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = shape[1], shape[0], "pal8"
        self._graph, self._time_base = av.filter.Graph(), 1 / rate
        source = self._graph.add_buffer(
            width=shape[1], height=shape[0], format="rgb24", time_base=self._time_base
        )
        split = self._graph.add("split")
        palette = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = self._graph.add("paletteuse", "new=1:dither=sierra2_4a")
        sink = self._graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()
        self._source, self._sink, self._count = source, sink, 0

    def push(self, picture: Picture) -> None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
        frame.pts, frame.time_base = self._count, self._time_base
        self._count += 1
        self._source.push(frame)
        self._drain()

    def finish(self) -> None:
        self._source.push(None)
        self._drain()
        self._container.mux(self._stream.encode(None))

    def _drain(self) -> None:
        while True:
            try:
                frame = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):  # it wants more, or there is no more
                return
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.close()


class _Pngs:
    """A folder of pictures, numbered from 1."""

    def __init__(self, path: pathlib.Path, shape: tuple[int, ...], rate: fractions.Fraction):
        del shape, rate
        self._path, self._count = path, 0

    def push(self, picture: Picture) -> None:
        self._count += 1
        Image.fromarray(picture).save(self._path / f"{self._count:04d}.png")

    def finish(self) -> None:
        """Every picture is whole."""

    def close(self) -> None:
        """Nothing is open."""


_ENCODERS = {".mp4": _Mp4, ".gif": _Gif, "": _Pngs}


def write_video(path: pathlib.Path, frames: Iterable[Picture], fps: float) -> int:
    """Writes a video, whole or not at all; frames are taken one by one, never held together.

    Args:
      path: As of `VideoWriter`.
      frames: RGB pictures of one size.
      fps: Frames per second.

    Returns:
      The number of frames written.

    Raises:
      InvError: As `VideoWriter`, and if there are no frames. Nothing is left behind then, nor if
        `frames` raises.
    """
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.push(frame)
    return writer.count
