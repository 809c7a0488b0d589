"""Where bits are worth most: steps by importance, symbols by cost, quality by measuring.

The criterion is D + lambda R: D the mean squared error that the coded params make in the picture,
R the bits. Near the true params D is about `sum_i h_i e_i^2`, with the importance h_i of a param
and its error e_i. Then, at high rate, D + lambda R is smallest with steps `d_i = sqrt(c lambda /
h_i)`: every param adds the same error to the picture, so that one lambda, hence one number for the
quality, serves all leaves (Gish and Pierce 1968: uniform steps and entropy coding; the c is
6 / ln 2 there). Importance is smooth enough along the rows and columns of a kernel that a number
for each of them says it: a unit that no ray ever lights costs nothing.

At low rate most of the gain lies in the choice of the symbols themselves: each is the one of the
nearest, the next smaller and zero with the smallest `h_i e_i^2 + lambda * bits` (rate-distortion
optimised quantisation, as in video coders).

What D really is, a gauge measures in the end, on the picture; the search over the one number
stops at the coarsest steps that hold the wanted fidelity.
"""

import math
from collections.abc import Callable

import numpy as np

from inv_jax.codec import entropy
from inv_jax.codec.base import Gauge, Layout, Leaves
from inv_jax.codec.gauge import KeenGauge
from inv_jax.codec.history import MAX_EXPONENT, PER_OCTAVE, Grid

_STEP_OVER_LAMBDA = 12.0  # c; 6 / ln 2 at high rate, more for what remains at low rate
_ROW_RANGE = (-24, 40)  # exponents of a row or column, in 1/8 octaves
_LEAF_RANGE = 127
_WORTH_RANGE = 32
TOLERANCE = 1.06  # of a target, 0.25 dB: as far as the errors of neighbouring steps jump about


class RelativeGauge:
    """Stands in where there is no picture: the mean over leaves of their relative squared error."""

    def mse(self, true: Leaves, changed: Leaves) -> float:
        """See `Gauge.mse`."""
        errors = [
            float(np.sum(np.square(leaf - changed[path], dtype=np.float64)))
            / max(float(np.sum(np.square(leaf, dtype=np.float64))), 1e-30)
            for path, leaf in true.items()
            if leaf.size
        ]
        return sum(errors) / max(len(errors), 1)


def importance(
    layout: Layout,
    true: Leaves,
    gauge: Gauge,
    target: float,
    part_of: Callable[[str], str] | None = None,
) -> np.ndarray:
    """Error of the picture per squared change of each param, (size,) float64, all above 0.

    A gauge that knows which params matter says how they compare within a leaf; how parts compare is
    measured: each is shaken on its own, every param by as much as it should matter equally, first
    by a guess, then so that about `target` comes out. Other gauges are asked leaf by leaf.

    Args:
      layout: Of the leaves.
      true: A frame.
      gauge: Measures pictures.
      target: Error of the picture around which the numbers should hold.
      part_of: The part that a leaf belongs to, by its path; None: its network, whose leaves then
        matter alike on average.
    """
    if isinstance(gauge, RelativeGauge):
        keen = {path: np.full(np.shape(leaf), _relative(leaf)) for path, leaf in true.items()}
        return layout.ravel(keen).astype(np.float64) / max(len(layout.paths), 1)
    if isinstance(gauge, KeenGauge):
        keen, part_of = gauge.keenness(true), part_of or network_of
    else:
        keen = {path: np.ones(np.shape(leaf)) for path, leaf in true.items()}
        part_of = str
    keen = {path: np.maximum(keen[path], 1e-6) for path in layout.paths}
    weights = {}
    for part in dict.fromkeys(map(part_of, layout.paths)):
        members = [path for path in layout.paths if part_of(path) == part]
        weight = _weigh(true, {path: keen[path] for path in members}, gauge, target)
        weights |= {path: weight * keen[path] for path in members}
    return np.concatenate([weights[path].ravel() for path in layout.paths])


def _relative(leaf: np.ndarray) -> float:
    return 1.0 / max(float(np.sum(np.square(leaf, dtype=np.float64))), 1e-30)


def _weigh(true: Leaves, keen: Leaves, gauge: Gauge, target: float) -> float:
    """Error of the picture per `sum keen * change^2`, near an error of `target`."""
    rng = np.random.default_rng(0)
    shake, size = {}, 0
    for path, keenness in keen.items():
        # No param by more than its fellows' tenfold: where keenness is nearly nothing, it is vague.
        scale = np.minimum(1.0 / np.sqrt(keenness), 10.0)
        shake[path] = rng.uniform(-1.0, 1.0, keenness.shape) * scale
        size += keenness.size
    power = sum(float(np.sum(keen[path] * np.square(shake[path]))) for path in keen)
    spread = math.sqrt(sum(float(np.sum(np.square(true[path]))) for path in keen) / max(size, 1))
    amplitude, weight = 0.02 * max(spread, 1e-6), 0.0
    for _ in range(3):
        changed = dict(true) | {
            path: (true[path] + amplitude * shake[path]).astype(np.float32) for path in keen
        }
        found = gauge.mse(true, changed)
        weight = found / (power * amplitude**2)
        if not math.isfinite(found) or found <= 0.0:
            return 1e-9 / max(power, 1e-30)  # nothing to be seen of it
        amplitude *= min(max(math.sqrt(target / found), 0.1), 10.0)
    return weight


def exponents(grid: Grid, weights: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """Steps that go with an importance, up to a common factor, as exponents in 1/8 octaves.

    Returns:
      For each leaf, its exponent (0 for the finest, more for coarser ones), and those of its rows
      and then its columns, int32, which come on top.
    """
    leaves, lines = [], []
    for matrix in grid.matrices(weights):
        mean = max(float(matrix.mean()), 1e-30) if matrix.size else 1e-30
        leaves.append(-0.5 * PER_OCTAVE * math.log2(mean))
        parts = []
        for axis, count in ((1, matrix.shape[0]), (0, matrix.shape[1])):
            if count == 1 or not matrix.size:
                parts.append(np.zeros(count))
            else:
                means = np.maximum(matrix.mean(axis=axis) / mean, 1e-12)
                parts.append(-0.5 * PER_OCTAVE * np.log2(means))
        joint = np.clip(np.rint(np.concatenate(parts)), *_ROW_RANGE)
        lines.append(joint.astype(np.int32))
    finest = min(leaves, default=0.0)
    return [min(round(leaf - finest), _LEAF_RANGE) for leaf in leaves], lines


def worth(
    grid: Grid,
    layout: Layout,
    true: np.ndarray,
    before: np.ndarray,
    scale: np.ndarray,
    gauge: Gauge,
) -> np.ndarray:
    """How much coarser than assumed each network may be, as exponents; their mean is about 0.

    Importance says what independent errors of the params do. But what a frame lacks where
    symbols became zero is its own motion, in which the params go together, and that shows more.
    So it is measured: each network in turn is left behind where it was.

    Args:
      grid: Of the leaves.
      layout: Likewise.
      true: (size,) the frame.
      before: (size,) the decoded frame before.
      scale: (size,) steps up to a factor, made from what was assumed.
      gauge: Measures pictures.

    Returns:
      (leaves,) int32.
    """
    leaves, old = layout.unravel(true), layout.unravel(before)
    assumed = np.square((true - before) / scale, dtype=np.float64)
    expected = [float(assumed[part].sum()) for part in grid.parts]
    of_leaf = [network_of(path) for path in layout.paths]
    found = {}
    for network in dict.fromkeys(of_leaf):
        behind = {path: old[path] for path in layout.paths if network_of(path) == network}
        shown = gauge.mse(leaves, dict(leaves) | behind)
        size = sum(x for x, leaf in zip(expected, of_leaf, strict=True) if leaf == network)
        if shown > 0.0 and size > 0.0:
            found[network] = -0.5 * PER_OCTAVE * math.log2(shown / size)
    middle = sum(found.values()) / max(len(found), 1)
    offsets = [found.get(network, middle + _WORTH_RANGE) - middle for network in of_leaf]
    return np.rint(np.clip(offsets, -_WORTH_RANGE, _WORTH_RANGE)).astype(np.int32)


def network_of(path: str) -> str:
    """The network that a leaf belongs to, the first part of its path."""
    return path.split("/", maxsplit=1)[0]


def steps_for(weights: np.ndarray, base: np.ndarray, target: float) -> int:
    """The common exponent with which rounding every param would make about the wanted error.

    Rounding to steps d makes a squared error of d^2 / 12.
    """
    with np.errstate(over="ignore"):
        error = float(np.sum(weights * np.exp2(2.0 * base / PER_OCTAVE))) / 12.0
    return round(0.5 * PER_OCTAVE * math.log2(target / max(error, 1e-300)))


def finest(values: np.ndarray, scale: np.ndarray) -> int:
    """The lowest common exponent at which all symbols are small enough to be coded.

    Args:
      values: (size,) what is rounded.
      scale: (size,) steps without the common factor.
    """
    largest = float((np.abs(values) / scale).max(initial=0.0)) / entropy.LIMIT
    if largest <= 2.0 ** (-MAX_EXPONENT / PER_OCTAVE):
        return -MAX_EXPONENT
    return min(math.ceil(PER_OCTAVE * math.log2(largest)) + 1, MAX_EXPONENT)


def cheapest(scaled: np.ndarray, bits: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Symbols that minimise `h e^2 + lambda * bits`, where steps were made from h.

    Args:
      scaled: (n,) residuals in steps.
      bits: (contexts, 2 Q + 1), cost of the symbols -Q .. Q; beyond, rounding is to the nearest.
      contexts: (n,) of each symbol.

    Returns:
      (n,) int32.
    """
    largest = bits.shape[1] // 2
    nearest = np.rint(scaled)
    places = np.flatnonzero((nearest != 0) & (np.abs(nearest) <= largest))
    x, first = scaled[places].astype(np.float64), nearest[places].astype(np.int32)
    weight, rows = _STEP_OVER_LAMBDA, contexts[places]
    best, cost = first, weight * np.square(x - first) + bits[rows, first + largest]
    for other in (first - np.sign(first), np.zeros_like(first)):
        price = weight * np.square(x - other) + bits[rows, other + largest]
        best, cost = np.where(price < cost, other, best), np.minimum(price, cost)
    symbols = nearest.astype(np.int32)
    symbols[places] = best
    return symbols


def coarsest(
    error: Callable[[int], float], start: int, target: float, limits: tuple[int, int]
) -> int:
    """The largest exponent in `limits` whose error is at most the target, found in few tries.

    Errors grow with the exponent, about fourfold an octave, but not strictly so: what is
    returned holds the target, to a quarter of a dB, if anything that was tried does, else it is
    the lowest one tried.

    Args:
      error: Measures an exponent.
      start: Where to begin.
      target: Wanted error.
      limits: The lowest and the highest exponent.
    """
    low, high = limits  # low - 1 is taken to hold, high + 1 not to
    good: int | None = None
    lowest = guess = min(max(start, low), high)
    for _ in range(8):
        lowest, found = min(lowest, guess), error(guess)
        if found <= target * TOLERANCE:
            good, low = guess, guess + 1
        else:
            high = guess - 1
        if low > high:
            break
        ratio = target / max(found, 1e-30)
        move = 0.5 * PER_OCTAVE * math.log2(ratio) if ratio > 0 else -PER_OCTAVE
        # A little short of the guess: what lies just above a good one is of little use.
        move = math.floor(move) if abs(move) >= 1 else (1 if low > guess else -1)
        guess = min(max(guess + min(max(move, -16), 16), low), high)
    return lowest if good is None else good
