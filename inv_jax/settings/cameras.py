"""A capture of several calibrated cameras."""

from ml_collections import ConfigDict


def settings() -> ConfigDict:
    """Fields of `data` that only calibrated cameras have."""
    data = ConfigDict()
    data.path = ""  # the capture's folder, or its pack (datadir); procedural: '' WORKDIR/capture
    data.factor = 2  # reads frames_{factor}/, or frames/ for 1 (factor)
    data.holdout = (0,)  # indices of cameras never trained on; the first is shown (llffhold)
    data.near = 0.5  # where sampling starts, in NDC; day scenes 0.5, night scenes 0.35 (near)
    data.ndc = True  # warp to NDC; False for cameras that do not face one way (not no_ndc)
    data.pixel_center = 0.0  # 0.0 as the original, 0.5 as COLMAP
    data.bd_factor = 0.75  # scales the scene so that the nearest bound is at 1 / bd_factor
    return data
