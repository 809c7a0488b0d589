"""What of a frame becomes textures: a part each, that knows its leaves and its texels.

A texture is an array of bytes, (z, y, x, channels), in the order in which WebGL2 takes it. Numbers
are bytes by the steps of their channel (`steps.py`), the same in all frames of a folder, so that
equal numbers are equal bytes from frame to frame.

Kinds of parts are listed in `kinds.py`.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from inv_jax.models import grid_field
from inv_jax.models.grids import Shape
from inv_jax.params import STRUCTURE
from inv_jax.textures import field
from inv_jax.textures.steps import Steps
from inv_jax.types import InvError

Leaves = Mapping[str, np.ndarray]  # by path

_KNEE = 1.0  # density, in 1 / the length of a ray: below it the guide's bytes are about linear


@dataclasses.dataclass(frozen=True)
class Texture:
    """A 3D texture.

    Attributes:
      name: What the manifest calls it.
      size: Texels along x, y and z.
      channels: Of a texel: 4 (RGBA8), or 1 (R8).
    """

    name: str
    size: Shape
    channels: int = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of its array: z, y, x, channels."""
        x, y, z = self.size
        return z, y, x, self.channels

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape)

    def fields(self) -> dict[str, Any]:
        """Of the manifest."""
        texels = {4: "RGBA8", 1: "R8"}[self.channels]
        return {"name": self.name, "format": texels, "size": self.size}


@dataclasses.dataclass(frozen=True)
class Part(abc.ABC):
    """Leaves of a frame, as textures.

    Attributes:
      kind: What the manifest calls such parts.
      name: Of this one.
      size: Along x, y and z: nodes of a level, cells of the guide.
      steps: Of its numbers.
    """

    kind: ClassVar[str]
    name: str
    size: Shape
    steps: Steps

    @property
    @abc.abstractmethod
    def textures(self) -> tuple[Texture, ...]:
        """What it becomes, in order."""

    @property
    @abc.abstractmethod
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The leaves that it is made of, by path."""

    @abc.abstractmethod
    def pack(self, leaves: Leaves) -> list[np.ndarray]:
        """A frame's textures, uint8."""

    @abc.abstractmethod
    def unpack(self, textures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Its leaves as a sampler reads them; `pack` makes the same textures of them.

        Raises:
          CorruptError: If they are no textures of such leaves.
        """

    @abc.abstractmethod
    def numbers(self, leaves: Leaves) -> np.ndarray:
        """What bytes stand for, (..., channels)."""

    def extremes(self, leaves: Leaves) -> np.ndarray:
        """The lowest and the highest number of each channel, (2, channels).

        Raises:
          InvError: If a number is not finite.
        """
        numbers = self.numbers(leaves)
        if not np.isfinite(numbers).all():
            raise InvError(f"{self.name} has numbers that are not finite; train the frame again")
        axes = tuple(range(numbers.ndim - 1))
        return np.stack([numbers.min(axis=axes), numbers.max(axis=axes)])

    def within(self, extremes: np.ndarray) -> Self:
        """The part with steps for numbers that lie there."""
        return dataclasses.replace(self, steps=Steps.between(extremes))

    def fields(self) -> dict[str, Any]:
        """Of the manifest, besides kind, name and textures: JSON values."""
        return {"size": self.size, **self.steps.fields()}

    @classmethod
    def load(cls, name: str, fields: Mapping[str, Any]) -> Self:
        """The inverse of `fields`.

        Raises:
          ValueError: Or `LookupError`, `TypeError`: if these are none.
        """
        return cls(name, _size(fields["size"]), Steps.load(fields))


class Dense(Part):
    """A dense level, a texel for a node."""

    kind = "dense"

    @property
    def path(self) -> str:
        """Of its leaf."""
        return f"{grid_field.NETWORK}/{STRUCTURE}/{self.name}/kernel"

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {self.path: (*self.size, self.steps.channels)}

    @property
    def textures(self) -> tuple[Texture, ...]:
        return in_fours(self.name, self.size, self.steps)

    def numbers(self, leaves: Leaves) -> np.ndarray:
        return leaves[self.path]

    def pack(self, leaves: Leaves) -> list[np.ndarray]:
        return split(self.steps.codes(self.numbers(leaves)).transpose(2, 1, 0, 3))

    def unpack(self, textures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        codes = np.concatenate(textures, axis=-1).transpose(2, 1, 0, 3)
        return {self.path: self.steps.numbers(codes)}


@dataclasses.dataclass(frozen=True)
class Cells(Part):
    """The cells of the guide: a channel, kept as log(1 + density / knee).

    Attributes:
      knee: Density below which bytes are about linear, above it about logarithmic.
    """

    kind = "guide"
    knee: float = _KNEE

    @property
    def path(self) -> str:
        """Of its leaf."""
        return f"{field.GUIDE}/{STRUCTURE}/{self.name}/kernel"

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {self.path: self.size}

    @property
    def textures(self) -> tuple[Texture, ...]:
        return (Texture(self.name, self.size, 1),)

    def numbers(self, leaves: Leaves) -> np.ndarray:
        return np.log1p(leaves[self.path].astype(np.float64) / self.knee)[..., None]

    def pack(self, leaves: Leaves) -> list[np.ndarray]:
        codes = self.steps.codes(self.numbers(leaves))[..., :1]
        return [np.ascontiguousarray(codes.transpose(2, 1, 0, 3))]

    def unpack(self, textures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        numbers = self.steps.numbers(textures[0].transpose(2, 1, 0, 3))
        return {self.path: np.float32(self.knee) * np.expm1(numbers[..., 0])}

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "knee": self.knee}

    @classmethod
    def load(cls, name: str, fields: Mapping[str, Any]) -> Self:
        made = dataclasses.replace(super().load(name, fields), knee=float(fields["knee"]))
        if made.steps.channels != 1 or not 0.0 < made.knee < np.inf:
            raise ValueError(f"a guide of {made.steps.channels} channels, its knee at {made.knee}")
        return made


def in_fours(name: str, size: Shape, steps: Steps) -> tuple[Texture, ...]:
    """The textures of some channels, four each."""
    return tuple(Texture(f"{name}.{i}", size) for i in range(-(-steps.channels // 4)))


def split(codes: np.ndarray) -> list[np.ndarray]:
    """Their arrays."""
    parts = np.split(codes, codes.shape[-1] // 4, axis=-1)
    return [np.ascontiguousarray(part) for part in parts]


def _size(values: Any) -> Shape:
    x, y, z = values
    if not all(type(n) is int and 1 <= n <= 1 << 14 for n in (x, y, z)):
        raise ValueError(f"a grid of {str(values)[:50]} nodes")
    return x, y, z
