"""How a run goes about its plan."""

import dataclasses

from inv_jax.train.plan import Moments


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the loop goes about its work; but for `from_decoded`, nothing here changes a result."""

    saves: Moments  # of states within a frame
    images: Moments  # of images and params within a frame
    image_cams: tuple[int, ...]  # whose images these are; none: the shown one's
    dispatch_seconds: float  # how long one dispatch should take
    from_decoded: bool  # frames are stored, and gone on from, as a receiver has them
    frames_at_once: int  # that train at the same time; the result is the same to rounding
