"""A sequence of clips of one camera each, one after the other."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `data` that only a sequence has."""
    data = ConfigDict()
    data.path = ""  # a text file with a clip a line, or a folder of video files or clip folders
    data.clips = ()  # of a folder: these clips, by name, in this order; none: all of them
    data.factor = 2  # divides the size of the pictures
    data.height = 0  # pictures are averaged to this size, by adaptive pooling; 0: as they are
    data.width = 0  # ... across
    data.test_step = 0  # of each clip, every nth frame is shown and measured; 0: as trained
    return data
