"""Writes frames as a folder of textures (`manifest.py`); the manifest comes last."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from inv_jax import params as params_lib
from inv_jax.codec import make
from inv_jax.codec.header import Header
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.data import files
from inv_jax.data.rig import Rig
from inv_jax.textures import kinds, updates
from inv_jax.textures import manifest as manifest_lib
from inv_jax.textures.field import TexturedField
from inv_jax.textures.manifest import File, Frame, Manifest
from inv_jax.textures.parts import Part
from inv_jax.types import Params

_FLOAT = np.dtype("<f4")


@dataclasses.dataclass(frozen=True)
class Written:
    """What was made of a frame.

    Attributes:
      frame: As the manifest has it.
      num_bricks: Of its update; None: it is whole.
      params: What a player has of it.
    """

    frame: Frame
    num_bricks: int | None
    params: Params


class Ranges:
    """Finds the numbers that all frames lie between."""

    def __init__(self, model: TexturedField):
        """Of no frame yet.

        Raises:
          InvError: If the field cannot be made textures of.
        """
        self._model, self._parts = model, kinds.of(model)
        self._extremes: list[np.ndarray] = []

    def add(self, params: Params) -> None:
        """A frame's.

        Raises:
          InvError: If a number is not finite.
        """
        leaves = _leaves(self._model, params)
        found = [part.extremes(leaves) for part in self._parts]
        self._extremes = [_hull(*pair) for pair in zip(self._extremes or found, found, strict=True)]

    def parts(self) -> tuple[Part, ...]:
        """The parts of a frame, with offsets and scales for all frames that were added."""
        pairs = zip(self._parts, self._extremes, strict=True)
        return tuple(part.within(extremes) for part, extremes in pairs)


def header_of(
    model: TexturedField,
    params: Params,
    config: dict[str, Any],
    rig: Rig,
    provenance: dict[str, Any],
) -> Header:
    """What a folder of such frames says of itself, as an `.inv` file does.

    Raises:
      InvError: If it cannot be described so.
    """
    whole = model.with_guide(params)
    made = make.header(RawCodec(), whole, model.roles, config, rig, provenance)
    return dataclasses.replace(made, codec=manifest_lib.CODEC)


class TextureWriter:
    """Writes frames, one after another, into a folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        model: TexturedField,
        header: Header,
        parts: tuple[Part, ...],
        *,
        brick: int,
        key_every: int,
    ):
        """Makes the folder.

        Args:
          folder: Where to; it must not be there.
          model: The field.
          header: See `header_of`.
          parts: See `Ranges`.
          brick: Texels of a brick's side.
          key_every: Frames from one key frame to the next; 0: only the first is one.
        """
        folder.mkdir()
        self._folder, self._model = folder, model
        self._brick, self._key_every = brick, key_every
        self._header, self._parts = header, parts
        self._before: list[np.ndarray] = []  # textures of the frame pushed last
        self._colors: dict[int, File] = {}
        self._frames: list[Frame] = []
        self._since_key = 0

    def push(self, number: int, params: Params, color: int) -> Written:
        """Writes a frame.

        Args:
          number: Its own, above that of the frame before.
          params: Of the field.
          color: Names its color network: equal ones are equal.
        """
        leaves = _leaves(self._model, params)
        packed = [part.pack(leaves) for part in self._parts]
        textures = [texture for group in packed for texture in group]
        data, num_bricks = self._encoded(textures)
        file = self._write(f"frame_{number:06d}.bin", data)
        if color not in self._colors:
            self._colors[color] = self._write(f"color_{color:06d}.bin", self._color(params))
        frame = Frame(number, num_bricks is None, color, file)
        self._frames.append(frame)
        self._before = textures
        for part, group in zip(self._parts, packed, strict=True):
            leaves |= part.unpack(group)
        return Written(frame, num_bricks, params_lib.nest(leaves))

    def close(self) -> Manifest:
        """Writes the manifest, behind which nothing follows."""
        made = Manifest(
            header=self._header,
            field=self._model.described(),
            parts=self._parts,
            brick=self._brick,
            colors=self._colors,
            frames=tuple(self._frames),
        )
        with files.replacing(self._folder / manifest_lib.NAME) as temporary:
            temporary.write_text(made.dump())
        return made

    def _encoded(self, textures: Sequence[np.ndarray]) -> tuple[bytes, int | None]:
        """The textures, or what changed in them where that is less; then how many bricks."""
        whole = b"".join(texture.tobytes() for texture in textures)
        is_due = not self._frames or self._since_key + 1 == self._key_every
        if not is_due:
            update = updates.encode(self._before, textures, self._brick)
            if len(update) < len(whole):
                self._since_key += 1
                return update, updates.num_bricks(update, len(textures))
        self._since_key = 0
        return whole, None

    def _color(self, params: Params) -> bytes:
        layout = self._header.color_layout
        return layout.ravel(layout.pick(params)).astype(_FLOAT).tobytes()

    def _write(self, name: str, data: bytes) -> File:
        (self._folder / name).write_bytes(data)
        return File.of(name, data)


def _leaves(model: TexturedField, params: Params) -> dict[str, np.ndarray]:
    """Leaves by path, with the guide."""
    found = params_lib.flatten(model.with_guide(params))
    return {path: np.asarray(leaf) for path, leaf in found.items()}


def _hull(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])])
