"""Weights rounded to a few bits, as NeRV does it; zeros stay."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `codec`."""
    codec = ConfigDict()
    codec.bits = 8  # of a weight, 1 to 16 (quant_bit)
    codec.axis = 0  # what has levels of its own: 0 an output, 1 an input, -1 a leaf (quant_axis)
    return codec
