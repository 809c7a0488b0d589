"""What is trained on: settings that every layout has."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `data`."""
    data = ConfigDict()
    data.layout = "n3dv"  # 'n3dv' (META), 'little_falls', 'procedural', 'video', 'clips', one after
    # the other (dataset_type)
    data.first_frame = 1  # frames are numbered as on disk (start_frame)
    data.num_frames = 0  # 0: all frames from the first one on; of 'clips': of each so many at most
    data.frame_step = 1  # of these frames, trains every nth (pre-training of a static field)
    data.masks = ""  # of what moves: '' the capture's mask/dynamic_mask_frame0001cam00.png, ...; or
    # a folder or a pattern, relative to the capture's, as foreground_2/frame{frame:04d}{cam}.png
    data.mask_polarity = "dynamic"  # what non-zero means in masks: 'dynamic', or 'static'
    return data
