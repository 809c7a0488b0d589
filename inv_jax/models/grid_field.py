"""The fast field: features on grids that a frame owns, one tiny network of color that all share.

INV's split with other means. Structure is a pyramid of dense grids over a unit box
(`geometry/boxes.py`): a density and some features at every node, read between the nodes and
summed over the levels. Color is a small network that sees the features of a ray, composited once,
and its direction: it runs once a pixel, not once a sample.

    density  s = DENSEST softplus(raw - 3), per length of the ray in the box
    weights  w_i = exp(-sum_{j < i} s_j d_j) (1 - exp(-s_i d_i)); light that is left over goes to
             the last sample
    features f = sum_i w_i f_i
    color    rgb = sigmoid(f[:3] + network(f, direction))

Where the samples of a ray lie says a guide, a coarse grid of densities made from the params
(`models/guide.py`).
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.geometry import boxes
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry.boxes import Box, BoxRays
from inv_jax.models import grids, guide, linear
from inv_jax.models.base import Model
from inv_jax.models.work import Map, Network, Work
from inv_jax.types import Cameras, InvError, Params, Places, Predictions, Rendering

NETWORK = "field"
DENSEST = 48.0  # scale of the density: one over it is a good length to become opaque in
_SHIFT = -3.0  # a grid of zeros stops nine tenths of the light of a whole ray
_SPREAD = 1e-2  # standard deviation of fresh grids
_NODE_FLOPS = 30  # of a place on a level: its corners and weights, beside features


@dataclasses.dataclass(frozen=True)
class GridField(Model):
    """A radiance field on grids.

    Attributes:
      box: What of the world it covers.
      levels: Nodes of each grid, (x, y, z).
      features: Of a node, beside its density; 3 at least.
      samples: Of a ray.
      probes: Look-ups of the guide along a ray.
      guide_shape: Cells of the guide.
      guide_every: See `Model.guide_every`.
      even: Part of the samples that is spread evenly over the ray.
      width: Of the color network's hidden layers.
      depth: How many these are.
      roughness: Weight of the total variation of the grids, in the gradient.
      edge: Differences below it are smoothed away, those above stay (`grids.py`).
      density_rate: Learning rate of densities, in that of features.
      color_rate: ... of the color network.
      precision: See `Model.precision`; of the color network alone.
    """

    box: Box
    levels: tuple[grids.Shape, ...]
    features: int = 7
    samples: int = 12
    probes: int = 48
    guide_shape: grids.Shape = (40, 24, 32)
    guide_every: int = 16  # pyright: ignore[reportIncompatibleMethodOverride]
    even: float = 0.2
    width: int = 32
    depth: int = 2
    roughness: float = 1e-5
    edge: float = 0.05
    density_rate: float = 5.0
    color_rate: float = 0.25
    precision: str = "float32"  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self):
        linear.check_precision(self.precision)
        least_of = {"features": 3, "samples": 2, "probes": 2, "guide_every": 1, "width": 1}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise InvError(f"model.{name}={getattr(self, name)}; want {least} or more")
        if not self.levels or any(min(level) < 2 for level in self.levels):
            raise InvError(
                f"model.levels={self.levels}; want one or more, each with 2 nodes a side at least"
            )
        if min(self.guide_shape) < 1 or self.guide_every < 1:
            raise InvError(
                f"model.guide={self.guide_shape}, model.guide_every={self.guide_every}; want 1 or "
                "more, each"
            )
        if not 0.0 < self.even <= 1.0:
            raise InvError(f"model.even={self.even}; want above 0, 1.0 at most")

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(own=(params_lib.STRUCTURE,), shared=(params_lib.COLOR,))

    def _color_shapes(self) -> dict[str, tuple[int, int]]:
        """Kernels of the color network, in their order."""
        hidden = [self.width] * self.depth
        sizes = [self.features + 3, *hidden, 3]
        return {
            f"color_{i}": (fan_in, fan_out)
            for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes))
        }

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'field': ...}`: grids near zero, and the network as He et al. 2015."""
        return _init(self, key)

    def inputs(self, cameras: Cameras, places: Places) -> BoxRays:
        """The pixels' rays in the box; see `Model.inputs`."""
        world = cameras.replace(ndc=False)
        return self.box.rays(cameras_lib.cast_rays(world, places.cams, places.cols, places.rows))

    def guide(self, params: Params) -> Float[Array, "X Y Z"]:
        """See `Model.guide`: the density at the centers of a coarse grid's cells."""
        places = jnp.asarray(guide.centers(self.guide_shape))
        raw = grids.read_all([level[..., :1] for level in self._levels(params)], places)
        return _density(raw).reshape(self.guide_shape)

    def predict(
        self,
        params: Params,
        inputs: BoxRays,
        *,
        keys: Key[Array, "*b"] | None = None,
        guide: Float[Array, "X Y Z"] | None = None,
    ) -> Predictions:
        """Renders rays; see `Model.predict`. The network is `field`."""
        batch = inputs.near.shape[:-1]
        rays = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), inputs)
        densities = self.guide(params) if guide is None else guide
        edges = self._edges(lax.stop_gradient(densities), rays, keys)
        middles, lengths = 0.5 * (edges[:, 1:] + edges[:, :-1]), jnp.diff(edges, axis=-1)
        points = self.box.squeeze(_along(rays, middles))
        read = grids.read_all(self._levels(params), points.reshape(-1, 3))
        read = read.reshape(*middles.shape, -1)
        thickness = _density(read[..., 0]) * lengths
        total = jnp.cumsum(thickness, axis=-1)
        weights = jnp.exp(thickness - total) * -jnp.expm1(-thickness)
        rest = jnp.exp(-total[:, -1:])
        weights = jnp.concatenate([weights[:, :-1], weights[:, -1:] + rest], axis=-1)
        seen = jnp.sum(weights[..., None] * read[..., 1:], axis=1)
        rgb = self._color(params[NETWORK][params_lib.COLOR], seen, rays.viewdirs)
        depth = jnp.sum(weights * rays.distance(middles), axis=-1)
        shown = Rendering(
            rgb=rgb, acc=1.0 - rest[:, 0], depth=depth, disparity=None, weights=weights
        )
        return {NETWORK: jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), shown)}

    def _levels(self, params: Params) -> list[grids.Level]:
        structure = params[NETWORK][params_lib.STRUCTURE]
        return [structure[f"level_{i}"]["kernel"] for i in range(len(self.levels))]

    def _edges(self, densities: Array, rays: BoxRays, keys: Array | None) -> Array:
        """Ends of the samples' intervals along each ray, (n, samples + 1)."""
        key_probes = key_edges = None
        if keys is not None:
            split = jax.vmap(jax.random.split)(keys.reshape(-1))
            key_probes, key_edges = split[:, 0], split[:, 1]
        at = guide.probes(self.probes, key_probes)
        found = guide.look_up(densities, self.box.squeeze(_along(rays, at)))
        return guide.edges(guide.weights(found), self.samples, self.even, key_edges)

    def _color(
        self, layers: Params, features: Float[Array, "n F"], viewdirs: Float[Array, "n 3"]
    ) -> Float[Array, "n 3"]:
        axis = linear.features_axis()
        hidden = linear.as_matrix(jnp.concatenate([features, viewdirs], axis=-1), axis)
        if self.precision == "bfloat16":
            # On the way back XLA's CPU backend would make one of a product and of the transpose
            # behind it, and it has no such product in bfloat16.
            hidden = lax.optimization_barrier(hidden)
        names = list(self._color_shapes())
        for name in names:
            layer = layers[name]
            hidden = linear.matmul(hidden, layer["kernel"], axis, self.precision)
            hidden = linear.add_bias(hidden, layer["bias"], axis)
            if name != names[-1]:
                hidden = linear.relu(hidden, self.precision)
        return jax.nn.sigmoid(features[:, :3] + linear.as_points(hidden, features.shape[:1], axis))

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """See `Model.check_views`: nothing in it moves."""
        del cameras
        if num_frames != 1:
            raise InvError(
                f"train.segment_frames={num_frames}: model.name=grid is one frame of all cameras; "
                "set train.segment_frames=1"
            )

    def describe(self) -> dict[str, str]:
        """See `Model.describe`."""
        named = lambda shape: "x".join(map(str, shape))  # noqa: E731
        lower, upper = self.box.lower, self.box.upper
        depth = f"depth {lower[2]:.3g} to {upper[2]:.3g}, straight lines from {self.box.center:.3g}"
        around = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(lower, upper, strict=True))
        return {
            "levels": f"{', '.join(map(named, self.levels))}; {1 + self.features} numbers a node",
            "samples": f"{self.samples} a ray, by a guide of {named(self.guide_shape)} cells",
            "box": f"{self.box.kind}: "
            + (f"{depth} behind" if self.box.kind == boxes.PROJECTIVE else around),
        }

    def around(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """See `Model.around`: smooths the grids; densities and colors have rates of their own."""

        def scale(updates: Params, params: Params | None) -> Params:
            del params
            channels = np.ones((1, 1, 1, 1 + self.features), np.float32)
            channels[..., 0] = self.density_rate
            return jax.tree.map(
                lambda x: x * (channels if x.ndim == 4 else self.color_rate), updates
            )

        return optax.chain(
            grids.add_roughness(self.roughness, self.edge), optimizer, optax.stateless(scale)
        )

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`; a read is eight products and sums a feature, and so is its gradient."""
        trains = params_lib.STRUCTURE in roles
        channels, levels = 1 + self.features, len(self.levels)
        colors = params_lib.COLOR in roles
        maps = [
            Map(1, fan_in, fan_out, i < self.depth, colors, trains or (colors and i > 0))
            for i, (fan_in, fan_out) in enumerate(self._color_shapes().values())
        ]
        reads = levels * (16 * channels + _NODE_FLOPS)
        network = Network(
            points=self.samples,
            maps=tuple(maps),
            encoded=channels,
            point_flops=reads * (2 if trains else 1),
            point_floats=levels * 8 * channels * (3 if trains else 1),
            kept=0,
            kept_bytes=4 * (levels * 8 * (channels + 2) if trains else 0),
        )
        return Work(networks=(network,), row_floats=2 * (12 + 2 * self.probes))


def _density(raw: Array) -> Array:
    return DENSEST * jax.nn.softplus(raw + _SHIFT)


def _along(rays: BoxRays, s: Float[Array, "_ S"]) -> Float[Array, "n S 3"]:
    return rays.starts[:, None] + s[..., None] * rays.spans[:, None]


@functools.partial(jax.jit, static_argnums=0)
def _init(model: GridField, key: PRNGKeyArray) -> Params:
    key_grids, key_color = jax.random.split(key)
    channels = 1 + model.features
    structure = {
        f"level_{i}": {
            "kernel": _SPREAD
            * jax.random.normal(jax.random.fold_in(key_grids, i), (*level, channels))
        }
        for i, level in enumerate(model.levels)
    }
    shapes, color = model._color_shapes(), {}
    for i, (name, (fan_in, fan_out)) in enumerate(shapes.items()):
        gain = 2.0 if i < model.depth else 1.0
        normal = jax.random.normal(jax.random.fold_in(key_color, i), (fan_in, fan_out))
        color[name] = {"kernel": normal * np.sqrt(gain / fan_in), "bias": jnp.zeros(fan_out)}
    return {NETWORK: {params_lib.STRUCTURE: structure, params_lib.COLOR: color}}
