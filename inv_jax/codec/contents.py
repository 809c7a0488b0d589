"""What a neural video holds: which frames, in which packets, with which color params.

The numbers of a packet that was found by reading head by head are believed only as long as they
agree with those before it; where they do not, checksums decide who is wrong.
"""

import bisect
import dataclasses
from collections.abc import Sequence

from absl import logging

from inv_jax.codec import bitstream
from inv_jax.codec.base import CorruptError
from inv_jax.codec.bitstream import Entry
from inv_jax.codec.frames import least_key_bytes
from inv_jax.codec.header import Header
from inv_jax.codec.source import Source
from inv_jax.types import InvError

_MOST_DAMAGES = 1000  # that are kept, and logged
_MOST_LOST = 1 << 16  # frames in a row


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something that could not be read, and which frames it took."""

    frames: Sequence[int]  # empty if that is not known
    reason: str


class Contents:
    """The packets of a source, by frame; grows with it.

    Attributes:
      groups: Packets by group; each group begins with a key.
      colors: Where each color part begins, by id.
      damages: What could not be read, up to a thousand; each is logged once, too.
    """

    def __init__(self, source: Source, header: Header, name: str):
        """`name` is what messages call the source.

        Raises:
          CorruptError: If its codec is not known.
        """
        self._source, self._name = source, name
        self._least_key_bytes = least_key_bytes(header)
        self.groups: list[list[Entry]] = []
        self.colors: dict[int, int] = {}
        self.damages: list[Damage] = []
        self._noted: set[tuple[Sequence[int], str]] = set()
        self._firsts: list[int] = []  # first frame of each packet, ascending
        self._places: list[tuple[int, int]] = []  # its group, and its place there
        self._next: int | None = None  # frame that is to come
        self._least = 0  # bytes that the packets so far have at least
        self._sound: set[int] = set()  # offsets of parts whose checksums were found right
        self._checked = 0  # bytes of the parts whose checksums were asked for

    def frames(self) -> list[int]:
        """Numbers of all frames, in order."""
        return [frame for entry in self._entries() for frame in range(entry.first, entry.end)]

    def segments(self) -> list[range]:
        """The frames of each set of params, in order."""
        found: list[range] = []
        for entry in self._entries():
            length = entry.count if entry.is_segment else 1
            found += [range(at, at + length) for at in range(entry.first, entry.end, length)]
        return found

    def _entries(self) -> list[Entry]:
        return [entry for group in self.groups for entry in group]

    def find(self, frame: int) -> tuple[int, int]:
        """Group of a frame's packet, and its place there.

        Raises:
          InvError: If there is no such frame.
        """
        at = bisect.bisect_right(self._firsts, frame) - 1
        if at >= 0:
            group, place = self._places[at]
            entry = self.groups[group][place]
            if frame < entry.end:
                return group, place
        there = "none"
        if self.groups:
            there = f"{self._firsts[0]} to {self.groups[-1][-1].end - 1}"
        raise InvError(f"{self._name} has no frame {frame}; its frames: {there}")

    def note(self, frames: Sequence[int], reason: str) -> None:
        """Keeps and logs a damage."""
        if (frames, reason) not in self._noted and len(self.damages) < _MOST_DAMAGES:
            self._noted.add((frames, reason))
            self.damages.append(Damage(frames, reason))
            logging.warning("%s: %s", self._name, reason)

    def add(self, entry: Entry) -> None:
        """Takes the next color or packet; what cannot be right is noted instead."""
        if entry.kind in bitstream.COLORS:
            self._add_color(entry)
            return
        if self._next is not None and entry.first != self._next:
            self._drop_last_if_damaged()
            if not self._is_sound(entry):
                return
        expected, reason = self._next, self._why_not(entry)
        if reason:
            frames = "a frame" if entry.count == 1 else f"{entry.count} frames"
            self.note((), f"a packet of {frames} from frame {entry.first} on {reason}")
            return
        if expected is not None and expected < entry.first:
            lost = range(expected, entry.first)
            which = f"frame {lost[0]}" + (f" to {lost[-1]}" if len(lost) > 1 else "")
            self.note(lost, f"{which} is missing")
        self._next = entry.end
        if not entry.is_key and not self._follows(entry):
            lost = range(entry.first, entry.end) if entry.is_segment else (entry.first,)
            self.note(lost, f"frame {entry.first}: the frame before it is missing")
            return
        if entry.is_key:
            self.groups.append([])
        self.groups[-1].append(entry)
        self._firsts.append(entry.first)
        self._places.append((len(self.groups) - 1, len(self.groups[-1]) - 1))
        self._least += self._least_of(entry)

    def _add_color(self, entry: Entry) -> None:
        """Takes color params; of two with one id the first, unless it is damaged."""
        there = self.colors.setdefault(entry.first, entry.offset)
        if there == entry.offset or self._is_same(there, entry.offset):
            return
        if not self._is_sound(entry):
            return
        if self._is_sound(dataclasses.replace(entry, offset=there)):
            lost = f"color params {entry.first} come twice, and differ; the first ones stay"
            self.note((), lost)
        else:
            self.colors[entry.first] = entry.offset

    def _is_same(self, left: int, right: int) -> bool:
        """Whether the parts at two offsets say that they hold the same."""
        parts = [bitstream.read_head(self._source, offset) for offset in (left, right)]
        return None not in parts and len({(part.size, part.crc) for part in parts if part}) == 1

    def _why_not(self, entry: Entry) -> str:
        """What speaks against a packet; empty if nothing does."""
        if not entry.count:
            return "holds nothing"
        if self._least + self._least_of(entry) > self._source.size():
            return "claims more than the file has bytes for"
        if entry.sets > 1 and not entry.is_key:
            return "is no key"
        if self._next is not None and entry.first < self._next:
            return f"stands behind frame {self._next - 1}"
        if self._next is not None and entry.first > self._next + _MOST_LOST:
            return f"leaves a gap of {entry.first - self._next} frames"
        return ""

    def _least_of(self, entry: Entry) -> int:
        least = entry.sets * self._least_key_bytes if entry.is_key else 1
        return max(least, entry.count)

    def _follows(self, entry: Entry) -> bool:
        if not self.groups:
            return False
        return entry.first == self.groups[-1][-1].end

    def _is_sound(self, entry: Entry) -> bool:
        """Whether the part's checksum is right; notes if not."""
        if entry.offset in self._sound:
            return True
        found = bitstream.read_head(self._source, entry.offset)
        try:
            if found is None:
                raise CorruptError(f"there is no packet at byte {entry.offset}")
            self._checked += found.size
            if self._checked > 2 * self._source.size():  # an index can lead into parts of parts
                raise CorruptError(f"the part at byte {entry.offset} lies in others")
            bitstream.read_payload(self._source, found)
        except CorruptError as error:
            self.note((), str(error))
            return False
        self._sound.add(entry.offset)
        return True

    def _drop_last_if_damaged(self) -> None:
        if not self.groups:
            return
        last = self.groups[-1][-1]
        if self._is_sound(last):
            return
        self.groups[-1].pop()
        self._firsts.pop()
        self._places.pop()
        self._least -= self._least_of(last)
        if not self.groups[-1]:
            self.groups.pop()
        self._next = None
        if self.groups:
            self._next = self.groups[-1][-1].end
