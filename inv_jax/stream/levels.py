"""Several `.inv` files as levels of one video: the same frames, cut at the same places."""

import pathlib
from collections.abc import Iterator, Sequence

from inv_jax.codec import bitstream
from inv_jax.codec.bitstream import Entry
from inv_jax.codec.header import Header
from inv_jax.codec.video import NeuralVideo
from inv_jax.types import InvError


def check_same_run(headers: Sequence[Header], names: Sequence[str]) -> None:
    """Checks that videos show the same thing with the same model, so that one can replace another.

    Args:
      headers: Of the videos.
      names: What to call them.

    Raises:
      InvError: If a video differs from the first one.
    """
    for header, name in zip(headers[1:], names[1:], strict=True):
        for what, there, here in (
            ("cameras", headers[0].rig.fingerprint, header.rig.fingerprint),
            ("frame rate", headers[0].frame_rate, header.frame_rate),
            ("model", headers[0].config.get("model"), header.config.get("model")),
            ("layers", headers[0].layout, header.layout),
            ("color layers", headers[0].color_layout, header.color_layout),
            ("length of segments", headers[0].segment_frames, header.segment_frames),
        ):
            if there != here:
                raise InvError(
                    f"{names[0]} and {name} differ in their {what}; levels are encodings of one "
                    "run, with other settings of the codec"
                )


class Level:
    """One of the videos: a file that may be growing."""

    def __init__(self, path: pathlib.Path):
        """Opens a file.

        Raises:
          InvError: If it does not exist, or is no neural video.
        """
        self.path = path
        self.name = path.stem
        self.video = NeuralVideo.open(path)
        # Crc of what was given, by kind and first frame or id.
        self._given: dict[tuple[bytes, int], int | None] = {}
        self._unchecked: set[tuple[bytes, int]] = set()  # of it
        self._restarts = 0

    def refresh(self) -> None:
        """Finds what was appended since, also where a writer cut the file before it went on.

        Raises:
          InvError: If the file is damaged, or no longer holds what was given of it.
        """
        self.video.refresh()
        if self.video.damages:
            reason = self.video.damages[0].reason
            raise InvError(f"{self.path} is damaged ({reason}); encode it again")
        if self.video.restarts > self._restarts:
            self._restarts = self.video.restarts
            self._unchecked = set(self._given)
        if self._unchecked:
            self._check_given()

    @property
    def entries(self) -> list[Entry]:
        """All packets, in order."""
        return [entry for group in self.video.groups for entry in group]

    def meta(self) -> bytes:
        """The META part."""
        return self._part(bitstream.SIGNATURE_BYTES, bitstream.META)

    def color(self, color: int) -> bytes:
        """The color part of an id, COLR or CDIF."""
        offset = self.video.colors[color]
        part = self._part(offset, *bitstream.COLORS)
        self._given[bitstream.COLOR, color] = self._crc(offset)
        return part

    def base(self, color: int) -> int | None:
        """The id of the color part that an id's goes back to; None if it is whole."""
        found, payload = self._read(self.video.colors[color], *bitstream.COLORS)
        return bitstream.parse_color(found.kind, payload)[1]

    def frames(self, entries: Sequence[Entry]) -> bytes:
        """The FRAM parts of packets."""
        parts = [bitstream.packet_part(self.video.packet(entry), entry.color) for entry in entries]
        for entry in entries:
            self._given[bitstream.FRAME, entry.first] = self._crc(entry.offset)
        return b"".join(parts)

    def _check_given(self) -> None:
        """Compares what was given with what stands there now, as far as it has come again."""
        places = {(bitstream.FRAME, entry.first): entry.offset for entry in self.entries}
        places |= {(bitstream.COLOR, id): offset for id, offset in self.video.colors.items()}
        for key in self._unchecked & places.keys():
            if self._crc(places[key]) != self._given[key]:
                what = "frame" if key[0] == bitstream.FRAME else "the colors of frame"
                raise InvError(
                    f"{self.path} was cut and holds {what} {key[1]} otherwise than it was "
                    "published; publish it to another --out"
                )
            self._unchecked.remove(key)

    def _crc(self, offset: int) -> int | None:
        found = bitstream.read_head(self.video.source, offset)
        return None if found is None else found.crc

    def _part(self, offset: int, *kinds: bytes) -> bytes:
        found, payload = self._read(offset, *kinds)
        return bitstream.part(found.kind, payload)

    def _read(self, offset: int, *kinds: bytes) -> tuple[bitstream.Part, bytes]:
        found = bitstream.read_head(self.video.source, offset)
        if found is None or found.kind not in kinds:
            raise InvError(f"{self.path} is damaged at byte {offset}; encode it again")
        return found, bitstream.read_payload(self.video.source, found)


def cuts(
    levels: Sequence[Sequence[Entry]], begin: int, most_frames: int, *, is_end: bool
) -> Iterator[int]:
    """Where segments end, by what all levels have in common.

    A segment ends where all levels have a key, or where it has `most_frames` frames and no packet
    of any level goes on. Where it ends does not depend on what follows later, so a publisher that
    goes on cuts as one that never stopped.

    Args:
      levels: Packets of each level.
      begin: The first segment's first frame.
      most_frames: A segment ends behind so many frames; 0: only at keys.
      is_end: Whether nothing follows; then the last segment ends with the packets.

    Yields:
      The frame behind each segment, as far as they are whole.
    """
    common: set[int] = set.intersection(*({entry.end for entry in entries} for entries in levels))
    keys, last = common_keys(levels), max(common, default=0)
    for end in sorted(end for end in common if end > begin):
        is_last = is_end and end == last
        if end in keys or 0 < most_frames <= end - begin or is_last:
            yield end
            begin = end


def common_keys(levels: Sequence[Sequence[Entry]]) -> set[int]:
    """Frames in which all levels have a key."""
    return set.intersection(
        *({entry.first for entry in entries if entry.is_key} for entries in levels)
    )
