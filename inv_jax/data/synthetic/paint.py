"""The colors of the toy theatre: what each part is painted with, glows with and mirrors.

Colors are mixed as they look on a screen (sRGB) and turned to linear light at the end. Patterns
are broad and their edges soft, about 2 cm: wide enough for a small network and small images.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from inv_jax.data.synthetic import scene, shapes
from inv_jax.data.synthetic.scene import Part

Color = tuple[Array | float, Array | float, Array | float]  # sRGB in [0, 1]

PLUM: Color = (0.30, 0.19, 0.38)
INDIGO: Color = (0.25, 0.28, 0.55)
ROSE: Color = (0.87, 0.50, 0.52)
PEACH: Color = (0.99, 0.78, 0.55)
CREAM: Color = (0.99, 0.93, 0.80)
GOLD: Color = (0.95, 0.71, 0.28)
CRIMSON: Color = (0.68, 0.13, 0.17)
CORAL: Color = (0.93, 0.34, 0.27)
ORANGE: Color = (0.98, 0.57, 0.17)
LEAF: Color = (0.45, 0.63, 0.36)
MOSS: Color = (0.22, 0.42, 0.36)
TEAL: Color = (0.07, 0.45, 0.50)
SKY: Color = (0.36, 0.65, 0.82)
BERRY: Color = (0.80, 0.22, 0.50)
LILAC: Color = (0.78, 0.60, 0.90)
OAK: Color = (0.72, 0.49, 0.30)
WALNUT: Color = (0.52, 0.32, 0.19)
INK: Color = (0.10, 0.09, 0.13)


def mix(a: Color, b: Color, weight: Array) -> Color:
    """Goes from color a at weight 0 to b at weight 1."""
    red, green, blue = (u + (v - u) * weight for u, v in zip(a, b, strict=True))
    return red, green, blue


def above(level: Array | float, x: Array, width: float = 0.02) -> Array:
    """A soft step: 0 where x is below the level, 1 above it."""
    return shapes.smoothstep(level - 0.5 * width, level + 0.5 * width, x)


def _floor(x: Array, z: Array) -> Color:
    board = jnp.floor(x / 0.30)
    tone = 0.5 + 0.5 * jnp.sin(2.7 * board + 1.1 * board * board)
    along = z + 1.7 * tone
    grain = 0.5 + 0.5 * jnp.sin(26.0 * x + 2.2 * jnp.sin(1.9 * along) + 9.0 * tone)
    color = mix(OAK, WALNUT, 0.45 * tone + 0.18 * grain)
    seam = jnp.abs(jnp.mod(x + 0.15, 0.30) - 0.15)
    return mix(color, WALNUT, 0.55 * (1.0 - shapes.smoothstep(0.0, 0.022, seam)))


def _backdrop(x: Array, y: Array) -> Color:
    color = mix(PEACH, ROSE, shapes.smoothstep(0.55, 1.35, y))
    color = mix(color, INDIGO, shapes.smoothstep(1.0, 2.15, y))
    to_sun = shapes.length(x + 0.28, y - 0.98)
    color = mix(color, CREAM, 0.55 * (1.0 - shapes.smoothstep(0.25, 0.95, to_sun)))
    color = mix(CREAM, color, above(0.33, to_sun, 0.03))
    far = 0.66 + 0.16 * jnp.sin(1.3 * x + 0.6) + 0.07 * jnp.sin(3.1 * x)
    color = mix((0.62, 0.45, 0.62), color, above(far, y, 0.03))
    near = 0.48 + 0.12 * jnp.sin(1.7 * x + 3.6) + 0.05 * jnp.sin(3.7 * x + 1.0)
    return mix((0.36, 0.40, 0.52), color, above(near, y, 0.03))


def _hills(x: Array, y: Array) -> Color:
    rows = jnp.sin(11.0 * y + 3.5 * jnp.sin(1.4 * x + 0.6) + 1.2 * x)
    return mix(LEAF, MOSS, 0.85 * above(0.0, rows, 0.7))


def _curtains(x: Array, y: Array) -> Color:
    outwards, fold = scene.curtain_coords(x, y)
    cloth = mix(CRIMSON, (0.54, 0.08, 0.14), above(0.0, -fold / 0.032, 1.8))
    return mix(GOLD, cloth, above(0.035, outwards))


def _valance(x: Array, y: Array) -> Color:
    below, fold = scene.valance_coords(x, y)
    cloth = mix(CRIMSON, (0.54, 0.08, 0.14), above(0.0, -fold / 0.03, 1.8))
    return mix(cloth, GOLD, above(-0.055, below))


def _teapot(y: Array) -> Color:
    color = mix(TEAL, CREAM, above(0.205, y) * above(-0.265, -y))
    return mix(color, GOLD, above(0.485, y))


def _blocks(y: Array) -> Color:
    lower = mix(SKY, CREAM, above(0.14, y) * above(-0.26, -y))
    return mix(lower, GOLD, above(0.405, y))


def _ball(x: Array, y: Array, z: Array, time: Array) -> Color:
    (x, y, z), _ = scene.ball_coords(x, y, z, time)
    x, y = shapes.rotate(x, y, 0.5)
    y, z = shapes.rotate(y, z, scene.phase(time, 1.0))
    turn = jnp.arctan2(z, x)
    from_axis = shapes.length(x, z)
    # Distances across the seams between wedges, in metres.
    color = mix(CREAM, CORAL, above(0.0, jnp.sin(3.0 * turn) * from_axis / 3.0))
    return mix(color, GOLD, above(-0.075, -from_axis))


def _ring(x: Array, y: Array, z: Array, time: Array) -> Color:
    u, v = scene.ring_coords(x, y, z, time)
    size = jnp.maximum(shapes.length(u, v), 1e-3)
    color = mix(BERRY, LILAC, 0.5 + 0.5 * u / size)
    return mix(color, PEACH, 0.75 * shapes.smoothstep(0.2, 1.0, v / size))


def _fish(x: Array, y: Array, z: Array, time: Array) -> Color:
    x, y, z = scene.fish_coords(x, y, z, time)
    color = mix(ORANGE, CORAL, shapes.smoothstep(-0.02, 0.16, y))
    color = mix(color, CREAM, shapes.smoothstep(0.02, 0.10, -y) * above(-0.22, x, 0.08))
    for band in (0.06, -0.13):
        inside = above(-0.028, -jnp.abs(x - band - 0.8 * y * y))
        color = mix(color, CREAM, inside)
    color = mix(color, CORAL, 0.8 * above(0.27, -x, 0.08))
    to_eye = shapes.length(x - 0.165, y - 0.03)
    color = mix(CREAM, color, above(0.038, to_eye, 0.014))
    return mix(INK, color, above(0.020, to_eye, 0.014))


def _star(x: Array, y: Array, z: Array, time: Array) -> Color:
    x, y, _ = scene.star_coords(x, y, z, time)
    return mix(CREAM, GOLD, shapes.smoothstep(0.02, 0.17, shapes.length(x, y)))


def albedo(
    p: Float[Array, "3 *b"], part: Int[Array, "*b"], time: Float[Array, ""]
) -> Float[Array, "3 *b"]:
    """The share of light, linear and per channel, that the surface scatters."""
    x, y, z = p[0], p[1], p[2]
    painted = {
        Part.FLOOR: _floor(x, z),
        Part.BACKDROP: _backdrop(x, y),
        Part.CURTAINS: _curtains(x, y),
        Part.VALANCE: _valance(x, y),
        Part.HILLS: _hills(x, y),
        Part.TEAPOT: _teapot(y),
        Part.BLOCKS: _blocks(y),
        Part.BALL: _ball(x, y, z, time),
        Part.RING: _ring(x, y, z, time),
        Part.FISH: _fish(x, y, z, time),
        Part.STAR: _star(x, y, z, time),
    }
    channels = []
    for channel in range(3):
        value = jnp.full_like(x, PLUM[channel])  # the walls
        for which, color in painted.items():
            value = jnp.where(part == which, color[channel], value)
        channels.append(to_linear(value))
    return jnp.stack(channels)


def emission(p: Float[Array, "3 *b"], part: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """Light, relative to the albedo, that the surface sends out by itself.

    Behind the audience hang two soft boxes. No camera looks there: they exist for the teapot.
    """
    x, y, z = p[0], p[1], p[2]
    on_front = (part == Part.WALLS) & (z > scene.ROOM_MAX[2] - 1e-3)
    panel = above(-0.40, -jnp.abs(jnp.abs(x) - 1.25), 0.4) * above(-0.85, -jnp.abs(y - 1.8), 0.5)
    glow = jnp.where(on_front, 18.0 * panel, 0.0)
    glow = jnp.where(part == Part.BACKDROP, 0.35, glow)
    return jnp.where(part == Part.STAR, 0.55, glow)


def mirror(part: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """Reflectance at normal incidence: only the teapot is glazed."""
    return jnp.where(part == Part.TEAPOT, 0.09, 0.0)


def to_linear(srgb: Array) -> Array:
    """Screen values in [0, 1] to linear light (IEC 61966-2-1)."""
    return jnp.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Array) -> Array:
    """Linear light in [0, 1] to screen values (IEC 61966-2-1)."""
    curve = 1.055 * jnp.maximum(linear, 0.0031308) ** (1.0 / 2.4) - 0.055
    return jnp.where(linear <= 0.0031308, 12.92 * linear, curve)
