"""Which quality to fetch next: what the network has proved to carry, with reserve."""

import dataclasses
import math
from collections.abc import Sequence

_HALF_LIVES = (2.0, 8.0)  # s of transfer in which an old measurement loses half its weight
_UP = 0.7  # share of the throughput that a better level may need
_STAY = 0.9  # ... that the present one may need
_UP_AT_ONCE = 0.35  # ... that it may need while little is buffered, as always at the live edge
_CALM = 0.5  # share of the buffer that must be full to go up, and to ride out a slow moment
_SETTLED = 3  # keys between two changes upwards


class Throughput:
    """Bits per second, from transfers; the lower of a quick and a slow average counts."""

    def __init__(self):
        self._sums = [[0.0, 0.0] for _ in _HALF_LIVES]  # weighted bits and seconds

    def add(self, num_bytes: int, seconds: float) -> None:
        """Takes a transfer into account, its waiting included."""
        seconds = max(seconds, 1e-6)
        for sums, half_life in zip(self._sums, _HALF_LIVES, strict=True):
            keep = math.exp2(-seconds / half_life)
            sums[0] = sums[0] * keep + 8 * num_bytes
            sums[1] = sums[1] * keep + seconds

    @property
    def bits_per_second(self) -> float:
        """The estimate; 0 before the first transfer."""
        return min(bits / seconds if seconds else 0.0 for bits, seconds in self._sums)


@dataclasses.dataclass
class Chooser:
    """Chooses a level at each key.

    It begins with the least level, goes up one level at a time when the network carries it with
    reserve, and down at once when it no longer carries the present one and the buffer is not full
    enough to wait.
    """

    level: int = 0  # by rank: 0 needs the fewest bits
    _since: int = 0  # keys since the last change

    def choose(
        self, needs: Sequence[float], throughput: float, buffered: float, full: float
    ) -> int:
        """The level of the next segment.

        Args:
          needs: Bits per second of each level, ascending.
          throughput: Bits per second of the network.
          buffered: Seconds that can be played without the network.
          full: Seconds that the buffer holds.
        """
        calm = buffered >= full * _CALM
        best = max(
            (rank for rank, need in enumerate(needs) if need <= _STAY * throughput), default=0
        )
        up = self.level + 1
        self._since += 1
        if best < self.level and not calm:
            self.level, self._since = best, 0
        elif (
            up < len(needs)
            and self._since >= _SETTLED
            and needs[up] <= (_UP if calm else _UP_AT_ONCE) * throughput
        ):
            self.level, self._since = up, 0
        return self.level
