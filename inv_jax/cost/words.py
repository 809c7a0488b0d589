"""Numbers in words, three digits each: sizes, rates, durations."""

import itertools


def size(num_bytes: float) -> str:
    """Bytes: `82.3 MiB`, `139 GiB`."""
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if num_bytes >= scale:
            value = num_bytes / scale
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
    return f"{num_bytes:.0f} bytes"


def quantity(value: float, unit: str) -> str:
    """With a prefix of ten: `593 GFLOP`, `4.12 TB/s`."""
    for prefix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def duration(seconds: float) -> str:
    """Time: `5.12 ms`, `3.1 s`, `7 min 40 s`, `12 h 5 min`, `9 days 4 h`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 59.5:
        return f"{seconds:.3g} s"
    seconds = round(seconds)
    units = (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (big, scale), (small, rest) in itertools.pairwise(units):
        if seconds >= scale:
            return f"{int(seconds // scale)} {big} {int(seconds % scale // rest)} {small}"
    return f"{seconds:.0f} s"
