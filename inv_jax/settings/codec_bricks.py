"""Grids on a lattice, of which few blocks change."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `codec`."""
    codec = ConfigDict()
    codec.fidelity = 37.0  # PSNR in dB against the trained picture; 10 above that one's own is good
    codec.key_every = 24  # frames from one key frame to the next
    return codec
