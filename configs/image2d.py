r"""A video as one image network per frame: INV in 2D, on the video of one camera.

    inv-jax train --config=configs/image2d.py --config.data.path=clip.mp4 --workdir=runs/clip
    inv-jax train --config=configs/image2d.py:scratch --config.data.path=clip.mp4 \
        --workdir=runs/clip_scratch

A video file, a folder of pictures (0001.png, ...), or one camera of a capture, by a pattern as
`--config.data.path='CAPTURE/frames_2/frame*cam05.png'`. The settings are the original's: 5 layers
of 256 (4 hidden ones and a linear one), all pixels in every step, 3,000 steps a frame.

    name      what it is
    (none)    every frame from the params of the one before; all layers train, as in the original
    transfer  ... from the second frame on the first layer alone: what a neural video sends
    scratch   the baseline: every frame from random params, with as many steps as the run without a
              name had spent by then
    color_transfer  one picture, from another run's params: its first layer alone
    frozen_middle   first and last layer train; those between stay random, from the first frame on
    demo      camera 0 of the procedural capture, rendered first; small; the first layer alone from
              frame 7 on

The demo and a look into it, about two minutes on two CPU cores; frame 6 has 38.7 dB, frame 12,
on the colors of frame 6, 32.8:

    inv-jax train --config=configs/image2d.py:demo --workdir=runs/demo2d
    inv-jax swap --workdir=runs/demo2d --base=5 --donors=3,4,6 --swaps=1:3

Color transfer: the structure of a picture B (of any size, colored or grey) in the colors of a
picture A. Pictures after 0, 400 and 1,200 steps are `nerf_esti/imgs_color_transfer_{step}.png`:

    inv-jax train --config=configs/image2d.py --config.data.path=a.png --workdir=runs/a
    inv-jax train --config=configs/image2d.py:color_transfer --config.data.path=b.png \
        --config.train.init_from=runs/a --workdir=runs/b_in_colors_of_a

Where nothing is ever frozen every frame is Warm-Up: `train.warmup_steps` counts, in `scratch` too.
`frozen_middle` asks what the layers between have to know; it compares with the run without a name.

- Four networks: `model.activation` is 'relu' or 'siren', `model.encoding` 'octaves' or 'fourier'.
- `model.position_octaves` is 10; the original's 128 can be had, but a float32 coordinate has 24
  bits: what is beyond 2^20 or so is noise.
- `train.rows_per_step=8192` takes that many random pixels a step instead of all of them.
- The original's loss is half of the mean squared error here. Adam does not see a factor of the
  loss (but for its epsilon, 1e-8), and nothing else is there to see it: no gradient is clipped.
- `data.factor` averages squares of pixels, and has to divide the size.
"""

from typing import Any

import ml_collections

from configs import base
from inv_jax import settings
from inv_jax.types import InvError

_SETTINGS: dict[str, dict[str, Any]] = {
    "": {},
    "transfer": {},
    "scratch": {
        "train.scratch": True,
        "train.equal_steps": True,
        "train.reset_optimizer": True,
    },
    "color_transfer": {
        "data.num_frames": 1,
        "train.freeze_frame": 1,  # frozen from any first frame on
        "train.steps": 1_200,
        "train.image_steps": (0, 400, 1_200),
        "eval.step_picture": "imgs_color_transfer_{step}.png",
    },
    "frozen_middle": {"model.structure_heads": ("rgb",), "train.freeze_frame": 1},
    "demo": {
        "data.layout": "procedural",
        "data.holdout": (),
        "data.ndc": False,
        "data.num_frames": 12,
        "data.procedural.height": 120,
        "data.procedural.width": 160,
        "data.procedural.num_cams": 1,
        "data.procedural.num_frames": 120,
        "model.width": 128,
        "model.activation": "siren",  # sharp after a few hundred steps
        "train.learning_rate": 3e-4,
        "train.warmup_steps": 200,
        "train.steps": 100,
        "train.freeze_frame": 7,
        "train.save_every": 0,
        "render.fps": 10.0,
    },
}
NAMES = tuple(_SETTINGS)


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The settings of a name.

    Raises:
      InvError: If there is no such name.
    """
    if name not in NAMES:
        raise InvError(f"configs/image2d.py has no {name!r}; choose among {', '.join(NAMES[1:])}")
    config = base.get_config(model="image", layout="video")
    config.data.factor = 1
    config.model.update(depth=4, structure_layers=1)
    config.train.update(
        steps=3000,
        warmup_steps=3000,
        freeze_frame=0,
        rows_per_step=0,
        learning_rate=1e-4,
        lr_decay_rate=1.0,
        clip_norm=1e9,
        save_every=1000,
    )
    config.render.fps = 0.0
    config = settings.changed(config, _SETTINGS[name])
    if name == "transfer":  # of the video's second frame, whichever is its first
        config.train.freeze_frame = config.data.get_ref("first_frame") + 1
    return config
