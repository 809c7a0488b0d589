"""The default settings of a model on a capture's layout; the other configs change a few.

    inv-jax train --config=configs/base.py --config.data.path=CAPTURE --workdir=runs/mine
    inv-jax config configs/base.py

Without arguments they are INV's on a META (Neural 3D Video) capture at half size. What a model, a
layout or a codec brings is there where it is named, `--config.model.name=split` for example.
"""

import ml_collections

from inv_jax import settings


def get_config(
    model: str = "nerf", layout: str = "n3dv", codec: str = ""
) -> ml_collections.ConfigDict:
    """The default settings; of a model by its name, as `configs/base.py:image`."""
    return settings.compose(model, layout, codec)
