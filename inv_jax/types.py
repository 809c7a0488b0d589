"""The named structs that travel through the project: what each array is, along which axis.

Leading dimensions written `*b` are free (a batch of rays, an image, nothing). All floating
arrays are float32 unless said otherwise; `frame` is always a time index, numbered as on disk.

Three words are general: a **view** is an image with a camera and a time; a **segment** is the
views that one set of params explains (a frame of all cameras, a clip of one); a **row** is one
entry of a batch (a ray through a pixel of a view, a whole view).
"""

from __future__ import annotations

from typing import Any

import jax
from flax import struct

Array = jax.Array
Params = Any  # a nested dict of arrays: {network: {role: {layer: {'kernel', 'bias'}}}}


class InvError(ValueError):
    """A mistake in the user's input; its text is one line that says what to do about it."""


class Stopped(Exception):
    """The run was asked to stop and has stored what it must; the text says where."""


@struct.dataclass
class Rays:
    """Rays `origins + distance * directions`, for `near <= distance <= far`.

    In NDC (see `geometry/ndc.py`) origins, directions and bounds are those of the warped ray;
    `viewdirs` always is the unit direction in the world.
    """

    origins: Array  # (*b, 3)
    directions: Array  # (*b, 3), not normalised: `distance` counts in units of its length
    viewdirs: Array  # (*b, 3), unit length, taken before any warp
    near: Array  # (*b, 1)
    far: Array  # (*b, 1)


@struct.dataclass
class Places:
    """Which part of which view each row of a batch shows."""

    cams: Array  # (*b,) int32, index of the view's camera
    times: Array  # (*b,) when it was taken, as a part of its segment, in [0, 1)
    cols: Array | None = None  # (*b,) int32, pixel column, to the right; None: the whole view
    rows: Array | None = None  # (*b,) int32, pixel row, downwards


@struct.dataclass
class Batch:
    """What one training step sees: b rows."""

    inputs: Any  # what the model's `inputs` makes: `Rays` of a radiance field, say
    target: Array  # (b, 3) or (b, H, W, 3), colors in [0, 1]
    ids: Array  # (b,) int32, place of each row in the whole step's batch, over all devices
    is_dynamic: Array | None = None  # (b,) bool, whether its pixel shows what moves; None: unknown
    # (b,) int32, its place among all pixels of the segment's views; None: nobody asks
    pixels: Array | None = None


@struct.dataclass
class Cameras:
    """N pinhole cameras of one image size; conventions in `geometry/cameras.py`."""

    cam_to_world: Array  # (N, 3, 4), OpenGL axes: right, up, backwards
    intrinsics: Array  # (N, 3, 3), pixels
    near: Array  # (), where sampling starts: NDC depth if `ndc`, else scene units
    far: Array  # (), where it ends
    height: int = struct.field(pytree_node=False)
    width: int = struct.field(pytree_node=False)
    ndc: bool = struct.field(pytree_node=False, default=False)
    pixel_center: float = struct.field(pytree_node=False, default=0.0)
    # (N,), pixels: what NDC are scaled by instead of the camera's own fx, so that a camera that
    # zooms still looks into the space that was trained.
    ndc_focal: Array | None = None

    @property
    def num_cams(self) -> int:
        return self.cam_to_world.shape[0]

    def take(self, cams: Any) -> Cameras:
        """The cameras at the given indices (an int array), in that order."""
        return self.replace(
            cam_to_world=self.cam_to_world[cams],
            intrinsics=self.intrinsics[cams],
            ndc_focal=None if self.ndc_focal is None else self.ndc_focal[cams],
        )


@struct.dataclass
class Regions:
    """The pixels of a segment's training views, sorted by what they show."""

    order: Array  # (V * H * W,) int32, pixels of the static background, then those that move
    num_static: Array  # () int32, how many of them are static


@struct.dataclass
class Views:
    """V views of one segment, as they are on disk."""

    images: Array  # (V, H, W, 3) uint8
    index: Array  # () int32, the segment's number: that of its first frame
    # (V,) int32, index of each one's camera among those that come along; None: one each, in order
    cams: Array | None = None
    times: Array | None = None  # (V,) as in `Places`; None: all are of the segment's beginning
    regions: Regions | None = None  # where there are masks, and training asks for them
    # (V, H, W) uint8, by how many levels a pixel differs from the one a frame before, mean over its
    # colors; where training asks for it
    changes: Array | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Views, height, width."""
        return self.images.shape[:3]


@struct.dataclass
class Rendering:
    """What a network shows of some rows; a flat picture has colors and nothing else.

    Shapes are those of rays; of whole views two dimensions more, (H, W), stand behind `*b`.
    """

    rgb: Array  # (*b, 3) in [0, 1]
    # What compositing samples along a ray returns besides (`render/composite.py`).
    acc: Array | None = None  # (*b,) accumulated opacity
    depth: Array | None = None  # (*b,) expected distance along the ray, in the ray's units
    disparity: Array | None = None  # (*b,) 1 / depth of what was hit; 0 on an empty ray
    weights: Array | None = None  # (*b, S) compositing weights
    # Where several fields are blended: what each of them shows alone, by name.
    layers: dict[str, Rendering] | None = None


Predictions = dict[str, Rendering]  # by network, in order; the last one is the picture
