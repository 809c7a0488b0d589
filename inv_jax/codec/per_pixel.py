"""Bits a pixel of a video: by the formula that papers on NeRV report, and as its file really is.

The formula is `params * (1 - sparsity) * bits / pixels`: of pixels there are frames times height
times width, colors do not count threefold; sparsity is the part of params that are zero; bits are
the mean of a Huffman code of the others. It leaves out the mask of zeros, the tables of levels and
of the code, masks of what a clip uses, and all heads. Where params are no whole numbers, bits are
what their packets take; what sets share has 32, or, if it is quantised, those of its own code.
The honest number is every bit of the file.
"""

import dataclasses

import numpy as np

from inv_jax.codec import bitstream, huffman, registry
from inv_jax.codec.base import CorruptError, Packet
from inv_jax.codec.frames import FrameDecoder
from inv_jax.codec.video import NeuralVideo

_SHARED_BITS = 32.0


@dataclasses.dataclass(frozen=True)
class PerPixel:
    """What a video takes.

    Attributes:
      pixels: Of all frames, one view of each.
      num_bytes: Of the file.
      params: Of all sets, without what they share.
      sparsity: Part of them that is zero.
      bits: That each of the others takes.
      is_huffman: Whether these are the mean of a Huffman code, else what packets take.
      shared: Params that sets share, as often as the file has them.
      measured: How many sets `sparsity` and `bits` are of, or stand for all.
      shared_bits: Of each shared param on the mean, zeros included.
    """

    pixels: int
    num_bytes: int
    params: int
    sparsity: float
    bits: float
    is_huffman: bool
    shared: int
    measured: int
    shared_bits: float = _SHARED_BITS

    @property
    def by_formula(self) -> float:
        """Bits a pixel as papers report them."""
        own = self.params * (1.0 - self.sparsity) * self.bits
        return (own + self.shared * self.shared_bits) / self.pixels

    @property
    def honest(self) -> float:
        """Bits a pixel that have to be sent."""
        return 8 * self.num_bytes / self.pixels


def per_pixel(video: NeuralVideo, *, measures_all: bool = False) -> PerPixel | None:
    """What a video takes; None if there is no frame that can be decoded.

    Args:
      video: Any.
      measures_all: Whether all key packets are decoded, else the first one that can be.
    """
    header, cameras = video.header, video.header.rig.cameras
    entries = [entry for group in video.groups for entry in group]
    zeros, averages, measured = 0, [], 0
    for group in video.groups:
        try:
            packet = video.packet(group[0])
            of_zeros, average = _measure(video, packet)
        except CorruptError:
            continue
        zeros, measured = zeros + of_zeros, measured + packet.sets
        averages += [] if average is None else [average]
        if not measures_all:
            break
    if not measured:
        return None
    sets = sum(entry.sets for entry in entries)
    size = header.layout.size
    params, sparsity = sets * size, zeros / (measured * size)
    taken = 8 * sum(_part_bytes(video, entry.offset) for entry in entries)
    shared = len(video.colors) * header.color_layout.size
    return PerPixel(
        pixels=sum(entry.count for entry in entries) * cameras.height * cameras.width,
        num_bytes=video.source.size(),
        params=params,
        sparsity=sparsity,
        bits=float(np.mean(averages)) if averages else taken / max(params * (1.0 - sparsity), 1.0),
        is_huffman=bool(averages),
        shared=shared,
        measured=measured,
        shared_bits=_shared_bits(video) / shared if shared else _SHARED_BITS,
    )


def _measure(video: NeuralVideo, packet: Packet) -> tuple[int, float | None]:
    """How many zeros a key packet has, and the mean bits of its codes if it has such.

    Raises:
      CorruptError: If it cannot be decoded.
    """
    header = video.header
    codes = registry.decoder(header.codec, header.layout).codes(packet)
    if codes is not None:
        counts = np.bincount(codes)
        return header.layout.size - codes.size, huffman.average_bits(counts)
    sets = FrameDecoder(header).decode(packet).values()
    zeros = (np.sum(leaves[path] == 0) for leaves in sets for path in header.layout.paths)
    return int(sum(zeros)), None


def _shared_bits(video: NeuralVideo) -> float:
    """Bits of all shared params by the formula; of parts that cannot be decoded as if plain."""
    layout, bits = video.header.color_layout, 0.0
    for color in video.colors:
        try:
            codes = video.color_codes(color)
        except CorruptError:
            codes = None
        if codes is None:
            bits += layout.size * _SHARED_BITS
        else:
            bits += codes.size * huffman.average_bits(np.bincount(codes))
    return bits


def _part_bytes(video: NeuralVideo, offset: int) -> int:
    found = bitstream.read_head(video.source, offset)
    return 0 if found is None else found.end - found.offset
