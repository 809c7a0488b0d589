"""Which weights segments use, where each has a mask of what all share, and which they share."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from inv_jax import params as params_lib
from inv_jax.report.runs import Run
from inv_jax.types import Params


@dataclasses.dataclass(frozen=True)
class Reuse:
    """Of n segments and the L layers of which they use parts; parts are in [0, 1].

    Attributes:
      names: Of the segments.
      layers: Names of the layers.
      sizes: Params of each layer.
      used: What a segment uses of a layer.
      known: What of that some segment before it uses, too; NaN where it uses nothing, and of the
        first one.
      shared: Of what segment i uses, in all layers, the part that segment j uses.
      so_far: What any segment up to one uses, of all.
    """

    names: list[str]
    layers: list[str]
    sizes: list[int]
    used: Float[np.ndarray, "L n"]
    known: Float[np.ndarray, "L n"]
    shared: Float[np.ndarray, "n n"]
    so_far: Float[np.ndarray, " n"]


def of_run(run: Run) -> Reuse | None:
    """What a run's segments use; None where they have no masks, or there is one segment."""
    with run.source() as source:
        firsts = [n for n in run.frames if n == source.segment(n)[0]]
        if len(firsts) < 2 or not _masks(source.params(firsts[0])):
            return None
        return measure([f"{n}" for n in firsts], lambda i: source.params(firsts[i]))


def measure(names: Sequence[str], params: Callable[[int], Params]) -> Reuse:
    """What segments use.

    Args:
      names: Theirs, in the order of training.
      params: Of one of them, by its place.
    """
    masks = [_masks(params(i)) for i in range(len(names))]
    numbers = params_lib.layer_numbers(params(0))
    layers = sorted(masks[0], key=numbers.__getitem__)
    flat = [np.concatenate([mask[layer] for layer in layers]) for mask in masks]
    union, so_far = np.zeros(flat[0].size, bool), []
    known = np.full((len(layers), len(names)), np.nan)
    before = {layer: np.zeros(masks[0][layer].size, bool) for layer in layers}
    for i, mask in enumerate(masks):
        union |= flat[i]
        so_far.append(union.mean())
        for row, layer in enumerate(layers):
            if i and mask[layer].any():
                known[row, i] = before[layer][mask[layer]].mean()
            before[layer] |= mask[layer]
    shared = [[(a & b).sum() / max(1, a.sum()) for b in flat] for a in flat]
    return Reuse(
        names=list(names),
        layers=layers,
        sizes=[masks[0][layer].size for layer in layers],
        used=np.array([[mask[layer].mean() for mask in masks] for layer in layers]),
        known=known,
        shared=np.array(shared),
        so_far=np.array(so_far),
    )


def _masks(params: Params) -> dict[str, np.ndarray]:
    """What is used of each layer, flat; none if there are no masks."""
    found: dict[str, list[np.ndarray]] = {}
    for path, leaf in params_lib.flatten(params).items():
        if params_lib.role_of(path) == params_lib.MASK:
            found.setdefault(params_lib.layer_of(path), []).append(np.ravel(leaf))
    return {layer: np.concatenate(parts) for layer, parts in found.items()}
