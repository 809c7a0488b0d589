"""The video of one camera: a file, or a folder of pictures."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `data` that only a video has."""
    data = ConfigDict()
    data.path = ""  # a file, a folder of pictures, or a pattern as FOLDER/frame*cam00.png
    data.factor = 2  # divides the size of the pictures
    data.height = 0  # pictures are averaged to this size, by adaptive pooling; 0: as they are
    data.width = 0  # ... across
    data.frame_ids = ()  # these frames only, numbered anew from 1; none: all
    data.test_step = 0  # of these frames, every nth is shown and measured; 0: as trained
    return data
