"""Learning rates by step within a segment. All that differs from segment to segment is traced.

How long a segment is trained is an argument of its schedule, so a clip of 24 frames and one of
300 run the same program. An epoch is one pass over the segment's rows.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inv_jax.types import InvError

# Step from 0, total steps, steps per epoch, each () int32 -> () float32.
Schedule = Callable[[jax.Array, jax.Array | int, jax.Array | int], jax.Array]

EXPONENTIAL, GEOMETRIC, ONECYCLE = "exponential", "geometric", "onecycle"
BY_EPOCH = CONSTANT, COSINE, STEP = "constant", "cosine", "step"  # those that may warm up
NAMES = (EXPONENTIAL, GEOMETRIC, *BY_EPOCH, ONECYCLE)

_COLD = 0.1  # part of the rate that a warm-up begins with
_RISE, _START, _END = Fraction(3, 10), 1 / 25, 1 / (25 * 1e4)  # of one cycle; optax's defaults


def make(
    name: str,
    *,
    learning_rate: float,
    decay_rate: float = 0.1,
    decay_steps: int = 250_000,
    warmup: float = 0.0,
    milestones: Sequence[float] = (),
) -> Schedule:
    """The schedule of a name.

    - `exponential`: `learning_rate * decay_rate ** (step / decay_steps)`, INV's; by steps alone.
    - `geometric`: from `learning_rate` to `learning_rate * decay_rate` over the segment's steps.
    - `constant`: `learning_rate`.
    - `cosine`: half a turn, from `learning_rate` to 0 (NeRV, `adjust_lr`).
    - `step`: times `decay_rate` for every milestone that is passed (likewise).
    - `onecycle`: up to `learning_rate` and down, as `optax.cosine_onecycle_schedule`.

    Args:
      name: One of `NAMES`.
      learning_rate: The highest one.
      decay_rate: Of `exponential`: the factor of `decay_steps` steps; of `geometric`: of a segment;
        of `step`: of a milestone.
      decay_steps: Of `exponential`.
      warmup: Of those `BY_EPOCH`: a part of the epochs, in whole ones, rounded down; in it the
        rate is `0.1 + 0.9 * epoch / warmup epochs` of the highest. A cosine begins behind it.
      milestones: Of `step`: epochs, which need not be whole.

    Returns:
      A function of step, total steps and steps per epoch.

    Raises:
      InvError: If there is no such schedule, or a setting cannot be right.

    Example:
      rate = make("cosine", learning_rate=5e-4, warmup=0.2)
      rate(jnp.int32(0), jnp.int32(300 * 132), jnp.int32(132))  # 5e-5: of 300 epochs of 132 steps
    """
    if name not in NAMES:
        raise InvError(f"train.schedule={name!r} is unknown; schedules are {', '.join(NAMES)}")
    if not 0.0 <= warmup < 1.0:
        raise InvError(f"train.lr_warmup={warmup}; want a part of the epochs, 0.0 to below 1.0")
    if warmup and name not in BY_EPOCH:
        raise InvError(
            f"train.lr_warmup={warmup}, but train.schedule={name!r} has no warm-up; set it to "
            f"0.0, or choose one of {', '.join(BY_EPOCH)}"
        )
    if not all(milestone > 0 for milestone in milestones):
        raise InvError(f"train.lr_milestones={tuple(milestones)}; want epochs, above 0")
    if name == EXPONENTIAL:
        by_step = optax.exponential_decay(learning_rate, decay_steps, decay_rate)
        return lambda step, total, steps_per_epoch: by_step(step)
    if name == GEOMETRIC:
        return lambda step, total, steps_per_epoch: (
            learning_rate * jnp.float32(decay_rate) ** (step / jnp.maximum(total - 1, 1))
        )
    if name == ONECYCLE:
        return lambda step, total, steps_per_epoch: learning_rate * _onecycle(step, total)
    part = Fraction(str(warmup)).limit_denominator(1000)
    passed = np.asarray(milestones, np.float32)

    def schedule(step: jax.Array, total: jax.Array, steps_per_epoch: jax.Array) -> jax.Array:
        cold = _part(part, total // steps_per_epoch) * steps_per_epoch
        factor = {
            CONSTANT: lambda: jnp.float32(1.0),
            COSINE: lambda: _cosine(step - cold, total - cold),
            STEP: lambda: jnp.float32(decay_rate) ** jnp.sum(step >= passed * steps_per_epoch),
        }[name]()
        warming = _COLD + (1.0 - _COLD) * step / jnp.maximum(cold, 1)
        return learning_rate * jnp.where(step < cold, warming, factor)

    return schedule


def _part(part: Fraction, whole: jax.Array) -> jax.Array:
    """A part of a whole number, rounded down; in integers, since 0.29 * 100 is 28.999... else."""
    return part.numerator * whole // part.denominator


def _cosine(step: jax.Array, total: jax.Array) -> jax.Array:
    """`(1 + cos(pi * step / total)) / 2`, from 1 to 0; precise at both ends."""
    left = jnp.clip((total - step) / jnp.maximum(total, 1), 0.0, 1.0)
    return jnp.sin(0.5 * jnp.pi * left) ** 2


def _onecycle(step: jax.Array, total: jax.Array) -> jax.Array:
    """From 1/25 up to 1 over three tenths of the steps, then down to 1/250,000; half cosines."""
    rise = _part(_RISE, total)
    rising = 1.0 + (_START - 1.0) * _cosine(step, rise)
    falling = _END + (1.0 - _END) * _cosine(step - rise, total - rise)
    return jnp.where(step < rise, rising, falling)
