"""Masks of a capture: which pixels of a frame show what moves, a picture for each frame and camera.

    mask/dynamic_mask_frame0001cam00.png    in the capture's folder, as INV has them (`DEFAULT`)
    foreground_2/frame0001cam01.png         or by a pattern: foreground_2/frame{frame:04d}{cam}.png

Read, a mask is True for dynamic, whatever its file means by non-zero. That is 'dynamic' as the
original's documentation says, or 'static' as its released code reads them. Masks may have another
size than the images: a pixel is dynamic wherever a dynamic pixel of the mask covers any of it.
"""

import dataclasses
import pathlib
import string
import threading
from collections.abc import Iterable, Sequence
from concurrent import futures

import cv2
import numpy as np
from absl import logging
from jaxtyping import Bool, UInt16

from inv_jax.data import images
from inv_jax.types import InvError

DEFAULT = "mask/dynamic_mask_frame{frame:04d}{cam}.png"
POLARITIES = ("dynamic", "static")  # what non-zero means

_FIELDS = {"frame", "cam"}
_MOST = 0.5  # part of all pixels; where more than that moves, masks may be the wrong way round
_THREADS = 8  # decoders release the GIL
_JPEG, _JPEG_LEVEL = b"\xff\xd8", 127  # around its edges a JPEG is not zero where it was


def _decoders() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="masks")


@dataclasses.dataclass(frozen=True, eq=False)
class Masks:
    """Masks of some cameras, read when they are asked for; `open_masks` makes it.

    Attributes:
      pattern: Their paths, with `{frame}` and `{cam}`, the camera's name.
      camera_names: Of all cameras, by index.
      height: Of the capture's images, and of what is returned.
      width: As well.
      polarity: What non-zero means, of `POLARITIES`.
    """

    pattern: str
    camera_names: tuple[str, ...]
    height: int
    width: int
    polarity: str = "dynamic"
    _pool: futures.ThreadPoolExecutor = dataclasses.field(default_factory=_decoders, repr=False)
    _has_warned: threading.Event = dataclasses.field(default_factory=threading.Event, repr=False)

    def path(self, frame: int, cam: int) -> pathlib.Path:
        """Where the mask of a frame (as numbered on disk) and a camera (an index) should be."""
        return pathlib.Path(self.pattern.format(frame=int(frame), cam=self.camera_names[cam]))

    def load(self, frame: int, cams: Sequence[int]) -> Bool[np.ndarray, "N H W"]:
        """The masks of one frame, True for dynamic; any thread may call it.

        Args:
          frame: As numbered on disk.
          cams: Indices of N cameras, in the order wanted.

        Raises:
          InvError: If one is missing, broken or of another shape; it names frame and camera.
        """
        stack = np.empty((len(cams), self.height, self.width), bool)

        def fill(row: int) -> None:
            stack[row] = self._read(frame, cams[row])

        list(self._pool.map(fill, range(len(cams))))
        return stack

    def to_train(self, frame: int, cams: Sequence[int]) -> Bool[np.ndarray, "N H W"]:
        """The masks of one frame, as `load`, looked at: they may be the wrong way round.

        Where most pixels move, a warning says so, once.

        Raises:
          InvError: As `load`; or if nothing stands still.
        """
        is_dynamic = self.load(frame, cams)
        share = float(is_dynamic.mean())
        if is_dynamic.all():
            raise InvError(
                f"the masks of frame {frame} say that every pixel of all {len(cams)} training "
                "cameras moves; if non-zero means static in them, set data.mask_polarity (it is "
                f"{self.polarity!r})"
            )
        if share > _MOST and not self._has_warned.is_set():
            self._has_warned.set()
            logging.warning(
                "the masks of frame %d say that %.0f%% of the pixels of all %d training cameras "
                "move; if non-zero means static in them, set data.mask_polarity (it is %r)",
                *(frame, 100 * share, len(cams), self.polarity),
            )
        return is_dynamic

    def missing(self, frames: Iterable[int], cams: Sequence[int]) -> list[tuple[int, int]]:
        """Frames and cameras that there is no mask of."""
        wanted = [(frame, cam) for frame in frames for cam in cams]
        there = self._pool.map(lambda pair: self.path(*pair).is_file(), wanted)
        return [pair for pair, is_there in zip(wanted, there, strict=True) if not is_there]

    def check(self, frames: Sequence[int], cams: Sequence[int]) -> None:
        """Finds masks that are missing or misshapen before a run needs them; decodes none.

        Raises:
          InvError: Naming the first one, by frame and camera, and how many more there are.
        """
        if missing := self.missing(frames, cams):
            raise self._missing(*missing[0], more=len(missing) - 1)

        def check(pair: tuple[int, int]) -> None:
            try:
                size = images.image_size(self.path(*pair))
            except InvError as error:
                raise InvError(f"{self.name(*pair)}: {error}") from error
            self._check_shape(*pair, *size)

        list(self._pool.map(check, [(frame, cam) for frame in frames for cam in cams]))

    def name(self, frame: int, cam: int) -> str:
        """What to call a mask in messages."""
        return f"mask of frame {frame}, {self.camera_names[cam]}"

    def _read(self, frame: int, cam: int) -> Bool[np.ndarray, "H W"]:
        path = self.path(frame, cam)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise self._missing(frame, cam) from error
        except OSError as error:
            raise InvError(f"{self.name(frame, cam)}: {images.broken(str(path), error)}") from error
        try:
            levels, notes = images.decode(data, str(path))
        except InvError as error:
            raise InvError(f"{self.name(frame, cam)}: {error}") from error
        values = levels.max(-1)
        if images.SIXTEEN_BITS in notes:  # rounded to 8, a small one would be none
            values = _sixteen_bits(data)
        self._check_shape(frame, cam, *values.shape)
        is_set = values > (_JPEG_LEVEL if data.startswith(_JPEG) else 0)
        return covered(is_set == (self.polarity == "dynamic"), self.height, self.width)

    def _check_shape(self, frame: int, cam: int, height: int, width: int) -> None:
        # Of equal aspect, to a pixel of rounding on each side.
        skew = abs(height * self.width - width * self.height)
        if skew > max(height, width) + max(self.height, self.width):
            raise InvError(
                f"{self.name(frame, cam)}: {self.path(frame, cam)} is {width}x{height}, the images "
                f"{self.width}x{self.height}; want masks of the same shape"
            )

    def _missing(self, frame: int, cam: int, more: int = 0) -> InvError:
        others = f", and {more} more are" if more else ""
        return InvError(
            f"{self.name(frame, cam)}: {self.path(frame, cam)} is missing{others}; make them with "
            "inv-jax masks, or set data.masks to where they are"
        )


def open_masks(
    folder_or_pattern: str | pathlib.Path,
    camera_names: Sequence[str],
    height: int,
    width: int,
    *,
    polarity: str = "dynamic",
) -> Masks:
    """The masks of a capture; none is read yet (`Masks.check` looks whether they are there).

    Args:
      folder_or_pattern: A capture's folder, with the masks in its `mask`; the folder that they
        are in; or a pattern with `{frame}` and `{cam}`, see `pattern_in`.
      camera_names: Of all cameras, by index.
      height: Of the capture's images.
      width: As well.
      polarity: What non-zero means, of `POLARITIES`.

    Raises:
      InvError: If the pattern or the polarity cannot be right.
    """
    if polarity not in POLARITIES:
        raise InvError(
            f"data.mask_polarity is {polarity!r}; expected one of {', '.join(POLARITIES)}: what "
            "non-zero means in the masks"
        )
    pattern = str(folder_or_pattern)
    if pathlib.Path(pattern).is_dir():
        pattern = _in_folder(pathlib.Path(pattern))
    elif not _fields(pattern):
        pattern = _in_folder(pathlib.Path(pattern.format()))  # doubled braces are one
    wanted = _FIELDS if len(camera_names) > 1 else {"frame"}
    if not wanted <= (named := _fields(pattern)) or not named <= _FIELDS:
        raise InvError(
            f"data.masks={pattern!r}: expected a pattern with {{frame:04d}} and {{cam}} (the "
            f"camera's name, as {camera_names[0]}) and no other field, as {DEFAULT}"
        )
    masks = Masks(pattern, tuple(camera_names), height, width, polarity)
    try:
        masks.path(1, 0)
    except (LookupError, ValueError, AttributeError) as error:
        raise InvError(f"data.masks={pattern!r}: {error}; expected as {DEFAULT}") from error
    return masks


def pattern_in(folder: str | pathlib.Path, pattern: str = "") -> str:
    """A pattern for `open_masks`, of what `data.masks` says.

    Args:
      folder: The capture's; its name is taken as it is, braces too. Of a video file, or pictures
        of a pattern, the folder that they are in counts.
      pattern: Relative to that folder, or absolute, or a folder; empty: `DEFAULT`.
    """
    folder = pathlib.Path(folder).expanduser()
    if folder.is_file() or "*" in folder.name:
        folder = folder.parent
    plain = str(folder).replace("{", "{{").replace("}", "}}")
    return str(pathlib.Path(plain) / pathlib.Path(pattern or DEFAULT).expanduser())


def covered(
    mask: Bool[np.ndarray, "h w"], height: int, width: int
) -> Bool[np.ndarray, "height width"]:
    """A mask in another size: True wherever a True pixel covers any of a pixel."""
    if mask.shape == (height, width):
        return mask
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return share > 0


def _sixteen_bits(data: bytes) -> UInt16[np.ndarray, "h w"]:
    """The largest channel of a 16-bit PNG that was found whole; alpha is none."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return values if values.ndim == 2 else values[..., :3].max(-1)


def _fields(pattern: str) -> set[str]:
    """Names of a pattern's fields.

    Raises:
      InvError: If its braces do not match.
    """
    try:
        parsed = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise InvError(f"data.masks={pattern!r}: {error}; expected as {DEFAULT}") from error
    return {name for _, name, _, _ in parsed if name is not None}


def _in_folder(folder: pathlib.Path) -> str:
    """The pattern of masks of INV's names, in `mask` or right in the folder."""
    default = pathlib.Path(DEFAULT)
    is_direct = folder.name == default.parent.name or any(folder.glob("dynamic_mask_frame*"))
    is_above = (folder / default.parent).is_dir()
    return pattern_in(folder, default.name if is_direct and not is_above else DEFAULT)
