"""Frames out of a folder of textures, as params for the player."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from inv_jax import params as params_lib
from inv_jax.codec.base import CorruptError
from inv_jax.codec.header import Header
from inv_jax.textures import manifest as manifest_lib
from inv_jax.textures import updates
from inv_jax.textures.manifest import Frame
from inv_jax.types import InvError, Params

_FLOAT = np.dtype("<f4")
_HEAD = 200  # bytes of a manifest that have its format


@dataclasses.dataclass(frozen=True)
class _Key:
    first: int


def is_textures(path: pathlib.Path) -> bool:
    """Whether this is a folder of textures, whole or not."""
    try:
        with (path / manifest_lib.NAME).open("rb") as file:
            return manifest_lib.FORMAT.encode() in file.read(_HEAD)
    except OSError:
        return False


class TextureFolder:
    """Frames of a folder; a `FrameSource` and a `feed.Video`. Nothing is added to it.

    Attributes:
      manifest: What it says of itself.
    """

    is_closed = True

    def __init__(self, path: pathlib.Path):
        """Opens a folder; reads its manifest alone.

        Raises:
          CorruptError: If that is damaged.
        """
        self._path, self.manifest = path, manifest_lib.load(path / manifest_lib.NAME)
        self._frames = {frame.number: frame for frame in self.manifest.frames}
        self._colors: tuple[int, dict[str, np.ndarray]] | None = None  # those read last
        # Number and textures of the frame read last.
        self._last: tuple[int, list[np.ndarray]] | None = None

    @property
    def header(self) -> Header:
        """Its cameras and settings."""
        return self.manifest.header

    @property
    def end(self) -> int:
        """The frame behind the newest."""
        return self.frames()[-1] + 1

    @property
    def groups(self) -> list[list[_Key]]:
        """Frames from key to key; the key alone is told."""
        return [[_Key(frame.number)] for frame in self.manifest.frames if frame.is_key]

    def frames(self) -> list[int]:
        """Numbers of the frames, in order."""
        return list(self._frames)

    def segment(self, frame: int) -> range:
        """The frame alone."""
        return range(frame, frame + 1)

    def color_id(self, frame: int) -> int:
        """Names its color network."""
        return self._entry(frame).color

    def refresh(self) -> None:
        """Nothing is added to a folder."""

    def params(self, frame: int) -> Params:
        """All params of a frame: as its textures have them, with the guide.

        Raises:
          InvError: If there is no such frame.
          CorruptError: If a file is missing or damaged.
        """
        entry = self._entry(frame)
        leaves = dict(self._color(entry.color))
        textures, first = self._textures(frame), 0
        for part in self.manifest.parts:
            end = first + len(part.textures)
            try:
                leaves |= part.unpack(textures[first:end])
            except CorruptError as error:
                raise CorruptError(f"frame {frame} of {self._path}: {error}") from error
            first = end
        return params_lib.nest(leaves)

    def _entry(self, frame: int) -> Frame:
        if frame not in self._frames:
            there = self.frames()
            raise InvError(
                f"frame {frame} is not in {self._path}; it has {there[0]} to {there[-1]}"
            )
        return self._frames[frame]

    def _textures(self, frame: int) -> Sequence[np.ndarray]:
        """A frame's textures, from those read last if they are on the way."""
        listed = self.manifest.frames
        place = self.frames().index(frame)
        begin = max(i for i in range(place + 1) if listed[i].is_key)
        textures: list[np.ndarray] = []
        if self._last is not None:
            last = self.frames().index(self._last[0])
            if begin <= last <= place:
                begin, textures = last + 1, self._last[1]
        self._last = None  # while they change
        for entry in listed[begin : place + 1]:
            data = entry.file.read(self._path)
            if entry.is_key:
                textures = self._whole(data)
                continue
            try:
                updates.apply(textures, data, self.manifest.brick)
            except CorruptError as error:
                raise CorruptError(f"{self._path / entry.file.name}: {error}") from error
        self._last = frame, textures
        return textures

    def _whole(self, data: bytes) -> list[np.ndarray]:
        made, at = [], 0
        for texture in self.manifest.textures:
            flat = np.frombuffer(data, np.uint8, texture.num_bytes, offset=at)
            made.append(flat.reshape(texture.shape).copy())  # updates change it
            at += texture.num_bytes
        return made

    def _color(self, color: int) -> dict[str, np.ndarray]:
        if self._colors is None or self._colors[0] != color:
            file, layout = self.manifest.colors[color], self.header.color_layout
            flat = np.frombuffer(file.read(self._path), np.uint8)
            if flat.size != layout.size * _FLOAT.itemsize:
                wanted = f"want {layout.size * _FLOAT.itemsize:,}"
                raise CorruptError(f"{self._path / file.name} has {flat.size:,} bytes, {wanted}")
            self._colors = color, layout.unravel(flat.view(_FLOAT).astype(np.float32))
        return self._colors[1]
