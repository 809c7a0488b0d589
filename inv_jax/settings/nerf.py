"""A radiance field, as the original INV has it."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `model`."""
    model = ConfigDict()
    model.width = 256  # hidden features (netwidth)
    model.depth = 8  # layers of the trunk (netdepth)
    model.structure_layers = 3  # the first n layers are stored per frame (mid_freeze_start)
    model.structure_heads = ()  # heads that are structure too: 'density', 'feature', ..., 'rgb'
    model.skip_layer = -1  # skip connection behind this layer; -1: none (no_skip_connect), NeRF: 4
    model.position_octaves = 10  # frequencies of a position (multires)
    model.direction_octaves = 4  # ... and of a direction (multires_views)
    model.coarse_samples = 64  # along a ray, evenly (N_samples)
    model.fine_samples = 64  # ... and where the coarse ones found something (N_importance)
    model.precision = "float32"  # of matrix products; 'tf32' (on GPUs), 'bfloat16': faster
    model.density_noise = 1.0  # standard deviation, in training only (raw_noise_std)
    model.background = 0.0  # grey level behind the scene; 1.0 is white (white_bkgd)
    return model
