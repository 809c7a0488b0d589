"""Which representation it is."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `model` that every model has."""
    model = ConfigDict()
    model.name = "nerf"  # 'nerf'; 'split': a static and a dynamic one, blended; 'image': what one
    # camera sees, flat; 'nerv': a decoder of whole frames of it; 'grid': the fast field
    return model
