"""A case's row: what ran on what, and how long it took beside what it could take."""

import dataclasses
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from inv_jax.cost import count, machine
from inv_jax.train.parallel import Devices

_DIGITS = 5


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of something that was timed several times."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Times":
        return cls(statistics.median(seconds), min(seconds), max(seconds))

    def row(self, name: str = "seconds") -> dict[str, float]:
        return {name: self.median, f"{name}_min": self.least, f"{name}_max": self.most}


def in_turn(rounds: int, **timers: Callable[[], float]) -> dict[str, Times]:
    """Times several things in turn, so that a noisy machine slows them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds[name].append(timer())
    return {name: Times.of(values) for name, values in seconds.items()}


class Rates:
    """The machine's rates, each measured when it is first asked for."""

    def __init__(self):
        self._matrix: dict[str, float] = {}
        self._memory = 0.0

    def matrix(self, precision: str) -> float:
        """Floating-point operations a second, of the best large product."""
        if precision not in self._matrix:
            self._matrix[precision] = machine.matrix_rate(precision)
        return self._matrix[precision]

    @property
    def memory(self) -> float:
        """Bytes a second, streamed."""
        self._memory = self._memory or machine.memory_rate()
        return self._memory

    def floor(self, cost: count.Cost, precision: str, devices: Devices) -> dict[str, float]:
        """Rates, and the least time that the work of one of the devices takes at them.

        On a CPU the rates are those of all cores, which the devices share; and what a pass
        computes is taken to stay in its caches.
        """
        on_cpu = devices.platform == "cpu"
        times = devices.count if on_cpu else 1
        moved = cost.bytes.rest if on_cpu else cost.bytes.fused
        return {
            "matrix_rate": self.matrix(precision),
            "memory_rate": self.memory,
            "compute_floor_seconds": times * cost.flops / self.matrix(precision),
            "memory_floor_seconds": times * moved / self.memory,
            "unfused_memory_floor_seconds": times * cost.bytes.unfused / self.memory,
            "floor_seconds": times
            * cost.floor_seconds(self.matrix(precision), self.memory, in_cache=on_cpu),
        }


class Budget:
    """Seconds that a bench may take; 0 is all it wants."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds if seconds else math.inf

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end


def emit(bench: str, devices: Devices, row: Mapping[str, Any]) -> None:
    """Prints one line: the bench, where it ran, and the row."""
    where = {
        "bench": bench,
        "device": devices.describe(),
        "cores": machine.cores(),
        "jax": jax.__version__,
    }
    if devices.platform == "cpu" and devices.count > 1:
        where["note"] = f"simulated devices share {machine.cores()} cores"
    write({**where, **row})


def write(row: Mapping[str, Any]) -> None:
    """Prints a row as it is, numbers shortened; NaN and None are left out."""
    line = {name: _short(value) for name, value in row.items() if _is_said(value)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people, on the standard error."""
    sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {text}\n")
    sys.stderr.flush()


def _is_said(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(item) for item in value]
    return value
