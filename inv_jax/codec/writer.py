"""Writes a neural video, frame by frame or clip by clip, each packet behind the last."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import IO

import numpy as np

from inv_jax import params as params_lib
from inv_jax.codec import bitstream, frames, index, masked
from inv_jax.codec.base import Codec, CorruptError, Gauge, Packet
from inv_jax.codec.bitstream import Entry
from inv_jax.codec.colors import ColorEncoder, ColorPart
from inv_jax.codec.header import Header
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.data import rig as rig_lib
from inv_jax.data.segments import name_of
from inv_jax.types import InvError, Params


class VideoWriter:
    """Encodes frames into a file; each packet is on disk when `push` returns."""

    def __init__(
        self,
        path: pathlib.Path,
        header: Header,
        codec: Codec,
        gauge: Gauge | None = None,
        *,
        color_precision: int = 32,
        color_codec: QuantCodec | None = None,
        mask_key_every: int = 1,
        go_on_before: int | None = None,
    ):
        """Begins a file, or goes on with one.

        Args:
          path: Of the file; its folder is made.
          header: What it says about itself.
          codec: As in the header.
          gauge: For the codec's choices.
          color_precision: Bits of a color param, 2 to 32; 32 loses nothing.
          color_codec: Quantises color params in place of that.
          mask_key_every: Of a layout with masks: sets from one whose masks stand alone to the next.
          go_on_before: None replaces whatever is there. Otherwise the file's packets whose frames
            all lie before this one stay, what is behind them is cut off, and encoding goes on as
            if it had never stopped, with `next_frame`. Of a codec that collects frames the last
            packet does not stay: it may have been cut short.

        Raises:
          InvError: If the file cannot be written, or goes on from other settings.
        """
        if not 2 <= color_precision <= 32:
            raise InvError(f"codec.color_precision={color_precision}: fpzip takes 2 to 32 bits")
        codec.check_segments(header.segment_frames)
        self._path, self._header = path, header
        self._has_segments = header.segment_frames > 1
        self._num_segments = 0
        self._gauge = gauge
        self._encoder = masked.encoder(codec, header.layout, gauge, mask_key_every)
        self._entries: list[Entry] = []
        self._colors = ColorEncoder(header.color_layout, color_precision, color_codec)
        self._next: int | None = None
        self._end = self._packet_bytes = 0
        self._file: IO[bytes] | None = None
        self._is_whole = False  # the file on disk is closed and lacks nothing
        begin = bitstream.signature(_version(header, color_codec is not None))
        begin += bitstream.part(bitstream.META, header.dump())
        if go_on_before is not None and path.is_file() and not _is_begun(path, begin):
            self._go_on(go_on_before, codec)
            return
        with self._as_error():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        self._append(begin)
        self._flush()

    @property
    def next_frame(self) -> int | None:
        """The frame that must come next; None at the beginning."""
        return self._next

    @property
    def packet_bytes(self) -> int:
        """Bytes of the packets that this writer wrote, with their heads."""
        return self._packet_bytes

    @property
    def num_bytes(self) -> int:
        """Bytes of the file so far."""
        return self._end

    def push(self, segment: range | int, params: Params, color: int) -> int:
        """Takes the next segment.

        Args:
          segment: Numbers of its frames, or of the only one.
          params: All of them.
          color: Number of the frame in which its color params trained last.

        Returns:
          Bytes that the file grew by; 0 if the codec waits for more frames.

        Raises:
          InvError: If it is not the next one, is longer than the header says, or holds what cannot
            be encoded.
        """
        segment = range(segment, segment + 1) if isinstance(segment, int) else segment
        frame = segment[0]
        if self._next is not None and frame != self._next:
            raise InvError(
                f"{self._path}: frame {self._next} comes next, not {frame}; a video has no gaps"
            )
        if len(segment) > self._header.segment_frames:
            raise InvError(
                f"{self._path}: {name_of(segment)} are {len(segment)}; its segments have "
                f"{self._header.segment_frames} at most"
            )
        before = self._end
        for path, leaf in params_lib.flatten(params).items():
            if not np.isfinite(leaf).all():
                raise InvError(f"parameter {path} of frame {frame} is not finite; train it again")
        own = self._header.layout.pick(params)
        layout, newest = self._header.layout, self._colors.newest
        is_shown = not (layout.indices or layout.masks)
        if newest is None or (newest.color != color and self._header.color_layout.shapes):
            if newest is not None:
                self._write(self._encoder.finish())
            newest, is_shown = self._write_color(color, params), False
        if self._gauge is not None and not is_shown:  # colors, and indices, which no codec changes
            self._gauge.show(frames.assemble(own, newest.leaves))
        self._next = segment.stop
        if self._has_segments:  # to the encoder it is a frame
            packets = self._encoder.push(self._num_segments, own)
            self._num_segments += 1
            self._write([_of_segment(packet, segment) for packet in packets])
        else:
            self._write(self._encoder.push(frame, own))
        self._flush()
        return self._end - before

    def decoded(self) -> Params:
        """What a receiver has of the frame pushed last.

        Raises:
          InvError: If the codec gives it only with later frames.
        """
        assert self._colors.newest is not None, "push a frame before"
        return frames.assemble(self._encoder.decoded(), self._colors.newest.leaves)

    def abandon(self) -> None:
        """Closes the file as it is; a later writer goes on with it."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk has been reported
                self._file.close()

    def close(self) -> None:
        """Writes what is left, and the index."""
        is_untouched = self._file is None and self._is_whole
        if is_untouched or (self._file is not None and self._file.closed):
            return
        try:
            self._write(self._encoder.finish())
            self._append(index.closing(self._entries, self._end))
            self._flush()
        finally:
            self.abandon()

    def _write_color(self, color: int, params: Params) -> ColorPart:
        newest, part = self._colors.push(color, params)
        if part:
            kind = part[: len(bitstream.COLOR)]
            self._entries.append(Entry(self._end, kind, color, 0, 0, False))
            self._append(part)
        return newest

    def _write(self, packets: list[Packet]) -> None:
        newest = self._colors.newest
        for packet in packets:
            assert newest is not None, "packets come behind a color"
            least = frames.least_key_bytes(self._header, packet.sets) if packet.is_key else 0
            padded = dataclasses.replace(packet, payload=frames.pad(packet.payload, least))
            self._entries.append(Entry.of(self._end, padded, newest.color))
            part = bitstream.packet_part(padded, newest.color)
            self._packet_bytes += len(part)
            self._append(part)

    def _append(self, data: bytes) -> None:
        with self._as_error():
            if self._file is None:  # going on: nothing was changed up to here
                os.truncate(self._path, self._end)
                self._file = self._path.open("ab")
            self._file.write(data)
        self._end += len(data)

    def _flush(self) -> None:
        if self._file is not None:
            with self._as_error():
                self._file.flush()
                os.fsync(self._file.fileno())

    @contextlib.contextmanager
    def _as_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InvError(
                f"{self._path} cannot be written ({error.strerror}); what was whole before stays: "
                "free some space, or see to its folder, and run the same command again"
            ) from error

    def _go_on(self, before: int, codec: Codec) -> None:
        """Finds what stays of the file; it is cut when something is written behind that."""
        with NeuralVideo.open(self._path) as video:
            self._take(video, before, codec)

    def _take(self, video: NeuralVideo, before: int, codec: Codec) -> None:
        _check_same(self._path, video.header, self._header)
        self._colors.only_whole = video.version == 1  # which knows no others
        try:
            kept = self._kept(video, before, codec)
        except CorruptError as error:
            raise InvError(
                f"{self._path}: {error}; move it away, and encode the run again when it is trained"
            ) from error
        packets: list[Packet] = []
        for entry in kept:
            self._entries.append(entry)
            if entry.kind == bitstream.FRAME:
                packets = [*([] if entry.is_key else packets), video.packet(entry)]
        if packets:
            last = self._entries[-1]
            self._next = last.end
            if self._has_segments:
                self._num_segments = sum(entry.kind == bitstream.FRAME for entry in kept)
                begin = self._num_segments - len(packets)
                packets = [_as_frame(packet, begin + i) for i, packet in enumerate(packets)]
            self._encoder.resume(packets)
            self._go_on_with_color(video, last.color)
            if self._gauge is not None:
                self._gauge.show(self.decoded())
        newest = video.frames()[-1:]
        is_all = bool(newest) and self._next == newest[0] + 1
        self._is_whole = video.is_closed and codec.is_lag_free and is_all

    def _go_on_with_color(self, video: NeuralVideo, color: int) -> None:
        ids = [entry.first for entry in self._entries if entry.kind in bitstream.COLORS]
        wholes = [entry.first for entry in self._entries if entry.kind in bitstream.WHOLE_COLORS]
        if not wholes:
            raise CorruptError(f"{self._path}: there are no whole color params")
        newest, base = (ColorPart(id, None, video.color(id)) for id in (color, wholes[-1]))
        self._colors.resume(set(ids), newest, base)

    def _kept(self, video: NeuralVideo, before: int, codec: Codec) -> list[Entry]:
        """Colors and packets that stay, each checked whole; sets where they end."""
        entries: list[Entry] = []
        ends: list[tuple[int, int]] = []  # entries, and bytes, up to META and each packet
        for found in bitstream.parts(video.source, bitstream.SIGNATURE_BYTES):
            if isinstance(found, range):
                raise CorruptError(f"bytes {found.start} to {found.stop - 1} are damaged")
            payload = bitstream.read_payload(video.source, found)
            if found.kind == bitstream.META:
                ends.append((0, found.end))
            elif found.kind in bitstream.COLORS:
                entries.append(bitstream.read_entry(video.source, found))
            elif found.kind == bitstream.FRAME:
                packet, color = bitstream.parse_packet(payload)
                if packet.end > before:
                    break
                entries.append(Entry.of(found.offset, packet, color))
                ends.append((len(entries), found.end))
        if not codec.is_lag_free:
            ends = ends[: max(1, len(ends) - 1)]
        count, self._end = ends[-1]
        return entries[:count]


def _version(header: Header, quantises_colors: bool) -> int:
    """The oldest version that can say what a file holds."""
    layout = header.layout
    if layout.masks or quantises_colors or not all(shape for _, shape in layout.indices):
        return bitstream.VERSION
    if layout.indices:
        return bitstream.INDICES_VERSION
    is_clip = header.segment_frames > 1
    return bitstream.SEGMENTS_VERSION if is_clip else bitstream.FRAMES_VERSION


def _of_segment(packet: Packet, segment: range) -> Packet:
    """What an encoder made, as a packet of a segment's frames."""
    return dataclasses.replace(packet, first=segment[0], count=len(segment), is_segment=True)


def _as_frame(packet: Packet, number: int) -> Packet:
    """A segment's packet as its encoder made it."""
    return dataclasses.replace(packet, first=number, count=1, is_segment=False)


def _is_begun(path: pathlib.Path, begin: bytes) -> bool:
    """Whether a file is nothing but a part of the first bytes: its writer was killed there."""
    with path.open("rb") as file:
        found = file.read(len(begin))
    return len(found) < len(begin) and begin.startswith(found)


def _check_same(path: pathlib.Path, old: Header, new: Header) -> None:
    for what in ("codec", "settings", "layout", "color_layout", "segment_frames"):
        there, here = getattr(old, what), getattr(new, what)
        if there != here:
            raise InvError(
                f"{path} was begun with another {what} ({str(there)[:80]} there, {str(here)[:80]} "
                "here); move it away, or use the same settings"
            )
    if not rig_lib.may_be_same(old.rig.fingerprint, new.rig.fingerprint):
        raise InvError(f"{path} is of another capture; move it away")
