"""What is left of each segment after later ones: PSNR of segment j upon what i left behind.

What segments share goes on changing while later ones train. `P[i, j]`, j <= i, is the mean PSNR of
segment j's frames, shown by what it owns and by what was shared after segment i had trained. Of
these (Lopez-Paz and Ranzato 2017), in dB:

- the final mean, of the last row, is what is left in the end;
- the diagonal mean is what each one had when it was new;
- backward transfer is the mean of `P[last, j] - P[j, j]` over all but the last: 0 where nothing is
  forgotten, which here is measured, not copied.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inv_jax import params as params_lib
from inv_jax.eval import metrics
from inv_jax.params import Roles
from inv_jax.types import Params

Pictures = Callable[[Params, range], Sequence[np.ndarray]]  # of a segment's frames, float in [0, 1]
Truth = Callable[[int], np.ndarray]  # by frame, (H, W, 3) uint8


@dataclasses.dataclass(frozen=True)
class Matrix:
    """What was measured of n segments.

    Attributes:
      psnr: (n, n) mean over a segment's frames, dB; NaN above the diagonal.
      is_equal: Whether each segment's pictures in the end are those when it was new, to the bit.
    """

    psnr: np.ndarray
    is_equal: tuple[bool, ...]

    @property
    def final(self) -> float:
        """Mean of the last row, dB."""
        return float(self.psnr[-1].mean())

    @property
    def diagonal(self) -> float:
        """Mean of what each one had when it was new, dB."""
        return float(np.diag(self.psnr).mean())

    @property
    def backward_transfer(self) -> float:
        """dB; 0 for a single segment."""
        changes = (self.psnr[-1] - np.diag(self.psnr))[:-1]
        return float(changes.mean()) if changes.size else 0.0

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """A row for each segment after which was measured: PSNR by name, as tables want it."""
        return [
            {
                "after": names[i],
                **{names[j]: _number(self.psnr[i, j]) for j in range(len(names))},
                "mean": _number(np.nanmean(self.psnr[i])),
            }
            for i in range(len(names))
        ]

    def notes(self, names: Sequence[str]) -> list[str]:
        """What the matrix says, for people."""
        changed = [name for name, equal in zip(names, self.is_equal, strict=True) if not equal]
        pictures = "all to the bit as they were when they were new"
        if changed:
            pictures = f"not as they were when they were new: {', '.join(changed)}"
        return [
            f"final mean {self.final:.3f} dB, diagonal mean {self.diagonal:.3f} dB, backward "
            f"transfer {self.backward_transfer:+.3f} dB",
            f"pictures of the segments after the last one: {pictures}",
        ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def mixed(own: Params, shared: Params, roles: Roles) -> Params:
    """What one segment owns upon what another one's params share."""
    mine = {*roles.own, *roles.indices}
    leaves = params_lib.flatten(shared)
    leaves |= {p: v for p, v in params_lib.flatten(own).items() if params_lib.role_of(p) in mine}
    return params_lib.nest(leaves)


def measure(
    segments: Sequence[range],
    params: Callable[[int], Params],
    roles: Roles,
    pictures: Pictures,
    truth: Truth,
    *,
    is_whole: bool = True,
) -> Matrix:
    """Measures the matrix.

    Args:
      segments: Frames of each, in the order of training.
      params: Of a segment, by its first frame.
      roles: Of the model.
      pictures: Shows a segment's frames.
      truth: The images.
      is_whole: Whether all of it is measured; else the last row and the diagonal alone.
    """
    count = len(segments)
    psnr, is_equal = np.full((count, count), np.nan), [True] * count
    for j, frames in enumerate(segments):
        images = [truth(frame) for frame in frames]
        own, first = params(frames[0]), None
        for i in range(j, count):
            if not is_whole and i not in (j, count - 1):
                continue
            shared = own if i == j else params(segments[i][0])
            shown = pictures(mixed(own, shared, roles), frames)
            pairs = zip(shown, images, strict=True)
            psnr[i, j] = statistics.fmean(metrics.psnr(one, of / 255.0) for one, of in pairs)
            first = shown if first is None else first
            is_equal[j] = all(map(np.array_equal, shown, first))
    return Matrix(psnr, tuple(is_equal))
