"""Clips one after the other in one decoder: a mask and a head for each (WSN, PFNR).

A name in parentheses is the flag of the original PFNR.
"""

from typing import Any

from ml_collections import ConfigDict

from inv_jax.settings import nerv

DEFAULTS: dict[str, Any] = nerv.DECODER_DEFAULTS | {
    "model.channels": 112,
    "train.init_roles": ("weights",),
    "train.epochs": 150,  # of each clip (--epochs)
    "train.best_every": 50,
    "train.best_last": 9,
    "train.reset_optimizer": True,  # a fresh Adam for each clip
}


def settings() -> ConfigDict:
    """Fields of `model` beside those of every decoder of clips."""
    model = ConfigDict()
    model.capacity = 0.3  # part of each layer's params that a clip uses, 1.0: all (--sparsity)
    model.sessions = 0  # the code of a clip says which of so many it is, and there may be more; 0:
    # as many as there are when training begins (--n_tasks)
    model.bias = False  # whether layers and heads have biases (--bias)
    model.reinit = False  # whether each clip begins with fresh scores (--reinit)
    model.operator = -1  # block with a Fourier operator, from 0; -1: none, which is WSN (--freq)
    model.composition = "sum"  # of that block: convolution and operator added; 'concat': each makes
    # some of the channels (--cat_size above 0); 'replace': operator alone (as the original runs)
    model.operator_channels = 0  # of 'concat': channels that the operator makes (--cat_size)
    return model
