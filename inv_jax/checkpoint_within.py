"""States within segments, on disk: the newest of each, and those that are kept for study."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from inv_jax import orbax_items
from inv_jax import params as params_lib
from inv_jax.data import files
from inv_jax.orbax_items import METADATA, Leaves, one_line_errors
from inv_jax.types import InvError, Params

_OPTIMIZER, _PARAMS = "optimizer", "params"
_STEPS_PER_FRAME = 10**9  # a state within a frame has the number frame * this + step


class StatesWithin:
    """The part of a `FrameStore` that holds states within segments, by their first frames."""

    def __init__(self, workdir: pathlib.Path, *, writable: bool):
        """Opens them; `writable` makes the folder."""
        self._partial_folder = workdir / "partial"
        self._intermediate_folder = workdir / "intermediate"
        self._partial: Any = None
        if writable:
            items = (_PARAMS, _OPTIMIZER)
            self._partial = orbax_items.manager(self._partial_folder, items, None, create=True)

    def _drop_partials_up_to(self, frame: int) -> None:
        """Forgets the states that led to a stored segment, and to those before it."""
        for number in self._partial.all_steps():
            if number // _STEPS_PER_FRAME <= frame:
                self._partial.delete(number)

    def save_partial(
        self,
        frame: int,
        step: int,
        params: Params,
        optimizer: Leaves,
        metadata: Mapping[str, Any],
    ) -> None:
        """Stores a state within a frame; the frame's one before is dropped."""
        args = orbax_items.save_args(
            {_PARAMS: params_lib.flatten(params), _OPTIMIZER: optimizer},
            {**metadata, "frame": frame, "step": step},
        )
        with one_line_errors(f"step {step} of frame {frame}", self._partial_folder):
            number = frame * _STEPS_PER_FRAME + step
            if number not in self._partial.all_steps():
                self._partial.save(number, args=args, force=True)
            for other in self._partial.all_steps():
                if other // _STEPS_PER_FRAME == frame and other != number:
                    self._partial.delete(other)

    def drop_partial(self, frame: int) -> None:
        """Forgets the state within a frame."""
        for number in self._partial.all_steps():
            if number // _STEPS_PER_FRAME == frame:
                self._partial.delete(number)

    def partial_frames(self) -> list[int]:
        """Numbers of the frames that have a state within, in order."""
        return sorted({number // _STEPS_PER_FRAME for number in self._partial.all_steps()})

    def partial(self, frame: int) -> tuple[dict[str, Any], Params, dict[str, np.ndarray]]:
        """Metadata (with `frame` and `step`), params and optimizer of a frame's newest state.

        It is to be one of `partial_frames`.
        """
        number = max(n for n in self._partial.all_steps() if n // _STEPS_PER_FRAME == frame)
        with one_line_errors("reading the newest state", self._partial_folder):
            args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
            metadata = self._partial.restore(number, args=args)[METADATA]
        params = params_lib.nest(
            orbax_items.read(self._partial, self._partial_folder, number, _PARAMS)
        )
        return (
            metadata,
            params,
            orbax_items.read(self._partial, self._partial_folder, number, _OPTIMIZER),
        )

    def has_intermediate(self, frame: int, step: int) -> bool:
        """Whether the params of a step within a frame were kept."""
        number = frame * _STEPS_PER_FRAME + step
        return (self._intermediate_folder / f"{number:06d}").is_dir()

    def save_intermediate(
        self, frame: int, step: int, params: Params, views: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Keeps params from within a frame for later study; nothing resumes from them.

        Args:
          frame: The frame's number.
          step: Its steps so far.
          params: All of them.
          views: What was measured of their pictures, as `Evaluator.finish` returns it.
        """
        metadata = {"frame": frame, "step": step, "views": [files.json_row(row) for row in views]}
        args = orbax_items.save_args({_PARAMS: params_lib.flatten(params)}, metadata)
        with one_line_errors(f"step {step} of frame {frame}", self._intermediate_folder):
            manager = self._intermediate()
            number = frame * _STEPS_PER_FRAME + step
            if number not in manager.all_steps():
                manager.save(number, args=args, force=True)
            manager.close()

    def intermediate(self, frame: int, step: int) -> tuple[dict[str, Any], Params]:
        """Metadata (with `views`) and params of a step within a frame.

        Raises:
          InvError: If they were not kept.
        """
        if not self.has_intermediate(frame, step):
            raise InvError(
                f"step {step} of frame {frame} was not kept in {self._intermediate_folder}; see "
                "train.image_every and train.image_steps"
            )
        manager, number = self._intermediate(), frame * _STEPS_PER_FRAME + step
        with one_line_errors(f"reading step {step} of frame {frame}", self._intermediate_folder):
            args = ocp.args.Composite(metadata=ocp.args.JsonRestore())
            metadata = manager.restore(number, args=args)[METADATA]
        params = params_lib.nest(
            orbax_items.read(manager, self._intermediate_folder, number, _PARAMS)
        )
        manager.close()
        return metadata, params

    def _intermediate(self) -> Any:
        return orbax_items.manager(self._intermediate_folder, (_PARAMS,), None, create=True)
