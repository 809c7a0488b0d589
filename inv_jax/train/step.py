"""One training step, and many of them in one dispatch: pure functions of arrays.

`state` is what a step changes, the segment's views and cameras what it reads. All that differs
from segment to segment is traced (images, keys, counters), so a phase compiles once.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Int

from inv_jax import params as params_lib
from inv_jax.models.base import Model
from inv_jax.sampling.hardness import HardRows
from inv_jax.train import best as best_lib
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.losses import Emptiness, LossFn
from inv_jax.train.mixture import PLAIN, Kind
from inv_jax.train.state import Memory, Shaper, TrainState
from inv_jax.types import Batch, Cameras, Params, Views

# Learning rate, () float32, by step, steps of the segment, and steps of an epoch.
Schedule = Callable[[Array, Array | int, int], Array]


@dataclasses.dataclass(frozen=True)
class Stepper:
    """Everything about a step that does not change while it runs.

    Attributes:
      model: What is trained; its rows are what a batch is made of.
      loss: Of predictions and batch.
      optimizer: See `optimizer.make_optimizer`.
      schedule: Learning rate by step within the segment (`schedules.py`).
      rows_per_step: Batch size over all devices.
      rows_per_pass: Rows that go through the network at once on a device; the gradients of the
        passes are averaged. It bounds memory, and a pass whose activations fit into the cache
        runs faster; the result is the same to rounding.
      num_devices: How many devices share a step.
      axis: Name of the mapped device axis, or None outside of a map.
      shaper: Shapes the update, by the `shaping` of the state; None: nothing does.
      emptiness: What a kind of step that `empties` adds to the loss.
      hard: How hard pixels are drawn; None: all are drawn alike.
      best_at: When params are measured, of which the best are a segment's; None: the last ones.
      rearranges: Whether params go where they are wanted, see `Model.rearrange_every`.
    """

    model: Model
    loss: LossFn
    optimizer: optax.GradientTransformation
    schedule: Schedule
    rows_per_step: int
    rows_per_pass: int
    num_devices: int = 1
    axis: str | None = None
    shaper: Shaper | None = None
    emptiness: Emptiness = dataclasses.field(default_factory=Emptiness)
    hard: HardRows | None = None
    best_at: best_lib.Moments | None = None
    rearranges: bool = True

    def steps_per_epoch(self, shape: tuple[int, int, int]) -> int:
        """Steps that meet all rows of so many views, of this height and width, once."""
        num_views, height, width = shape
        rows = num_views * self.model.rows.in_view(height, width)
        return max(rows // self.rows_per_step, 1)

    def run(
        self, state: TrainState, views: Views, cameras: Cameras, num_steps: Int[Array, ""]
    ) -> TrainState:
        """Takes `num_steps` steps in one dispatch.

        The number is traced, so any number runs the same program: a segment may be cut anywhere
        and goes on with the same bits (two scans of different lengths may be compiled, and
        rounded, differently).
        """
        if state.memory.hardness is not None:
            begun = lambda hardness: hardness.begun(views)  # noqa: E731
            hardness = lax.cond(state.step == 0, begun, lambda same: same, state.memory.hardness)
            state = state.replace(memory=state.memory.replace(hardness=hardness))
        return lax.fori_loop(0, num_steps, lambda _, s: self.step(s, views, cameras), state)

    @functools.cached_property
    def _guide_shapes(self) -> Any:
        """Traced once: a segment may have a fraction of a second."""
        return jax.eval_shape(lambda key: self.model.guide(self.model.init(key)), jax.random.key(0))

    @functools.cached_property
    def _nothing_best(self) -> best_lib.Best:
        return best_lib.nothing(self.model)

    def memory(self, num_pixels: int) -> Memory:
        """What the first step of all knows, of so many pixels: nothing, in arrays of the host."""
        guide = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), self._guide_shapes)
        return Memory(
            guide,
            None if self.hard is None else self.hard.fresh(num_pixels),
            None if self.best_at is None else self._nothing_best,
        )

    def step(self, state: TrainState, views: Views, cameras: Cameras) -> TrainState:
        """One step: sample, differentiate with respect to the trainable half, update it."""
        state = self._derived(self._rearranged(state, views, cameras))
        state = self._guided(state)
        kinds = PLAIN.kinds if state.mix is None else state.mix.kinds
        differentiate = [self._of_kind(kind, views, cameras) for kind in kinds]
        drawn = jnp.int32(0)
        if len(kinds) == 1:
            grads, (loss, mse), seen = differentiate[0](state)
        else:
            # Each kind is compiled for what it renders and trains, so none pays for the others.
            key = jax.random.fold_in(jax.random.split(state.key, 3)[2], state.step)
            drawn = state.mix.draw(key, state.step)
            grads, (loss, mse), seen = lax.switch(drawn, differentiate, state)
        if self.axis is not None:
            grads, loss, mse = lax.pmean((grads, loss, mse), self.axis)
        is_finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
        optimizer = optax.with_extra_args_support(self.optimizer)
        updates, opt_state = optimizer.update(
            grads, state.opt_state, state.trainable, frozen=state.frozen
        )
        rate = self.schedule(state.step, state.total, self.steps_per_epoch(views.shape))
        trainable = jax.tree.map(lambda p, u: p - rate * u, state.trainable, updates)
        if self.shaper is not None and state.shaping is not None:
            trainable = self.shaper.after(trainable, state.shaping, rate)
        if trains := _trains(kinds, drawn, state.trainable):
            trainable = optimizer_lib.only(trains, trainable, state.trainable)
            opt_state = optimizer_lib.only(trains, opt_state, state.opt_state)
        state = state.replace(
            trainable=trainable,
            opt_state=opt_state,
            memory=self._noted(state.memory, seen),
            step=state.step + 1,
            means=state.means.update(state.step, loss, mse, is_finite),
        )
        return self._best(state, views, cameras)

    def _derived(self, state: TrainState) -> TrainState:
        """The state with what follows from its params."""
        params = self.model.derived(state.params)
        return state.replace(
            trainable=_like(state.trainable, params), frozen=_like(state.frozen, params)
        )

    def _best(self, state: TrainState, views: Views, cameras: Cameras) -> TrainState:
        """The state with the best params noted, if it is time for that; in the end, with these."""
        if self.best_at is None:
            return state

        def note(state: TrainState) -> TrainState:
            best = best_lib.better(
                state.memory.best, self.model, state.params, views, cameras, self.axis
            )
            return state.replace(memory=state.memory.replace(best=best))

        def take(state: TrainState) -> TrainState:
            params = state.memory.best.params
            return state.replace(
                trainable=_like(state.trainable, params), frozen=_like(state.frozen, params)
            )

        same = lambda state: state  # noqa: E731
        due = self.best_at.are_at(state.step, state.total, self.steps_per_epoch(views.shape))
        return lax.cond(state.step == state.total, take, same, lax.cond(due, note, same, state))

    def _rearranged(self, state: TrainState, views: Views, cameras: Cameras) -> TrainState:
        """The state with params where they are wanted, if it is time for that.

        By a batch of a step, that of all devices on each of them: they all come to the same.
        """
        if not self.rearranges or not self.model.rearrange_every:
            return state

        def rearrange(state: TrainState) -> TrainState:
            batch = self.model.rows.sample(
                self.model.inputs,
                jax.random.split(state.key, 4)[3],
                state.step,
                jnp.arange(self.rows_per_step),
                self.rows_per_step,
                views,
                cameras,
                hardness=state.memory.hardness,
            )
            params = self.model.rearranged(state.params, batch.inputs, batch.target)
            trainable = _like(state.trainable, params)
            is_new = jax.tree.map(jnp.not_equal, trainable, state.trainable)
            forget = lambda leaf, new: jnp.where(new, jnp.zeros_like(leaf), leaf)  # noqa: E731
            shaping = state.shaping
            if self.shaper is not None and shaping is not None:
                shaping = self.shaper.moved(shaping, is_new, trainable)
            return state.replace(
                trainable=trainable,
                frozen=_like(state.frozen, params),
                opt_state=optax.tree.map_params(self.optimizer, forget, state.opt_state, is_new),
                shaping=shaping,
            )

        due = state.step % self.model.rearrange_every == 0
        return lax.cond(due, rearrange, lambda same: same, state)

    def _guided(self, state: TrainState) -> TrainState:
        """The state with a new guide, if it is time for one."""
        if not self.model.guide_every:
            return state
        guide = lax.cond(
            state.step % self.model.guide_every == 0,
            lambda: self.model.guide(state.params),
            lambda: state.memory.guide,
        )
        return state.replace(memory=state.memory.replace(guide=guide))

    def _noted(self, memory: Memory, seen: tuple[Array, Array] | None) -> Memory:
        """The memory with what all devices have seen: pixels, and how wrong they were shown."""
        if memory.hardness is None or seen is None:
            return memory
        if self.axis is not None:
            seen = lax.all_gather(seen, self.axis, tiled=True)
        return memory.replace(hardness=memory.hardness.noted(*seen))

    def _of_kind(
        self, kind: Kind, views: Views, cameras: Cameras
    ) -> Callable[[TrainState], tuple[Params, tuple[Array, Array], Any]]:
        """The function that samples and differentiates a step of this kind, on one device."""

        def differentiate(state: TrainState) -> tuple[Params, tuple[Array, Array], Any]:
            key_pixels, key_rays = jax.random.split(state.key)
            share = self.rows_per_step // self.num_devices
            first = 0 if self.axis is None else lax.axis_index(self.axis) * share
            ids = first + jnp.arange(share)
            batch = self.model.rows.sample(
                *(self.model.inputs, key_pixels, state.step, ids, self.rows_per_step),
                *(views, cameras, kind.region, state.memory.hardness),
            )
            key = jax.random.fold_in(key_rays, state.step)
            return self._gradients(kind, state, batch, key, views)

        return differentiate

    def _gradients(
        self, kind: Kind, state: TrainState, batch: Batch, key: Array, views: Views
    ) -> tuple[Params, tuple[Array, Array], tuple[Array, Array] | None]:
        """Mean gradient, loss and error over this device's rows, pass by pass.

        Where the hardness of pixels is kept, also which these were, and each one's error.
        """
        model = self.model.part(kind.part) if kind.part else self.model

        def loss_fn(trainable: Params, part: Batch) -> tuple[Array, tuple[Array, Any]]:
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(part.ids)
            if kind.networks:
                trainable = _stop_gradients(trainable, kind.networks)
            params = params_lib.merge(trainable, state.frozen)
            predictions = model.guided(params, part.inputs, state.memory.guide, keys=keys)
            picture = list(predictions.values())[-1]
            loss = self.loss(predictions, part)
            if kind.empties:
                loss = loss + self.emptiness(predictions, part, views)
            seen = None
            if state.memory.hardness is not None:
                seen = part.pixels, jnp.mean(jnp.abs(picture.rgb - part.target), axis=-1)
            return loss, (jnp.mean(jnp.square(picture.rgb - part.target)), seen)

        def one_pass(part: Batch):
            differentiate = jax.value_and_grad(loss_fn, has_aux=True)
            (loss, (mse, seen)), grads = differentiate(state.trainable, part)
            return (grads, (loss, mse)), seen

        num_rows = batch.ids.shape[0]
        num_passes = num_rows // min(num_rows, self.rows_per_pass)
        if num_passes == 1:
            (grads, means), seen = one_pass(batch)
            return grads, means, seen
        parts = jax.tree.map(lambda x: x.reshape(num_passes, -1, *x.shape[1:]), batch)
        zeros = jax.tree.map(jnp.zeros_like, (state.trainable, (jnp.float32(0), jnp.float32(0))))

        def accumulate(total, part: Batch):
            means, seen = one_pass(part)
            return jax.tree.map(jnp.add, total, means), seen

        total, seen = lax.scan(accumulate, zeros, parts)
        grads, means = jax.tree.map(lambda x: x / num_passes, total)
        return grads, means, jax.tree.map(lambda x: x.reshape(num_rows), seen)


def _like(half: Params, params: Params) -> Params:
    """The leaves of the params that a half of them has."""
    leaves = params_lib.flatten(params)
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[params_lib.path_of(path)], half)


def _trains(kinds: tuple[Kind, ...], drawn: Int[Array, ""], trainable: Params) -> dict[str, Array]:
    """Whether each network trains in a step of the kind that was drawn.

    Those that train in every kind are not named: nothing has to be kept of them.
    """
    names = sorted(set(jax.tree.leaves(params_lib.networks(trainable))))
    columns = {name: [kind.trains([name]) for kind in kinds] for name in names}
    return {name: jnp.array(column)[drawn] for name, column in columns.items() if not all(column)}


def _stop_gradients(trainable: Params, networks: tuple[str, ...]) -> Params:
    """The params with no gradient but for these networks."""
    return jax.tree.map(
        lambda leaf, name: leaf if name in networks else lax.stop_gradient(leaf),
        trainable,
        params_lib.networks(trainable),
    )
