"""One level of a published video: its files to frames."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from inv_jax.codec import bitstream, colors
from inv_jax.codec import header as header_lib
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.colors import ColorPart
from inv_jax.codec.frames import FrameDecoder, assemble
from inv_jax.codec.header import Header
from inv_jax.codec.source import BytesSource
from inv_jax.stream import levels as levels_lib
from inv_jax.stream import place as place_lib
from inv_jax.stream.manifest import FileRef, Level, Manifest, Segment, SegmentFile
from inv_jax.stream.place import Place
from inv_jax.types import InvError, Params

_COLORS_KEPT = 2  # decoded color parts, in memory: the newest and its base
_MOST_META = 1 << 22  # bytes
_SLACK = 2  # a codec makes params no larger than so many times their float32
_PART_SLACK = 1 << 16  # bytes beside, for each frame


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A segment's packets, and the color params that each one has."""

    packets: list[tuple[Packet, dict[str, np.ndarray]]]


def read_header(place: Place, manifest: Manifest, level: int, first: Header | None) -> Header:
    """What a level says of itself.

    Args:
      place: Where it is.
      manifest: Of the video.
      level: Its place there.
      first: What another level says, which it has to fit.

    Raises:
      CorruptError: If it is no description, or contradicts the manifest or the other level.
      FetchError: If it cannot be fetched.
    """
    described = manifest.levels[level]
    if described.meta.num_bytes > _MOST_META:
        raise CorruptError(f"level {described.name}: {described.meta.num_bytes} bytes of META")
    parts = _parts(place_lib.read_file(place, described.meta), bitstream.META)
    if len(parts) != 1:
        raise CorruptError(f"level {described.name} has {len(parts)} descriptions")
    header = header_lib.load(parts[0][1])
    if header.frame_rate != manifest.frame_rate:
        raise CorruptError(
            f"level {described.name}: {header.frame_rate} frames per second, the manifest says "
            f"{manifest.frame_rate}"
        )
    if first is not None:
        try:
            levels_lib.check_same_run([first, header], ["the first level", described.name])
        except InvError as error:
            raise CorruptError(str(error)) from error
    return header


class Colors:
    """Decoded color params, shared by the levels; the newest few are kept."""

    def __init__(self, place: Place, layout: Layout):
        """Fetches nothing yet; `layout` is that of the color params."""
        self._place, self._layout = place, layout
        self._kept: collections.OrderedDict[str, ColorPart] = collections.OrderedDict()

    def get(self, color: int, refs: Mapping[int, FileRef]) -> dict[str, np.ndarray]:
        """The color params with an id, by path.

        Args:
          color: The id.
          refs: Where the color parts of a segment are, by id.

        Raises:
          CorruptError: If the file does not hold them.
          FetchError: If it cannot be fetched.
        """
        part = self._part(color, refs[color])
        if part.base is None:
            return colors.join(part, None)
        if part.base not in refs:
            raise CorruptError(f"color params {color} go back to {part.base}, which are not named")
        return colors.join(part, self._part(part.base, refs[part.base]))

    def _part(self, color: int, ref: FileRef) -> ColorPart:
        if ref.sha256 not in self._kept:
            self._kept[ref.sha256] = self._read(color, ref)
            while len(self._kept) > _COLORS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(ref.sha256)
        return self._kept[ref.sha256]

    def _read(self, color: int, ref: FileRef) -> ColorPart:
        if ref.num_bytes > 4 * _SLACK * self._layout.size + _PART_SLACK:
            raise CorruptError(f"{ref.num_bytes} bytes for {self._layout.size} color params")
        (kind, payload), *more = _parts(place_lib.read_file(self._place, ref), *bitstream.COLORS)
        if more or bitstream.parse_color(kind, payload)[0] != color:
            raise CorruptError(f"color params {color} are not in their file")
        return colors.parse(self._layout, kind, payload)


class LevelReader:
    """Fetches and decodes segments of one level, in order from any key."""

    def __init__(self, place: Place, header: Header, colors: Colors):
        """Fetches nothing yet.

        Raises:
          CorruptError: If the level's codec is not known.
        """
        self._place, self._header, self._colors = place, header, colors
        self._decoder = FrameDecoder(header)
        self.next_frame: int | None = None  # which it can go on with, without a key

    def fetch(self, segment: Segment, file: SegmentFile, level: Level) -> Fetched:
        """A segment's packets, checked against what the manifest says.

        Raises:
          CorruptError: If they are not those of the segment.
          FetchError: If they cannot be fetched.
        """
        self.next_frame = None
        most = segment.frames * (4 * _SLACK * self._header.layout.size + _PART_SLACK)
        if file.ref.num_bytes > most:
            raise CorruptError(
                f"{file.ref.num_bytes} bytes for {segment.frames} frames of "
                f"{self._header.layout.size} params"
            )
        refs = {id: level.colors[id] for id in sorted(set(file.colors))}
        found = {id: self._colors.get(id, refs) for id in refs}
        packets, at = [], segment.first
        for _, payload in _parts(place_lib.read_file(self._place, file.ref), bitstream.FRAME):
            packet, color = bitstream.parse_packet(payload)
            if packet.first != at or color not in found:
                raise CorruptError(f"frame {at} is not where the manifest says")
            packets.append((packet, found[color]))
            at = packet.end
        if at != segment.end or packets[0][0].is_key < segment.is_key:
            raise CorruptError(f"the segment of frame {segment.first} is another one")
        return Fetched(packets)

    def decode(self, fetched: Fetched) -> Iterator[tuple[range, Params]]:
        """The frames of a segment, those that have one set of params together.

        Raises:
          CorruptError: If a packet cannot be decoded.
        """
        for packet, color in fetched.packets:
            for frame, own in sorted(self._decoder.decode(packet).items()):
                end = packet.end if packet.is_segment else frame + 1
                yield range(frame, end), assemble(own, color)
        self.next_frame = fetched.packets[-1][0].end


def _parts(data: bytes, *kinds: bytes) -> list[tuple[bytes, bytes]]:
    """Kinds and payloads of a file that holds parts of some kinds, and nothing else.

    Raises:
      CorruptError: If it holds anything else.
    """
    source, made, end = BytesSource(data), [], 0
    wanted = " or ".join(kind.decode() for kind in kinds)
    for found in bitstream.parts(source, 0):
        if isinstance(found, range) or found.kind not in kinds:
            raise CorruptError(f"bytes that are no {wanted} part")
        made.append((found.kind, bitstream.read_payload(source, found)))
        end = found.end
    if end != len(data) or not made:
        raise CorruptError(f"{len(data) - end} bytes that are no {wanted} part")
    return made
