"""Grids on a lattice, of which few blocks change."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `codec`."""
    codec = ConfigDict()
    codec.fidelity = 37.0  # PSNR in dB of the decoded picture against the trained one
    codec.key_every = 24  # frames from one key frame to the next
    return codec
