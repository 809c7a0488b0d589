"""What a run says of itself: settings, rows, sizes. Nothing here renders or reads images."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from inv_jax.assembly import record
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import bitstream
from inv_jax.codec.frames import bits_per_param
from inv_jax.codec.video import NeuralVideo
from inv_jax.player.player import FrameSource
from inv_jax.train.journal import Journal
from inv_jax.types import InvError

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run's workdir, or a neural video in a file.

    Attributes:
      path: The folder or the file.
      name: What the page calls it; names of one page differ.
      number: Its place among the runs of the page, which gives it its color.
      config: Its settings (`inv_jax/settings`); of a video, its codec's are those it has.
      capture: Fingerprint of the capture it was trained on.
      provenance: Versions and device, by name.
      rows: Its journal, by frame; a video has none.
      frames: Frames whose params are there.
      frame_bytes: By frame: what is stored of it alone, without colors.
      color_bytes: By frame from which on they are in use: colors, stored once each.
      bits_per_param: Of a video: bits of each structure param of each frame.
      state: Why there may be less than was asked for; empty if nothing is known to be.
    """

    path: pathlib.Path
    name: str
    number: int
    config: dict[str, Any]
    capture: str
    provenance: dict[str, str]
    rows: dict[int, Row]
    frames: list[int]
    frame_bytes: dict[int, int]
    color_bytes: dict[int, int]
    bits_per_param: float | None = None
    state: str = ""

    @property
    def is_video(self) -> bool:
        return self.path.is_file()

    @property
    def all_frames(self) -> list[int]:
        """Frames that are stored or have a row."""
        return sorted({*self.frames, *self.rows})

    def added_bytes(self, frame: int) -> int | None:
        """What a frame adds to what is stored, colors included; None if nothing is known."""
        if frame not in self.frame_bytes:
            return None
        return self.frame_bytes[frame] + self.color_bytes.get(frame, 0)

    @contextlib.contextmanager
    def source(self) -> Iterator[FrameSource]:
        """The params of its frames."""
        opened = NeuralVideo.open(self.path) if self.is_video else FrameStore(self.path)
        try:
            yield opened
        finally:
            opened.close()


def open_runs(paths: Sequence[pathlib.Path], names: Sequence[str] = ()) -> list[Run]:
    """Reads what runs say of themselves.

    Args:
      paths: Workdirs and `.inv` files.
      names: What to call them; none: by their folders and files.

    Raises:
      InvError: If one of them is no run, or two are the same, or have the same name.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise InvError("the same run is given twice; give each once")
    if names and len(names) != len(paths):
        raise InvError(f"--names= has {len(names)} names for {len(paths)} runs; give one for each")
    if names and len(set(names)) < len(names):
        raise InvError(f"--names={','.join(names)}: give each run a name of its own")
    names = names or short_names(paths)
    opened = []
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        read = _read_video if path.is_file() else _read_workdir
        opened.append(read(path, name, number))
    return opened


def short_names(paths: Sequence[pathlib.Path]) -> list[str]:
    """As few of the last parts of each path as tell all of them apart."""
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _read_workdir(path: pathlib.Path, name: str, number: int) -> Run:
    found = record.read(path)
    if found is None:
        raise InvError(f"{path} is no run: it has no config.json; give a workdir or an .inv file")
    rows = {row["frame"]: row for row in Journal(path).rows()}
    frame_bytes, color_bytes = {}, {}
    store = FrameStore(path)
    try:
        frames = store.frames()
        for segment in store.segments():
            each, rest = divmod(store.own_bytes(segment[0]), len(segment))
            for place, frame in enumerate(segment):
                frame_bytes[frame] = each + (place < rest)
            color = store.shared_bytes(segment[0])
            if color:
                color_bytes[segment[0]] = color
    finally:
        store.close()
    for frame, row in rows.items():
        if frame not in frame_bytes and row.get("structure_bytes") is not None:
            frame_bytes[frame] = row["structure_bytes"]
    if not frames and not rows:
        raise InvError(f"{path} has no trained frames yet; train it first")
    data = found["config"]["data"]
    there = len({*frames, *rows})
    wanted = len(range(0, data.get("num_frames", 0), data["frame_step"]))
    return Run(
        path=path,
        name=name,
        number=number,
        config=found["config"],
        capture=found["capture"],
        provenance=_provenance(found),
        rows=rows,
        frames=frames,
        frame_bytes=frame_bytes,
        color_bytes=color_bytes,
        state=f"{there} of {wanted} frames so far" if there < wanted else "",
    )


def _read_video(path: pathlib.Path, name: str, number: int) -> Run:
    with NeuralVideo.open(path) as video:
        header, frames = video.header, video.frames()
        if not frames:
            raise InvError(f"{path} has no whole frame yet")
        frame_bytes = packet_bytes(video)
        color_bytes = {}
        for color, offset in video.colors.items():
            users = [frame for frame in frames if video.color_id(frame) == color]
            size = _part_bytes(video, offset)
            if users and size:
                color_bytes[users[0]] = size
        damages = len(video.damages)
        state = f"{damages} damaged parts" if damages else ""
        return Run(
            path=path,
            name=name,
            number=number,
            config={
                **record.with_younger(header.config),
                "codec": {"name": header.codec, **header.settings},
            },
            capture=header.rig.fingerprint,
            provenance=_provenance(header.provenance),
            rows={},
            frames=frames,
            frame_bytes=frame_bytes,
            color_bytes=color_bytes,
            bits_per_param=bits_per_param(
                *(sum(frame_bytes.values()), header.layout, len(video.segments()))
            ),
            state=state if video.is_closed or damages else "still being written",
        )


def packet_bytes(video: NeuralVideo) -> dict[int, int]:
    """Bytes of each frame's packet; frames of one packet share it evenly, to the byte in sum."""
    sizes = {}
    for entry in (entry for group in video.groups for entry in group):
        each, rest = divmod(_part_bytes(video, entry.offset), entry.count)
        for place in range(entry.count):
            sizes[entry.first + place] = each + (place < rest)
    return sizes


def _part_bytes(video: NeuralVideo, offset: int) -> int:
    found = bitstream.read_head(video.source, offset)
    return 0 if found is None else found.end - found.offset


def _provenance(found: dict[str, Any]) -> dict[str, str]:
    """Versions and device; the videos' are for people, and may be anything."""
    versions = found.get("versions")
    named = {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
    for name in ("python", "devices"):
        if name in found:
            named[name] = str(found[name])
    return named
