"""The fast field: features on grids that a frame owns, one tiny network of color that all share.

INV's split with other means. Structure is a pyramid of dense grids over a unit box
(`geometry/boxes.py`): a density and some features at every node, read between the nodes and
summed over the levels; the finest one may come in bricks, where they are wanted (`bricks.py`).
Color is a small network that sees the features of a ray, composited once, and its direction: it
runs once a pixel, not once a sample.

    density  s = DENSEST softplus(raw - 3), per length of the ray in the box
    weights  w_i = exp(-sum_{j < i} s_j d_j) (1 - exp(-s_i d_i)); light that is left over goes to
             the last sample
    features f = sum_i w_i f_i
    color    rgb = sigmoid(f[:3] + network(f, direction))

Where the samples of a ray lie says a guide, a coarse grid of densities made from the params
(`models/guide.py`).
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.geometry import boxes
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry.boxes import Box, BoxRays
from inv_jax.models import bricks, grid_optimizer, grids, guide, linear
from inv_jax.models.base import Model
from inv_jax.models.bricks import Bricks
from inv_jax.models.deferred import DeferredColor
from inv_jax.models.guide import Guide
from inv_jax.models.work import Map, Network, Work
from inv_jax.types import Cameras, InvError, Params, Places, Predictions, Rendering

NETWORK = "field"
DENSEST = 48.0  # scale of the density: one over it is a good length to become opaque in
SHIFT = -3.0  # a grid of zeros stops nine tenths of the light of a whole ray
_SPREAD = 1e-2  # standard deviation of fresh grids
_NODE_FLOPS = 30  # of a place on a level: its corners and weights, beside features


@dataclasses.dataclass(frozen=True)
class GridField(Model):
    """A radiance field on grids.

    Attributes:
      box: What of the world it covers.
      levels: Nodes of each grid, (x, y, z).
      bricks: The finest level, in bricks; None: all levels are dense.
      bricks_every: See `Model.rearrange_every`.
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
    bricks: Bricks | None = None
    bricks_every: int = 128
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
        least_of = {"bricks_every": 1, "features": 3, "samples": 2, "probes": 2, "guide_every": 1}
        least_of["width"] = 1
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise InvError(f"model.{name}={getattr(self, name)}; want {least} or more")
        if not self.levels or any(min(level) < 2 for level in self.levels):
            raise InvError(
                f"model.levels={self.levels}; want one or more, each with 2 nodes a side at least"
            )
        if min(self.guide_shape) < 1:
            raise InvError(f"model.guide={self.guide_shape}; want 1 or more, each")
        if not 0.0 < self.even <= 1.0:
            raise InvError(f"model.even={self.even}; want above 0, 1.0 at most")

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        indices = (params_lib.INDEX,) if self.bricks else ()
        return params_lib.Roles((params_lib.STRUCTURE,), (params_lib.COLOR,), indices)

    @property
    def rearrange_every(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Model.rearrange_every`."""
        return self.bricks_every if self.bricks else 0

    @property
    def _color(self) -> DeferredColor:
        return DeferredColor(self.features, self.width, self.depth, self.precision)

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'field': ...}`: grids near zero, and the network as He et al. 2015."""
        # A function that is traced has the compiler's options of its caller.
        return (_fresh if isinstance(key, jax.core.Tracer) else _init)(self, key)

    def inputs(self, cameras: Cameras, places: Places) -> BoxRays:
        """The pixels' rays in the box; see `Model.inputs`."""
        world = cameras.replace(ndc=False)
        return self.box.rays(cameras_lib.cast_rays(world, places.cams, places.cols, places.rows))

    def guide(self, params: Params) -> Guide:
        """See `Model.guide`: the density at the centers of a coarse grid's cells."""
        structure, table = params[NETWORK][params_lib.STRUCTURE], None
        raw = sum(
            grids.read_cells(structure[f"level_{i}"]["kernel"][..., :1], self.guide_shape)
            for i in range(len(self.levels))
        )
        if self.bricks is not None:
            table = self.bricks.table(self._cells(params))
            pool = structure[self._finest]["kernel"][..., :1]
            raw = raw + self.bricks.read_cells(pool, table, self.guide_shape)
        return Guide(_density(raw[..., 0]), table)

    def predict(
        self,
        params: Params,
        inputs: BoxRays,
        *,
        keys: Key[Array, "*b"] | None = None,
        guide: Guide | None = None,
    ) -> Predictions:
        """Renders rays; see `Model.predict`. The network is `field`."""
        batch = inputs.near.shape[:-1]
        rays = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), inputs)
        guide = self.guide(params) if guide is None else guide
        shown, _ = self._rendered(params, rays, guide, keys)
        return {NETWORK: jax.tree.map(lambda x: x.reshape(*batch, *x.shape[1:]), shown)}

    def _rendered(
        self, params: Params, rays: BoxRays, guide: Guide, keys: Key[Array, "*b"] | None
    ) -> tuple[Rendering, Float[Array, "n S 3"]]:
        """Rays in one row, rendered, and where their samples are."""
        edges = self._edges(lax.stop_gradient(guide.densities), rays, keys)
        middles, lengths = 0.5 * (edges[:, 1:] + edges[:, :-1]), jnp.diff(edges, axis=-1)
        points = self.box.squeeze(_along(rays, middles))
        read = self._read(params, guide.table, points.reshape(-1, 3))
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
        return shown, points

    def rearranged(self, params: Params, inputs: BoxRays, target: Float[Array, "n 3"]) -> Params:
        """See `Model.rearranged`: bricks go to where light ends whose color is wrong."""
        if self.bricks is None:
            return params
        rays = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), inputs)
        shown, points = self._rendered(params, rays, self.guide(params), None)
        error = jnp.mean(jnp.abs(shown.rgb - target), axis=-1, keepdims=True)
        brick = self.bricks.brick_of(points.reshape(-1, 3))
        wanted = jnp.zeros(self.bricks.count).at[brick].add((shown.weights * error).reshape(-1))
        field, finest = params[NETWORK], self._finest
        structure = field[params_lib.STRUCTURE]
        cells, is_new = self.bricks.rearranged(self._cells(params), wanted)
        pool = jnp.where(is_new[:, None, None, None, None], 0.0, structure[finest]["kernel"])
        moved = {
            params_lib.STRUCTURE: {**structure, finest: {"kernel": pool}},
            params_lib.INDEX: {finest: {"cells": cells}},
        }
        return {NETWORK: {**field, **moved}}

    @property
    def _finest(self) -> str:
        """The layer of the bricks."""
        return f"level_{len(self.levels)}"

    def _cells(self, params: Params) -> Int[Array, "P"]:
        return params[NETWORK][params_lib.INDEX][self._finest]["cells"]

    def _read(self, params: Params, table: Array | None, points: Array) -> Float[Array, "n C"]:
        """What all levels say of some places."""
        structure = params[NETWORK][params_lib.STRUCTURE]
        levels = [structure[f"level_{i}"]["kernel"] for i in range(len(self.levels))]
        found = grids.read_all(levels, points)
        if self.bricks is not None:
            found = found + self.bricks.read(structure[self._finest]["kernel"], table, points)
        return found

    def _edges(self, densities: Array, rays: BoxRays, keys: Array | None) -> Array:
        """Ends of the samples' intervals along each ray, (n, samples + 1)."""
        key_probes = key_edges = None
        if keys is not None:
            split = jax.vmap(jax.random.split)(keys.reshape(-1))
            key_probes, key_edges = split[:, 0], split[:, 1]
        at = guide.probes(self.probes, key_probes)
        found = guide.look_up(densities, self.box.squeeze(_along(rays, at)))
        return guide.edges(guide.weights(found), self.samples, self.even, key_edges)

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
            **self._describe_bricks(),
            "samples": f"{self.samples} a ray, by a guide of {named(self.guide_shape)} cells",
            "box": f"{self.box.kind}: "
            + (f"{depth} behind" if self.box.kind == boxes.PROJECTIVE else around),
        }

    def _describe_bricks(self) -> dict[str, str]:
        if self.bricks is None:
            return {}
        named = "x".join(map(str, self.bricks.shape))
        part = self.bricks.capacity / self.bricks.count
        return {"bricks": f"of {named}: {self.bricks.capacity:,}, {part:.1%} of all"}

    def around(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """See `Model.around`: smooths the grids; densities and colors have rates of their own."""
        rough = grid_optimizer.add_roughness(
            self.roughness,
            self.edge,
            lambda pool, frozen: self.bricks.roughness_gradient(
                pool, self._cells(frozen), self.edge
            ),
        )
        rates = grid_optimizer.scale_rates(1 + self.features, self.density_rate, self.color_rate)
        return optax.chain(rough, optimizer, rates)

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`; a read is eight products and sums a feature, and so is its gradient."""
        trains = params_lib.STRUCTURE in roles
        channels, levels = 1 + self.features, len(self.levels) + (self.bricks is not None)
        colors = params_lib.COLOR in roles
        maps = [
            Map(1, fan_in, fan_out, i < self.depth, colors, trains or (colors and i > 0))
            for i, (fan_in, fan_out) in enumerate(self._color.shapes().values())
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
    return DENSEST * jax.nn.softplus(raw + SHIFT)


def _along(rays: BoxRays, s: Float[Array, "_ S"]) -> Float[Array, "n S 3"]:
    return rays.starts[:, None] + s[..., None] * rays.spans[:, None]


def _fresh(model: GridField, key: PRNGKeyArray) -> Params:
    key_grids, key_color = jax.random.split(key)
    channels = 1 + model.features
    structure = {
        f"level_{i}": {
            "kernel": _SPREAD
            * jax.random.normal(jax.random.fold_in(key_grids, i), (*level, channels))
        }
        for i, level in enumerate(model.levels)
    }
    color = model._color.init(key_color)
    made = {params_lib.STRUCTURE: structure, params_lib.COLOR: color}
    if model.bricks is not None:
        slots = model.bricks.capacity
        side = [bricks.SIDE] * 3
        structure[model._finest] = {"kernel": jnp.zeros((slots, *side, channels))}
        made[params_lib.INDEX] = {model._finest: {"cells": jnp.full(slots, bricks.NONE, jnp.int32)}}
    return {NETWORK: made}


# At its highest level XLA's CPU backend takes four times as long, for the same numbers.
_init = jax.jit(_fresh, static_argnums=0, compiler_options={"xla_backend_optimization_level": 2})
