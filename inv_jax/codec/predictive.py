"""What codecs have in common that predict a frame from the one before: settings, and keys.

Each frame is a packet as soon as it is pushed. A key frame stands alone; any other one is what a
receiver has of the frame before and what it lacks, so errors do not add up.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from inv_jax.codec import rate
from inv_jax.codec.base import Codec, Decoder, Encoder, Gauge, Layout, Leaves, Packet
from inv_jax.types import InvError


@dataclasses.dataclass(frozen=True)
class PredictiveCodec(Codec):
    """Frame by frame, predicted from the one before.

    Attributes:
      fidelity: PSNR in dB of the decoded picture against the one of the params that were encoded:
        every frame has the coarsest choices that reach it, to a quarter of a dB. Without a gauge,
        signal to noise of the params themselves.
      key_every: Frames from one key frame to the next.
      key_frames: Numbers of frames that are key frames too.

    Raises:
      InvError: On construction, if one of them is out of range.
    """

    fidelity: float = 40.0
    key_every: int = 24
    key_frames: tuple[int, ...] = ()
    uses_gauge = True

    def __post_init__(self):
        if not 5.0 <= self.fidelity <= 120.0:
            raise InvError(f"codec.fidelity={self.fidelity} dB; want 5 to 120, 40 as a rule")
        if self.key_every < 1:
            raise InvError(f"codec.key_every={self.key_every}; want frames, 1 or more")


class PredictiveDecoder(Decoder):
    """A decoder of such a codec.

    Attributes:
      state: What is known after the last packet, with its `frame`; None before the first, and
        after a bad one.
    """

    state: Any


class PredictiveEncoder(Encoder):
    """Decides which frames are keys; how they are coded is its subclasses' business."""

    def __init__(self, codec: PredictiveCodec, layout: Layout, gauge: Gauge | None):
        """Begins with a key frame."""
        self._codec, self._layout = codec, layout
        self._gauge: Gauge = gauge if gauge is not None else rate.RelativeGauge()
        self._target = 10.0 ** (-codec.fidelity / 10.0)
        self._state: Any = None
        self._key_frame = 0

    @abc.abstractmethod
    def _push_key(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes:
        """Encodes a key frame (size,) float32; returns the payload, sets the state."""

    @abc.abstractmethod
    def _push_predicted(self, frame: int, true: np.ndarray, indices: Leaves) -> bytes | None:
        """The same of another frame; None, and nothing done, if it had better be a key."""

    def push(self, frame: int, leaves: Leaves) -> list[Packet]:
        """See `Encoder.push`; always one packet."""
        true = self._layout.ravel(leaves)
        if not np.isfinite(true).all():
            raise InvError(f"frame {frame} holds numbers that are not finite; train it again")
        if self._state is not None and frame != self._state.frame + 1:
            raise InvError(f"frame {frame} follows frame {self._state.frame}; want the next one")
        is_key = (
            self._state is None
            or frame - self._key_frame >= self._codec.key_every
            or frame in self._codec.key_frames
        )
        indices = {path: leaves[path] for path, _ in self._layout.indices}
        payload = None if is_key else self._push_predicted(frame, true, indices)
        if payload is not None:
            return [Packet(frame, 1, False, payload)]
        payload, self._key_frame = self._push_key(frame, true, indices), frame
        return [Packet(frame, 1, True, payload)]

    def decoded(self) -> Leaves:
        """See `Encoder.decoded`."""
        if self._state is None:
            raise InvError("no frame has been encoded yet")
        return self._layout.unravel(self._decoded().copy())

    @abc.abstractmethod
    def _decoded(self) -> np.ndarray:
        """(size,) float32, what a receiver has of the frame pushed last."""

    def resume(self, packets: Sequence[Packet]) -> None:
        """Goes on behind packets that an encoder of the same settings made.

        Args:
          packets: From a key packet to the last one.

        Raises:
          CorruptError: If they cannot be decoded.
        """
        decoder = self._codec.decoder(self._layout)
        assert isinstance(decoder, PredictiveDecoder)
        for packet in packets:
            decoder.decode(packet)
            self._state = decoder.state
            if packet.is_key:
                self._key_frame = packet.first
