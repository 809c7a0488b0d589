"""INV's Temporal Weight Compression: fpzip of frames side by side."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `codec`."""
    codec = ConfigDict()
    codec.precision = 16  # bits of a number, 2 to 32
    codec.group = 1  # frames of a group; 0: all, INV takes hundreds
    return codec
