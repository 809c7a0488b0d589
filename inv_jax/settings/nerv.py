"""A clip of one camera: a decoder from a frame's time to the whole frame (NeRV).

A name in parentheses is the flag of the original NeRV.
"""

from typing import Any

from ml_collections import ConfigDict

# What a decoder of clips wants of other parts: all frames of one in one set of params, of which
# each step takes one.
DECODER_DEFAULTS: dict[str, Any] = {
    "train.segment_frames": 0,
    "train.freeze_frame": 0,
    "train.rows_per_step": 1,  # (--batchSize)
    "train.loss": "fusion6",  # (--loss_type)
    "train.b1": 0.5,  # (--beta)
    "train.schedule": "cosine",  # (--lr_type)
    "train.lr_warmup": 0.2,  # (--warmup)
    "train.clip_norm": 1e9,
}
DEFAULTS = DECODER_DEFAULTS | {
    "train.init_roles": ("decoder",),
    "train.epochs": 300,  # (--epochs)
}


def decoder() -> ConfigDict:
    """Fields of `model` that every decoder of clips has."""
    model = ConfigDict()
    model.embed = "1.25_40"  # base and number of the frequencies of time; 'none' (--embed)
    model.stem_width = 512  # features of the stem's hidden layers (--stem_dim_num 512_1)
    model.grid = (9, 16)  # rows and columns that the stem makes (--fc_hw_dim 9_16_26)
    model.channels = 26  # ... and channels; NeRV-S 26, M 58, L 112 (--fc_hw_dim 9_16_26)
    model.strides = (5, 2, 2, 2, 2)  # of the stages; times the grid they are the frame (--strides)
    model.expansion = 1.0  # times the channels come out of the first stage (--expansion)
    model.reduction = 2  # divides the channels in each later stage with a stride (--reduction)
    model.lower_width = 96  # ... but there are as many at least (--lower-width)
    model.num_blocks = 1  # of a stage; those behind its first have stride 1 (--num-blocks)
    model.upsampling = "conv"  # 'conv' (and pixel shuffle), 'deconv', 'bilinear' (--conv_type)
    model.activation = "swish"  # 'relu', 'leaky' (0.01), 'leaky01' (0.1), 'relu6', 'gelu',
    # 'swish', 'softplus', 'hardswish' (--act)
    model.norm = "none"  # of the blocks; 'in' per picture; 'bn' for imported params (--norm)
    model.single_res = True  # a head behind the last stage alone, not one behind each
    # (--single_res)
    model.sigmoid = False  # colors are a sigmoid; else (tanh + 1) / 2 (--sigmoid)
    model.precision = "float32"  # of products and convolutions; 'tf32' (on GPUs), 'bfloat16'
    model.background = 0.0  # grey level that shows where pictures are transparent; 1.0 is white
    return model


def settings() -> ConfigDict:
    """Fields of `model` beside those of every decoder."""
    model = ConfigDict()
    model.stem_layers = 1  # hidden layers of the stem (--stem_dim_num 512_1)
    return model


def training() -> ConfigDict:
    """Fields of `train` beside those of every model."""
    train = ConfigDict()
    train.head_weight = 1.0  # weight of the pictures of all heads but the last (--lw)
    train.best_every = 0  # epochs after which a clip is measured; its best params count
    # (--eval_freq)
    train.best_last = 0  # ... and after each of its last so many; 0 and 0: its last params count
    return train
