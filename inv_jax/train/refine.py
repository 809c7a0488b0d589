"""Trains some layers of one frame for some steps: fine-tuning behind layer surgery.

Which layers train is traced, so that the many choices of an experiment share one compiled step.
The price is a gradient of all layers in each of them.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from inv_jax import params as params_lib
from inv_jax.train import optimizer as optimizer_lib
from inv_jax.train.parallel import Devices
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Cameras, InvError, Params, Stopped, Views

_STEPS_AT_ONCE = 50  # between two questions whether to stop


class Refiner:
    """Fine-tunes chosen leaves on a frame's images; holds the compiled programs."""

    def __init__(
        self,
        stepper: Stepper,
        devices: Devices,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        """Steps are those of `stepper`, a run's, on all devices."""
        self._optimizer = optimizer_lib.with_update_mask(stepper.optimizer)
        self._devices, self._should_stop = devices, should_stop
        # What was not chosen stays: bricks do not move.
        stepper = dataclasses.replace(
            stepper, optimizer=self._optimizer, hard=None, rearranges=False, best_at=None
        )
        self._memory = stepper.memory
        self._run = devices.map(stepper.run, donate=(0,))

    def refine(
        self,
        params: Params,
        chosen: Params,
        frame: Views,
        cameras: Cameras,
        *,
        steps: int,
        seed: int,
    ) -> Params:
        """The params after some steps in which only chosen leaves train.

        Args:
          params: To start from; the optimizer starts anew.
          chosen: A tree of booleans (`params.mask`).
          frame: Images of the cameras.
          cameras: As many.
          steps: How many.
          seed: Of rays and noise.

        Returns:
          All params, in host memory; those that were not chosen are equal to the bit.

        Raises:
          InvError: If the loss or a gradient is not finite.
          Stopped: If asked to.
        """
        numbers = jax.tree.map(lambda leaf: bool(jnp.issubdtype(leaf.dtype, jnp.floating)), params)
        trainable, frozen = params_lib.partition(params, numbers)
        may_move, _ = params_lib.partition(jax.tree.map(np.bool_, chosen), numbers)
        opt_state = self._optimizer.init(trainable)
        state = TrainState(
            trainable=trainable,
            frozen=frozen,
            opt_state=opt_state._replace(mask=may_move),
            key=jax.random.key(seed),
            step=jnp.int32(0),
            means=Means.start(),
            total=jnp.int32(steps),
            memory=self._memory(0),
        )
        state, frame, cameras = self._devices.replicate((state, frame, cameras))
        for first in range(0, steps, _STEPS_AT_ONCE):
            if self._devices.agree(self._should_stop())[0]:
                raise Stopped("stopped while fine-tuning; what was made so far is kept")
            count = self._devices.replicate(np.int32(min(_STEPS_AT_ONCE, steps - first)))
            state = self._run(state, frame, cameras, count)
        done = jax.device_get(self._devices.first(state))
        if int(done.means.bad_step) >= 0:
            raise InvError(
                f"fine-tuning: the loss or gradient is not finite at step {done.means.bad_step + 1}"
                "; try a lower train.learning_rate"
            )
        return done.params
