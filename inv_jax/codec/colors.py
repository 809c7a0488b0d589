"""Color params in a file: whole, or as what differs from a whole part before.

While anything shared trains, each frame has color params of its own. What rests meanwhile, as a
static field does, need not come again with each of them: a part then holds the leaves that differ
from those of its base, to the bit, as they are stored. A base is always whole, so no frame's color
takes more than two parts. A network that a whole video shares may be quantised instead, whole.
`codec/bitstream.py` says how all three lie in a file.
"""

import dataclasses

import numpy as np

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError, Layout, Leaves, Packet
from inv_jax.codec.frames import LOSSLESS, decode_color, encode_color, least_bytes, pad
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.types import Params

_LEAST_SAVED = 0.01  # of the params; for less than that a part does not need another one


@dataclasses.dataclass(frozen=True)
class ColorPart:
    """What a part holds.

    Attributes:
      color: Id of the color params.
      base: Id of those that the other leaves are of; None if none are missing.
      leaves: By path.
    """

    color: int
    base: int | None
    leaves: Leaves


def parse(layout: Layout, kind: bytes, payload: bytes) -> ColorPart:
    """Decodes a color part.

    Args:
      layout: Of whole color params.
      kind: Of the part, one of `bitstream.COLORS`.
      payload: Of the part.

    Raises:
      CorruptError: If it is not what a `ColorEncoder` makes.
    """
    color, base, rest = bitstream.parse_color(kind, payload)
    if kind == bitstream.COLOR_QUANTISED:
        return ColorPart(color, None, _dequantised(layout, color, rest))
    if base is None:
        return ColorPart(color, None, decode_color(layout, rest))
    count = len(layout.shapes)
    size = -(-count // 8)
    bits = np.unpackbits(np.frombuffer(rest[:size], np.uint8), bitorder="little").astype(bool)
    if len(bits) != 8 * size or bits[count:].any():
        raise CorruptError(f"color params {color} name leaves that are not in the layout")
    here = _part_of(layout, {path for path, bit in zip(layout.paths, bits, strict=False) if bit})
    return ColorPart(color, base, decode_color(here, rest[size:]))


def codes(layout: Layout, kind: bytes, payload: bytes) -> np.ndarray | None:
    """Whole numbers of the params that are not zero; None if the part is not quantised.

    Raises:
      CorruptError: As `parse`.
    """
    if kind != bitstream.COLOR_QUANTISED:
        return None
    color, _, rest = bitstream.parse_color(kind, payload)
    return QuantCodec().decoder(layout).codes(_as_packet(layout, color, rest))


def _dequantised(layout: Layout, color: int, payload: bytes) -> dict[str, np.ndarray]:
    """Leaves of a quantised part."""
    packet = _as_packet(layout, color, payload)
    try:
        (leaves,) = QuantCodec().decoder(layout).decode(packet).values()
    except CorruptError as error:
        raise CorruptError(f"quantised color params, {error}") from error
    return leaves


def _as_packet(layout: Layout, color: int, payload: bytes) -> Packet:
    if not layout.shapes or len(payload) < least_bytes(layout):
        raise CorruptError(f"{len(payload)} bytes cannot be {layout.size} quantised color params")
    return Packet(color, 1, True, payload)


def join(part: ColorPart, base: ColorPart | None) -> dict[str, np.ndarray]:
    """All leaves of color params.

    Args:
      part: Theirs.
      base: The part that theirs goes back to, if there is one.

    Raises:
      CorruptError: If the base is not whole.
    """
    if base is None:
        return dict(part.leaves)
    if base.base is not None:
        raise CorruptError(f"color params {part.color} go back to {base.color}, not whole either")
    return {**base.leaves, **part.leaves}


class ColorEncoder:
    """Makes the parts of one color after another.

    Attributes:
      only_whole: Makes no differences.
    """

    def __init__(self, layout: Layout, precision: int, quantises: QuantCodec | None = None):
        """Begins with none.

        Args:
          layout: Of whole color params.
          precision: Bits of a number, 2 to 32; 32 loses nothing.
          quantises: Makes whole parts in place of that.
        """
        self._layout, self._precision, self._quantises = layout, precision, quantises
        self.only_whole = False
        self._there: set[int] = set()  # ids that have a part
        self._newest: ColorPart | None = None  # whole, whatever its part holds
        self._base: ColorPart | None = None  # the newest whole part

    @property
    def newest(self) -> ColorPart | None:
        """The color params pushed last, as a receiver has them, all leaves; None before."""
        return self._newest

    def resume(self, there: set[int], newest: ColorPart, base: ColorPart) -> None:
        """Goes on behind parts that are there.

        Args:
          there: Their ids.
          newest: All leaves of the color params that the last packet has.
          base: The newest whole part.
        """
        self._there, self._newest, self._base = there, newest, base

    def push(self, color: int, params: Params) -> tuple[ColorPart, bytes]:
        """Takes the next color params.

        Args:
          color: Their id.
          params: All of a frame's.

        Returns:
          The color params as a receiver has them, all leaves; and their part of the file, empty
          if one with this id is there already.

        Raises:
          InvError: If a leaf is missing, or has another shape.
        """
        given = self._layout.pick(params)
        if self._quantises is not None:
            return self._push_quantised(self._quantises, color, given)
        leaves: Leaves = given
        if self._precision < LOSSLESS:
            leaves = decode_color(self._layout, self._encode(self._layout, given))
        before, newest = self._newest, ColorPart(color, None, leaves)
        self._newest = newest
        if color in self._there:
            return newest, b""
        self._there.add(color)
        if self._base is None or before is None or self._is_better_whole(leaves, before.leaves):
            self._base = newest
            return newest, bitstream.color_part(color, self._encode(self._layout, given))
        here = _part_of(self._layout, _differing(leaves, self._base.leaves))
        bits = np.packbits([path in here.paths for path in self._layout.paths], bitorder="little")
        payload = bits.tobytes() + self._encode(here, given)
        return newest, bitstream.color_diff_part(color, self._base.color, payload)

    def _push_quantised(
        self, codec: QuantCodec, color: int, given: Leaves
    ) -> tuple[ColorPart, bytes]:
        encoder = codec.encoder(self._layout)
        (packet,) = encoder.push(color, given)
        self._newest = self._base = ColorPart(color, None, encoder.decoded())
        if color in self._there:
            return self._newest, b""
        self._there.add(color)
        payload = pad(packet.payload, least_bytes(self._layout))
        return self._newest, bitstream.color_part(color, payload, bitstream.COLOR_QUANTISED)

    def _encode(self, layout: Layout, leaves: Leaves) -> bytes:
        return encode_color(layout, leaves, self._precision)

    def _is_better_whole(self, leaves: Leaves, before: Leaves) -> bool:
        """Whether a new base is due: little is as in the old one, or much came to rest since.

        It depends on nothing but what is in the file, so a writer that goes on with one decides
        as one that never stopped.
        """
        assert self._base is not None
        differing = _differing(leaves, self._base.leaves)
        saved = self._layout.size - _part_of(self._layout, differing).size
        rested = _part_of(self._layout, differing - _differing(leaves, before)).size
        # What rests since the base was made would come again with every part; a new base costs
        # what this part would save.
        is_stale = rested > 0 and rested >= saved
        return self.only_whole or is_stale or saved <= _LEAST_SAVED * self._layout.size


def _differing(leaves: Leaves, others: Leaves) -> set[str]:
    """Paths of the leaves that differ in a bit; -0 is not 0 here."""
    return {
        path
        for path, leaf in leaves.items()
        if not np.array_equal(leaf.view(np.uint32), others[path].view(np.uint32))
    }


def _part_of(layout: Layout, paths: set[str]) -> Layout:
    return Layout(tuple(row for row in layout.shapes if row[0] in paths))
