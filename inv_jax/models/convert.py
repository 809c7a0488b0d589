"""Parameters of the original INV, in and out: PyTorch state dicts as numpy arrays.

There a linear layer is `{name}.weight` (out, in) and `{name}.bias` (out,). Its inputs are ordered
[encoded position, hidden] behind the skip and [feature, encoded direction] in `views_linears.0`,
as here.

The networks of images are `first_layer`, `mid_layers.i` and `final_layer`; those of a SIREN have
`.linear` behind each name.
"""

import re
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from inv_jax import params as params_lib
from inv_jax.models import image_mlp
from inv_jax.types import InvError, Params

StateDict = Mapping[str, np.ndarray]

_SINE = ".linear"
_HEADS = {
    "density": "alpha_linear",
    "feature": "feature_linear",
    "views_0": "views_linears.0",
    "rgb": "rgb_linear",
}


def _original_name(path: str) -> tuple[str, str]:
    """Network and state-dict name of a leaf: `fine/structure/layer_0/kernel` -> `fine`, ..."""
    network, _, layer, leaf = path.split("/")
    trunk = re.fullmatch(r"layer_(\d+)", layer)
    number = int(trunk[1]) if trunk else None
    if network == image_mlp.NETWORK:
        middle = "final_layer" if number is None else f"mid_layers.{number - 1}"
        name = "first_layer" if number == 0 else middle
    else:
        name = _HEADS[layer] if number is None else f"pts_linears.{number}"
    return network, f"{name}.{'weight' if leaf == 'kernel' else 'bias'}"


def import_state_dicts(state_dicts: Mapping[str, StateDict], template: Params) -> Params:
    """Params from the original's state dicts.

    Args:
      state_dicts: By network, `coarse` (`network_fn_state_dict` in the original's files) and
        `fine` (`network_fine_state_dict`); `image` for the network of an image.
      template: Params of the model to fill, as from `Model.init`; says which layer has which role.

    Returns:
      Params of the template's shapes, float32.

    Raises:
      InvError: If a layer is missing, left over, or of another shape.
    """
    state_dicts = {
        network: {name.replace(_SINE, ""): array for name, array in state.items()}
        for network, state in state_dicts.items()
    }
    left = {(net, name) for net, state in state_dicts.items() for name in state}
    leaves = {}
    for path in params_lib.flatten(template):
        network, name = _original_name(path)
        if (network, name) not in left:
            raise InvError(f"the state dict of '{network}' has no {name}, which {path} wants")
        left.remove((network, name))
        array = np.asarray(state_dicts[network][name], np.float32)
        leaves[path] = jnp.asarray(array.T if name.endswith("weight") else array)
    if left:
        names = ", ".join(f"{network}:{name}" for network, name in sorted(left))
        raise InvError(f"the model has no place for {names}; check model.depth")
    return params_lib.fill(template, leaves)


def export_state_dicts(
    params: Params, *, is_siren: bool = False
) -> dict[str, dict[str, np.ndarray]]:
    """The original's state dicts, by network; the inverse of `import_state_dicts`.

    Args:
      params: Of any model.
      is_siren: Whether they are a SIREN's: its names differ.
    """
    state_dicts: dict[str, dict[str, np.ndarray]] = {}
    for path, leaf in params_lib.flatten(params).items():
        network, name = _original_name(path)
        if is_siren:
            name = f"{_SINE}.".join(name.rsplit(".", 1))
        array = np.asarray(leaf)
        array = np.ascontiguousarray(array.T) if name.endswith("weight") else array
        state_dicts.setdefault(network, {})[name] = array
    return state_dicts
