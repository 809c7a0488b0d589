r"""Split INV: a static field for the background, a dynamic one for what moves.

    inv-jax masks CAPTURE
    inv-jax train --config=configs/split.py:static --config.data.path=CAPTURE --workdir=runs/static
    inv-jax train --config=configs/split.py --config.data.path=CAPTURE --workdir=runs/split \
        --config.train.init_from=runs/static

    name    what it is
    static  stage 0: the static field, on the static rays of `data.num_frames` frames, every
            `data.frame_step`th; stored as a run, from which any other one can take it
    (none)  stages 1 and 2: joint Warm-Up up to `train.freeze_frame`, then Structure Transfer: the
            static field frozen whole, the structure layers of the dynamic one trained
    density  the same with the fields blended by density, and steps on dynamic rays mixed with
            steps on all of them in both phases; the static field is frozen from the first frame
            on, so it has to come from a run of `static`

Without `train.init_from` the static field begins at random and Warm-Up trains all of it, its color
layers too; from a run of `static` it trains the structure layers, as the original does. All else
is as in `base.py`; `split.*` there shares out the steps. Masks are the capture's
(`mask/dynamic_mask_frame0001cam00.png`), or where `data.masks` says.
"""

import ml_collections

from configs import n3dv
from inv_jax import params


def table() -> dict[str, n3dv.Overrides]:
    """All settings by name, each as what it puts over `base`."""
    split = {"model.name": "split", "train.init_roles": params.STATIC_ROLES}
    return {
        "": split,
        "density": {
            **split,
            "model.blend": "density",
            "split.dynamic_first": 0.0,
            "split.both_last": 0.0,
            "split.static_chance": 0.0,
            "split.dynamic_later": 0.5,
            "split.dynamic_chance": 0.5,
        },
        "static": {**split, "split.pretraining": True, "train.freeze_frame": 0},
    }


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The setting of this name."""
    return n3dv.over_base(name, table())
