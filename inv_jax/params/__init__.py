"""Parameters have roles: what belongs to a segment, what all segments share.

A params tree is `{network: {role: {layer: {'kernel', 'bias'}}}}`; the role of a leaf is read from
its path, `fine/structure/layer_0/kernel`. Which roles there are is the model's to say (`Roles`).
Freezing is a partition of that tree: in each half the leaves of the other are `optax.MaskedNode`,
optax's mark for a leaf that is not there, so a half has no gradients, no optimizer moments and no
bytes for them, and `merge` puts the very same arrays back (`trees.py`).

Layers have numbers, as in the original: the trunk's first, then `feature`, `views_0`, `rgb` and
`density`; of a trunk of 8 these are 8 to 11. Of a decoder they are the stem's, the blocks, the
heads. The functions of layer surgery (`surgery.py`) take part of a tree by `layers` (numbers or
names), `roles` and `networks`; what is not said is not asked for. A layer is always its kernel and
its bias, and the index that says where they lie. They change nothing in place, and they match
leaves by network and layer, so the two trees may split their layers into roles differently; only
where a layer stands in several roles (weights, their scores, their mask) the role counts, too.

Notebooks and the rest of the package say `params.swap`, whichever file it stands in.
"""

from inv_jax.params.surgery import (
    LayerRow,
    copy,
    difference,
    interpolate,
    layer_numbers,
    layer_of,
    layer_table,
    mask,
    norms,
    relative_change,
    swap,
)
from inv_jax.params.trees import (
    COLOR,
    INDEX,
    MASK,
    STATIC_COLOR,
    STATIC_ROLES,
    STATIC_STRUCTURE,
    STRUCTURE,
    Roles,
    fill,
    flatten,
    halves,
    merge,
    nest,
    networks,
    num_bytes,
    partition,
    path_of,
    role_of,
    roles,
    select,
    split,
)

__all__ = [
    "COLOR",
    "INDEX",
    "MASK",
    "STATIC_COLOR",
    "STATIC_ROLES",
    "STATIC_STRUCTURE",
    "STRUCTURE",
    "LayerRow",
    "Roles",
    "copy",
    "difference",
    "fill",
    "flatten",
    "halves",
    "interpolate",
    "layer_numbers",
    "layer_of",
    "layer_table",
    "mask",
    "merge",
    "nest",
    "networks",
    "norms",
    "num_bytes",
    "partition",
    "path_of",
    "relative_change",
    "role_of",
    "roles",
    "select",
    "split",
    "swap",
]
