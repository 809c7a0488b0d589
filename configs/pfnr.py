r"""Clips one after the other in one network, none forgotten: WSN and PFNR (Kang et al. 2023).

    inv-jax train --config=configs/pfnr.py:small/wsn --config.data.path=clips.txt --workdir=runs/wsn
    inv-jax eval --workdir=runs/wsn --matrix
    inv-jax encode --workdir=runs/wsn --codec=quant --key_every=8 --out=clips.inv

The path is a text file with a clip a line, or a folder of video files or of folders of pictures;
the clips are trained in that order. A longer list goes on with a finished run: what is stored of
its clips is not touched. The grid times the strides has to be the size of the clips; `data.height`
and `data.width` average them to another one. A file has the network once, and a mask and a head for
each clip; masks are a chain from each `--key_every`-th on, without it each stands alone.

    name         what it is, at 720x1280, 150 epochs a clip
    wsn          one decoder, a mask and a head for each clip: 12.5 million weights
    fso_sum      ... with a Fourier operator beside the convolution of block 1 (PFNR, as the paper
                 describes it)
    fso_concat   ... which makes 28 of its 112 channels
    fso_replace  ... in place of it (as the original runs): 50.0 million weights
    uvg8, uvg17, davis50   fso_sum on the published lists of clips, by name in a folder; the 1080p
                 clips of DAVIS are averaged
    stl          a dense decoder for each clip, from scratch (NeRV), 300 epochs
    mtl          one dense decoder for all clips together, 300 epochs, 50 frames a step
    small/NAME   the same at 90x160, of wsn, fso_..., stl, mtl: 0.6 million weights

The original's flags are those of `configs/nerv.py`, and:

    --n_tasks      model.sessions
    --sparsity     model.capacity (the part that is kept)
    --freq         model.operator
    --cat_size     model.operator_channels, model.composition ('replace' for -1)
    --reinit, --bias   model. and the same name
    --subnet       this file (configs/nerv.py without)
    --eval_freq    train.best_every
    --lin_type     has no counterpart: no script of the original uses it
"""

from typing import Any

import ml_collections

from configs import base

_UVG8 = ("bunny", "beauty", "bosphorus", "bee", "jockey", "setgo", "shake", "yacht")
_UVG17 = (
    *("bunny", "city", "beauty", "focus", "bosphorus", "kids", "bee", "pan", "jockey", "lips"),
    *("setgo", "race", "shake", "river", "yacht", "sunbath", "twilight"),
)
_SYSTEMS: dict[str, dict[str, Any]] = {
    "wsn": {},
    "fso_sum": {"model.operator": 1},
    "fso_concat": {
        "model.operator": 1,
        "model.composition": "concat",
        "model.operator_channels": 28,
    },
    "fso_replace": {"model.operator": 1, "model.composition": "replace"},
    "stl": {
        "model.name": "nerv",
        "model.channels": 112,
        "train.scratch": True,
        "train.epochs": 300,
    },
    "mtl": {"model.name": "joint", "model.channels": 112, "train.rows_per_step": 50},
}
_SMALL = {
    "data.height": 90,
    "data.width": 160,
    "model.stem_width": 128,
    "model.channels": 24,
    "model.strides": (5, 2),
    "model.lower_width": 24,
    "train.epochs": 100,
}
_SMALLER = {  # what differs from the systems at full size
    **{name: {} for name in _SYSTEMS},
    "fso_concat": {"model.operator_channels": 6},
    "mtl": {"train.rows_per_step": 1},
}
_LISTS: dict[str, dict[str, Any]] = {
    "uvg8": {"data.clips": _UVG8},
    "uvg17": {"data.clips": _UVG17},
    "davis50": {"data.height": 720, "data.width": 1280},
}

_SETTINGS: dict[str, dict[str, Any]] = {
    "": {},
    **_SYSTEMS,
    **{name: _SYSTEMS["fso_sum"] | fields for name, fields in _LISTS.items()},
    **{f"small/{name}": _SYSTEMS[name] | _SMALL | _SMALLER[name] for name in _SYSTEMS},
}
NAMES = tuple(_SETTINGS)


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The settings of a name; without one, those of wsn.

    Raises:
      InvError: If there is no such name.
    """
    return base.of_clips("pfnr.py", _SETTINGS, name, model="pfnr", layout="clips")
