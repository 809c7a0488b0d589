r"""Split INV: a static field for the background, a dynamic one for what moves.

    inv-jax masks CAPTURE
    inv-jax train --config=configs/split.py:static --config.data.path=CAPTURE \
        --config.data.frame_step=10 --workdir=runs/static
    inv-jax train --config=configs/split.py:density --config.data.path=CAPTURE \
        --config.train.init_from=runs/static --workdir=runs/split

    name     what it is
    static   stage 0: the static field, on the static rays of `data.num_frames` frames, every
             `data.frame_step`th, `train.steps` in each; stored as a run, from which any other can
             take it. Frames far apart are better than neighbours: what stands behind the
             foreground is seen in some of them
    (none)   stages 1 and 2 as in the original: joint Warm-Up up to `train.freeze_frame`, then
             Structure Transfer: the static field frozen whole, the structure layers of the dynamic
             one trained; colors are blended by `softmax`
    density  the same with the fields blended by density, and in both phases steps on dynamic rays
             mixed with steps on all; the static field is frozen from the first frame on, so it
             has to come from a run of `static`

Behind any of these a setting of `n3dv.py` may follow, whose scene and steps it takes:
`configs/split.py:density/flame_salmon_1`, `configs/split.py:flame_salmon_1`.

Without `train.init_from` the static field begins at random and Warm-Up trains all of it, its color
layers too; from a run of `static` it trains the structure layers, as the original does. All else
is as in `base.py`; `split.*` there shares out the steps. Masks are the capture's
(`mask/dynamic_mask_frame0001cam00.png`), or where `data.masks` says.
"""

import ml_collections

from configs import n3dv
from inv_jax import params

_SPLIT: n3dv.Overrides = {"model.name": "split", "train.init_roles": params.STATIC_ROLES}
_STAGES: dict[str, n3dv.Overrides] = {
    "": _SPLIT,
    "density": {
        **_SPLIT,
        "model.blend": "density",
        "split.dynamic_first": 0.0,
        "split.both_last": 0.0,
        "split.static_chance": 0.0,
        "split.dynamic_later": 0.5,
        "split.dynamic_chance": 0.5,
    },
    "static": {**_SPLIT, "split.pretraining": True, "train.freeze_frame": 0},
}


def table() -> dict[str, n3dv.Overrides]:
    """All settings by name, each as what it puts over `base`."""
    scenes: dict[str, n3dv.Overrides] = {"": {}}
    for name, setting in n3dv.table().items():
        if not setting.keys() & {
            "train.scratch",
            "train.init_from",
        }:  # which are no INV of their own
            scenes[name] = setting
    return {
        "/".join(filter(None, (stage, scene))): {**scenes[scene], **_STAGES[stage]}
        for scene in scenes
        for stage in _STAGES
    }


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The setting of this name."""
    return n3dv.over_base(name, table())
