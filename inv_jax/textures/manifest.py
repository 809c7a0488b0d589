"""A folder of textures: what is in it, and how a picture comes from it.

    manifest.json        this
    frame_000001.bin     a key frame: all its textures; or an update of the frame before
    color_000001.bin     the color network of one or more frames
    measures.json        for people: bytes and PSNR of each frame, if they were measured

The manifest is JSON:

    format    "inv-textures"
    version   1; a reader refuses those it does not know
    header    what an `.inv` file says of itself (`codec/header.py`): cameras ("rig"), settings,
              frames a second, "color_layout"
    field     constants of a picture, below
    parts     what textures are made of, in the order of a key frame:
      kind      "dense" and "bricks": levels; "guide"
      name      of the part
      size      of a level, nodes along x, y, z; of the guide, cells
      offset    of each channel
      scale     likewise: a channel is offset + scale * t, t in [0, 1] as a sampler gives it
      knee      of a guide: a density is knee * (exp(channel) - 1)
      slots     of bricks: how many there can be
      textures  [{name, format, size}]; size in texels; format is RGBA8, four channels each, the
                last ones of the last texture unused, or R8. Of bricks the first one is the table
    brick     texels of a brick's side, in updates
    colors    [{id, file, bytes, sha256}]: float32, little-endian, the leaves of "color_layout"
              behind each other; a kernel is (in, out), row-major
    frames    [{frame, key, color, file, bytes, sha256}] in order; color is an id

**A key frame** is its textures behind each other, each as `texImage3D` takes it: x fastest, then y,
z; RGBA interleaved. Set UNPACK_ALIGNMENT to 1: rows of R8 have any length. **An update**
(`updates.py`) is for the textures of the frame before it in the list. Offsets and scales are the
same in all frames: what is not in an update has not changed.

**A picture.** A ray is taken into the unit box (`geometry/boxes.py`): it enters at `starts`, leaves
at `starts + spans`, s in [0, 1] between them; points of it are squeezed into the cube by `margin`.
What a dense level of N texels has at p in the cube is its texture, with linear filtering, clamped
to its edge, at (p (N - 1) + 0.5) / N: nodes lie on the faces of the cube. Levels are summed, each
channel by itself: channel 0 is `raw`, those behind it the features. The guide has a density for
each of its cells, the texel at p, nearest.

A level in bricks is filtered by hand, from the eight nodes around p (N - 1). Node n lies in brick
n div 4, whose texel in the table, as r + 256 g + 65536 b + 16777216 a of bytes, is 0 where there is
no such brick: all its numbers are 0 then. Otherwise it is 1 more than the slot s, and the node is
the texel 4 (s mod X, s div X mod Y, s div X Y) + n mod 4 of the other textures, which are 4 X, 4 Y
and 4 Z texels large.

    probes    at s = (i + 0.5) / probes: the guide's density, over the number of probes, is a
              probe's thickness; how much light ends there, exp(-thickness before it) (1 -
              exp(-thickness)), blurred by (1, 2, 1) / 4, plus `floor`, over the sum of all, times
              1 - even, plus even / probes, is a probe's share
    samples   edges of intervals with equal shares, `samples` of them, by the inverse of the
              cumulative share, linear within a probe's part; samples are their middles
    density   density.scale * softplus(raw + density.shift) times the interval's length in s is a
              sample's thickness, and gives its weight as above; what is left goes to the last one
    color     f, the weighted sum of the features, and the ray's unit direction in the world go
              through the color network (ReLU between layers): sigmoid(f[:3] + network)

Frames may lie anywhere on a web server: nothing here names a folder of the machine it was made on.
"""

import dataclasses
import hashlib
import json
import pathlib
import re
import zlib
from collections.abc import Mapping
from typing import Any

from inv_jax.codec import header as header_lib
from inv_jax.codec.base import CorruptError
from inv_jax.codec.header import Header
from inv_jax.textures.kinds import KINDS
from inv_jax.textures.parts import Part, Texture

NAME = "manifest.json"
FORMAT = "inv-textures"
CODEC = "textures"  # what the header says in place of a codec
VERSION = 1

_MOST_BYTES = 1 << 26
_MOST_FILE_BYTES = 1 << 32
_MOST_BRICK = 1 << 12
_FILE = re.compile(r"[A-Za-z0-9_-]{1,64}\.bin")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class File:
    """A file of the folder, and what its content must be."""

    name: str
    num_bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, data: bytes) -> "File":
        return cls(name, len(data), hashlib.sha256(data).hexdigest())

    def read(self, folder: pathlib.Path) -> bytes:
        """Its content.

        Raises:
          CorruptError: If it is not there, or not what it was.
        """
        path, advice = folder / self.name, "export the frames again"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CorruptError(f"{path} cannot be read ({error.strerror}); {advice}") from error
        if len(data) != self.num_bytes:
            wanted = f"want {self.num_bytes:,}"
            raise CorruptError(f"{path} has {len(data):,} bytes, {wanted}; {advice}")
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise CorruptError(f"{path} is damaged, its bytes have another SHA-256; {advice}")
        return data

    def fields(self) -> dict[str, Any]:
        """Of the manifest."""
        return {"file": self.name, "bytes": self.num_bytes, "sha256": self.sha256}

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> "File":
        name, size, digest = (fields[key] for key in ("file", "bytes", "sha256"))
        if not _FILE.fullmatch(name) or not _SHA256.fullmatch(digest):
            raise ValueError(f"a file {str(name)[:50]!r} of SHA-256 {str(digest)[:70]!r}")
        return cls(name, _whole(size, 0, _MOST_FILE_BYTES), digest)


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame of the list.

    Attributes:
      number: As on disk.
      is_key: Whether its file has all textures.
      color: Id of its color network.
      file: Its textures, or what changed in them.
    """

    number: int
    is_key: bool
    color: int
    file: File


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """What a folder says of itself; see the module."""

    header: Header
    field: Mapping[str, Any]
    parts: tuple[Part, ...]
    brick: int
    colors: Mapping[int, File]
    frames: tuple[Frame, ...]

    @property
    def textures(self) -> tuple[Texture, ...]:
        """All of them, in the order of a key frame."""
        return tuple(texture for part in self.parts for texture in part.textures)

    def dump(self) -> str:
        """The text of the manifest."""
        parts = [
            {
                "kind": part.kind,
                "name": part.name,
                **part.fields(),
                "textures": [texture.fields() for texture in part.textures],
            }
            for part in self.parts
        ]
        fields = {
            "format": FORMAT,
            "version": VERSION,
            "header": json.loads(zlib.decompress(self.header.dump())),
            "field": self.field,
            "parts": parts,
            "brick": self.brick,
            "colors": [{"id": key, **file.fields()} for key, file in self.colors.items()],
            "frames": [
                {"frame": one.number, "key": one.is_key, "color": one.color, **one.file.fields()}
                for one in self.frames
            ],
        }
        return json.dumps(fields, indent=1, allow_nan=False) + "\n"


def load(path: pathlib.Path) -> Manifest:
    """The manifest in a file.

    Raises:
      InvError: If it cannot be read.
      CorruptError: If it is no manifest that `dump` made.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
        fields = json.loads(text)
        if fields["format"] != FORMAT or fields["version"] != VERSION:
            raise ValueError(
                f"it is of the format {str(fields['format'])[:30]!r}, version "
                f"{str(fields['version'])[:10]}; this reader knows {FORMAT}, version {VERSION}"
            )
        made = _of(fields)
        _check(made)
        return made
    except OSError as error:
        raise CorruptError(f"{path} cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise CorruptError(f"{path}: {error} is missing; export the frames again") from error
    # CorruptError is a ValueError. RecursionError: JSON of many brackets.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptError(f"{path}: {str(error)[:200]}; export the frames again") from error


def _of(fields: Mapping[str, Any]) -> Manifest:
    # The reader of headers is the one of `.inv` files, which checks all that it is given.
    header = header_lib.load(zlib.compress(json.dumps(fields["header"]).encode()))
    return Manifest(
        header=header,
        field=dict(fields["field"]),
        parts=tuple(_part(one) for one in fields["parts"]),
        brick=_whole(fields["brick"], 1, _MOST_BRICK),
        colors={_whole(one["id"]): File.load(one) for one in fields["colors"]},
        frames=tuple(
            Frame(_whole(one["frame"]), one["key"] is True, one["color"], File.load(one))
            for one in fields["frames"]
        ),
    )


def _part(fields: Mapping[str, Any]) -> Part:
    kind, name = fields["kind"], fields["name"]
    if kind not in KINDS:
        raise ValueError(f"a part of the kind {str(kind)[:30]!r}, which this reader does not know")
    return KINDS[kind].load(str(name), fields)


def _check(made: Manifest) -> None:
    """Refuses a manifest that contradicts itself.

    Raises:
      ValueError: If it does.
    """
    shapes = {path: shape for part in made.parts for path, shape in part.shapes.items()}
    layout = made.header.layout
    if shapes != dict(layout.shapes + layout.indices):
        raise ValueError(f"its parts are not the leaves of its header, but {str(shapes)[:100]}")
    numbers = [frame.number for frame in made.frames]
    if not numbers or numbers != sorted(set(numbers)):
        raise ValueError(f"its frames are {str(numbers)[:50]}; want one or more, rising")
    if not made.frames[0].is_key:
        raise ValueError(f"its first frame, {numbers[0]}, is an update")
    whole = sum(texture.num_bytes for texture in made.textures)
    for frame in made.frames:
        if frame.color not in made.colors:
            raise ValueError(f"frame {frame.number} has colors {str(frame.color)[:20]}, not listed")
        if frame.is_key and frame.file.num_bytes != whole:
            raise ValueError(
                f"frame {frame.number} has {frame.file.num_bytes:,} bytes, its textures {whole:,}"
            )


def _whole(value: Any, least: int = 0, most: int = 1 << 32) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{str(value)[:50]!r} is no whole number from {least} to {most}")
    return value
