"""Pictures of a video file by number, in the order in which they are shown (FFmpeg, by PyAV).

The moments at which pictures appear are listed once, without decoding any, so that frame 57 of a
file of any rate, also a changing one, is its 57th picture. To get there the decoder goes on from
where it is, or from the last key frame before; a few pictures are in memory at a time.
"""

import bisect
import contextlib
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
from absl import logging
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import UInt8

from inv_jax.types import InvError

_SPECIFIED = (1, 4, 5, 6, 7, 9, 10)  # FFmpeg's numbers of color spaces that its scaler knows
_HD_HEIGHT = 720  # files that do not say are BT.709 from here on, BT.601 below
_RATE_OFF = 0.02  # times are rounded, to milliseconds in some files
_CLOSE = 8  # pictures ahead that are sooner decoded than sought


class VideoFile:
    """A video file, open for reading; any thread may read.

    Attributes:
      num_frames: Pictures in it; they are numbered from 1.
      size: Height and width of the pictures as they are shown, rotation included.
      fps: Pictures per second, on average; None if the file does not say.
      first: The first picture as it is stored, encoded.
    """

    def __init__(self, path: pathlib.Path):
        """Lists its pictures and decodes the first one.

        Raises:
          InvError: If FFmpeg cannot read it, or it holds no pictures.
        """
        self._path, self._lock = path, threading.Lock()
        with _errors(path):
            self._times, self._keys, self.fps, self.first = _list_moments(path)
            self._is_timed = bool(self._times)
            if not self._is_timed:  # as in a bare stream: then they are counted
                self._times = list(range(_count(path)))
            self._container, self._frames = _open(path)
            first = next(self._frames, None)
        if first is None or not self._times:
            raise InvError(
                f"{path} holds no picture that can be decoded; is it a video, and whole?"
            )
        if self._is_timed and first.pts is not None:
            # Pictures that lean on ones before a cut are listed, but cannot be shown.
            self._times = self._times[bisect.bisect_left(self._times, first.pts) :]
        picture = _picture(first)
        self.num_frames, self.size = len(self._times), picture.shape[:2]
        self._at, self._last = 0, (0, picture)  # counted from 0

    def name(self, number: int) -> str:
        """What to call a picture in messages."""
        return f"{self._path} (frame {number})"

    def read(self, number: int) -> UInt8[np.ndarray, "h w c"]:
        """A picture: RGB, or RGB and alpha if the file has that.

        Raises:
          InvError: If it cannot be decoded.
        """
        place = number - 1
        with self._lock, _errors(self._path):
            if self._last[0] != place:
                self._last = place, _picture(self._decode(place))
            return self._last[1]

    def _decode(self, place: int) -> Any:
        """The frame at a place: from where the decoder is, by a seek, or from the beginning."""
        ways: list[Callable[[], None]] = [self._restart]
        if self._is_timed:
            ways.insert(0, lambda: self._seek(place))
        if self._is_ahead(place):
            ways.insert(0, lambda: None)
        for way in ways:
            way()
            for frame in self._frames:
                self._at = self._place(frame)
                if self._at == place:
                    return frame
                if self._at > place:
                    break
        raise InvError(f"{self.name(place + 1)} cannot be decoded; the file is damaged there")

    def _is_ahead(self, place: int) -> bool:
        if not self._is_timed or self._at < place <= self._at + _CLOSE:
            return self._at < place
        here, there = (bisect.bisect(self._keys, self._times[n]) for n in (self._at, place))
        return self._at < place and here == there

    def _place(self, frame: Any) -> int:
        if not self._is_timed or frame.pts is None:  # a damaged one may have lost its time
            return self._at + 1
        return bisect.bisect_left(self._times, frame.pts)

    def _seek(self, place: int) -> None:
        stream = self._container.streams.video[0]
        self._container.seek(self._times[place], stream=stream)
        self._frames = self._container.decode(stream)

    def _restart(self) -> None:
        self._container.close()
        self._container, self._frames = _open(self._path)
        self._at = -1


@contextlib.contextmanager
def _errors(path: pathlib.Path) -> Iterator[None]:
    """FFmpeg's errors as ours."""
    try:
        yield
    except (av.FFmpegError, IndexError) as error:  # IndexError: no stream of pictures
        reason = " ".join(str(getattr(error, "strerror", "") or error).split())
        raise InvError(
            f"{path} cannot be read as a video ({reason}); expected a whole file that FFmpeg reads"
        ) from error


def _open(path: pathlib.Path) -> tuple[Any, Iterator[Any]]:
    container = av.open(str(path))
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return container, container.decode(stream)


def _list_moments(path: pathlib.Path) -> tuple[list[int], list[int], float | None, bytes]:
    """When each picture is shown, sorted, and each key frame; none if the file does not say.

    Besides, the rate, and the first picture, encoded.
    """
    times, keys, repeats, first = [], [], 0, b""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate, stated = stream.average_rate or stream.guessed_rate, stream.frames
        tick = float(stream.time_base or 0)
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:  # an edit list leaves it out
                repeats += 1
                continue
            first = first or bytes(packet)
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    if stated > len(times) + repeats:
        logging.warning("%s lists %d pictures and holds %d; is it cut?", path, stated, len(times))
    fps = float(rate) if rate else None
    if None in times or len(set(times)) < len(times):
        return [], [], fps, first
    times.sort()
    seconds = tick * (times[-1] - times[0]) if times else 0.0
    if seconds > 0.0 and (fps is None or abs((len(times) - 1) / seconds / fps - 1.0) > _RATE_OFF):
        fps = (len(times) - 1) / seconds  # of a changing rate, the mean
    return times, sorted(keys), fps, first


def _count(path: pathlib.Path) -> int:
    container, frames = _open(path)
    with container:
        return sum(1 for _ in frames)


def _picture(frame: Any) -> UInt8[np.ndarray, "h w c"]:
    """The pixels as they are shown: 8 bits, turned as the file says."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    usual = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
    picture = frame.reformat(
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=frame.colorspace if int(frame.colorspace) in _SPECIFIED else usual,
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
    )
    return _turned(picture.to_ndarray(), frame.side_data.get(Type.DISPLAYMATRIX))


def _turned(pixels: UInt8[np.ndarray, "h w c"], matrix: Any) -> UInt8[np.ndarray, "h w c"]:
    """Pixels turned and mirrored by a display matrix, in steps of a quarter turn.

    The matrix is FFmpeg's: nine integers, of which (a, b) is where x goes, (c, d) where y goes.
    """
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(np.int64)
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
