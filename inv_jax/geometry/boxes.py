"""Unit boxes that the rays of a rig pass through, in which straight rays stay straight.

A field on grids wants all of what the cameras see within [0, 1]^3, well used. Two kinds:

- **projective**, for rigs that face one way: (x, y, 1) / (c - z), which takes lines to lines. What
  is far takes less room than what is near, as it does in the pictures. The centre of projection,
  c behind the origin, lies where the width of what is seen, a straight line over depth, vanishes.
  The third coordinate is 0 at the nearest depth and 1 at the farthest.
- **axes**, for rigs that look inwards: the cube around the point that the cameras look at.

Beside the middle of the box, what lies farther out is squeezed into a margin, ever tighter (as the
contraction of mip-NeRF 360, eq. 10, does beyond a sphere); rays bend only there.

A ray enters at `starts` and leaves at `starts + spans`; its parameter s, from 0 to 1 between them,
is affine in 1 / (c - z) in a projective box and in distance in a box of axes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry import rig_checks
from inv_jax.types import Cameras, InvError, Rays

PROJECTIVE, AXES = "projective", "axes"
KINDS = (PROJECTIVE, AXES)

MARGIN = 0.2  # part of the half width that what is beyond the middle of the box is squeezed into

_GRID = 24  # rays a side of each camera that a box is fitted to
_DEPTHS = 6  # points of each of them
_FEW = 0.3  # percent of the points, on each side, that may lie beyond the middle of the box


@struct.dataclass
class BoxRays:
    """Rays within a unit box, and where they are in the world; of arrays."""

    starts: Any  # (*b, 3) in the box
    spans: Any  # (*b, 3)
    viewdirs: Any  # (*b, 3), unit length, in the world
    near: Any  # (*b, 1), distance at s = 0, as `Rays` counts it
    far: Any  # (*b, 1), at s = 1
    bend: Any  # (*b, 1), how much farther away (c - z) is at s = 1 than at s = 0; 1: not

    def distance(self, s: Float[Array, "*b S"]) -> Float[Array, "*b S"]:
        """Distance along the ray, as `Rays` counts it, at some places of it.

        With q = 1 / (c - z) affine in s and distance affine in 1 / q, the distance is
        near + (far - near) * s / (s + bend * (1 - s)).
        """
        return self.near + (self.far - self.near) * s / (s + self.bend * (1.0 - s))


@dataclasses.dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
      kind: One of `KINDS`.
      lower: Of its middle: x, y, depth (projective: x and y over c + depth); or x, y, z.
      upper: Likewise.
      center: Of projection, behind the origin; none in a box of axes.
      near: Least distance that is looked at, in a box of axes.
      far: ... and largest.
    """

    kind: str
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    center: float = 0.0
    near: float = 0.0
    far: float = 0.0

    @classmethod
    def of(cls, kind: str, numbers: Sequence[Any]) -> "Box":
        """From the numbers of a config (`Box.numbers`).

        Raises:
          InvError: If they are none of a box.
        """
        _check_kind(kind)
        try:
            values = tuple(map(float, numbers))
        except (TypeError, ValueError):  # words, or what a command line could not read
            values = ()
        if len(values) != 9 or not np.all(np.isfinite(values)):
            raise InvError(
                f"model.box={tuple(numbers)}; want nine finite numbers, or () to fit the rig"
            )
        box = cls(kind, values[0:3], values[3:6], *values[6:])
        if not all(a < b for a, b in zip(box.lower, box.upper, strict=True)):
            raise InvError(f"model.box={values}: its lower corner is not below its upper one")
        if kind == PROJECTIVE and not box.center + box.lower[2] > 0.0:
            raise InvError(
                f"model.box={values}: its centre of projection, {box.center} behind the origin, is "
                f"not in front of the nearest depth, {box.lower[2]}"
            )
        if kind == AXES and not 0.0 <= box.near < box.far:
            raise InvError(f"model.box={values}: want distances from {box.near} on, rising")
        return box

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it but its kind, for a config."""
        return (*self.lower, *self.upper, self.center, self.near, self.far)

    def rays(self, rays: Rays) -> BoxRays:
        """World rays within the box; `near` and `far` of the rays are not looked at."""
        made = self._projective if self.kind == PROJECTIVE else self._axes
        return made(rays)

    def _projective(self, rays: Rays) -> BoxRays:
        """From the nearest depth, or from the camera if it is farther on, to the farthest."""
        z, dz = rays.origins[..., 2:], rays.directions[..., 2:]
        # A ray that does not go down -z meets the farthest depth never, or behind the camera.
        dz = jnp.minimum(dz, -1e-6)
        nearest, farthest = self.lower[2], self.upper[2]
        near = jnp.maximum((-nearest - z) / dz, 0.0)
        far = jnp.maximum((-farthest - z) / dz, near + 1e-6)
        starts, ends = (self._fold(rays.origins + t * rays.directions) for t in (near, far))
        bend = (self.center - (z + far * dz)) / (self.center - (z + near * dz))
        return BoxRays(starts, ends - starts, rays.viewdirs, near, far, bend)

    def _fold(self, points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
        """World points in the box, before it is squeezed."""
        q = 1.0 / jnp.maximum(self.center - points[..., 2:], 1e-6)
        lower, upper = self._corners(points.ndim)
        across = (points[..., :2] * q - lower[..., :2]) / (upper - lower)[..., :2]
        first, last = 1.0 / (self.center + self.lower[2]), 1.0 / (self.center + self.upper[2])
        return jnp.concatenate([across, (first - q) / (first - last)], axis=-1)

    def _corners(self, ndim: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the middle, as arrays of so many dimensions."""
        corners = np.array([self.lower, self.upper], np.float32)
        lower, upper = corners.reshape(2, *(1,) * (ndim - 1), 3)
        return lower, upper

    def _axes(self, rays: Rays) -> BoxRays:
        lower, upper = self._corners(rays.origins.ndim)
        ones = jnp.ones_like(rays.directions[..., :1])
        starts = (rays.origins + self.near * rays.directions - lower) / (upper - lower)
        spans = (self.far - self.near) * rays.directions / (upper - lower)
        return BoxRays(starts, spans, rays.viewdirs, self.near * ones, self.far * ones, ones)

    def squeeze(self, points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
        """Points of the box with all that is beyond its middle within the margin; in [0, 1].

        The depth of a projective box ends where the box does, and is not squeezed.
        """
        x = 2.0 * points - 1.0
        size, inner = jnp.abs(x), 1.0 - MARGIN
        # Beyond 1 it goes on with the slope that it has there, and towards 1.
        beyond = 1.0 - MARGIN / (1.0 + (jnp.maximum(size, 1.0) - 1.0) * inner / MARGIN)
        squeezed = 0.5 + 0.5 * jnp.where(size <= 1.0, inner * x, jnp.sign(x) * beyond)
        if self.kind == AXES:
            return squeezed
        return jnp.concatenate([squeezed[..., :2], points[..., 2:]], axis=-1)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise InvError(f"model.space={kind!r}; choose one of {', '.join(KINDS)}")


def fit(
    cameras: Cameras,
    bounds: Float[np.ndarray, "N 2"],
    kind: str = "",
    names: Sequence[str] = (),
) -> Box:
    """The box of a rig.

    Args:
      cameras: Those that are trained on, in the world (without NDC).
      bounds: Nearest and farthest depth of each camera, scene units.
      kind: One of `KINDS`; '' chooses: projective if all rays go down -z.
      names: Of the cameras, for messages.

    Raises:
      InvError: If there is no such kind, the depths are none, all cameras are at one place, or one
        of them misses the box or sees nothing that another one does.
    """
    if kind:
        _check_kind(kind)
    bounds = np.asarray(bounds, np.float64)
    near, far = float(bounds[:, 0].min()), float(bounds[:, 1].max())
    if not 0.0 < near < far < np.inf:
        raise InvError(
            f"the capture's depths are {near:g} to {far:g}; want finite ones above 0, the nearest "
            "first: set them in poses_bounds.npy, in the last two columns"
        )
    faces_one_way = not cameras_lib.look_away(cameras).any()
    kind = kind or (PROJECTIVE if faces_one_way else AXES)
    if kind == PROJECTIVE and not faces_one_way:
        raise InvError(
            "model.space='projective' wants cameras that all face one way, and some look away from "
            "the average view; set model.space='axes'"
        )
    rig_checks.check_apart(cameras, near)
    if kind == PROJECTIVE:
        box = _fit_projective(*rig_checks.some_rays(cameras, _GRID), near, far)
    else:
        box = _fit_axes(cameras, near, far)
    check_met(box, cameras, names)
    rig_checks.check_shared(cameras, near, far, names)
    return box


def check_met(box: Box, cameras: Cameras, names: Sequence[str] = ()) -> None:
    """Refuses a box that a camera does not look into.

    Args:
      box: The box.
      cameras: Those that are trained on.
      names: Theirs, for messages.

    Raises:
      InvError: Naming the camera whose rays meet the middle of the box least.
    """
    origins, directions = map(jnp.asarray, rig_checks.some_rays(cameras, _GRID))
    none = jnp.zeros_like(origins[..., :1])
    found = box.rays(Rays(origins, directions, directions, near=none, far=none))
    numbers = ", ".join(f"{x:.4g}" for x in box.numbers)
    rig_checks.check_met(
        np.asarray(found.starts, np.float64),
        np.asarray(found.spans, np.float64),
        f"the box model.space={box.kind}, model.box={numbers}",
        names,
    )


def _fit_projective(origins: np.ndarray, directions: np.ndarray, near: float, far: float) -> Box:
    points = np.concatenate(
        [(origins + t * directions).reshape(-1, 3) for t in np.linspace(near, far, _DEPTHS)]
    )
    depth = -points[:, 2]
    around = np.linspace(*np.percentile(depth, [5, 95]), 8)
    slab = 0.1 * (around[-1] - around[0])
    is_near = np.abs(depth - around[:, None]) < slab
    around = around[is_near.any(axis=1)]  # between cameras far apart there may be nothing
    widths = [np.percentile(np.abs(points[np.abs(depth - x) < slab, 0]), 98) for x in around]
    slope, width = np.polyfit(around, widths, 1)
    nearest, farthest = np.percentile(depth, [0.2, 99.8])
    # Cameras that are side by side, and see no more with depth, have their centre very far away.
    least, most = 0.05 * (farthest - nearest) - nearest, 1e3 * (farthest - nearest)
    center = float(np.clip(width / slope if slope > 0 else most, least, most))
    across = points[:, :2] / (center + depth)[:, None]
    is_within = (depth > nearest) & (depth < farthest)
    lower, upper = np.percentile(across[is_within], [_FEW, 100 - _FEW], axis=0)
    return Box(
        PROJECTIVE,
        (float(lower[0]), float(lower[1]), float(nearest)),
        (float(upper[0]), float(upper[1]), float(farthest)),
        center=center,
    )


def _fit_axes(cameras: Cameras, near: float, far: float) -> Box:
    """A cube around the point nearest to all optical axes, as wide as the cameras are away."""
    poses = np.asarray(cameras.cam_to_world, np.float64)
    centers, axes = poses[:, :, 3], -poses[:, :, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # takes what is along an axis away
    middle = np.linalg.lstsq(across.sum(0), np.einsum("nij,nj->i", across, centers), rcond=None)[0]
    rig_checks.check_inwards(centers, axes, middle, near, far)
    half = float(np.linalg.norm(centers - middle, axis=1).mean())
    lower, upper = middle - half, middle + half
    return Box(AXES, tuple(lower.tolist()), tuple(upper.tolist()), near=0.9 * near, far=far)
