"""Layer surgery: what the layers are, and taking part of a tree, by layers, roles and networks."""

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from inv_jax.params.trees import INDEX, fill, flatten, num_bytes, path_of, role_of
from inv_jax.types import InvError, Params

_HEADS = ("feature", "views_0", "rgb", "density")  # behind the trunk, in the original's order
# Layers with a number of their own, in this order.
_NUMBERED = ("layer", "stem", "block", "fourier", "level", "color", "head")


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """A layer of one network, as a row of a table."""

    number: int
    name: str
    network: str
    role: str
    shapes: dict[str, tuple[int, ...]]  # of its leaves, by name
    size: int  # params
    num_bytes: int


def layer_of(path: str) -> str:
    """The layer in a leaf's path: `layer_0` of `fine/structure/layer_0/kernel`."""
    return path.split("/")[-2]


def layer_numbers(params: Params) -> dict[str, int]:
    """The number of every layer, by name, in their order."""

    def rank(name: str) -> tuple[int, int, str]:
        kind, _, number = name.rpartition("_")
        if kind in _NUMBERED and number.isdecimal():
            return _NUMBERED.index(kind), int(number), name
        found = _HEADS.index(name) if name in _HEADS else len(_HEADS)
        return len(_NUMBERED), found, name

    names = {layer_of(path) for path in flatten(params)}
    return {name: number for number, name in enumerate(sorted(names, key=rank))}


def layer_table(params: Params) -> list[LayerRow]:
    """A row for every layer of every network, by network and number."""
    numbers, rows = layer_numbers(params), {}
    for path, leaf in flatten(params).items():
        key = path.split("/")[0], numbers[layer_of(path)], role_of(path), layer_of(path)
        rows.setdefault(key, {})[path.split("/")[-1]] = leaf
    return [
        LayerRow(
            number=number,
            name=name,
            network=network,
            role=role,
            shapes={kind: tuple(np.shape(leaf)) for kind, leaf in leaves.items()},
            size=sum(leaf.size for leaf in leaves.values()),
            num_bytes=num_bytes(list(leaves.values())),
        )
        for (network, number, role, name), leaves in sorted(rows.items())
    ]


def mask(
    params: Params,
    *,
    layers: Iterable[int | str] | None = None,
    roles: Collection[str] | None = None,
    networks: Collection[str] | None = None,
) -> Params:
    """A tree of the same shape: whether each leaf belongs to what is asked for.

    Args:
      params: Any tree of params.
      layers: Numbers or names; None is all.
      roles: Likewise.
      networks: Likewise.

    Raises:
      InvError: If the tree has no such layer, role or network.
    """
    numbers = layer_numbers(params)
    names = set(numbers)
    if layers is not None:
        by_number = {number: name for name, number in numbers.items()}
        names = {by_number.get(layer, layer) for layer in layers}
    leaves = flatten(params)
    there = {
        "layer": (names, set(numbers)),
        "role": (set(roles or ()), {role_of(path) for path in leaves}),
        "network": (set(networks or ()), {path.split("/")[0] for path in leaves}),
    }
    for what, (wanted, have) in there.items():
        if wanted - have:
            unknown = ", ".join(sorted(map(str, wanted - have)))
            known = ", ".join(f"{numbers[x]} {x}" if x in numbers else x for x in sorted(have))
            raise InvError(f"the params have no {what} {unknown}; choose among {known}")

    # An index goes with what it says the places of.
    indexed = {_layer(path) for path in leaves if role_of(path) in (roles or ())}

    def one(key_path: tuple[Any, ...], _: Any) -> bool:
        path = path_of(key_path)
        has_role = roles is None or role_of(path) in roles
        return (
            layer_of(path) in names
            and (has_role or (role_of(path) == INDEX and _layer(path) in indexed))
            and (networks is None or path.split("/")[0] in networks)
        )

    return jax.tree_util.tree_map_with_path(one, params)


def copy(params: Params) -> Params:
    """The same numbers in arrays of their own, in host memory (numpy)."""
    return jax.tree.map(np.array, params)


def swap(base: Params, donor: Params, **where: Any) -> Params:
    """The base with some of the donor's layers in their place.

    Args:
      base: Params.
      donor: Params of the same shapes, as of another frame or scene.
      **where: `layers`, `roles`, `networks`, as of `mask`; roles are the base's. All of them by
        default.

    Raises:
      InvError: If the donor lacks a layer, or has it in another shape.
    """
    return _combine(lambda old, new: new, base, donor, where)


def difference(a: Params, b: Params, **where: Any) -> Params:
    """`b - a` where asked for (see `swap`), 0 elsewhere, and for an index."""
    zeros = jax.tree.map(lambda leaf: leaf * 0, a)
    moved = _combine(lambda old, new: old * 0 if _is_index(old) else new - old, a, b, where)
    chosen = mask(a, **where)
    return jax.tree.map(lambda is_in, yes, no: yes if is_in else no, chosen, moved, zeros)


def interpolate(a: Params, b: Params, amount: float, **where: Any) -> Params:
    """`a + amount * (b - a)` where asked for (see `swap`), `a` elsewhere.

    An amount of 0 gives `a` and of 1 gives `b`, to the bit; below 0 and above 1 extrapolates.

    Raises:
      InvError: As `swap`, and if there is something between two params that lie in other places.
    """

    def one(old: Any, new: Any) -> Any:
        if amount in (0, 1):
            return new if amount else old
        if _is_index(old):
            if not np.array_equal(old, new):
                raise InvError(
                    "whole numbers or masks of the two differ, as the slots of their bricks do, so "
                    "there is nothing between them; leave out their layer, for example "
                    "layers=[0, 1]"
                )
            return old
        return old + amount * (new - old)

    return _combine(one, a, b, where)


def norms(params: Params) -> dict[str, float]:
    """The Euclidean norm of each layer, kernel and bias together, as `fine/layer_0`.

    A layer that stands in several roles has one in each: `pfnr/weights/stem_0`.
    """
    leaves = {path: leaf for path, leaf in flatten(params).items() if not _is_index(leaf)}
    several = _in_several_roles(leaves)
    squares: dict[str, float] = {}
    for row in layer_table(params):
        network, role, layer = row.network, row.role, row.name
        there = [
            leaf for path, leaf in leaves.items() if path.split("/")[:3] == [network, role, layer]
        ]
        if not there:
            continue
        name = f"{network}/{role}/{layer}" if (network, layer) in several else f"{network}/{layer}"
        squares[name] = squares.get(name, 0.0) + sum(
            float(np.sum(np.square(np.asarray(leaf, np.float64)))) for leaf in there
        )
    return {name: float(np.sqrt(square)) for name, square in squares.items()}


def _in_several_roles(paths: Iterable[str]) -> set[tuple[str, str]]:
    """Layers, each with its network, of which a leaf's name stands in more than one role."""
    counts = collections.Counter((*_layer(path), path.split("/")[-1]) for path in paths)
    return {(network, layer) for (network, layer, _), count in counts.items() if count > 1}


def _layer(path: str) -> tuple[str, str]:
    return path.split("/", maxsplit=1)[0], layer_of(path)


def relative_change(a: Params, b: Params) -> dict[str, float]:
    """How far each layer went from a to b, as a part of its norm in a; infinite from nothing."""
    moved, size = norms(difference(a, b)), norms(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = {name: float(np.float64(moved[name]) / size[name]) for name in size}
    return {name: 0.0 if moved[name] == 0 else part for name, part in parts.items()}


def _is_index(leaf: Any) -> bool:
    return not np.issubdtype(leaf.dtype, np.floating)


def _combine(function: Any, base: Params, donor: Params, where: Mapping[str, Any]) -> Params:
    """Maps pairs of leaves where asked for; the base's leaves elsewhere."""
    several = _in_several_roles(flatten(base))

    def key(path: str) -> tuple[str, ...]:
        role = [role_of(path)] if _layer(path) in several else []
        return (*_layer(path), *role, path.rsplit("/", maxsplit=1)[-1])

    donors = {key(path): leaf for path, leaf in flatten(donor).items()}
    leaves = {}
    chosen = flatten(mask(base, **where))
    for path, old in flatten(base).items():
        if not chosen[path]:
            leaves[path] = old
            continue
        new = donors.get(key(path))
        if new is None or np.shape(new) != np.shape(old):
            found = "has none" if new is None else f"has shape {np.shape(new)}"
            raise InvError(f"parameter {path} has shape {np.shape(old)}, the donor {found}")
        leaves[path] = function(old, new)
    return fill(base, leaves)
