"""Writes videos as a folder that any web server can serve (`manifest.py` says what is in it).

Files are written before the manifest names them, and never changed. A publisher that is started
again on the same folder goes on where it was.
"""

import bisect
import collections
import pathlib
import re
from collections.abc import Iterable, Sequence

from absl import logging

from inv_jax.codec.bitstream import Entry
from inv_jax.data import files
from inv_jax.stream import levels as levels_lib
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.levels import Level
from inv_jax.stream.manifest import FileRef, Manifest, Segment, SegmentFile
from inv_jax.types import InvError

_OURS = re.compile(r"[0-9a-f]{64}" + re.escape(manifest_lib.SUFFIX))


class Publisher:
    """Turns one or more growing videos into a folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        levels: Sequence[Level],
        *,
        segment_frames: int = 0,
        keep_frames: int = 0,
    ):
        """Begins a folder, or goes on with one.

        Args:
          folder: Where to; it is made.
          levels: Qualities of one video.
          segment_frames: Frames of a segment, where keys are farther apart; 0: all of a group.
          keep_frames: How many of the newest frames stay at least; 0: all. Files of older ones
            are removed when as many frames have come again.

        Raises:
          InvError: If the levels are not of one run, or the folder is of another video.
        """
        if segment_frames < 0 or keep_frames < 0:
            raise InvError("--segment_frames and --keep_frames are 0 or more")
        names = [level.name for level in levels]
        if len(set(names)) < len(names):
            raise InvError(f"levels have the names of their files; {names} are not different")
        levels_lib.check_same_run(
            [level.video.header for level in levels], [str(level.path) for level in levels]
        )
        self._folder, self._levels = folder, levels
        self._segment_frames, self._keep_frames = segment_frames, keep_frames
        self._segments: list[Segment] = []
        self._colors: list[dict[int, FileRef]] = [{} for _ in levels]
        self._sequence = 0
        self._retired: collections.deque[tuple[int, str]] = collections.deque()
        self.ended = False
        self._folder.mkdir(parents=True, exist_ok=True)
        self._metas = [self._store(level.meta()) for level in levels]
        self._go_on()

    @property
    def end(self) -> int | None:
        """The frame behind the newest published one; None if there is none."""
        return self._segments[-1].end if self._segments else None

    def update(self, *, final: bool = False) -> int:
        """Publishes what has been appended since.

        Args:
          final: Takes the files as finished, even if their writers have not closed them.

        Returns:
          The number of new segments.

        Raises:
          InvError: If a file is damaged, or the levels cannot be cut at common places.
        """
        for level in self._levels:
            level.refresh()
        entries = [level.entries for level in self._levels]
        if not all(entries):
            return 0
        is_end = final or all(level.video.is_closed for level in self._levels)
        _check_common(entries, self._levels)
        before, was_ended = len(self._segments), self.ended
        begin = self._segments[-1].end if self._segments else entries[0][0].first
        keys = levels_lib.common_keys(entries)
        for end in levels_lib.cuts(entries, begin, self._segment_frames, is_end=is_end):
            self._segments.append(self._segment(entries, begin, end, is_key=begin in keys))
            begin = end
        new = len(self._segments) - before
        self.ended = is_end
        if new or self.ended != was_ended:
            self._slide()
            self._write_manifest()
        return new

    def _segment(
        self, entries: list[list[Entry]], begin: int, end: int, *, is_key: bool
    ) -> Segment:
        made = []
        for place, level in enumerate(self._levels):
            inside = _between(entries[place], begin, end)
            colors = _needed(level, dict.fromkeys(entry.color for entry in inside))
            for color in colors:
                if color not in self._colors[place]:
                    self._colors[place][color] = self._store(level.color(color))
            made.append(SegmentFile(self._store(level.frames(inside)), colors))
        return Segment(begin, end - begin, is_key, tuple(made))

    def _store(self, data: bytes) -> FileRef:
        ref = FileRef.of(data)
        path = self._folder / ref.name
        if not path.is_file() or path.stat().st_size != ref.num_bytes:
            with files.replacing(path) as temporary:
                temporary.write_bytes(data)
        return ref

    def _write_manifest(self) -> None:
        self._sequence += 1
        header = self._levels[0].video.header
        has_segments = header.segment_frames > 1
        made = Manifest(
            sequence=self._sequence,
            ended=self.ended,
            frame_rate=header.frame_rate,
            levels=tuple(self._described(place) for place in range(len(self._levels))),
            segments=tuple(self._segments),
            version=manifest_lib.VERSION if has_segments else manifest_lib.FRAMES_VERSION,
        )
        with files.replacing(self._folder / manifest_lib.NAME) as temporary:
            temporary.write_bytes(made.dump())
        self._remove_retired()

    def _described(self, place: int) -> manifest_lib.Level:
        """A level with its rates, over the segments that there are."""
        colors, rate = self._colors[place], self._levels[place].video.header.frame_rate
        seen: set[int] = set(self._segments[0].files[place].colors)
        bits, peak = 0, 0
        for segment in self._segments:
            file = segment.files[place]
            new = set(file.colors) - seen
            seen |= new
            size = 8 * (file.ref.num_bytes + sum(colors[color].num_bytes for color in new))
            bits, peak = bits + size, max(peak, round(size * rate / segment.frames))
        frames = sum(segment.frames for segment in self._segments)
        return manifest_lib.Level(
            name=self._levels[place].name,
            bandwidth=round(bits * rate / frames),
            peak=peak,
            meta=self._metas[place],
            colors={color: colors[color] for color in sorted(seen)},
        )

    def _slide(self) -> None:
        """Lets go of segments that are older than the window; the rest begins with a key."""
        if not self._keep_frames:
            return
        kept_from = 0
        for place, segment in enumerate(self._segments):
            if segment.is_key and self._segments[-1].end - segment.first >= self._keep_frames:
                kept_from = place
        old, self._segments = self._segments[:kept_from], self._segments[kept_from:]
        for place, colors in enumerate(self._colors):
            used = {color for segment in self._segments for color in segment.files[place].colors}
            old_colors = [color for color in colors if color not in used]
            self._retire(colors.pop(color).name for color in old_colors)
        self._retire(file.ref.name for segment in old for file in segment.files)

    def _retire(self, names: Iterable[str]) -> None:
        self._retired.extend((self._segments[-1].end, name) for name in names)

    def _remove_retired(self) -> None:
        """Removes files that nobody fetches any more: the last manifest with them is long ago."""
        needed = {file.ref.name for segment in self._segments for file in segment.files}
        needed |= {ref.name for colors in self._colors for ref in colors.values()}
        needed |= {ref.name for ref in self._metas}
        while self._retired and self._segments[-1].end - self._retired[0][0] >= self._keep_frames:
            _, name = self._retired.popleft()
            if name not in needed:
                (self._folder / name).unlink(missing_ok=True)

    def _go_on(self) -> None:
        """Takes over what an earlier publisher wrote to the folder."""
        path = self._folder / manifest_lib.NAME
        if not path.is_file():
            return
        old = manifest_lib.load(path.read_bytes())
        same = [(level.name, ref) for level, ref in zip(self._levels, self._metas, strict=True)]
        if [(level.name, level.meta) for level in old.levels] != same:
            raise InvError(f"{self._folder} holds another video; choose another --out")
        self._segments, self._sequence = list(old.segments), old.sequence
        self._colors = [dict(level.colors) for level in old.levels]
        self.ended = old.ended
        if self._segments:
            self._check_newest(self._segments[-1])
        if self._keep_frames and self._segments:
            named = {file.ref.name for segment in self._segments for file in segment.files}
            found = (file.name for file in self._folder.iterdir() if _OURS.fullmatch(file.name))
            self._retire(sorted(name for name in found if name not in named))
        logging.info("%s: going on behind frame %s", self._folder, (self.end or 0) - 1)

    def _check_newest(self, newest: Segment) -> None:
        """Checks that the files still hold what was published of them last."""
        for level, file in zip(self._levels, newest.files, strict=True):
            level.refresh()
            inside = _between(level.entries, newest.first, newest.end)
            if FileRef.of(level.frames(inside)) != file.ref:
                raise InvError(
                    f"{level.path} no longer holds the frames {newest.first} to {newest.end - 1} "
                    f"that {self._folder} has of it; choose another --out"
                )


def _needed(level: Level, colors: Iterable[int]) -> tuple[int, ...]:
    """These color ids, each behind the base that its part goes back to."""
    pairs = ((level.base(color), color) for color in colors)
    return tuple(dict.fromkeys(id for pair in pairs for id in pair if id is not None))


def _between(entries: Sequence[Entry], begin: int, end: int) -> Sequence[Entry]:
    """Packets that begin with one of these frames."""
    first, behind = (bisect.bisect_left(entries, at, key=lambda e: e.first) for at in (begin, end))
    return entries[first:behind]


def _check_common(entries: list[list[Entry]], levels: Sequence[Level]) -> None:
    """Checks that levels can be changed: they begin with one frame, and share some later keys."""
    firsts = [packets[0].first for packets in entries]
    if len(set(firsts)) > 1:
        found = ", ".join(
            f"{level.path} at {first}" for level, first in zip(levels, firsts, strict=True)
        )
        raise InvError(f"levels must begin with one frame; {found}")
    fewest = min(sum(entry.is_key for entry in packets) for packets in entries)
    if fewest > 2 and len(levels_lib.common_keys(entries)) == 1:
        raise InvError(
            "the levels have keys in different frames, so that one cannot change between them; "
            "encode them with the same distance of keys"
        )
