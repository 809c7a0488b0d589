"""Parameters of the original NeRV, in and out: a PyTorch state dict as numpy arrays.

| here | there |
| --- | --- |
| `stem_i` | `stem.{2i}`, kernel (out, in) |
| `block_i` | `layers.i.conv.conv`, kernel (out, in, rows, columns) |
| ... `deconv` | likewise, kernel (in, out, rows, columns) |
| ... `bilinear` | `layers.i.conv.up_scale`, kernel (out, in, rows, columns) |
| ... its batch norm | `layers.i.norm`: `weight`, `bias`, `running_mean`, `running_var` |
| `head_i` | `head_layers.i`, kernel (out, in, 1, 1) |
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from inv_jax import params as params_lib
from inv_jax.models.nerv import BILINEAR, DECONV, NETWORK, Nerv
from inv_jax.types import InvError, Params

StateDict = Mapping[str, np.ndarray]

_COUNTED = "num_batches_tracked"  # beside running statistics; how many steps have made them
_LEAVES = {"kernel": "weight", "bias": "bias"}
_NORM_LEAVES = {"scale": "weight", "offset": "bias", "mean": "running_mean", "var": "running_var"}


def original_name(path: str, model: Nerv) -> str:
    """State-dict name of a leaf: `nerv/decoder/stem_1/kernel` -> `stem.2.weight`."""
    _, _, layer, leaf = path.split("/")
    kind, _, number = layer.partition("_")
    if leaf in _NORM_LEAVES:
        return f"layers.{number}.norm.{_NORM_LEAVES[leaf]}"
    module = {
        "stem": f"stem.{2 * int(number)}",
        "block": f"layers.{number}.conv." + ("up_scale" if _is(model, BILINEAR) else "conv"),
        "head": f"head_layers.{number}",
    }[kind]
    return f"{module}.{_LEAVES[leaf]}"


def _is(model: Nerv, upsampling: str) -> bool:
    return model.upsampling == upsampling


def _axes(path: str, model: Nerv) -> tuple[int, ...]:
    """Where each axis of our array is in the original's."""
    _, _, layer, leaf = path.split("/")
    if leaf != "kernel":
        return (0,)
    if layer.startswith("stem_"):
        return (1, 0)
    is_deconv = layer.startswith("block_") and _is(model, DECONV)
    return (2, 3, 0, 1) if is_deconv else (2, 3, 1, 0)


def import_state_dict(state_dict: StateDict, model: Nerv) -> Params:
    """Params from the original's state dict.

    Args:
      state_dict: Of its `Generator`.
      model: Whose params they are.

    Returns:
      Params of the model, float32.

    Raises:
      InvError: If a layer is missing, left over, or of another shape.
    """
    template = jax.eval_shape(model.init, jax.random.key(0))
    left = {name for name in state_dict if not name.endswith(_COUNTED)}
    leaves = {}
    for path in params_lib.flatten(template):
        name = original_name(path, model)
        if name not in left:
            raise InvError(f"the state dict of {NETWORK!r} has no {name}, which {path} wants")
        left.remove(name)
        array, axes = np.asarray(state_dict[name], np.float32), _axes(path, model)
        if array.ndim != len(axes):
            raise InvError(f"{name} has shape {array.shape}; {path} wants {len(axes)} dimensions")
        leaves[path] = jnp.asarray(array.transpose(axes))
    if left:
        raise InvError(
            f"the model has no place for {', '.join(sorted(left))}; check model.strides, "
            "model.stem_layers, model.norm and model.single_res"
        )
    return params_lib.fill(template, leaves)


def export_state_dict(params: Params, model: Nerv) -> dict[str, np.ndarray]:
    """The original's state dict; the inverse of `import_state_dict`.

    How many steps have made running statistics is not known here: it is 0.
    """
    state_dict = {}
    for path, leaf in params_lib.flatten(params).items():
        name = original_name(path, model)
        axes = np.argsort(_axes(path, model))
        state_dict[name] = np.ascontiguousarray(np.asarray(leaf).transpose(axes))
        if name.endswith("running_var"):
            state_dict[name.replace("running_var", _COUNTED)] = np.int64(0)
    return state_dict
