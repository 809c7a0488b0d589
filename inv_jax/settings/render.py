"""Videos of a run."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `render`."""
    render = ConfigDict()
    render.fps = 30.0  # 0.0: the video file's own
    return render
