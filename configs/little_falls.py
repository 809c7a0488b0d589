r"""INV as published on the Little Falls captures (15 cameras), one name per published setting.

    inv-jax train --config=configs/little_falls.py:crystalball \
        --config.data.path=CAPTURE --workdir=runs/crystalball

CAPTURE is the folder with `calibration/` and `frames_2/`; default: data/little_falls/<scene>. The
numbers are those of the setting files of the original INV (`LF_<scene>`); what the table does not
say is as in `base.py`.

    name                   warm-up  steps  freeze  near  factor  first  held-out camera
    crystalball                20k    20k      30   0.0       2      1                7
    starwar                    20k    20k      30   0.0       2      1                0
    duo                        10k    10k   never   0.0       2    360                7
    snack                      10k    10k   never   0.0       2   1290                7
    <scene>_nerf_baseline     200k      -   never   as its scene; see `n3dv.py`

Warm-up and steps are per frame; freeze is the first frame with frozen color layers, first the
first frame of all. The files of duo and snack freeze at frame 120000, and are named "no freeze".
"""

import ml_collections

from configs import n3dv

# By scene: steps of a frame, first frozen frame (0: never), first frame, held-out camera.
_SCENES = {
    "crystalball": (20_000, 30, 1, 7),
    "starwar": (20_000, 30, 1, 0),
    "duo": (10_000, 0, 360, 7),
    "snack": (10_000, 0, 1290, 7),
}


def table() -> dict[str, n3dv.Overrides]:
    """All settings by name, each as what it puts over `base`."""
    settings = {}
    for scene, (steps, freeze_frame, first_frame, holdout) in _SCENES.items():
        settings[scene] = {
            "data.layout": "little_falls",
            "data.path": f"data/little_falls/{scene}",
            "data.near": 0.0,
            "data.factor": 2,
            "data.first_frame": first_frame,
            "data.holdout": (holdout,),
            "train.warmup_steps": steps,
            "train.steps": steps,
            "train.freeze_frame": freeze_frame,
        }
        settings[f"{scene}_nerf_baseline"] = {**settings[scene], **n3dv.NERF_BASELINE}
    return settings


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The setting of this name; without one, the error lists the names."""
    return n3dv.over_base(name, table())
