"""Segments on disk, written with orbax so that a kill at any moment loses nothing that was there.

    WORKDIR/frames/000012/structure/   what the segment of frame 12 on owns, a folder for each role
                          color/       what segments share: only if it trained in this one (or
                                       nowhere before it), likewise
                          optimizer/   only while this is the newest; as what a model carries on
                                       (`Roles.carried`)
                          metadata/    JSON: phase, steps, loss, ...; `num_frames` of the segment;
                                       `own`, its own roles; `carried`; `holds`: for each role, the
                                       segment whose folder has its params
    WORKDIR/partial/                   the newest state within each segment that is in training
    WORKDIR/intermediate/              params from within segments, where asked for, with what was
                                       measured of their pictures

A segment is called by its first frame; one of a single frame is a frame.

A step of an orbax manager appears whole or not at all; what a killed writer leaves behind is
removed at the next start. Params are stored as `{network: {role: {layer: {leaf}}}}`.
"""

import bisect
import itertools
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from inv_jax import orbax_items
from inv_jax import params as params_lib
from inv_jax.checkpoint_within import StatesWithin
from inv_jax.orbax_items import METADATA, Leaves, one_line_errors
from inv_jax.params import Roles
from inv_jax.types import InvError, Params

_OPTIMIZER = "optimizer"
_PRIVATE = ("holds", "own", "carried")  # what the store notes for itself
_OWN_BEFORE = ("structure",)  # own roles of runs that do not say which these are


def _items_in(folder: pathlib.Path) -> set[str]:
    """Names of what a run's segments hold, which its first and its last one tell.

    The first one has all roles, as there is none before it; the last one its own, should the first
    be damaged.
    """
    steps = sorted((path for path in folder.glob("[0-9]*") if path.name.isdigit()), key=_number)
    found = (path for step in (*steps[:1], *steps[-1:]) for path in step.iterdir())
    return {path.name for path in found if path.is_dir()} - {METADATA}


def _number(step: pathlib.Path) -> int:
    return int(step.name)


class FrameStore(StatesWithin):
    """The stored segments of a run, and the newest state within each that is in training."""

    def __init__(self, workdir: pathlib.Path, *, roles: Roles | None = None):
        """Opens a workdir's segments.

        Args:
          workdir: Of the run.
          roles: Of the model, for who writes: then the folders are made, and torn writes removed.
            A reader finds them.
        """
        writable = roles is not None
        super().__init__(pathlib.Path(workdir), writable=writable)
        self._folder = pathlib.Path(workdir) / "frames"
        self._frames: Any = None
        self._own = (*roles.own, *roles.indices) if roles else ()
        self._carried = roles.carried if roles else ()
        self._lengths: dict[int, int] = {}  # of segments, in frames; those that are known
        if writable or self._folder.is_dir():
            known = (*self._own, *roles.shared, *roles.carried) if roles else ()
            items = {*known, *_items_in(self._folder), _OPTIMIZER}
            self._frames = orbax_items.manager(
                self._folder, tuple(sorted(items)), None, create=writable
            )
        self._shared: dict[str, tuple[int, dict[str, np.ndarray]]] = {}  # by role: holder, leaves

    def close(self) -> None:
        for manager in (self._frames, self._partial):
            if manager is not None:
                manager.close()

    # Whole segments.

    def numbers(self) -> list[int]:
        """Numbers of the stored segments, in order."""
        return [] if self._frames is None else sorted(self._frames.all_steps())

    def segments(self) -> list[range]:
        """The frames of each stored segment, in order."""
        numbers = self.numbers()
        following = itertools.zip_longest(numbers, numbers[1:])
        return [self._span(number, behind) for number, behind in following]

    def frames(self) -> list[int]:
        """The frames that can be shown, in order: those of all stored segments."""
        return [frame for segment in self.segments() for frame in segment]

    def segment(self, frame: int) -> range:
        """The frames of the segment that a frame is in.

        Raises:
          InvError: If it is not stored.
        """
        numbers = self.numbers()
        at = bisect.bisect_right(numbers, frame)
        if at:
            found = self._span(numbers[at - 1], numbers[at] if at < len(numbers) else None)
            if frame in found:
                return found
        frames = self.frames()
        have = f"{frames[0]} to {frames[-1]}" if frames else "none"
        raise InvError(f"frame {frame} is not stored in {self._folder}; stored frames: {have}")

    def metadata(self, frame: int) -> dict[str, Any]:
        """What was noted about a frame's segment when it was stored."""
        return self._metadata(self.segment(frame)[0])

    def notes(self, frame: int) -> dict[str, Any]:
        """The same without what is the store's own business."""
        return {k: v for k, v in self.metadata(frame).items() if k not in _PRIVATE}

    def _metadata(self, number: int) -> dict[str, Any]:
        with one_line_errors(f"reading frame {number}", self._folder):
            args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
            return self._frames.restore(number, args=args)[METADATA]

    def _span(self, number: int, following: int | None) -> range:
        """A segment's frames; where the next one follows at once there is one, and nothing to read.

        Runs older than segments do not say how long these are: they are frames.
        """
        if following == number + 1:
            return range(number, following)
        if number not in self._lengths:
            try:
                notes = self._metadata(number)
            except (
                InvError
            ):  # what is wrong with it is said when it is read, not to who reads others
                notes = {}
            self._lengths[number] = int(notes.get("num_frames", 1))
        return range(number, number + self._lengths[number])

    def color_id(self, frame: int) -> int:
        """Number of the segment in which what a frame shares with others trained last.

        Where nothing is shared it is the first one's, for all.
        """
        metadata = self.metadata(frame)
        others = {*metadata.get("own", _OWN_BEFORE), *metadata.get("carried", ())}
        shared = [int(n) for role, n in metadata["holds"].items() if role not in others]
        return max(shared, default=self.numbers()[0])

    def params(self, frame: int, *, carried: bool = False) -> dict[str, Any]:
        """All params of a frame's segment, nested dicts of numpy arrays: own and shared ones.

        Args:
          frame: Any of its frames.
          carried: Of the newest segment also what training carries on (`Roles.carried`), which no
            picture needs.
        """
        number = self.segment(frame)[0]
        leaves: dict[str, np.ndarray] = {}
        metadata = self._metadata(number)
        left_out = () if carried else metadata.get("carried", ())
        for role, holder in metadata["holds"].items():
            if role not in left_out:
                leaves |= self._role(holder, role, keep=holder != number)
        return params_lib.nest(leaves)

    def optimizer(self, frame: int) -> dict[str, np.ndarray] | None:
        """The optimizer's leaves by path; None if the segment no longer has them."""
        frame = self.segment(frame)[0]
        if not (self._step_folder(frame) / _OPTIMIZER).is_dir():
            return None
        return orbax_items.read(self._frames, self._folder, frame, _OPTIMIZER)

    def own_bytes(self, number: int) -> int:
        """Bytes on disk of what a segment owns."""
        return sum(self._role_bytes(number, role) for role in self._own_of(number))

    def shared_bytes(self, number: int) -> int:
        """Bytes on disk that a segment spends on what segments share."""
        metadata = self._metadata(number)
        others = {*self._own_of(number), *metadata.get("carried", ())}
        shared = [role for role in metadata["holds"] if role not in others]
        return sum(self._role_bytes(number, role) for role in shared)

    def _own_of(self, number: int) -> Sequence[str]:
        return self._own or self._metadata(number).get("own", _OWN_BEFORE)

    def _role_bytes(self, number: int, role: str) -> int:
        folder = self._step_folder(number) / role
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def save(
        self,
        frame: int,
        params: Params,
        optimizer: Leaves,
        *,
        trained: tuple[str, ...],
        metadata: Mapping[str, Any],
    ) -> None:
        """Stores a finished segment, then drops the optimizer state of the one before it.

        With it goes what the one before carried on.

        Args:
          frame: Its number.
          params: All params.
          optimizer: The optimizer's leaves by path; none of a segment that was not trained here.
          trained: Roles that trained in this segment. Others, but for its own, are stored only if
            no earlier one holds them; if one does, they have to be the same.
          metadata: JSON values to note; `num_frames` of the segment, 1 if it is not among them.
        """
        earlier = [number for number in self.numbers() if number < frame]
        holds = dict(self._metadata(earlier[-1])["holds"]) if earlier else {}
        leaves = params_lib.flatten(params)
        items: dict[str, Leaves] = {}
        for role in {params_lib.role_of(path) for path in leaves}:
            if role in (*trained, *self._own, *self._carried) or role not in holds:
                holds[role] = frame
                items[role] = {p: v for p, v in leaves.items() if params_lib.role_of(p) == role}
        if optimizer:
            items[_OPTIMIZER] = optimizer
        notes = {**metadata, "own": list(self._own), "holds": holds}
        if self._carried:
            notes["carried"] = list(self._carried)
        args = orbax_items.save_args(items, notes)
        with one_line_errors(f"frame {frame}", self._folder):
            self._frames.save(frame, args=args, force=True)
        self._drop_old_optimizers(frame)
        self._drop_partials_up_to(frame)

    # Reading.

    def _step_folder(self, frame: int) -> pathlib.Path:
        return self._folder / f"{frame:06d}"

    def _role(self, holder: int, role: str, keep: bool) -> dict[str, np.ndarray]:
        if role in self._shared and self._shared[role][0] == holder:
            return self._shared[role][1]
        leaves = orbax_items.read(self._frames, self._folder, holder, role)
        if keep:  # shared by many frames, so read once
            self._shared[role] = holder, leaves
        return leaves

    def _drop_old_optimizers(self, newest: int) -> None:
        for number in self.numbers():
            for item in (_OPTIMIZER, *self._carried) if number != newest else ():
                shutil.rmtree(self._step_folder(number) / item, ignore_errors=True)
