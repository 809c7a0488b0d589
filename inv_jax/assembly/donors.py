"""Whether another run's params are of use to this one: what its config says of its model."""

import json
import pathlib
from typing import Any

import ml_collections

from inv_jax.assembly import record
from inv_jax.models.base import Model
from inv_jax.types import InvError

Config = ml_collections.ConfigDict


def check_space(config: Config, net: Model, donor: pathlib.Path) -> None:
    """Refuses what segments own of a run whose field lies in another box.

    Raises:
      InvError: If it is taken.
    """
    there = record.read(donor)
    if there is None or "box" not in config.model:
        return
    if not set(net.roles.own) & set(config.train.init_roles):
        return
    differing = record.differences(
        *(
            {name: model.get(name) for name in ("space", "box", "bricks")}
            for model in _models(config, there)
        ),
        "model.",
        free=(),
    )
    if differing:
        raise InvError(
            f"train.init_from={donor}: its grids lie elsewhere, they differ in "
            f"{', '.join(differing)}; take its colors alone, train.init_roles=color, or set both "
            "settings to its"
        )


def _models(config: Config, there: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a stored run's model, and of this one's, as JSON has them."""
    return there["config"]["model"], json.loads(json.dumps(config.model.to_dict()))


def other_model(config: Config, donor: pathlib.Path) -> str:
    """In which settings of the model another run differs, as the end of a sentence."""
    there = record.read(donor)
    if there is None:
        return ""
    differing = record.differences(*_models(config, there), "model.", free=())
    return f"; its settings differ in {', '.join(differing)}" if differing else ""
