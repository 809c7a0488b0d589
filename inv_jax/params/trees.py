"""The tree of params: roles of its leaves, halves of it, leaves by path."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from inv_jax.types import InvError, Params

# The roles of INV's networks.
STRUCTURE = "structure"  # stored for every frame
COLOR = "color"  # shared by all frames once frozen
INDEX = "index"  # of integer arrays: where params of the same layer lie
MASK = "mask"  # of booleans: which params of the same layer a segment uses
# The same layers of a field that shows what stands still; shared, too, once frozen.
STATIC_ROLES = STATIC_STRUCTURE, STATIC_COLOR = "static_structure", "static_color"

_MASKED = optax.MaskedNode()
_DEPTH = 4  # parts of a leaf's path


@dataclasses.dataclass(frozen=True)
class Roles:
    """The roles of a model's layers.

    Attributes:
      own: Of layers that every segment has its own of.
      shared: Of layers that segments share once they are frozen; none: nothing is.
      indices: Of integers and booleans that every segment owns: where its params lie, which of
        the shared ones it uses, which one it is. No gradient goes to them.
      carried: Of layers that go on from segment to segment in training, and that no picture of a
        trained segment needs: scores, say. Integers and booleans among them do not train.
    """

    own: tuple[str, ...]
    shared: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All that train where everything does."""
        return (*self.own, *self.shared, *self.carried)


def path_of(key_path: tuple[Any, ...]) -> str:
    """`fine/structure/layer_0/kernel` from the key path of a leaf."""
    return jax.tree_util.keystr(key_path, simple=True, separator="/")


def role_of(path: str) -> str:
    """The role in a leaf's path, its second part.

    Raises:
      ValueError: If it has none.
    """
    parts = path.split("/")
    if len(parts) != _DEPTH:
        raise ValueError(f"no role in the path {path!r}; want network/role/layer/leaf")
    return parts[1]


def roles(params: Params) -> Params:
    """A tree of the same shape with each leaf's role."""
    return jax.tree_util.tree_map_with_path(lambda path, _: role_of(path_of(path)), params)


def networks(params: Params) -> Params:
    """A tree of the same shape with the name of each leaf's network, its path's first part."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path_of(path).split("/")[0], params)


def select(params: Params, wanted: Collection[str]) -> Params:
    """The leaves with the wanted roles; `optax.MaskedNode` in place of the others."""
    return jax.tree.map(
        lambda leaf, role: leaf if role in wanted else _MASKED, params, roles(params)
    )


def split(params: Params, wanted: Collection[str]) -> tuple[Params, Params]:
    """The leaves with the wanted roles and the rest; `merge` is the inverse."""
    return partition(params, jax.tree.map(lambda role: role in wanted, roles(params)))


def halves(params: Params, trained: Collection[str]) -> tuple[Params, Params]:
    """What trains, of these roles all that is no integer and no boolean, and the rest."""
    is_trained = lambda leaf, role: role in trained and _is_floating(leaf)  # noqa: E731
    return partition(params, jax.tree.map(is_trained, params, roles(params)))


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def partition(params: Params, chosen: Params) -> tuple[Params, Params]:
    """The leaves that are chosen (see `mask`) and the rest; `merge` is the inverse."""
    return (
        jax.tree.map(lambda leaf, is_in: leaf if is_in else _MASKED, params, chosen),
        jax.tree.map(lambda leaf, is_in: _MASKED if is_in else leaf, params, chosen),
    )


def merge(*parts: Params) -> Params:
    """Puts trees together that complement each other, as `split` makes them.

    Raises:
      ValueError: If a leaf is in none of them, or in more than one.
    """

    def one(path: tuple[Any, ...], *leaves: Any) -> Any:
        found = [leaf for leaf in leaves if not isinstance(leaf, optax.MaskedNode)]
        if len(found) != 1:
            raise ValueError(f"{path_of(path)} is in {len(found)} of the {len(parts)} parts")
        return found[0]

    is_masked = lambda x: isinstance(x, optax.MaskedNode)  # noqa: E731
    return jax.tree_util.tree_map_with_path(one, *parts, is_leaf=is_masked)


def flatten(tree: Params) -> dict[str, Any]:
    """Leaves by path; masked ones are left out."""
    return {path_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """A nested dict from leaves by path; the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = leaf
    return tree


def fill(template: Params, leaves: Mapping[str, Any]) -> Params:
    """The template with its leaves replaced by those of the same path.

    Raises:
      InvError: If a leaf is missing or has another shape.
    """

    def one(path: tuple[Any, ...], old: Any) -> Any:
        name = path_of(path)
        if name not in leaves:
            raise InvError(f"parameter {name} is missing; was it stored by another model?")
        new = leaves[name]
        if np.shape(new) != np.shape(old):
            raise InvError(
                f"parameter {name} has shape {np.shape(new)}, the model wants {np.shape(old)}; "
                "check the settings of the model"
            )
        return new

    return jax.tree_util.tree_map_with_path(one, template)


def num_bytes(tree: Params) -> int:
    """Bytes of all leaves."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
