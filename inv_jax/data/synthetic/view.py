"""Exact views of the toy theatre: color, depth and mask from any camera at any time.

One warm key light with soft shadows, a cool fill, sky light dimmed by nearby surfaces, and mirror
rays off the teapot. Pixel (i, j) is i to the right and j down, centered at (i + pixel_center,
j + pixel_center), as in `geometry/cameras.py`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from inv_jax.data.synthetic import paint, scene, shapes, tracer
from inv_jax.data.synthetic.scene import Part

KEY_TARGET = (0.05, 0.45, -0.2)
NUM_SURFACES = 2  # what a ray may see in a row: a surface, and what that one mirrors
EXPOSURE = 1.25


@struct.dataclass
class GroundTruth:
    """One view of the scene, as it truly is."""

    rgb: jax.Array  # (H, W, 3) in [0, 1], sRGB
    depth: jax.Array  # (H, W) metres along the optical axis, of the pixel's center ray
    is_dynamic: jax.Array  # (H, W) bool, the pixel's center ray meets a moving or deforming solid


def _shade(
    p: Float[Array, "3 n"],
    normal: Float[Array, "3 n"],
    directions: Float[Array, "3 n"],
    part: Int[Array, "n"],
    time: Float[Array, ""],
) -> Float[Array, "3 n"]:
    """Linear light that the surface sends back along the ray, mirror rays left out."""

    def column(values: tuple[float, float, float]) -> Float[Array, "3 1"]:
        return jnp.array(values, p.dtype)[:, None]

    key = column(tracer.KEY_POSITION)
    to_light = shapes.normalize(key - p)
    aim = shapes.normalize(column(KEY_TARGET) - key)
    spot = shapes.smoothstep(0.86, 0.985, -shapes.dot(to_light, jnp.broadcast_to(aim, p.shape)))
    facing = shapes.dot(normal, to_light)
    # The jelly ring lets light through: it is lit a little past the edge of its own shade.
    wrap = jnp.where(part == Part.RING, 0.35, 0.0)
    facing = jnp.maximum((facing + wrap) / (1.0 + wrap), 0.0)
    lit = tracer.shadow(p + normal * 0.004, to_light, time) * (0.12 + 0.88 * spot)
    sky = tracer.openness(p, normal, time)

    halfway = shapes.normalize(to_light - directions)
    shine = jnp.maximum(shapes.dot(normal, halfway), 0.0)
    glazed = part == Part.TEAPOT
    glossy = jnp.where(glazed, 2.2 * shine**90.0, 0.0)

    fill = shapes.normalize(column((0.75, 0.35, 0.55)))
    from_right = 0.5 + 0.5 * shapes.dot(normal, jnp.broadcast_to(fill, p.shape))
    upwards = 0.5 + 0.5 * normal[1]
    light = column((2.35, 2.0, 1.52)) * (lit * facing)[None]
    light += column((0.16, 0.20, 0.30)) * (from_right * sky)[None]
    light += column((0.36, 0.34, 0.36)) * (upwards * sky)[None]
    light += column((0.26, 0.18, 0.13)) * ((1.0 - upwards) * sky)[None]
    light += paint.emission(p, part)[None]
    color = paint.albedo(p, part, time) * light
    return color + column((1.0, 0.94, 0.82)) * (glossy * lit)[None]


def _radiance(
    origins: Float[Array, "3 n"], directions: Float[Array, "3 n"], time: Float[Array, ""]
) -> Float[Array, "3 n"]:
    """Linear light arriving along rays."""

    def running(carry):
        surface, _, _, share, _ = carry
        return (surface < NUM_SURFACES) & jnp.any(share > 0.0)

    def follow(carry):
        surface, origins, directions, share, color = carry
        hits = tracer.trace(origins, directions, share > 0.0, time)
        p = origins + directions * hits.distance[None]
        normal = tracer.normals(p, hits.part, time)
        cosine = jnp.clip(-shapes.dot(normal, directions), 0.0, 1.0)
        # Schlick 1994, "An inexpensive BRDF model", eq. 15.
        base = paint.mirror(hits.part)
        mirrored = jnp.where(base > 0.0, base + (1.0 - base) * (1.0 - cosine) ** 5, 0.0)
        mirrored = jnp.where(surface < NUM_SURFACES - 1, mirrored, 0.0)
        shaded = _shade(p, normal, directions, hits.part, time)
        color = color + shaded * (share * (1.0 - mirrored))[None]
        bounced = shapes.normalize(directions + normal * (2.0 * cosine)[None])
        return surface + 1, p + normal * 0.006, bounced, share * mirrored, color

    ones, black = jnp.ones_like(origins[0]), jnp.zeros_like(origins)
    return lax.while_loop(running, follow, (jnp.int32(0), origins, directions, ones, black))[4]


@jax.jit
def _sample_colors(
    cols: Float[Array, "n"],
    rows: Float[Array, "n"],
    cam_to_world: Float[Array, "3 4"],
    intrinsics: Float[Array, "3 3"],
    time: Float[Array, ""],
) -> tuple[Float[Array, "n 3"]]:
    """Tone-mapped but still linear colors seen at image points, in pixels."""
    origins, directions, _ = tracer.camera_rays(cols, rows, cam_to_world, intrinsics)
    return ((1.0 - jnp.exp(-EXPOSURE * _radiance(origins, directions, time))).T,)


@jax.jit
def _sample_surfaces(
    cols: Float[Array, "n"],
    rows: Float[Array, "n"],
    cam_to_world: Float[Array, "3 4"],
    intrinsics: Float[Array, "3 3"],
    time: Float[Array, ""],
) -> tuple[Float[Array, "n"], Bool[Array, "n"]]:
    """Depth of what is seen at image points, and whether it moves."""
    depth, part = tracer.cast(cols, rows, cam_to_world, intrinsics, time)
    return depth, scene.is_dynamic(part)


def _in_chunks(
    sample: Callable[..., tuple[Array, ...]],
    cols: Float[np.ndarray, "n"],
    rows: Float[np.ndarray, "n"],
    *view: Array,
) -> tuple[Array, ...]:
    """Samples image points in chunks of one size: memory is bounded, and it compiles once."""
    # An accelerator wants large chunks, a CPU such as fit its cache.
    size = 2**13 if jax.default_backend() == "cpu" else 2**20
    chunks = []
    for first in range(0, cols.size, size):
        # The last chunk repeats the last point; what it adds is cut off below.
        index = np.minimum(np.arange(first, first + size), cols.size - 1)
        chunks.append(sample(cols[index], rows[index], *view))
    return tuple(jnp.concatenate(part)[: cols.size] for part in zip(*chunks, strict=True))


def render_view(
    cam_to_world: Float[jax.typing.ArrayLike, "3 4"],
    intrinsics: Float[jax.typing.ArrayLike, "3 3"],
    height: int,
    width: int,
    time: float,
    *,
    samples_per_axis: int = 2,
    pixel_center: float = 0.0,
) -> GroundTruth:
    """Renders the scene from any camera at any time; compiles once for all sizes.

    Args:
      cam_to_world: Pose, OpenGL axes, metres; the camera must stand in the room and in no solid.
      intrinsics: In pixels of this image.
      height: Of the image.
      width: Of the image.
      time: Frame number, may be fractional; the scene repeats after `scene.PERIOD` frames.
      samples_per_axis: Color is averaged over this many by this many rays, spread over a square
        of one pixel around the pixel's center.
      pixel_center: Where that center is from the pixel's own coordinates: 0.0 or 0.5.

    Returns:
      Color, depth and mask. Depth and mask are those of the center ray alone.
    """
    view = (
        jnp.asarray(cam_to_world, jnp.float32),
        jnp.asarray(intrinsics, jnp.float32),
        jnp.float32(time),
    )
    rows, cols = (np.mgrid[:height, :width] + pixel_center).astype(np.float32).reshape(2, -1)
    depth, dynamic = _in_chunks(_sample_surfaces, cols, rows, *view)

    steps = (np.arange(samples_per_axis, dtype=np.float32) + 0.5) / samples_per_axis - 0.5
    shift_rows, shift_cols = (s.reshape(1, -1) for s in np.meshgrid(steps, steps, indexing="ij"))
    sample_cols = (cols[:, None] + shift_cols).reshape(-1)
    sample_rows = (rows[:, None] + shift_rows).reshape(-1)
    (colors,) = _in_chunks(_sample_colors, sample_cols, sample_rows, *view)
    # Samples are tone mapped before the average, so that edges against bright light are smooth.
    rgb = paint.to_srgb(colors.reshape(height, width, samples_per_axis**2, 3).mean(axis=2))
    return GroundTruth(
        rgb=jnp.clip(rgb, 0.0, 1.0),
        depth=depth.reshape(height, width),
        is_dynamic=dynamic.reshape(height, width),
    )
