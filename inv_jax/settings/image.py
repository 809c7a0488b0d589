"""What one camera sees, flat: a network from a pixel's place to its color."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `model`."""
    model = ConfigDict()
    model.width = 256  # hidden features
    model.depth = 8  # hidden layers
    model.structure_layers = 3  # the first n layers are stored per frame
    model.structure_heads = ()  # 'rgb': the last layer is structure too
    model.activation = "relu"  # or 'siren'
    model.w0 = 30.0  # frequency of every layer of a SIREN
    model.encoding = "octaves"  # 'octaves', 'fourier', 'none'
    model.position_octaves = 10  # of 'octaves'
    model.fourier_features = 256  # random frequencies; each is a sine and a cosine
    model.fourier_scale = 10.0  # their standard deviation, in turns across the picture
    model.fourier_seed = 0  # names them; runs that exchange layers want the same
    model.precision = "float32"  # of matrix products; 'tf32' (on GPUs), 'bfloat16': faster
    model.background = 0.0  # grey level that shows where pictures are transparent; 1.0 is white
    return model
