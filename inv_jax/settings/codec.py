"""The neural video that is written while the run trains, to WORKDIR/video.inv.

`inv-jax encode` writes one of a run that is there.
"""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `codec` that are there without one."""
    codec = ConfigDict()
    codec.name = ""  # '': none; 'bricks', 'delta', 'quant', 'raw', 'twc' (INV's)
    return codec


def common() -> ConfigDict:
    """Fields of `codec` that all codecs have."""
    codec = ConfigDict()
    codec.color_precision = 32  # bits of a shared color param; 32 loses nothing
    codec.from_decoded = False  # each frame is trained from what a receiver has of the one before
    return codec
