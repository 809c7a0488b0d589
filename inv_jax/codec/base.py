"""What a codec is: the params that frames own to packets of bytes, and back.

A `Layout` says which leaves a frame has, in which order. An encoder takes the frames one after
another and gives packets as soon as they are whole: one per frame, or one per group of frames. A
key packet is decoded on its own; any other one needs those before it, back to the last key. How
packets are wrapped, checked and found again is the container's business (`codec/bitstream.py`).

Where several frames share a set of params, as those of a clip do, they are a segment: a packet
holds one set, and says of which frames. To an encoder a segment is what a frame is otherwise.

What a decoder is given may be made by an enemy. It checks before it allocates, and whatever it
cannot decode is a `CorruptError`.
"""

import abc
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from inv_jax import params as params_lib
from inv_jax.types import InvError, Params

Leaves = Mapping[str, np.ndarray]  # by path: float32; int32 of indices, bool of masks


Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # (path, shape) of leaves, in order


class CorruptError(InvError):
    """Bytes that are not what they should be; the text says which and what follows from it."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The leaves of a set of params that a codec stores, in the order of the stream.

    Attributes:
      shapes: (path, shape) of the float32 leaves.
      indices: The same of int32 leaves, which no codec rounds: `codec/indexed.py` stores them.
      masks: The same of bool leaves, likewise: `codec/masked.py`.
    """

    shapes: Shapes
    indices: Shapes = ()
    masks: Shapes = ()

    @classmethod
    def of(cls, params: Params, *roles: str, indices: Sequence[str] = ()) -> "Layout":
        """The leaves of some roles, in the order of the tree; of no role there are none.

        Args:
          params: The tree.
          *roles: Of float32 leaves.
          indices: Roles of int32 leaves, and of bool ones.
        """

        def shapes(roles: Sequence[str], are_masks: bool = False) -> Shapes:
            leaves = params_lib.flatten(params_lib.select(params, roles)).items()
            of_kind = [(p, leaf) for p, leaf in leaves if (leaf.dtype == np.bool_) == are_masks]
            return tuple((path, tuple(leaf.shape)) for path, leaf in of_kind)

        return cls(shapes(roles), shapes(indices), shapes(indices, are_masks=True))

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.shapes)

    @property
    def size(self) -> int:
        """How many params there are in a set, indices and masks left out."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    @property
    def num_indices(self) -> int:
        """How many indices there are in a set."""
        return sum(math.prod(shape) for _, shape in self.indices)

    @property
    def num_masked(self) -> int:
        """How many bits the masks of a set have."""
        return sum(math.prod(shape) for _, shape in self.masks)

    def pick(self, params: Params) -> dict[str, np.ndarray]:
        """This layout's leaves of a params tree, as float32; indices as int32, masks as bool.

        Raises:
          InvError: If one is missing, or has another shape, or an index is no whole number, or a
            mask is none.
        """
        leaves = params_lib.flatten(params)
        for path, shape in (*self.shapes, *self.indices, *self.masks):
            if path not in leaves or np.shape(leaves[path]) != shape:
                found = np.shape(leaves[path]) if path in leaves else "none"
                raise InvError(f"parameter {path}: want shape {shape}, found {found}")
        picked = {path: np.asarray(leaves[path], np.float32) for path in self.paths}
        for rows, kind in ((self.indices, np.dtype(np.int32)), (self.masks, np.dtype(np.bool_))):
            for path, _ in rows:
                leaf = np.asarray(leaves[path])
                if leaf.dtype != kind:
                    raise InvError(f"parameter {path}: want {kind}, found {leaf.dtype}")
                picked[path] = leaf
        return picked

    def ravel(self, leaves: Leaves) -> np.ndarray:
        """All leaves behind each other, (size,) float32."""
        return np.concatenate([np.asarray(leaves[path], np.float32).ravel() for path in self.paths])

    def unravel(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """The inverse of `ravel`; the leaves are views of `flat`."""
        ends = np.cumsum([math.prod(shape) for _, shape in self.shapes])
        parts = np.split(flat, ends[:-1])
        return {
            path: part.reshape(shape)
            for (path, shape), part in zip(self.shapes, parts, strict=True)
        }


@dataclasses.dataclass(frozen=True)
class Packet:
    """Some consecutive frames, encoded."""

    first: int  # number of the first frame
    count: int  # how many frames
    is_key: bool  # whether it is decoded without the packets before it
    payload: bytes
    is_segment: bool = False  # whether the frames share one set of params
    indices: Leaves | None = None  # of the first set: those a codec is told (`codec/indexed.py`)

    @property
    def sets(self) -> int:
        """How many sets of params it holds."""
        return 1 if self.is_segment else self.count

    @property
    def end(self) -> int:
        """The frame behind the last one."""
        return self.first + self.count


class Gauge(Protocol):
    """Says how much a picture suffers from a change of params; encoders may ask it."""

    def show(self, params: Params) -> None:
        """Takes the leaves that the codec does not store, the shared ones, from these params."""
        ...

    def mse(self, true: Leaves, changed: Leaves) -> float:
        """Mean squared error between the pictures that two sets of leaves make.

        Deterministic: the same pixels each time, no noise.
        """
        ...


class Encoder(abc.ABC):
    """Encodes the frames of one video, in order."""

    @abc.abstractmethod
    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        """Takes the next frame; returns the packets that it makes whole, if any.

        Args:
          frame: Its number, one more than the last one's; of a segment its place among them.
          leaves: Of the codec's layout.

        Raises:
          InvError: If a number is not finite, or the codec cannot represent the frame.
        """

    def finish(self) -> list[Packet]:
        """The packets that are left when no frame follows."""
        return []

    def resume(self, packets: Sequence[Packet]) -> None:
        """Goes on as if this encoder had made these packets.

        Args:
          packets: The last key packet and those behind it.
        """
        del packets

    def decoded(self) -> Leaves:
        """What a receiver has of the frame pushed last.

        Raises:
          InvError: If the codec gives it only with later frames.
        """
        raise InvError("this codec encodes frames in groups; training cannot go on from them")


class Decoder(abc.ABC):
    """Decodes packets in order, beginning with any key packet.

    Attributes:
      is_finite: Whether all that it decodes is finite, whatever the bytes.
    """

    is_finite: bool = False

    @abc.abstractmethod
    def decode(self, packet: Packet) -> dict[int, dict[str, np.ndarray]]:
        """The leaves of the packet's frames, by number; of a segment those of its first frame.

        Raises:
          CorruptError: If the bytes are not a packet of this codec, or the packet before it is
            missing.
        """

    def codes(self, packet: Packet) -> np.ndarray | None:
        """Whole numbers that stand for the params that are not zero; None: codes are no such.

        Raises:
          CorruptError: As `decode`.
        """
        del packet
        return None


class Codec(abc.ABC):
    """A way to store frames, with its settings; immutable.

    Attributes:
      name: What commands and files call it.
      uses_gauge: Whether its encoder asks a gauge, if it gets one.
      params_per_byte: How many params of a key packet there are to a byte, at most.
    """

    name: ClassVar[str]
    uses_gauge: ClassVar[bool] = False
    params_per_byte: ClassVar[int] = 8

    @abc.abstractmethod
    def encoder(self, layout: Layout, gauge: Gauge | None = None) -> Encoder:
        """A fresh encoder. Without a gauge, the codec uses what it can know by itself."""

    @abc.abstractmethod
    def decoder(self, layout: Layout) -> Decoder:
        """A fresh decoder; it needs none of the encoder's settings but the layout."""

    @property
    def is_lag_free(self) -> bool:
        """Whether each frame is a packet as soon as it is pushed."""
        return True

    def check_segments(self, segment_frames: int) -> None:
        """Refuses segments that it cannot store.

        Args:
          segment_frames: Frames of the longest one.

        Raises:
          InvError: If there are several, and packets are groups of sets.
        """
        if segment_frames > 1 and not self.is_lag_free:
            raise InvError(
                f"codec {self.name} stores sets of params in groups, but a segment of "
                f"{segment_frames} frames is a packet of its own; set codec.group=1"
            )

    def settings(self) -> dict[str, Any]:
        """The settings, for people who look into a file; JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[call-overload]
