"""The toy theatre: what stands on its stage, and how it moves with time.

Axes: x to the right of the audience, y up, z towards the audience; the floor is y = 0. Units are
metres. Time is the frame number, real-valued; everything repeats after `PERIOD` frames.

The room is a closed box that rays meet exactly (`tracer.py`); all else is a signed distance.
Curtains, valance, hills, teapot and blocks stand still. Ball, ring, fish and star move, and all
but the star deform; they are what "dynamic" means. Their shadows and reflections do not count.
"""

import enum

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from inv_jax.data.synthetic import shapes
from inv_jax.data.synthetic.shapes import Coords

VERSION = 1  # of the picture: raise it whenever any pixel would change
PERIOD = 120.0  # frames
ROOM_MIN = (-3.0, 0.0, -1.7)
ROOM_MAX = (3.0, 2.8, 4.4)

BALL_RADIUS = 0.21
RING_RADIUS = 0.27
FLOOR_GAP = 0.002  # solids hover by this, so that the floor under them is never ambiguous


class Part(enum.IntEnum):
    """What a ray hit. Everything from `BALL` on moves."""

    FLOOR = 0
    BACKDROP = 1
    WALLS = 2
    CURTAINS = 3
    VALANCE = 4
    HILLS = 5
    TEAPOT = 6
    BLOCKS = 7
    BALL = 8
    RING = 9
    FISH = 10
    STAR = 11


FIRST_SOLID = Part.CURTAINS
SHADOWLESS = (Part.VALANCE, Part.STAR)


def is_dynamic(part: Int[Array, "*b"]) -> Bool[Array, "*b"]:
    """Whether the part moves or deforms."""
    return part >= Part.BALL


def phase(time: Float[Array, ""], cycles: float) -> Float[Array, ""]:
    """Angle in radians that turns `cycles` times per period; whole cycles leave no jump."""
    return 2.0 * jnp.pi * cycles / PERIOD * jnp.mod(time, PERIOD)


# Local coordinates: the distance and the paint of a moving solid share them.


def ball_coords(x: Array, y: Array, z: Array, time: Array) -> tuple[Coords, tuple[Array, Array]]:
    """Coordinates around the ball's center, and its (horizontal, vertical) stretch.

    It hops four times per period on a small circle; it flattens where it lands, keeping volume.
    """
    hop = jnp.mod(4.0 * jnp.mod(time, PERIOD) / PERIOD, 1.0)
    to_floor = jnp.minimum(hop, 1.0 - hop)
    flat = 0.27 * jnp.exp(-((to_floor / 0.16) ** 2))
    tall = 0.07 * jnp.exp(-(((to_floor - 0.32) / 0.14) ** 2))
    vertical = 1.0 - flat + tall
    turn = phase(time, 1.0)
    lift = FLOOR_GAP + 1.25 * hop * (1.0 - hop) + BALL_RADIUS * vertical
    center_x = 0.16 + 0.16 * jnp.cos(turn)
    center_z = 0.42 + 0.12 * jnp.sin(turn)
    return (x - center_x, y - lift, z - center_z), (1.0 / jnp.sqrt(vertical), vertical)


def ring_coords(x: Array, y: Array, z: Array, time: Array) -> tuple[Array, Array]:
    """Coordinates in the ring's square section, along its two sides.

    The section twists once around the ring and turns with time; the whole ring sways like jelly.
    """
    y = y - 0.43
    sway = 0.16 * jnp.sin(phase(time, 3.0))
    x = x - 0.83 - sway * (y + 0.4)
    y = y / (1.0 + 0.07 * jnp.sin(phase(time, 4.0)))
    x, z = shapes.rotate(x, z + 0.12, 0.55 * jnp.sin(phase(time, 1.0)))
    radius = jnp.maximum(shapes.length(x, y), 1e-6)
    # The section's turn is the way around the ring, whose cosine and sine are x and y already.
    u, v = shapes.rotate(radius - RING_RADIUS, z, phase(time, 1.0))
    return (x * u + y * v) / radius, (x * v - y * u) / radius


def fish_coords(x: Array, y: Array, z: Array, time: Array) -> Coords:
    """Coordinates along the fish: x to its mouth, y up, z across, with its body unbent."""
    turn = phase(time, 1.0)
    x = x - 0.80 * jnp.cos(turn)
    y = y - 1.17 - 0.07 * jnp.sin(phase(time, 3.0))
    z = z + 0.42 - 0.42 * jnp.sin(turn)
    heading = jnp.arctan2(0.42 * jnp.cos(turn), -0.80 * jnp.sin(turn))
    x, z = shapes.rotate(x, z, heading)
    swing = 0.075 * jnp.square(jnp.clip(0.24 - x, 0.0, 0.7) / 0.5)
    return x, y, z - swing * shapes.wave(6.0 * x + phase(time, 6.0))


def star_coords(x: Array, y: Array, z: Array, time: Array) -> Coords:
    """Coordinates around the star, which hangs from (0.62, 2.35) and swings."""
    x, y = shapes.rotate(x - 0.52, y - 2.35, -0.30 * jnp.sin(phase(time, 2.0)))
    x, z = shapes.rotate(x, z + 0.75, 0.5 * jnp.sin(phase(time, 1.0)))
    return x, y + 0.88, z


def curtain_coords(x: Array, y: Array) -> tuple[Array, Array]:
    """Way outwards from the curtains' inner edge, and the depth of their folds there."""
    edge = 1.17 + 0.20 * shapes.bump((y - 0.72) / 0.34)
    outwards = jnp.abs(x) - edge
    return outwards, 0.032 * shapes.wave(2.0 * jnp.pi * outwards / 0.26)


def valance_coords(x: Array, y: Array) -> tuple[Array, Array]:
    """Way down from the valance's scalloped hem, and the depth of its folds there."""
    hem = 1.66 + 0.045 * shapes.wave(2.0 * jnp.pi * x / 0.76 + 0.5 * jnp.pi)
    return hem - y, 0.03 * shapes.wave(2.0 * jnp.pi * x / 0.26)


# Distances. Factors below 1 make up for the slope that bending a space adds.


def curtains(x: Array, y: Array, z: Array) -> Array:
    outwards, fold = curtain_coords(x, y)
    return 0.56 * (shapes.extrude(-outwards, jnp.abs(z - 0.10 - fold) - 0.03) - 0.03)


def valance(x: Array, y: Array, z: Array) -> Array:
    below, fold = valance_coords(x, y)
    return 0.62 * (shapes.extrude(below, jnp.abs(z - 0.30 - fold) - 0.02) - 0.02)


def hills(x: Array, y: Array, z: Array) -> Array:
    crest = 0.40 + 0.15 * shapes.wave(1.9 * x + 2.4) + 0.05 * shapes.wave(4.3 * x + 0.5)
    return 0.87 * (shapes.extrude(y - crest, jnp.abs(z + 1.15) - 0.02) - 0.02)


def teapot(x: Array, y: Array, z: Array) -> Array:
    x, z = shapes.rotate(x + 0.70, z - 0.20, 0.35)
    y = y - FLOOR_GAP
    body = shapes.ellipsoid(x, y - 0.235, z, (0.285, 0.235, 0.285))
    foot = shapes.ellipsoid(x, y - 0.03, z, (0.17, 0.03, 0.17))
    lid = shapes.ellipsoid(x, y - 0.43, z, (0.135, 0.065, 0.135))
    knob = shapes.length(x, y - 0.525, z) - 0.045
    spout = shapes.tapered_capsule(
        x, y, z, start=(0.22, 0.19), end=(0.43, 0.41), radii=(0.072, 0.036)
    )
    handle = shapes.torus(x + 0.29, y - 0.26, z, 0.135, 0.032)
    pot = shapes.smooth_union(body, foot, 0.04)
    pot = shapes.smooth_union(pot, spout, 0.06)
    pot = shapes.smooth_union(pot, handle, 0.03)
    top = shapes.smooth_union(lid, knob, 0.03)
    return shapes.smooth_union(pot, top, 0.02)


def blocks(x: Array, y: Array, z: Array) -> Array:
    ax, az = shapes.rotate(x + 0.17, z + 0.72, 0.45)
    lower = shapes.box(ax, y - 0.20 - FLOOR_GAP, az, (0.20, 0.20, 0.20), 0.035)
    bx, bz = shapes.rotate(x + 0.19, z + 0.70, -0.25)
    upper = shapes.box(bx, y - 0.535, bz, (0.13, 0.13, 0.13), 0.03)
    return jnp.minimum(lower, upper)


def ball(x: Array, y: Array, z: Array, time: Array) -> Array:
    (x, y, z), (wide, tall) = ball_coords(x, y, z, time)
    radii = (BALL_RADIUS * wide, BALL_RADIUS * tall, BALL_RADIUS * wide)
    return shapes.ellipsoid(x, y, z, radii)


def ring(x: Array, y: Array, z: Array, time: Array) -> Array:
    u, v = ring_coords(x, y, z, time)
    section = shapes.extrude(jnp.abs(u) - 0.055, jnp.abs(v) - 0.055) - 0.045
    # The twist is steep near the ring's axis: away from the ring, the round tube that holds the
    # section decides.
    tube = shapes.length(u, v) - 0.124
    return 0.85 * jnp.maximum(tube, jnp.minimum(section, 0.03))


def fish(x: Array, y: Array, z: Array, time: Array) -> Array:
    x, y, z = fish_coords(x, y, z, time)
    body = shapes.ellipsoid(x, y, z, (0.25, 0.135, 0.095))
    ux, uy = shapes.rotate(x + 0.31, jnp.abs(y) - 0.075, 2.45)
    tail = shapes.ellipsoid(ux, uy, z, (0.115, 0.055, 0.034))
    fx, fy = shapes.rotate(x + 0.05, y - 0.125, -0.5)
    fin = shapes.ellipsoid(fx, fy, z, (0.115, 0.060, 0.034))
    return 0.73 * shapes.smooth_union(shapes.smooth_union(body, tail, 0.07), fin, 0.04)


def star(x: Array, y: Array, z: Array, time: Array) -> Array:
    x, y, z = star_coords(x, y, z, time)
    flat = shapes.star(x, y, outer=0.19, inner=0.095)
    return shapes.extrude(flat, jnp.abs(z) - 0.02) - 0.022


def solid_distances(p: Float[Array, "3 *b"], time: Float[Array, ""]) -> list[Float[Array, "*b"]]:
    """Signed distance of every solid, in the order of `Part` from `FIRST_SOLID` on."""
    x, y, z = p[0], p[1], p[2]
    still = [solid(x, y, z) for solid in (curtains, valance, hills, teapot, blocks)]
    moving = [solid(x, y, z, time) for solid in (ball, ring, fish, star)]
    return still + moving


def distance(
    p: Float[Array, "3 *b"], time: Float[Array, ""], *, cast_shadow: bool = False
) -> Float[Array, "*b"]:
    """Signed distance to the nearest solid; it changes by at most 1 per metre.

    Args:
      p: Points.
      time: Frame number.
      cast_shadow: Leave out what throws no shadow: the star, which glows, and the valance,
        which would darken all of the painted sky.
    """
    nearest = solid_distances(p, time)
    if cast_shadow:
        nearest = [d for i, d in enumerate(nearest, FIRST_SOLID) if i not in SHADOWLESS]
    result = nearest[0]
    for other in nearest[1:]:
        result = jnp.minimum(result, other)
    return result


def room_distance(p: Float[Array, "3 *b"]) -> Float[Array, "*b"]:
    """Distance to the nearest wall, floor or ceiling from inside the room."""
    result = p[1] - ROOM_MIN[1]
    for axis in range(3):
        result = jnp.minimum(result, p[axis] - ROOM_MIN[axis])
        result = jnp.minimum(result, ROOM_MAX[axis] - p[axis])
    return result
