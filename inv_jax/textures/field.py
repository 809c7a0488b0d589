"""The fast field as a player of textures has it: the guide comes with the frame."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.geometry import boxes
from inv_jax.models import grid_field
from inv_jax.models import guide as guide_lib
from inv_jax.models.base import Model
from inv_jax.models.grid_field import GridField
from inv_jax.models.guide import Guide
from inv_jax.types import InvError, Params

GUIDE = "guide"  # the network that the guide's cells are of
_CELLS = "cells"


@dataclasses.dataclass(frozen=True)
class TexturedField(GridField):
    """A `GridField` whose params also have its guide: densities, `guide/structure/cells/kernel`."""

    @classmethod
    def of(cls, model: Model) -> "TexturedField":
        """The same field.

        Raises:
          InvError: If it is another model.
        """
        if not isinstance(model, GridField):
            raise InvError(
                f"textures are made of the fast field, model.name=grid; this is a "
                f"{type(model).__name__}: train with configs/fast.py"
            )
        return cls(**{one.name: getattr(model, one.name) for one in dataclasses.fields(model)})

    def init(self, key: PRNGKeyArray) -> Params:
        """See `Model.init`."""
        return self.with_guide(super().init(key))

    def with_guide(self, params: Params) -> Params:
        """A field's params, and the guide that belongs to them."""
        cells = {_CELLS: {"kernel": _densities(self, params)}}
        return {**params, GUIDE: {params_lib.STRUCTURE: cells}}

    def guide(self, params: Params) -> Guide:
        """See `Model.guide`: as it is in the params."""
        made = super().guide(params)
        cells = params[GUIDE][params_lib.STRUCTURE][_CELLS]["kernel"]
        return made.replace(densities=jnp.asarray(cells))

    def described(self) -> dict[str, Any]:
        """`field` of the manifest: the constants of a picture, JSON values."""
        box = self.box
        return {
            "box": {
                "kind": box.kind,
                "lower": box.lower,
                "upper": box.upper,
                "center": box.center,
                "near": box.near,
                "far": box.far,
                "margin": boxes.MARGIN,
            },
            "density": {"scale": grid_field.DENSEST, "shift": grid_field.SHIFT},
            "features": self.features,
            "samples": self.samples,
            "probes": self.probes,
            "even": self.even,
            "floor": guide_lib.FLOOR,
        }


@functools.partial(jax.jit, static_argnums=0)
def _densities(model: GridField, params: Params) -> jax.Array:
    return GridField.guide(model, params).densities
