"""Pruning while it trains: the smallest params of the network go to zero and stay there.

A name in parentheses is the flag of the original NeRV.
"""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `prune`."""
    prune = ConfigDict()
    prune.ratio = 1.0  # part that one pruning keeps; several keep less; 1.0: none (--prune_ratio)
    prune.steps = (0.0,)  # when: parts of the epochs, 0.0 at the start (--prune_steps)
    prune.layers = ("stem", "block")  # kernels of layers whose names begin so
    return prune
