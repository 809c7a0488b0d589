"""A frame in training: how far it is, what it cost, and what is noted of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from inv_jax.train.plan import Moments, Phase
from inv_jax.train.step import Means, TrainState
from inv_jax.types import InvError

_COSTS = ("input_wait_seconds", "gap_seconds", "render_seconds", "checkpoint_wait_seconds")


@dataclasses.dataclass
class FrameInTraining:
    """A frame between its first step and its storage.

    Attributes:
      number: As on disk.
      phase: Its phase, with its own number of steps.
      state: Its `TrainState`, as `Lanes.begin` placed it.
      pixels: Its `Frame`, as `Lanes.place` did.
      shown: Image of the camera that is shown, (H, W, 3) uint8, on the host.
      step: Steps done.
      seconds: What its steps took, over all runs: its share of the dispatches' time, so the sum
        over all frames is the time that training took, also where several train at once.
      input_wait_seconds: How long the devices waited for its pixels.
      gap_seconds: From the last step of the frame before to its own first one.
      render_seconds: In which views of other frames were rendered. What the devices do between
        two dispatches counts for the frame that began last, of several.
      checkpoint_wait_seconds: How long they waited for earlier frames to be written.
    """

    number: int
    phase: Phase
    state: Any
    pixels: Any
    shown: np.ndarray
    step: int
    seconds: float
    input_wait_seconds: float = 0.0
    gap_seconds: float = 0.0
    render_seconds: float = 0.0
    checkpoint_wait_seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether all its steps are taken."""
        return self.step >= self.phase.steps

    def steps_to_stop(self, *moments: Moments) -> int:
        """Steps until something is due, or until it is done."""
        following = [stop for each in moments if (stop := each.behind(self.step)) is not None]
        return min([self.phase.steps, *following]) - self.step

    def check_finite(self, means: Means, last_stored: int | None) -> None:
        """Refuses to go on with numbers that are none.

        Raises:
          InvError: With the step that went wrong.
        """
        bad = int(means.bad_step)
        if bad < 0:
            return
        last = (
            "no frame is stored"
            if last_stored is None
            else f"frame {last_stored} is the last good one"
        )
        raise InvError(
            f"the loss or gradient of frame {self.number} is not finite at step {bad + 1} of "
            f"{self.phase.steps}; {last}: try a lower train.learning_rate or train.clip_norm"
            + (", or train.reset_optimizer=True" if self.phase.keep_optimizer else "")
        )

    def notes_within(self, state: TrainState) -> dict[str, Any]:
        """What is stored with its state before it is done."""
        return {
            "seconds": self.seconds,
            "means": [float(state.means.loss), float(state.means.mse)],
        }

    def notes(self, state: TrainState, rows_per_step: int) -> dict[str, Any]:
        """What is stored with its params when it is done, and in its row.

        Loss and `train_psnr` are running means over the rays that the last steps drew, not over
        all pixels: of Split INV more of them are of what moves, which is harder.
        """
        steps_per_second = self.phase.steps / self.seconds
        return {
            "frame": self.number,
            "phase": self.phase.name,
            "steps": self.phase.steps,
            "loss": float(state.means.loss),
            "train_psnr": psnr(state.means.mse),
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(steps_per_second, 3),
            "rows_per_second": round(steps_per_second * rows_per_step),
            **{name: round(getattr(self, name), 4) for name in _COSTS},
        }


def where(frames: Sequence[FrameInTraining]) -> str:
    """Where training is, for people."""
    first, last = frames[0], frames[-1]
    if last is not first:
        return f"frames {first.number} to {last.number}"
    return f"frame {first.number} after step {first.step} of {first.phase.steps}"


def psnr(mse: Any) -> float:
    """Of a mean squared error of colors in [0, 1], in dB; finite."""
    return float(-10.0 * np.log10(max(float(mse), 1e-20)))
