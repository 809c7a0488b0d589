"""Frames of a published folder: segment after segment, at the level that the network carries."""

import itertools
import time
from collections.abc import Iterator

from absl import logging

from inv_jax.codec.base import CorruptError
from inv_jax.codec.header import Header
from inv_jax.stream import place as place_lib
from inv_jax.stream.choice import Chooser, Throughput
from inv_jax.stream.feed import Arrival, Link, Wanted, begin, stopped_note
from inv_jax.stream.manifest import FileRef, Manifest, Segment
from inv_jax.stream.place import Place
from inv_jax.stream.reader import Colors, LevelReader, read_header
from inv_jax.stream.web import FetchError
from inv_jax.types import InvError, Params

_POLL_SECONDS = (0.1, 2.0)  # least and most between looks at the manifest
_POLL_SHARE = 0.1  # of the time that may go into fetching it


class StreamFeed:
    """Plays a published video; a `Feed`."""

    def __init__(self, place: Place, wanted: Wanted):
        """Fetches the manifest and the description of a level.

        Raises:
          InvError: If there is no published video, or nothing in it that can be played.
        """
        self.traffic, self.notes = place.traffic, list[str]()
        self._place, self._wanted = place, wanted
        self._news = time.monotonic()
        self._manifest_seconds = 0.0  # that it took to fetch it last
        manifest = place_lib.read_manifest(place)
        assert manifest is not None, "the first manifest is always new"
        self._manifest: Manifest = manifest
        segments = manifest.segments
        keys = [segment.first for segment in segments if segment.is_key]
        if not keys:
            raise InvError("the published video has no segments yet; try again later")
        self._at = begin(wanted, keys, [segments[0].first, segments[-1].end - 1])
        # Levels are known by their place in the manifest; the least comes first here.
        self._ranks = sorted(
            range(len(manifest.levels)), key=lambda level: manifest.levels[level].bandwidth
        )
        self._chooser, self._throughput = Chooser(), Throughput()
        self._fixed = self._named(wanted.level) if wanted.level else None
        self._current = self._ranks[0] if self._fixed is None else self._fixed
        self._readers: dict[int, LevelReader] = {}
        self._bad: set[str] = set()  # files that were tried and given up
        self.header: Header = self._first_header()

    def arrivals(self, link: Link) -> Iterator[Arrival]:
        while not self._is_done():
            segment = self._next_segment(link)
            if segment is None:
                return
            if segment.first > self._at:
                gap = Arrival.lost(self._at, segment.first, "they are not published, or no longer")
                self._at = segment.first
                yield gap
            yield from self._segment(segment, link)

    def _segment(self, segment: Segment, link: Link) -> Iterator[Arrival]:
        if segment.is_key:
            self._current = self._choose(segment, link)
        reasons = []
        others = [level for level in self._ranks if level != self._current]
        for level in (self._current, *others):
            name = self._manifest.levels[level].name
            try:
                for alike, params in self._decoded(level, segment):
                    for frame in alike:
                        if frame >= self._at and not self._is_done():
                            self._at = frame + 1
                            yield Arrival(frame, 1, params, name, alike=alike)
                self._current = level
                return
            except (CorruptError, FetchError) as error:
                logging.warning("frame %d, level %s: %s", self._at, name, error)
                reasons.append(f"{name}: {error}")
        lost = Arrival.lost(self._at, segment.end, "; ".join(reasons))
        self._at = segment.end
        yield lost

    def _decoded(self, level: int, segment: Segment) -> Iterator[tuple[range, Params]]:
        """The segment's frames, and those before it that lead there from what is decoded.

        See `LevelReader.decode`.
        """
        reader = self._reader(level)
        for part in self._chain(reader, segment):
            file = part.files[level]
            if file.ref.sha256 in self._bad:
                raise FetchError(f"file {file.ref.sha256[:12]} was given up before")
            traffic = self.traffic
            before = traffic.num_bytes, traffic.seconds
            try:
                fetched = reader.fetch(part, file, self._manifest.levels[level])
            except (CorruptError, FetchError):
                self._bad.add(file.ref.sha256)
                raise
            finally:
                self._throughput.add(traffic.num_bytes - before[0], traffic.seconds - before[1])
            yield from reader.decode(fetched)

    def _chain(self, reader: LevelReader, segment: Segment) -> list[Segment]:
        """Segments to decode, up to the given one: from a key on, or from where the reader is."""
        segments = self._manifest.segments
        place = segments.index(segment)
        chain = [segment]
        while not chain[0].is_key and chain[0].first != reader.next_frame:
            place -= 1
            if place < 0 or segments[place].end != chain[0].first:
                raise CorruptError("the key before it is not there")
            chain.insert(0, segments[place])
        return chain

    def _group(self, segment: Segment) -> list[Segment]:
        """The segment and those behind it, up to the next key, as far as they are known."""
        segments = self._manifest.segments
        behind = segments[segments.index(segment) + 1 :]
        return [segment, *itertools.takewhile(lambda part: not part.is_key, behind)]

    def _choose(self, segment: Segment, link: Link) -> int:
        if self._fixed is not None:
            return self._fixed
        group = self._group(segment)
        seconds = sum(part.frames for part in group) / self._manifest.frame_rate
        needs = [
            max(
                self._manifest.levels[level].bandwidth,
                8 * sum(part.files[level].ref.num_bytes for part in group) / seconds,
            )
            for level in self._ranks
        ]
        rank = self._chooser.choose(
            needs, self._throughput.bits_per_second, link.buffered(), link.full()
        )
        return self._ranks[rank]

    def _reader(self, level: int) -> LevelReader:
        if level not in self._readers:
            header = read_header(self._place, self._manifest, level, self.header)
            self._readers[level] = LevelReader(self._place, header, self._colors)
        return self._readers[level]

    def _first_header(self) -> Header:
        """The description of the first level that has one; the others must fit it."""
        reasons = []
        for level in (self._current, *self._ranks):
            try:
                header = read_header(self._place, self._manifest, level, None)
                self._colors = Colors(self._place, header.color_layout)
                self._readers[level] = LevelReader(self._place, header, self._colors)
                return header
            except (CorruptError, FetchError) as error:
                reasons.append(str(error))
        raise InvError(f"no level has a description that can be read: {reasons[0]}")

    def _next_segment(self, link: Link) -> Segment | None:
        """The segment with the next frame, when it is there; None at the end."""
        while True:
            for segment in self._manifest.segments:
                if segment.end > self._at:
                    return segment
            if self._manifest.ended:
                return None
            silent = time.monotonic() - self._news
            if silent > self._wanted.patience:
                self.notes.append(stopped_note(self._at, silent))
                return None
            newest = self._manifest.segments[-1]
            least, most = _POLL_SECONDS
            half = newest.frames / self._manifest.frame_rate / 2
            pause = max(half, least, self._manifest_seconds / _POLL_SHARE)
            link.wait_for_more(min(pause, most))
            self._refresh()

    def _refresh(self) -> None:
        """Takes a newer manifest, if there is one; trouble is waited out, within patience."""
        before = self.traffic.seconds
        try:
            new = place_lib.read_manifest(self._place)
        except InvError as error:
            logging.warning("%s", error)
            return
        finally:
            self._manifest_seconds = self.traffic.seconds - before
        if new is None:
            return
        if not new.segments or _identity(new) != _identity(self._manifest):
            raise InvError("another video is published there now; play it anew")
        if new.sequence > self._manifest.sequence:  # a cache may give an old one
            self._manifest, self._news = new, time.monotonic()

    def _named(self, name: str) -> int:
        names = [level.name for level in self._manifest.levels]
        if name not in names:
            raise InvError(f"--level={name}: the levels are auto, {', '.join(names)}")
        return names.index(name)

    def _is_done(self) -> bool:
        return self._wanted.last is not None and self._at > self._wanted.last


def _identity(manifest: Manifest) -> list[tuple[str, FileRef]]:
    """What stays the same while a video grows."""
    return [(level.name, level.meta) for level in manifest.levels]
