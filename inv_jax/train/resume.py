"""Where a run stands: what of it is stored, and what the next frame starts from."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore, Leaves
from inv_jax.data.segments import Segment, name_of
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.journal import Journal
from inv_jax.train.mixture import PLAIN
from inv_jax.train.plan import SCRATCH, Phase, Plan
from inv_jax.train.state import Means, Memory, TrainState
from inv_jax.types import InvError, Params

# From segment to segment: params, the optimizer's state, what the steps knew (leaves by path).
Handed = tuple[Params, optax.OptState | None, Leaves]

_MEMORY = "memory/"  # in front of the paths of what steps know, among the optimizer's leaves


@dataclasses.dataclass(frozen=True)
class Partial:
    """A stored state within a frame."""

    metadata: dict[str, Any]  # `frame`, `step`, `seconds`, `means`
    params: Params
    optimizer: Leaves


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a run is; of host arrays, so that it can be sent to other processes.

    Attributes:
      done: Numbers of the stored segments, the first ones of the video.
      unseen: Those of them that have no row in the journal: a killed run did not get to it.
      params: Of the last stored segment; None if there is none.
      optimizer: Its optimizer's leaves, if the next segment keeps them.
      memory: What its steps knew in the end (`state.Memory`), leaves by path, if anything.
      partials: States within segments that are not done, by number: of each that was in training.
    """

    done: list[int]
    unseen: list[int]
    params: Params | None = None
    optimizer: Leaves | None = None
    memory: Leaves = dataclasses.field(default_factory=dict)
    partials: dict[int, Partial] = dataclasses.field(default_factory=dict)


def find(
    store: FrameStore,
    journal: Journal,
    segments: Sequence[Segment],
    plan: Plan,
    workdir: pathlib.Path,
    *,
    remembers: bool = False,
) -> Standing:
    """Reads how far a run is, and drops the rows of frames that are not stored.

    Args:
      store: The run's.
      journal: Likewise.
      segments: All that are to be trained.
      plan: How.
      workdir: For errors.
      remembers: Whether steps know something of the segment before, besides its params.

    Raises:
      InvError: If what is stored is not the beginning of the video, or is damaged.
    """
    stored = {frames[0]: frames for frames in store.segments()}
    for segment in segments:
        if stored.get(segment.number, segment.frames) != segment.frames:
            raise InvError(
                f"{workdir} holds {name_of(stored[segment.number])} trained as one, and this would "
                f"be {segment.name}; use another --workdir, or data.num_frames as before"
            )
    frames = [segment.number for segment in segments]
    done = [number for number in frames if number in stored]
    if done != frames[: len(done)]:
        raise InvError(
            f"{workdir} holds frames {min(stored)} to {max(stored)}, which are not the "
            f"first of {frames[0]} to {frames[-1]}; use another --workdir"
        )
    journal.keep_only([number for frames in stored.values() for number in frames])
    rows = journal.frames()
    unseen = [s.number for s in segments[: len(done)] if not set(s.shown) <= rows]
    partials = _partials(store, segments, len(done), plan, workdir)
    if not done or len(done) == len(frames):
        return Standing(done, unseen, partials=partials)
    last = done[-1]
    optimizer, memory = None, {}
    following = plan.phase(frames[len(done)])
    if following.keep_optimizer or (remembers and following.start != SCRATCH):
        optimizer = store.optimizer(last)
        if optimizer is None:
            raise InvError(
                f"frame {last} of {workdir} has lost its optimizer state: copy the folder "
                f"frames/{last:06d}/optimizer back, or begin a new --workdir with "
                f"train.init_from={workdir}"
            )
        optimizer, memory = _apart(optimizer)
    return Standing(done, unseen, store.params(last, carried=True), optimizer, memory, partials)


def _partials(
    store: FrameStore,
    segments: Sequence[Segment],
    num_done: int,
    plan: Plan,
    workdir: pathlib.Path,
) -> dict[int, Partial]:
    """The states within segments that are to go on, by number; others are dropped.

    Raises:
      InvError: If a segment was of another length.
    """
    left = {segment.number: segment for segment in segments[num_done:]}
    last = segments[num_done - 1].number if num_done else 0
    for number in store.partial_frames():
        is_next = number in list(left)[:1]
        if number > last and not is_next and plan.phase(number).start != SCRATCH:
            store.drop_partial(number)  # what it went on from is to be trained again
    found = {}
    for number in sorted(left.keys() & set(store.partial_frames())):
        partial, segment = Partial(*store.partial(number)), left[number]
        length = partial.metadata.get("num_frames", 1)
        if length != len(segment.frames):
            raise InvError(
                f"{workdir} has a state within {length} frames from {number} on, and this would be "
                f"{segment.name}; use another --workdir, or data.num_frames as before"
            )
        found[number] = partial
    return found


def together(optimizer: optax.OptState, memory: Memory) -> Leaves:
    """Leaves of an optimizer's state and of what steps know, as they are stored."""
    known = {_MEMORY + path: leaf for path, leaf in params_lib.flatten(memory).items()}
    return params_lib.flatten(optimizer) | known


def carried(known: Leaves, memory: Memory) -> Memory:
    """What a segment's first step knows: what the one before knew of as many pixels, if it did."""

    def one(path: tuple[Any, ...], fresh: Any) -> Any:
        found = known.get(params_lib.path_of(path), fresh)
        return found if np.shape(found) == np.shape(fresh) else fresh

    return jax.tree_util.tree_map_with_path(one, memory)


def _apart(stored: Leaves) -> tuple[Leaves, Leaves]:
    """The inverse of `together`: of the optimizer's state, and of the memory."""
    known = {p.removeprefix(_MEMORY): leaf for p, leaf in stored.items() if p.startswith(_MEMORY)}
    return {path: leaf for path, leaf in stored.items() if not path.startswith(_MEMORY)}, known


def last_state(
    standing: Standing, initial: Params, plan: Plan, optimizer: optax.GradientTransformation
) -> Handed:
    """What the last stored segment handed on, or what the first one starts from."""
    if not standing.done:
        return initial, None, {}
    params = params_lib.fill(initial, params_lib.flatten(standing.params))
    if not standing.optimizer:
        return params, None, standing.memory
    trainable, _ = params_lib.halves(params, plan.phase(standing.done[-1]).roles)
    opt_state = params_lib.fill(optimizer.init(trainable), standing.optimizer)
    return params, opt_state, standing.memory


def begin(
    params: Params,
    opt_state: optax.OptState | None,
    partial: Partial | None,
    *,
    phase: Phase,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    memory: Memory,
) -> tuple[TrainState, int, float]:
    """The state that a frame starts from, or goes on from.

    Args:
      params: Those that the frame starts from.
      opt_state: The optimizer's state of the frame before, if it is kept.
      partial: The state within this frame, if one was stored.
      phase: What trains in this frame.
      optimizer: Of the trainable half.
      key: The frame's random key.
      memory: What its first step knows.

    Returns:
      The state, steps done, and the seconds they took.
    """
    metadata: dict[str, Any] = {"step": 0, "seconds": 0.0}
    if partial is not None:
        metadata = partial.metadata
        params = params_lib.fill(params, params_lib.flatten(partial.params))
    trainable, frozen = params_lib.halves(params, phase.roles)
    state = TrainState(
        trainable=trainable,
        frozen=frozen,
        opt_state=optimizer_lib.init_state(optimizer, trainable, opt_state),
        key=key,
        step=jnp.int32(metadata["step"]),
        total=jnp.int32(phase.steps),
        means=Means.start(),
        mix=None if phase.mixture == PLAIN else phase.mixture.over(phase.steps),
        memory=memory,
    )
    if partial is not None:
        optimizer_leaves, known = _apart(partial.optimizer)
        state = state.replace(
            opt_state=params_lib.fill(state.opt_state, optimizer_leaves),
            memory=params_lib.fill(memory, known),
            means=Means(*(np.float32(x) for x in metadata["means"]), np.int32(-1)),
        )
    return state, int(metadata["step"]), float(metadata["seconds"])
