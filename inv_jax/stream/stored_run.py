"""The workdir of a run, as a video: its stored segments, each of them a key."""

import dataclasses
import pathlib

import numpy as np

from inv_jax.assembly import record
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import make
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.types import Params


@dataclasses.dataclass(frozen=True)
class _Key:
    first: int


class StoredRun:
    """Stored segments of a run, also while it trains; a `feed.Video`.

    Attributes:
      header: What a file of its frames would say of itself.
    """

    def __init__(self, workdir: pathlib.Path):
        """Opens a run.

        Raises:
          InvError: If it has no frames yet, or its capture is not there: that has the cameras.
        """
        playback = open_playback(workdir)
        config, rig = playback.config, playback.rig
        self._workdir, self._store = workdir, FrameStore(workdir)
        params = self._store.params(self.frames()[-1])
        self.header = make.header(
            *(RawCodec(), params, playback.model.roles, config.to_dict(), rig),
            record.provenance(rig.fingerprint),
            segment_frames=max(map(len, self._store.segments())),
        )
        first, count = config.data.first_frame, config.data.num_frames
        self._last = first + count - 1 if count else np.inf

    def frames(self) -> list[int]:
        """Numbers of the stored frames, in order."""
        return self._store.frames()

    @property
    def groups(self) -> list[list[_Key]]:
        """Each segment is one of its own."""
        return [[_Key(segment[0])] for segment in self._store.segments()]

    def segment(self, frame: int) -> range:
        """The frames that have a frame's params."""
        return self._store.segment(frame)

    @property
    def end(self) -> int:
        """The frame behind the newest."""
        return self.frames()[-1] + 1

    @property
    def is_closed(self) -> bool:
        """Whether all frames are there that the run was to train."""
        return self.frames()[-1] >= self._last

    def params(self, frame: int) -> Params:
        """All params of a frame."""
        return self._store.params(frame)

    def refresh(self) -> None:
        """Looks for frames that were stored since."""
        self._store.close()
        self._store = FrameStore(self._workdir)
