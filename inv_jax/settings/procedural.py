"""The procedural capture: sizes of the images that are trained on, and how many cameras."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `data.procedural`."""
    procedural = ConfigDict()
    procedural.height = 1014  # of an image, in pixels
    procedural.width = 1352  # ... across
    procedural.num_cams = 21  # side by side in rows, all facing the stage
    procedural.num_frames = 300  # rendered where data.num_frames is 0
    return procedural
