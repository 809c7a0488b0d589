r"""The fast field: a frame in a fraction of a second, in pictures that one can watch.

    inv-jax train --config=configs/fast.py --config.data.path=CAPTURE --workdir=runs/mine
    inv-jax train --config=configs/fast.py --config.data.path=CAPTURE --workdir=runs/live \
        --config.fast.budget=realtime

What a frame owns are features on grids, what all share is a tiny network of color, frozen behind
the first three frames. Levels, rays and steps follow from the capture and `fast.budget`:

    realtime    20 steps of 1,024 rays a frame
    second      50 (default)
    best        200 of 2,048

`inv-jax doctor` says what they will be. Scenes:

    demo        no data wanted: 12 frames of 192x144 of the procedural capture, rendered first; 31.8
                dB on the last frame
"""

import ml_collections

from configs import base
from inv_jax import settings
from inv_jax.types import InvError

_DEMO = {
    "data.layout": "procedural",
    "data.factor": 1,
    "data.num_frames": 12,
    "data.procedural.height": 144,
    "data.procedural.width": 192,
    "data.procedural.num_cams": 12,
    "data.procedural.num_frames": 120,
    "render.fps": 10.0,
}
_SCENES = {"": {}, "demo": _DEMO}
NAMES = tuple(_SCENES)


def get_config(scene: str = "") -> ml_collections.ConfigDict:
    """The settings of a scene.

    Raises:
      InvError: If there is no such scene.
    """
    if scene not in NAMES:
        raise InvError(f"configs/fast.py:{scene}: scenes are {', '.join(filter(None, NAMES))}")
    return settings.changed(base.get_config("grid"), _SCENES[scene])
