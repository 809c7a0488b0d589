"""What is looked at."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `eval`."""
    evaluation = ConfigDict()
    evaluation.rows_per_chunk = 0  # rays rendered at once on a device; 0: fits the hardware
    evaluation.pictures = 0  # pictures written of a segment; 0: all
    evaluation.step_picture = "cam{cam:02d}_frame{frame:04d}_iter{step:06d}_{psnr:.6f}.png"
    # names of images from within a frame (train.image_every, train.image_steps)
    return evaluation
