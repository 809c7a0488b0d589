"""Follows rays through the toy theatre: what they hit, and how much light gets there.

A ray advances by the signed distance of the scene until it touches (Hart 1996, "Sphere tracing");
the room's walls are met exactly.

Axes and pixels follow `geometry/cameras.py`: x right, y up, looking along -z; image point (0, 0)
is the upper left, columns count to the right and rows down.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from inv_jax.data.synthetic import scene, shapes
from inv_jax.data.synthetic.scene import Part

MAX_STEPS = 96
TOUCH = 5e-5  # metres: closer than this is a hit
KEY_POSITION = (-2.1, 3.5, 3.0)
KEY_SHARPNESS = 9.0  # distance over radius of the light as shadows see it
SHADOW_STEPS = 32


@struct.dataclass
class Hits:
    """Where rays first meet a surface."""

    distance: jax.Array  # (n,) along the unit direction
    part: jax.Array  # (n,) int32, a `Part`


def _meet_room(
    origins: Float[Array, "3 n"], directions: Float[Array, "3 n"]
) -> tuple[Float[Array, "n"], Int[Array, "n"]]:
    """Distance at which rays from inside the room leave it, and through which `Part`."""
    nearest, part = jnp.full_like(origins[0], jnp.inf), jnp.full_like(origins[0], 0, jnp.int32)
    for axis in range(3):
        forwards = directions[axis] > 0.0
        wall = jnp.where(forwards, scene.ROOM_MAX[axis], scene.ROOM_MIN[axis])
        way = jnp.where(directions[axis] == 0.0, 1.0, directions[axis])
        reach = jnp.where(directions[axis] == 0.0, jnp.inf, (wall - origins[axis]) / way)
        low = (Part.WALLS, Part.FLOOR, Part.BACKDROP)[axis]
        side = jnp.where(forwards, int(Part.WALLS), int(low)).astype(jnp.int32)
        part = jnp.where(reach < nearest, side, part)
        nearest = jnp.minimum(nearest, reach)
    return nearest, part


def trace(
    origins: Float[Array, "3 n"],
    directions: Float[Array, "3 n"],
    active: Bool[Array, "n"],
    time: Float[Array, ""],
) -> Hits:
    """Follows rays to the first surface.

    Args:
      origins: Inside the room, outside all solids.
      directions: Of length 1.
      active: Rays that matter; the others end on a wall at no cost.
      time: Frame number.

    Returns:
      Where each ray ends: on a solid, or else on the room.
    """
    room, room_part = _meet_room(origins, directions)

    def running(carry):
        step, _, _, done = carry
        return (step < MAX_STEPS) & ~jnp.all(done)

    def advance(carry):
        step, reach, _, done = carry
        gap = scene.distance(origins + directions * reach[None], time)
        reach = jnp.where(done, reach, reach + gap)
        touched = gap < TOUCH
        return step + 1, reach, touched & ~done | carry[2], done | touched | (reach > room)

    start = (jnp.int32(0), jnp.zeros_like(room), jnp.zeros_like(active), ~active)
    _, reach, touched, _ = lax.while_loop(running, advance, start)
    # A ray that ran out of steps grazes something: it is as good as there.
    on_solid = active & (touched | (reach < room)) & (reach < room)
    distance = jnp.where(on_solid, reach, room)
    nearest = scene.solid_distances(origins + directions * distance[None], time)
    best, part = nearest[0], jnp.full_like(room_part, int(scene.FIRST_SOLID))
    for i, gap in enumerate(nearest[1:], start=1):
        part = jnp.where(gap < best, int(scene.FIRST_SOLID) + i, part)
        best = jnp.minimum(best, gap)
    return Hits(distance, jnp.where(on_solid, part, room_part))


def normals(
    p: Float[Array, "3 n"], part: Int[Array, "n"], time: Float[Array, ""]
) -> Float[Array, "3 n"]:
    """Unit vectors out of the surface, by differences over the corners of a tetrahedron."""
    corners = jnp.array(
        [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]], p.dtype
    )

    def add(i, total):
        corner = corners[i][:, None]
        return total + corner * scene.distance(p + 1.5e-3 * corner, time)[None]

    solid = shapes.normalize(lax.fori_loop(0, 4, add, jnp.zeros_like(p)))
    inwards = []
    for axis in range(3):
        low = jnp.abs(p[axis] - scene.ROOM_MIN[axis])
        high = jnp.abs(p[axis] - scene.ROOM_MAX[axis])
        inwards.append(jnp.where(low < 1e-3, 1.0, jnp.where(high < 1e-3, -1.0, 0.0)))
    room = shapes.normalize(jnp.stack(inwards))
    return jnp.where((part >= scene.FIRST_SOLID)[None], solid, room)


def shadow(
    p: Float[Array, "3 n"], to_light: Float[Array, "3 n"], time: Float[Array, ""]
) -> Float[Array, "n"]:
    """Visible share of the key light: the narrowest gap that a ray to it passes, as an angle."""

    def running(carry):
        step, reach, seen = carry
        return (step < SHADOW_STEPS) & jnp.any((seen > -1.0) & (reach < 3.2))

    def advance(carry):
        step, reach, seen = carry
        gap = scene.distance(p + to_light * reach[None], time, cast_shadow=True)
        live = (reach < 3.2) & (seen > -1.0)
        seen = jnp.where(live, jnp.minimum(seen, KEY_SHARPNESS * gap / reach), seen)
        reach = reach + jnp.where(live, jnp.clip(gap, 0.015, 0.25), 0.0)
        return step + 1, reach, seen

    # Rays may pass inside a solid by as much as they pass outside: the penumbra is then
    # centered on the true shadow's edge and has no crease at either end.
    start = (jnp.int32(0), jnp.full_like(p[0], 0.02), jnp.ones_like(p[0]))
    _, _, seen = lax.while_loop(running, advance, start)
    return shapes.smoothstep(-1.0, 1.0, seen)


def openness(
    p: Float[Array, "3 n"], normal: Float[Array, "3 n"], time: Float[Array, ""]
) -> Float[Array, "n"]:
    """Share of sky light that nearby surfaces leave, from distances along the normal."""

    def add(i, blocked):
        height = 0.04 + 0.09 * i.astype(p.dtype)
        q = p + normal * height
        gap = jnp.minimum(scene.distance(q, time), scene.room_distance(q))
        return blocked + (height - gap) * (1.3 * 0.72 ** i.astype(p.dtype))

    blocked = lax.fori_loop(0, 4, add, jnp.zeros_like(p[0]))
    return jnp.clip(1.0 - blocked, 0.15, 1.0)


def camera_rays(
    cols: Float[Array, "n"],
    rows: Float[Array, "n"],
    cam_to_world: Float[Array, "3 4"],
    intrinsics: Float[Array, "3 3"],
) -> tuple[Float[Array, "3 n"], Float[Array, "3 n"], Float[Array, "n"]]:
    """Origins, unit directions, and depth per unit of distance, of rays through image points."""
    x = (cols - intrinsics[0, 2]) / intrinsics[0, 0]
    y = -(rows - intrinsics[1, 2]) / intrinsics[1, 1]
    right, up, back, center = (cam_to_world[:, i][:, None] for i in range(4))
    directions = right * x[None] + up * y[None] - back
    depth_rate = 1.0 / jnp.sqrt(shapes.dot(directions, directions))
    origins = jnp.broadcast_to(center, directions.shape)
    return origins, directions * depth_rate[None], depth_rate


def cast(
    cols: Float[Array, "n"],
    rows: Float[Array, "n"],
    cam_to_world: Float[Array, "3 4"],
    intrinsics: Float[Array, "3 3"],
    time: Float[Array, ""],
) -> tuple[Float[Array, "n"], Int[Array, "n"]]:
    """Depth (metres along the optical axis) and `Part` seen at image points, in pixels."""
    origins, directions, depth_rate = camera_rays(cols, rows, cam_to_world, intrinsics)
    hits = trace(origins, directions, jnp.ones_like(cols, dtype=bool), time)
    return hits.distance * depth_rate, hits.part
