"""A segment in training: how far it is, what it cost, and what is noted of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from inv_jax.data.prefetch import Prepared
from inv_jax.data.segments import Segment
from inv_jax.train.plan import Edit, Moments, Phase
from inv_jax.train.state import Means, TrainState
from inv_jax.types import InvError

_COSTS = ("gap_seconds", "render_seconds", "checkpoint_wait_seconds")


@dataclasses.dataclass
class SegmentInTraining:
    """A segment between its first step and its storage.

    Attributes:
      prepared: Which one it is, its views as `Lanes.place` left them, the truth of what is shown,
        and how long the devices waited for its pixels.
      phase: Its phase, with its own number of steps.
      state: Its `TrainState`, as `Lanes.begin` placed it.
      step: Steps done.
      seconds: What its steps took, over all runs: its share of the dispatches' time, so the sum
        over all segments is the time that training took, also where several train at once.
      gap_seconds: From the last step of the segment before to its own first one.
      render_seconds: In which views of other segments were rendered. What the devices do between
        two dispatches counts for the segment that began last, of several.
      checkpoint_wait_seconds: How long they waited for earlier segments to be written.
    """

    prepared: Prepared
    phase: Phase
    state: Any
    step: int
    seconds: float
    gap_seconds: float = 0.0
    render_seconds: float = 0.0
    checkpoint_wait_seconds: float = 0.0

    @property
    def segment(self) -> Segment:
        """Which one it is."""
        return self.prepared.segment

    @property
    def number(self) -> int:
        """What it is called by: its first frame."""
        return self.segment.number

    @property
    def is_done(self) -> bool:
        """Whether all its steps are taken."""
        return self.step >= self.phase.steps

    def steps_to_stop(self, *moments: Moments) -> int:
        """Steps until something is due, or until it is done."""
        following = [stop for each in moments if (stop := each.behind(self.step)) is not None]
        following += [step for step, _ in self.phase.edits if step > self.step]
        return min([self.phase.steps, *following]) - self.step

    def edits(self) -> list[Edit]:
        """What is to be done to its params before the next step."""
        return [edit for step, edit in self.phase.edits if step == self.step]

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
            f"the loss or gradient of {self.segment.name} is not finite at step {bad + 1} of "
            f"{self.phase.steps}; {last}: try a lower train.learning_rate or train.clip_norm"
            + (", or train.reset_optimizer=True" if self.phase.keep_optimizer else "")
        )

    def notes_within(self, state: TrainState) -> dict[str, Any]:
        """What is stored with its state before it is done."""
        return {
            "seconds": self.seconds,
            "num_frames": len(self.segment.frames),
            "means": [float(state.means.loss), float(state.means.mse)],
        }

    def notes(self, state: TrainState, rows_per_step: int) -> dict[str, Any]:
        """What is stored with its params when it is done, and in its row.

        Loss and `train_psnr` are running means over the rows that the last steps drew, not over
        all pixels: of Split INV more of them are of what moves, which is harder.
        """
        steps_per_second = self.phase.steps / self.seconds
        return {
            "frame": self.number,
            "num_frames": len(self.segment.frames),
            "phase": self.phase.name,
            "steps": self.phase.steps,
            "loss": float(state.means.loss),
            "train_psnr": psnr(state.means.mse),
            "seconds": round(self.seconds, 3),
            "steps_per_second": round(steps_per_second, 3),
            "rows_per_second": round(steps_per_second * rows_per_step),
            "input_wait_seconds": round(self.prepared.wait_seconds, 4),
            **{name: round(getattr(self, name), 4) for name in _COSTS},
        }


def where(frames: Sequence[SegmentInTraining]) -> str:
    """Where training is, for people."""
    first, last = frames[0], frames[-1]
    if last is not first:
        return f"frames {first.number} to {last.number}"
    return f"{first.segment.name} after step {first.step} of {first.phase.steps}"


def psnr(mse: Any) -> float:
    """Of a mean squared error of colors in [0, 1], in dB; finite."""
    return float(-10.0 * np.log10(max(float(mse), 1e-20)))
