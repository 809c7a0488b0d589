"""The default settings of a model on a capture's layout; the other configs change a few.

    inv-jax train --config=configs/base.py --config.data.path=CAPTURE --workdir=runs/mine
    inv-jax config configs/base.py

Without arguments they are INV's on a META (Neural 3D Video) capture at half size. What a model, a
layout or a codec brings is there where it is named, `--config.model.name=split` for example.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from inv_jax import settings
from inv_jax.types import InvError


def get_config(
    model: str = "nerf", layout: str = "n3dv", codec: str = ""
) -> ml_collections.ConfigDict:
    """The default settings; of a model by its name, as `configs/base.py:image`."""
    return settings.compose(model, layout, codec)


def of_clips(
    file: str, table: Mapping[str, Mapping[str, Any]], name: str, model: str, layout: str
) -> ml_collections.ConfigDict:
    """The settings of a name in a file's table, for clips as they are on disk.

    Args:
      file: Where the table stands, for errors.
      table: Settings by name, '' among them; each by dotted name.
      name: Which one.
      model: Whose defaults are changed.
      layout: Of the clips.

    Raises:
      InvError: If there is no such name.
    """
    if name not in table:
        known = ", ".join(filter(None, table))
        raise InvError(f"configs/{file} has no {name!r}; choose among {known}")
    config = get_config(model=model, layout=layout)
    config.data.factor = 1
    config.render.fps = 0.0
    return settings.changed(config, table[name])
