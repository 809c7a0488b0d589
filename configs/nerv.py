r"""A clip as one network, from a frame's time to the whole frame: NeRV (Chen et al. 2021).

    inv-jax train --config=configs/nerv.py:small --config.data.path=clip.mp4 --workdir=runs/small
    inv-jax train --config=configs/nerv.py:S --config.data.path=clip.mp4 --workdir=runs/clip_S

A video file, a folder of pictures, or one camera of a capture, as in `configs/image2d.py`. The grid
times the strides has to be the size of the frames.

    name        what it is
    S, M, L     a clip of 720x1280: 3,201,905, 6,282,001, 12,524,563 params; 300 epochs
    bunny_S ..  ... of Big Buck Bunny, 132 frames; the paper has 34.21, 38.14, 41.29 dB (as recalled
                from it, and after more epochs)
    uvg_64_8 .. a clip of 1080x1920: channels of the grid and expansion 64_8, 128_4, 128_6, 128_8,
                192_8; 150 epochs
    small       any clip, averaged to 90x160: 607,299 params, 150 epochs; of 24 frames of Big Buck
                Bunny the original has 31.65, 31.95 and 31.99 dB, from three seeds
    demo        no data wanted: 32 frames of 72x128 of the procedural capture, drawn first; 220,875
                params, 100 epochs, about a minute of one core: 35.8 dB
    small_prune ... of which 0.4 of the kernels' params are kept from the middle of the epochs on
    prune       S from another run, 0.4 of its kernels' params kept, 100 epochs without warm-up:
                --config.train.init_from=runs/clip_S

The original's flags and what they are here:

    --dataset, --vid            data.path, data.frame_ids
    --frame_gap, --test_gap     data.frame_step, data.test_step
    --scale                     data.height and data.width, or data.factor
    --embed                     model.embed
    --stem_dim_num 512_1        model.stem_width=512, model.stem_layers=1
    --fc_hw_dim 9_16_26         model.grid=(9,16), model.channels=26
    --expansion, --reduction, --lower-width, --strides, --num-blocks, --norm, --single_res,
    --sigmoid                   model. and the same name
    --conv_type, --act          model.upsampling, model.activation
    -e, -b                      train.epochs, train.rows_per_step; --cycles: more epochs
    --lr, --lr_type             train.learning_rate, train.schedule ('const' is 'constant')
    --lr_steps, --warmup        train.lr_milestones, train.lr_warmup
    --beta                      train.b1
    --loss_type, --loss, --lw   train.loss, train.head_weight
    --prune_ratio, --prune_steps  prune.ratio, prune.steps
    --weight, --not_resume_epoch  train.init_from: it begins at epoch 0
    --manualSeed                train.seed
    --outf, --suffix, --exp_name  --workdir; there is no --overwrite: name another folder
    --quant_bit                 inv-jax encode --codec=quant
    --eval_only, --dump_images  inv-jax eval, inv-jax render --outputs=rgb
    --eval_fps                  scripts/bench_decode.py
    --distributed               a process or more, each with all of its GPUs: see the README
    --print-freq, --eval_freq, -j, --debug, --augment   have no counterpart

What is not here is of the continual systems: --n_tasks, --subnet, --reinit, --bias, --sparsity,
--freq, --cat_size, --lin_type.
"""

from typing import Any

import ml_collections

from configs import base

_CHANNELS = {"S": 26, "M": 58, "L": 112}  # of the grid, at 720p
_1080P = ((64, 8), (128, 4), (128, 6), (128, 8), (192, 8))  # ... and the expansion
_BUNNY = {"data.num_frames": 132}
_SMALL = {
    "data.height": 90,
    "data.width": 160,
    "model.stem_width": 128,
    "model.channels": 24,
    "model.strides": (5, 2),
    "model.lower_width": 24,
    "train.epochs": 150,
}
_DEMO = {
    "data.layout": "procedural",
    "data.holdout": (),
    "data.num_frames": 32,
    "data.procedural.height": 72,
    "data.procedural.width": 128,
    "data.procedural.num_cams": 1,
    "model.stem_width": 32,
    "model.channels": 24,
    "model.strides": (4, 2),
    "model.lower_width": 24,
    "train.epochs": 100,
    "train.learning_rate": 5e-3,
}
_PRUNED = {"prune.ratio": 0.4}

_SETTINGS: dict[str, dict[str, Any]] = {
    "": {},
    **{name: {"model.channels": channels} for name, channels in _CHANNELS.items()},
    **{
        f"bunny_{name}": {"model.channels": channels} | _BUNNY
        for name, channels in _CHANNELS.items()
    },
    **{
        f"uvg_{channels}_{expansion}": {
            "model.channels": channels,
            "model.expansion": float(expansion),
            "model.strides": (5, 3, 2, 2, 2),
            "train.epochs": 150,
        }
        for channels, expansion in _1080P
    },
    "small": _SMALL,
    "demo": _DEMO,
    "small_prune": _SMALL | _PRUNED | {"prune.steps": (0.5,)},
    "prune": _PRUNED | {"train.epochs": 100, "train.lr_warmup": 0.0},
}
NAMES = tuple(_SETTINGS)


def get_config(name: str = "") -> ml_collections.ConfigDict:
    """The settings of a name; without one, those of S.

    Raises:
      InvError: If there is no such name.
    """
    return base.of_clips("nerv.py", _SETTINGS, name, model="nerv", layout="video")
