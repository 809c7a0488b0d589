"""Parts of a neural video to params, wherever the parts come from: a file, segments, a pipe."""

import math

import numpy as np

from inv_jax import params as params_lib
from inv_jax.codec import fpzip_codec, registry
from inv_jax.codec.base import CorruptError, Decoder, Layout, Leaves, Packet
from inv_jax.codec.header import Header
from inv_jax.types import Params

LOSSLESS = 32
MASKED_PER_BYTE = 32  # bits of masks of a key packet to a byte, at most


def least_bytes(layout: Layout, sets: int = 1, params_per_byte: int = 8) -> int:
    """Bytes that params without a prediction have at least: a bit for each, 4 bytes for a leaf.

    Of a mask it is a quarter of a bit for each.

    It is a rule of the format, kept with zeros where needed, so that a small file cannot make a
    reader allocate a large network, or very many small arrays.

    Args:
      layout: The leaves; an index counts as a param.
      sets: How many sets of them.
      params_per_byte: Of the codec; those of some may be fewer bits.
    """
    size = layout.size + layout.num_indices
    leaves = len(layout.shapes) + len(layout.indices) + len(layout.masks)
    least = -(-size // params_per_byte) - (-layout.num_masked // MASKED_PER_BYTE)
    return sets * max(least, 4 * leaves)


def least_key_bytes(header: Header, sets: int = 1) -> int:
    """The same of a key packet of a video.

    Raises:
      CorruptError: If its codec is not known.
    """
    return least_bytes(header.layout, sets, registry.params_per_byte(header.codec))


def pad(payload: bytes, size: int) -> bytes:
    """The payload with zeros behind it, up to a size."""
    return payload + bytes(max(0, size - len(payload)))


def encode_color(color_layout: Layout, color: Leaves, precision: int = LOSSLESS) -> bytes:
    """Color params as fpzip streams, one per leaf.

    Args:
      color_layout: The leaves.
      color: By path.
      precision: Bits of a number; 32 loses nothing.
    """
    leaves = [color[path] for path in color_layout.paths]
    return pad(fpzip_codec.compress(leaves, precision), least_bytes(color_layout))


def decode_color(color_layout: Layout, payload: bytes) -> dict[str, np.ndarray]:
    """The inverse of `encode_color`.

    Raises:
      CorruptError: If the payload is not what it makes.
    """
    if len(payload) < least_bytes(color_layout):
        raise CorruptError(f"{len(payload)} bytes cannot be {color_layout.size} color params")
    shapes = [shape for _, shape in color_layout.shapes]
    arrays = fpzip_codec.decompress(payload, shapes)
    if not all(np.isfinite(array).all() for array in arrays):
        raise CorruptError("color params hold numbers that are not finite")
    return dict(zip(color_layout.paths, arrays, strict=True))


class FrameDecoder:
    """Decodes packets in their order, beginning with any key packet."""

    def __init__(self, header: Header):
        """Allocates nothing yet that the header asks for.

        Raises:
          CorruptError: If the codec is not known.
        """
        self._header = header
        self._decoder: Decoder | None = None
        self._next: int | None = None  # frame that goes on from what was decoded
        registry.decoder(header.codec, header.layout)

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """Leaves of the packet's frames, by number; of a segment those of its first frame.

        Raises:
          CorruptError: If the packet cannot be decoded, or goes on from one that was not decoded;
            then the next one has to be a key.
        """
        layout, expected, self._next = self._header.layout, self._next, None
        if packet.is_key:
            if len(packet.payload) < least_key_bytes(self._header, packet.sets):
                raise CorruptError(
                    f"frame {packet.first}: {len(packet.payload)} bytes cannot be {packet.sets} "
                    f"frames of {layout.size} params"
                )
            self._decoder = registry.decoder(self._header.codec, layout)
        elif expected != packet.first or packet.sets != 1 or self._decoder is None:
            raise CorruptError(f"frame {packet.first}: the frame before it is missing")
        frames = self._decoder.decode(packet)
        for number, leaves in frames.items() if not self._decoder.is_finite else ():
            if not all(np.isfinite(leaf).all() for leaf in leaves.values()):
                raise CorruptError(f"frame {number} holds numbers that are not finite")
        self._next = packet.end
        return frames


def assemble(own: Leaves, shared: Leaves) -> Params:
    """All params of a frame as a nested dict."""
    return params_lib.nest({**own, **shared})


def bits_per_param(num_bytes: int, layout: Layout, sets: int) -> float:
    """Bits that each param of so many sets takes."""
    return 8 * num_bytes / max(1, layout.size * sets) if sets else math.nan
