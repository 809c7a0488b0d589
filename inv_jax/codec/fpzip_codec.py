"""Temporal Weight Compression (INV, section 3.3): frames side by side in a matrix, through fpzip.

The layers that a frame owns are one matrix. A layer has one row per output feature, so its
kernel, (in, out) or (height, width, in, out) here, stands transposed, and its bias is a column.
From left to right: layer by layer, network by network (coarse, fine), kernel then bias. The frames
of a group are stacked to (frames, rows, columns), which fpzip predicts along all three axes and
stores with `precision` bits a number. Where layers differ in rows (a head among others), each
number of rows has a matrix of its own.

A payload is, for each matrix, the length of its fpzip stream (uint32, little-endian) and the
stream; zeros may follow. Streams are decoded in a process of their own (`codec/isolated.py`).
"""

import dataclasses
import math
import re
import struct
from collections.abc import Sequence

import fpzip
import numpy as np

from inv_jax.codec import fpzip_head, isolated
from inv_jax.codec.base import Codec, CorruptError, Decoder, Encoder, Gauge, Layout, Leaves, Packet
from inv_jax.types import InvError

_LENGTH = struct.Struct("<I")
_AXES = (1, 2, 4, 5)  # of a leaf
_WHOLE = 32  # bits of a float32: nothing is lost


@dataclasses.dataclass(frozen=True)
class FpzipCodec(Codec):
    """Groups of frames through fpzip.

    Attributes:
      precision: Bits of a number, of 2 to 32; 32 loses nothing, INV takes 16.
      group: Frames of a packet; 0: all there are. The larger, the smaller the file, and the later
        a frame can be sent.

    Raises:
      InvError: On construction, if one of them is out of range.
    """

    precision: int = 16
    group: int = 1
    name = "twc"

    def __post_init__(self):
        if not 2 <= self.precision <= _WHOLE:
            raise InvError(f"codec.precision={self.precision}: fpzip takes 2 to {_WHOLE} bits")
        if self.group < 0:
            raise InvError(f"codec.group={self.group}; want frames, 1 or more, or 0 for all")

    @property
    def is_lag_free(self) -> bool:
        return self.group == 1

    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> Encoder:
        del gauge
        return _FpzipEncoder(self, layout)

    def decoder(self, layout: Layout) -> Decoder:
        return _FpzipDecoder(layout)


@dataclasses.dataclass(frozen=True)
class _Cell:
    """Where a leaf stands in a matrix."""

    path: str
    shape: tuple[int, ...]
    matrix: int
    columns: slice


class Matrices:
    """The layout as matrices: which columns of which matrix each leaf has."""

    def __init__(self, layout: Layout):
        """Derives the columns from the layout's paths and shapes.

        Raises:
          InvError: If a leaf is neither a kernel, nor a grid, nor a bias (out,).
        """
        networks = list(dict.fromkeys(path.split("/")[0] for path in layout.paths))
        numbers: dict[int, int] = {}  # of the matrices, by their rows

        def place(item: tuple[str, tuple[int, ...]]) -> tuple:
            path, shape = item
            network, layer = path.split("/")[0], path.split("/")[-2]
            numbered = re.fullmatch(r"layer_(\d+)", layer)
            rank = (0, int(numbered[1]), "") if numbered else (1, 0, layer)
            return *rank, networks.index(network), len(shape) == 1

        self._widths: list[int] = []
        self._rows: list[int] = []
        self._cells: list[_Cell] = []
        if any(path.count("/") < 2 for path in layout.paths):
            raise InvError(f"expected paths like network/role/layer/kernel, not {layout.paths[0]}")
        for path, shape in sorted(layout.shapes, key=place):
            if len(shape) not in _AXES:
                raise InvError(
                    f"parameter {path} has shape {shape}; TWC stores kernels, grids and biases"
                )
            rows, columns = shape[-1], math.prod(shape[:-1])
            if rows not in numbers:
                numbers[rows] = len(numbers)
                self._rows.append(rows)
                self._widths.append(0)
            matrix = numbers[rows]
            start = self._widths[matrix]
            self._widths[matrix] += columns
            self._cells.append(_Cell(path, shape, matrix, slice(start, start + columns)))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of each matrix."""
        return list(zip(self._rows, self._widths, strict=True))

    def stack(self, frames: list[Leaves]) -> list[np.ndarray]:
        """The frames' matrices, (frames, rows, columns) float32."""
        made = [np.empty((len(frames), *shape), np.float32) for shape in self.shapes]
        for number, leaves in enumerate(frames):
            for cell in self._cells:
                made[cell.matrix][number, :, cell.columns] = leaves[cell.path].T.reshape(
                    self._rows[cell.matrix], -1
                )
        return made

    def unstack(self, matrices: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The inverse of `stack`."""
        frames = []
        for number in range(len(matrices[0])):
            leaves = {}
            for cell in self._cells:
                part = matrices[cell.matrix][number, :, cell.columns]
                leaves[cell.path] = np.ascontiguousarray(part.reshape(cell.shape[::-1]).T)
            frames.append(leaves)
        return frames


class _FpzipEncoder(Encoder):
    def __init__(self, codec: FpzipCodec, layout: Layout):
        self._codec, self._matrices = codec, Matrices(layout)
        self._layout = layout
        self._first = 0
        self._waiting: list[Leaves] = []
        self._last: Packet | None = None

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        if not all(np.isfinite(leaf).all() for leaf in leaves.values()):
            raise InvError(f"frame {frame} holds numbers that are not finite; train it again")
        if not self._waiting:
            self._first = frame
        self._waiting.append(leaves)
        return self.finish() if len(self._waiting) == self._codec.group else []

    def finish(self) -> list[Packet]:
        if not self._waiting:
            return []
        payload = compress(self._matrices.stack(self._waiting), self._codec.precision)
        self._last = Packet(self._first, len(self._waiting), True, payload)
        self._waiting = []
        return [self._last]

    def resume(self, packets: Sequence[Packet]) -> None:
        self._last = packets[-1]

    def decoded(self) -> Leaves:
        if self._codec.group != 1 or self._last is None:
            return super().decoded()
        return _FpzipDecoder(self._layout).decode(self._last)[self._last.first]


class _FpzipDecoder(Decoder):
    def __init__(self, layout: Layout):
        self._matrices = Matrices(layout)

    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        shapes = [(packet.sets, *shape) for shape in self._matrices.shapes]
        try:
            matrices = decompress(packet.payload, shapes)
        except CorruptError as error:
            raise CorruptError(f"frame {packet.first}: {error}") from error
        frames = self._matrices.unstack(matrices)
        return {packet.first + number: leaves for number, leaves in enumerate(frames)}


def compress(arrays: list[np.ndarray], precision: int) -> bytes:
    """Float32 arrays (of 1 to 3 axes) as fpzip streams, each behind its length."""
    streams = []
    for given in arrays:
        array = np.require(given, np.float32, ["C", "W"])  # fpzip takes no read-only array
        stream = fpzip.compress(array, precision=precision, order="C")
        streams += [_LENGTH.pack(len(stream)), stream]
    return b"".join(streams)


def decompress(payload: bytes, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The inverse of `compress`.

    Args:
      payload: Anything.
      shapes: Of the arrays that it must hold.

    Raises:
      CorruptError: If it does not hold them.
    """
    streams, rest = [], memoryview(payload)
    for shape in shapes:
        if len(rest) < _LENGTH.size:
            raise CorruptError(f"the payload ends before the array {shape}")
        length = _LENGTH.unpack(rest[: _LENGTH.size])[0]
        stream, rest = rest[_LENGTH.size :][:length], rest[_LENGTH.size + length :]
        if len(stream) < length:
            raise CorruptError(f"{len(stream)} bytes for the array {shape}, {length} are announced")
        streams.append(bytes(stream))
        if fpzip_head.read_shape(streams[-1]) != (1,) * (4 - len(shape)) + shape:
            raise CorruptError(f"a stream that does not begin as one of the array {shape}")
    if rest.tobytes().strip(b"\0"):
        raise CorruptError(f"{len(rest)} bytes follow the last array")
    if not streams:
        return []
    arrays = isolated.fpzip_decompress(streams, [math.prod(shape) for shape in shapes])
    return [array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
