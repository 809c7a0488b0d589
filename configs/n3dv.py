r"""INV as published on the META captures (Neural 3D Video), one name per published setting.

    inv-jax train --config=configs/n3dv.py:flame_salmon_1 \
        --config.data.path=CAPTURE --workdir=runs/flame_salmon_1

CAPTURE is the folder with `poses_bounds.npy` and `frames_2/`; default: data/n3dv/<scene>. The
numbers are those of the setting files of the original INV; what the table does not say is as in
`base.py`, camera 0 held out among it. The original's files give 7.5 to 8 minutes for 10k steps.

    name                             warm-up  steps  freeze  near  factor  first  images
    flame_salmon_1                       10k    10k     120  0.5        2      1       -
    flame_salmon_1_280k                  10k    10k     120  0.5        2      1       -
    flame_salmon_1_inv_star             280k    20k      21  0.5        2      1       -
    flame_salmon_1_frame10               10k    10k     120  0.5        2      1      1k
    flame_salmon_1_pretrained_scl          -    20k       1  0.5        2      1       -
    flame_salmon_1_color_transfer          -    500       1  0.5        2      1      1k
    flame_salmon_1_color_source         280k      -   never  0.5        2     11       -
    flame_salmon_2                       10k    10k     120  0.5        2      2       -
    coffee_martini                      120k   120k      30  0.5        2      1       -
    coffee_martini_10k                   10k    10k     120  0.5        2     10      1k
    coffee_martini_nerf_baseline        100k      -   never  0.5        2     10     10k
    cook_spinach                        120k   120k       6  0.35       2      1       -
    cut_roasted_beef                    280k   280k       6  0.35       2      1       -
    cut_roasted_beef_frame10             10k    10k      31  0.35       2      1      1k
    cut_roasted_beef_color_transfer        -    50k       1  0.35       2      1     500
    sear_steak                          120k   120k       5  0.35       2      1       -
    <scene>_nerf_baseline               200k      -   never  as its scene           10k

Warm-up and steps are per frame; freeze is the first frame with frozen color layers, first the
first frame of all. Images: every so many steps within a frame, one image and the params are
written. Such an image (1352 x 1014) has the rays of 1,339 steps: `--config.train.image_every=0`
is the faster run, with the same result.

- `_nerf_baseline`: every frame from random params, with the skip connection; 200k steps and an
  image every 10k are the numbers in the original's program, coffee_martini has a file of its own.
- `_280k` has 10k steps in its file, in spite of the name; for 280k see `_inv_star`.
- `_frame10` is about the images within frame 10; its video starts at frame 1 as usual.
- `_inv_star` is INV*, the long warm-up: 280k/20k/21 as published (its file alone says 10k steps).
- `_pretrained_scl` takes the color layers of another run (`--config.train.init_from=WORKDIR`; by
  default the newest frame of runs/flame_salmon_1_inv_star) and freezes them at once.
- flame_salmon_1's file also asks for an image every 1k steps, meant for the baseline: set
  `--config.train.image_every=1000` to have them.
- `_color_transfer` takes the color layers of another scene and freezes them from the start (0 in
  the original; 0 is never here). Train the other run first, or say where it is with
  `--config.train.init_from=WORKDIR --config.train.init_frame=N`. By default flame_salmon_1 takes
  frame 1 of runs/cut_roasted_beef, and cut_roasted_beef takes frame 11 of
  runs/flame_salmon_1_color_source: that frame only, 280k steps from random params, no skip
  connection. The original's file names that run by a path, but has no settings of it.
- flame_salmon_2 reads flame_salmon_1 from frame 2 on. Its file switches on the two fields of
  Split INV; this is its setting with one.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import base
from inv_jax import settings
from inv_jax.types import InvError

Overrides = Mapping[str, Any]  # from the dotted name of a field to its value

NERF_BASELINE: Overrides = {
    "model.skip_layer": 4,
    "train.scratch": True,
    "train.reset_optimizer": True,
    "train.steps": 200_000,
    "train.warmup_steps": 200_000,
    "train.freeze_frame": 0,
    "train.image_every": 10_000,
}


def _incremental(
    warmup_steps: int, steps: int, freeze_frame: int, image_every: int = 0
) -> Overrides:
    return {
        "train.warmup_steps": warmup_steps,
        "train.steps": steps,
        "train.freeze_frame": freeze_frame,
        "train.image_every": image_every,
    }


def _color_transfer(steps: int, image_every: int, *, init_from: str, init_frame: int) -> Overrides:
    return {
        # Frozen from the first frame on, so there is no Warm-Up; both say the published number.
        **_incremental(steps, steps, freeze_frame=1, image_every=image_every),
        "train.init_from": init_from,
        "train.init_frame": init_frame,
    }


def _variants() -> dict[str, dict[str, Overrides]]:
    """By scene, then by name: what differs from the scene's facts."""
    return {
        "flame_salmon_1": {
            "flame_salmon_1": _incremental(10_000, 10_000, 120),
            "flame_salmon_1_280k": _incremental(10_000, 10_000, 120),
            "flame_salmon_1_inv_star": _incremental(280_000, 20_000, 21),
            "flame_salmon_1_frame10": _incremental(10_000, 10_000, 120, image_every=1000),
            "flame_salmon_1_pretrained_scl": {
                **_incremental(20_000, 20_000, freeze_frame=1),
                "train.init_from": "runs/flame_salmon_1_inv_star",
            },
            "flame_salmon_1_color_transfer": _color_transfer(
                500, image_every=1000, init_from="runs/cut_roasted_beef", init_frame=1
            ),
            "flame_salmon_1_color_source": {
                **_incremental(280_000, 280_000, freeze_frame=0),
                "train.scratch": True,
                "train.reset_optimizer": True,
                "data.first_frame": 11,
                "data.num_frames": 1,
            },
            "flame_salmon_2": {**_incremental(10_000, 10_000, 120), "data.first_frame": 2},
        },
        "coffee_martini": {
            "coffee_martini": _incremental(120_000, 120_000, 30),
            "coffee_martini_10k": {
                **_incremental(10_000, 10_000, 120, image_every=1000),
                "data.first_frame": 10,
            },
            "coffee_martini_nerf_baseline": {
                **NERF_BASELINE,
                "train.steps": 100_000,
                "train.warmup_steps": 100_000,
                "data.first_frame": 10,
            },
        },
        "cook_spinach": {"cook_spinach": _incremental(120_000, 120_000, 6)},
        "cut_roasted_beef": {
            "cut_roasted_beef": _incremental(280_000, 280_000, 6),
            "cut_roasted_beef_frame10": _incremental(10_000, 10_000, 31, image_every=1000),
            "cut_roasted_beef_color_transfer": _color_transfer(
                50_000,
                image_every=500,
                init_from="runs/flame_salmon_1_color_source",
                init_frame=11,
            ),
        },
        "sear_steak": {"sear_steak": _incremental(120_000, 120_000, 5)},
    }


def _scene(scene: str) -> Overrides:
    day = scene in ("flame_salmon_1", "coffee_martini")
    return {
        "data.path": f"data/n3dv/{scene}",
        "data.near": 0.5 if day else 0.35,
        "data.factor": 2,
        "data.first_frame": 1,
        "data.holdout": (0,),
    }


def table() -> dict[str, Overrides]:
    """All settings by name, each as what it puts over `base`."""
    settings = {}
    for scene, variants in _variants().items():
        for name, overrides in {f"{scene}_nerf_baseline": NERF_BASELINE, **variants}.items():
            settings[name] = {"data.layout": "n3dv", **_scene(scene), **overrides}
    return settings


def over_base(name: str, named: Mapping[str, Overrides]) -> ml_collections.ConfigDict:
    """The default settings with those of one name put over them, locked.

    Raises:
      InvError: If there is no such name; its text lists those there are.
    """
    if name not in named:
        raise InvError(
            f"no setting is named {name!r}; expected --config=FILE:NAME, with NAME one of "
            f"{', '.join(sorted(named))}"
        )
    return settings.changed(base.get_config(), named[name])


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The setting of this name; without one, the error lists the names."""
    return over_base(name, table())
