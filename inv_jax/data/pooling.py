"""Bins by which a side of pixels becomes shorter (`torch.nn.functional.adaptive_avg_pool2d`)."""

import numpy as np
from jaxtyping import Float


def bins(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one behind the last pixel of each bin of a side, (count,) each.

    Bin k of n over a side of S pixels covers `floor(k S / n)` to `ceil((k + 1) S / n)`, the end not
    included: where n does not divide S, bins overlap.
    """
    k = np.arange(count)
    return k * size // count, -(-(k + 1) * size // count)


def weights(size: int, count: int) -> Float[np.ndarray, "count size"]:
    """What each pixel counts for in each bin's mean."""
    first, end = bins(size, count)
    at = np.arange(size)
    is_in = (at >= first[:, None]) & (at < end[:, None])
    return (is_in / (end - first)[:, None]).astype(np.float32)
