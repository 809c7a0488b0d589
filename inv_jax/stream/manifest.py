"""The manifest of a published video: what there is to fetch, and how to know that it is right.

A published video is a folder, which any web server can serve:

    manifest.json          this, replaced as a whole whenever there is more
    <sha256>.parts         everything else: parts as in `codec/bitstream.py`, behind each other

A file's name is the SHA-256 of its content, so it never changes and may be cached forever; and
since the manifest names files by nothing else, it cannot lead out of its folder. Segments are
FRAM parts; META and each COLR or CDIF stand in files of their own, one file for levels that share
it.

The manifest is JSON:

    format       "inv-stream"
    version      2; 3 if packets are segments of several frames with one set of params; a reader
                 refuses those it does not know; 1 is the same as 2 without CDIF parts
    sha256       of the manifest's own text, with 64 zeros in this place
    sequence     grows with every change
    ended        true: nothing follows
    frame_rate   frames per second
    levels       qualities of the same frames:
        name       letters, digits, "-", "_", "."
        bandwidth  bits per second at the frame rate, on average; colors count where they are
                   new, but for those of the beginning
        peak       the same, of the largest segment
        meta       {sha256, bytes}
        colors     [{id, sha256, bytes}]
    segments     in order of their frames:
        first      number of the first frame
        frames     how many
        is_key     true: decoded without the segments before it, on every level
        files      one for each level: {sha256, bytes, colors}, the last being the ids of the
                   color parts that it takes: those of its packets, and their bases

All levels have the same segments, so that one can change between them at any key. Frames that
are in no segment are missing, or left the window of a stream without an end.
"""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from inv_jax.codec.base import CorruptError

NAME = "manifest.json"
SUFFIX = ".parts"
FORMAT = "inv-stream"
VERSION = 3  # the newest
FRAMES_VERSION = 2  # of videos whose frames have params of their own
_OLDEST = 1  # version that is read
MOST_BYTES = 1 << 24  # of a manifest

_MOST_FILE_BYTES = 1 << 30
_MOST_LEVELS = 16
_MOST_SEGMENTS = 1 << 17
_MOST_COLORS = 1 << 17
_MOST_FRAMES = 1 << 32  # frame numbers of the container have 32 bits
_LEVEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_SUM = "0" * 64


@dataclasses.dataclass(frozen=True)
class FileRef:
    """A file of the folder, and what its content must be."""

    sha256: str
    num_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "FileRef":
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    @property
    def name(self) -> str:
        return self.sha256 + SUFFIX

    def fits(self, data: bytes) -> bool:
        """Whether these bytes are the file's."""
        return len(data) == self.num_bytes and hashlib.sha256(data).hexdigest() == self.sha256


@dataclasses.dataclass(frozen=True)
class Level:
    """A quality of the video."""

    name: str
    bandwidth: int  # bits per second, on average
    peak: int  # ... of the largest segment
    meta: FileRef
    colors: dict[int, FileRef]  # by id


@dataclasses.dataclass(frozen=True)
class SegmentFile:
    """A segment at one level."""

    ref: FileRef
    colors: tuple[int, ...]  # ids that its packets have, and those of their bases


@dataclasses.dataclass(frozen=True)
class Segment:
    """Consecutive frames that are fetched together."""

    first: int
    frames: int
    is_key: bool
    files: tuple[SegmentFile, ...]  # by level

    @property
    def end(self) -> int:
        """The frame behind the last one."""
        return self.first + self.frames


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a folder holds."""

    sequence: int
    ended: bool
    frame_rate: float
    levels: tuple[Level, ...]
    segments: tuple[Segment, ...]
    version: int = FRAMES_VERSION

    def dump(self) -> bytes:
        """The text of `manifest.json`."""
        fields = {
            "format": FORMAT,
            "version": self.version,
            "sha256": _NO_SUM,
            "sequence": self.sequence,
            "ended": self.ended,
            "frame_rate": self.frame_rate,
            "levels": [_level_fields(level) for level in self.levels],
            "segments": [_segment_fields(segment) for segment in self.segments],
        }
        text = json.dumps(fields, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return text.replace(_NO_SUM, digest, 1).encode()


def load(text: bytes) -> Manifest:
    """The inverse of `Manifest.dump`.

    Raises:
      CorruptError: If the text is not what it makes.
    """
    try:
        if len(text) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES} bytes")
        fields = _is(dict, json.loads(text))
        version = _version(fields)
        _check_sum(text, fields["sha256"])
        levels = tuple(_level(row) for row in _rows(fields["levels"], 1, _MOST_LEVELS))
        if len({level.name for level in levels}) < len(levels):
            raise ValueError("two levels have one name")
        rows = _rows(fields["segments"], 0, _MOST_SEGMENTS)
        return Manifest(
            sequence=_whole(fields["sequence"]),
            ended=_is(bool, fields["ended"]),
            frame_rate=_rate(fields["frame_rate"]),
            levels=levels,
            segments=_in_order([_segment(row, levels) for row in rows]),
            version=version,
        )
    except CorruptError:
        raise
    # RecursionError: JSON of many brackets.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(f"the manifest is damaged: {str(error)[:200]}") from error


def _version(fields: dict[str, Any]) -> int:
    if fields.get("format") != FORMAT:
        raise CorruptError("this JSON is not the manifest of a published neural video")
    version = _whole(fields["version"])
    if not _OLDEST <= version <= VERSION:
        raise CorruptError(
            f"this manifest has version {version}, this program reads up to {VERSION}; use a newer "
            "inv_jax"
            if version > VERSION
            else f"this manifest has version {version}, which was never in use"
        )
    return version


def _check_sum(text: bytes, digest: Any) -> None:
    if not _SHA256.fullmatch(_is(str, digest)):
        raise ValueError("its checksum is none")
    plain = text.replace(digest.encode(), _NO_SUM.encode(), 1)
    if hashlib.sha256(plain).hexdigest() != digest:
        raise ValueError("its checksum is wrong")


def _level_fields(level: Level) -> dict[str, Any]:
    colors = [{"id": color, **_ref_fields(ref)} for color, ref in level.colors.items()]
    return {
        "name": level.name,
        "bandwidth": level.bandwidth,
        "peak": level.peak,
        "meta": _ref_fields(level.meta),
        "colors": colors,
    }


def _segment_fields(segment: Segment) -> dict[str, Any]:
    return {
        "first": segment.first,
        "frames": segment.frames,
        "is_key": segment.is_key,
        "files": [{**_ref_fields(file.ref), "colors": file.colors} for file in segment.files],
    }


def _ref_fields(ref: FileRef) -> dict[str, Any]:
    return {"sha256": ref.sha256, "bytes": ref.num_bytes}


def _level(row: dict[str, Any]) -> Level:
    name = _is(str, row["name"])
    if not _LEVEL_NAME.fullmatch(name):
        raise ValueError(f"a level with the name {name[:40]!r}")
    colors = {_whole(color["id"]): _ref(color) for color in _rows(row["colors"], 0, _MOST_COLORS)}
    return Level(
        name, _whole(row["bandwidth"]), _whole(row["peak"]), _ref(_is(dict, row["meta"])), colors
    )


def _segment(row: dict[str, Any], levels: tuple[Level, ...]) -> Segment:
    files = tuple(
        SegmentFile(_ref(file), tuple(_whole(color) for color in _is(list, file["colors"])))
        for file in _rows(row["files"], len(levels), len(levels))
    )
    for level, file in zip(levels, files, strict=True):
        if not file.colors or not set(file.colors) <= set(level.colors):
            raise ValueError(f"a segment of level {level.name} has colors that are nowhere")
    segment = Segment(
        _whole(row["first"], _MOST_FRAMES),
        _whole(row["frames"], _MOST_FRAMES),
        _is(bool, row["is_key"]),
        files,
    )
    # A frame takes a byte at least: numbers that no bytes stand for are not counted up to.
    if not 0 < segment.frames <= min(file.ref.num_bytes for file in files):
        raise ValueError(f"a segment of {segment.frames} frames")
    return segment


def _in_order(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    for before, segment in itertools.pairwise(segments):
        if segment.first < before.end:
            raise ValueError(f"frame {segment.first} comes twice")
    return tuple(segments)


def _ref(row: dict[str, Any]) -> FileRef:
    digest = _is(str, row["sha256"])
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{digest[:40]!r} is no SHA-256")
    return FileRef(digest, _whole(row["bytes"], _MOST_FILE_BYTES))


def _rows(value: Any, least: int, most: int) -> list[dict[str, Any]]:
    rows = [_is(dict, row) for row in _is(list, value)]
    if not least <= len(rows) <= most:
        raise ValueError(f"{len(rows)} entries where {least} to {most} belong")
    return rows


def _whole(value: Any, most: int = 1 << 62) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40]!r} is no whole number up to {most}")
    return value


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-3 <= value <= 1e3:
        raise ValueError(f"{str(value)[:40]!r} frames per second")
    return float(value)


def _is(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value
