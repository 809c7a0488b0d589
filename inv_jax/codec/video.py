"""A neural video in a file: any frame of it, also while it is being written."""

import collections
import contextlib
import pathlib
from collections.abc import Iterator

import numpy as np

from inv_jax.codec import bitstream, colors, header, index
from inv_jax.codec.base import CorruptError, Packet
from inv_jax.codec.bitstream import Entry
from inv_jax.codec.colors import ColorPart
from inv_jax.codec.contents import Contents, Damage
from inv_jax.codec.frames import FrameDecoder, assemble
from inv_jax.codec.header import Header
from inv_jax.codec.source import FileSource, Source
from inv_jax.types import InvError, Params

SUFFIX = ".inv"
_COLORS_KEPT = 2  # decoded color parts, in memory: the newest and its base


class NeuralVideo:
    """Reads a video; a `FrameSource` (`player/player.py`).

    Attributes:
      version: The format's major version that the file has.
      header: What the file says of itself.
      restarts: How often it was read anew, since its writer had cut what was seen of it.
    """

    def __init__(self, source: Source, name: str):
        """Reads the header and finds the packets, by the index if there is one.

        Args:
          source: The bytes.
          name: What errors call it.

        Raises:
          CorruptError: If it is no neural video, or its header is damaged.
        """
        self._source, self._name = source, name
        self._seen = 0  # bytes there were when packets were looked for last
        self.restarts = 0
        with self._named():
            self.version = bitstream.check_signature(source)
            first = bitstream.read_head(source, bitstream.SIGNATURE_BYTES)
            if first is None or first.kind != bitstream.META:
                raise CorruptError("its description is missing; was the file cut?")
            if first.size > header.MOST_BYTES:
                raise CorruptError(f"its description has {first.size} bytes")
            self.header: Header = header.load(bitstream.read_payload(source, first))
            self._meta = first
            self._begin()
        try:
            found = index.read(source)
        except CorruptError as error:
            self._contents.note((), f"{error}; the file is read from its beginning")
            found = None
        if found is not None:
            for entry in found[0]:
                self._contents.add(entry)
            self._end = found[1]
            self._last = bitstream.read_head(source, self._end)
        self.refresh()

    def _begin(self) -> None:
        """Knows nothing yet but the header."""
        self._contents = Contents(self._source, self.header, self._name)
        self._last: bitstream.Part | None = self._meta  # the part seen last
        self._end, self._is_closed = self._meta.end, False
        self._decoder = FrameDecoder(self.header)
        # A packet by group and place, and what came of it by the first frame of each set.
        self._decoded: tuple[tuple[int, int], dict[int, dict[str, np.ndarray]]] | None = None
        # A packet that cannot be decoded, as offsets of its group and itself, and why: nor can
        # those behind it in its group.
        self._failed: tuple[int, int, str] | None = None
        self._colors: collections.OrderedDict[int, ColorPart] = collections.OrderedDict()

    @classmethod
    def open(cls, path: pathlib.Path) -> "NeuralVideo":
        """Opens a file.

        Raises:
          InvError: If it does not exist, cannot be read, or is no neural video.
        """
        if not path.is_file():
            raise InvError(f"{path} does not exist; expected an .inv file")
        try:
            source = FileSource(path)
        except OSError as error:
            raise InvError(f"{path} cannot be read ({error.strerror})") from error
        try:
            return cls(source, str(path))
        except BaseException:
            source.close()
            raise

    def close(self) -> None:
        """Closes the file; nothing is read afterwards."""
        self._source.close()

    def __enter__(self) -> "NeuralVideo":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Finds what was appended since, also where a writer cut the file before it went on.

        Raises:
          CorruptError: If another video was written in its place.
        """
        size = self._source.size()
        if not self._is_there(self._last):
            with self._named():
                if not self._is_there(self._meta):
                    raise CorruptError("another video was written in its place; open it again")
            self.restarts += 1
            self._begin()
        elif size == self._seen:
            return
        for found in bitstream.parts(self._source, self._end):
            if isinstance(found, range):
                lost = f"bytes {found.start} to {found.stop - 1} are no part of a video"
                self._contents.note((), lost)
                self._end = found.stop
                continue
            self._end, self._last = found.end, found
            self._is_closed = found.kind == bitstream.TAIL
            if found.kind in (*bitstream.COLORS, bitstream.FRAME):
                try:
                    self._contents.add(bitstream.read_entry(self._source, found))
                except CorruptError as error:
                    self._contents.note((), str(error))
        self._seen = size

    def _is_there(self, part: bitstream.Part | None) -> bool:
        """Whether a part is still where it was found."""
        return part is not None and bitstream.read_head(self._source, part.offset) == part

    def frames(self) -> list[int]:
        """Numbers of the frames there are, in order."""
        return self._contents.frames()

    def segments(self) -> list[range]:
        """The frames of each set of params, in order."""
        return self._contents.segments()

    def segment(self, frame: int) -> range:
        """The frames that have a frame's params: itself alone, or those of its clip.

        Raises:
          InvError: If there is no such frame.
        """
        group, place = self._contents.find(frame)
        entry = self.groups[group][place]
        return range(entry.first, entry.end) if entry.is_segment else range(frame, frame + 1)

    @property
    def groups(self) -> list[list[Entry]]:
        """Packets by group; each group begins with a key."""
        return self._contents.groups

    @property
    def colors(self) -> dict[int, int]:
        """Where each color part begins, by id."""
        return self._contents.colors

    @property
    def damages(self) -> list[Damage]:
        """What could not be read so far, up to a thousand; each is logged once, too."""
        return self._contents.damages

    @property
    def is_closed(self) -> bool:
        """Whether the file has its index: nothing is being appended."""
        return self._is_closed

    def color_id(self, frame: int) -> int:
        """The id of a frame's color params."""
        group, place = self._contents.find(frame)
        return self.groups[group][place].color

    @property
    def source(self) -> Source:
        return self._source

    @property
    def end(self) -> int:
        """Bytes up to the end of the last whole part."""
        return self._end

    def params(self, frame: int) -> Params:
        """All params of a frame, as a nested dict of numpy arrays.

        Reads the frame's group from its key on, or from the frame asked for last; nothing if that
        one has the same params.

        Raises:
          InvError: If there is no such frame.
          CorruptError: If a packet on the way to it, or its color, is damaged.
        """
        group, place = self._contents.find(frame)
        entry = self.groups[group][place]
        if self._failed is not None:
            key, failed, reason = self._failed
            if key == self.groups[group][0].offset and failed <= entry.offset:
                raise CorruptError(reason)
        first = self.segment(frame)[0]
        if self._decoded is None or first not in self._decoded[1]:
            begin = 0
            if self._decoded is not None:
                last_group, last_place = self._decoded[0]
                if last_group == group and last_place < place:
                    begin = last_place + 1
            for at in range(begin, place + 1):
                self._decode(group, at)
        assert self._decoded is not None
        return assemble(self._decoded[1][first], self.color(entry.color))

    def packet(self, entry: Entry) -> Packet:
        """An entry's packet, its checksum checked.

        Raises:
          CorruptError: If it is damaged.
        """
        found = bitstream.read_head(self._source, entry.offset)
        if found is None or found.kind != bitstream.FRAME:
            raise CorruptError(f"frame {entry.first}: there is no packet at byte {entry.offset}")
        packet, color = bitstream.parse_packet(bitstream.read_payload(self._source, found))
        there = Entry.of(entry.offset, packet, color)
        if there.color != entry.color:
            raise CorruptError(f"frame {entry.first}: its packet has color {color}")
        if there != entry:
            raise CorruptError(f"frame {entry.first}: its packet says it is {packet.first}")
        return packet

    def _decode(self, group: int, place: int) -> None:
        """Decodes a packet behind those before it.

        One that cannot be read may be asked for again, and goes on from the same ones; one that
        cannot be decoded is not tried again.
        """
        entry = self.groups[group][place]
        try:
            packet = self.packet(entry)
        except CorruptError as error:
            raise self._damage(entry, error) from error
        self._decoded = None
        try:
            self._decoded = (group, place), self._decoder.decode(packet)
        except CorruptError as error:
            damage = self._damage(entry, error)
            self._failed = self.groups[group][0].offset, entry.offset, str(damage)
            raise damage from error

    def _damage(self, entry: Entry, error: CorruptError) -> CorruptError:
        self._contents.note(range(entry.first, entry.end), str(error))
        return CorruptError(f"{self._name}: {error}")

    def color(self, color: int) -> dict[str, np.ndarray]:
        """The color params of an id, by path.

        Raises:
          CorruptError: If they, or those that they go back to, are missing or damaged.
        """
        with self._named():
            part = self._color_part(color)
            return colors.join(part, None if part.base is None else self._color_part(part.base))

    def color_codes(self, color: int) -> np.ndarray | None:
        """Whole numbers of the color params that are not zero, if they are quantised; else None.

        Raises:
          CorruptError: As `color`.
        """
        with self._named():
            return colors.codes(self.header.color_layout, *self._color_payload(color))

    def _color_part(self, color: int) -> ColorPart:
        """A decoded color part; the newest ones asked for are kept."""
        if color not in self._colors:
            self._colors[color] = self._read_color(color)
            if len(self._colors) > _COLORS_KEPT:
                self._colors.popitem(last=False)
        self._colors.move_to_end(color)
        return self._colors[color]

    def _color_payload(self, color: int) -> tuple[bytes, bytes]:
        """Kind and payload of a color part."""
        if color not in self.colors:
            raise CorruptError(f"color params {color} are missing")
        found = bitstream.read_head(self._source, self.colors[color])
        if found is None or found.kind not in bitstream.COLORS:
            raise CorruptError(f"color params {color} are not where the index says")
        return found.kind, bitstream.read_payload(self._source, found)

    def _read_color(self, color: int) -> ColorPart:
        part = colors.parse(self.header.color_layout, *self._color_payload(color))
        if part.color != color:
            raise CorruptError(f"color params {color} say they are {part.color}")
        return part

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Puts the file's name in front of errors."""
        try:
            yield
        except CorruptError as error:
            raise CorruptError(f"{self._name}: {error}") from error
