"""Where the time of a fast field's step goes, beside what its gathers and scatters take alone.

A point reads the eight nodes around it on each level: a gather of rows of features; its gradient
is a scatter-add of as many. The rows here are those of points along rays that go through the box
from front to back, in the order of rays and samples, as in a step.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from benching import rows as rows_lib
from inv_jax import params as params_lib
from inv_jax.assembly import build
from inv_jax.cost import count, trial
from inv_jax.models import grid_field, grids
from inv_jax.models.bricks import SIDE, Bricks
from inv_jax.models.grid_field import GridField
from inv_jax.train import optimizer
from inv_jax.train.parallel import Devices
from inv_jax.train.step import Stepper
from inv_jax.types import Cameras, Views

ROLES = (params_lib.STRUCTURE,)  # what trains in a frozen frame
_SLANT = 0.3  # of the box, how far across a ray gets at most on its way through
_ADAM_FLOATS = 7  # of a param: it, its gradient and two moments are read; it and these written
_ROUGH_FLOATS = 3  # ... and for the roughness: it and its gradient are read, the latter written


class Timed:
    """Seconds of a program, of several calls one behind the other; it takes what it gave back."""

    def __init__(self, call: Callable[[Any], Any], first: Any, seconds: float):
        """Compiles it. `seconds`: how long one measurement takes, about."""
        self._call, self._held, self._calls = call, first, 1
        self()
        self._calls = max(1, min(1000, round(seconds / max(self(), 1e-6))))

    def __call__(self) -> float:
        jax.block_until_ready(self._held)
        start = time.perf_counter()
        for _ in range(self._calls):
            self._held = self._call(self._held)
        jax.block_until_ready(self._held)
        return (time.perf_counter() - start) / self._calls


def counts(model: GridField, rays: int, num_pixels: int) -> dict[str, Any]:
    """What a step on so many rays of one device does, by arithmetic; numbers are float32."""
    points, channels = rays * model.samples, 1 + model.features
    nodes = [math.prod(level) for level in model.levels]
    if model.bricks is not None:
        nodes.append(model.bricks.capacity * SIDE**3)
    levels = len(nodes)
    (network,) = model.work(ROLES).networks
    of_color = sum(layer.rows * layer.fan_in * layer.fan_out for layer in network.maps)
    params = channels * sum(nodes)
    read = 4 * points * levels * 8 * channels
    return {
        "rays": rays,
        "samples": model.samples,
        "levels": [list(level) for level in model.levels],
        "bricks": list(model.bricks.shape) if model.bricks else [],
        "nodes": sum(nodes),
        "params": params,
        "multiply_adds_a_ray": model.samples * levels * 8 * channels + of_color,
        "multiply_adds": rays * (model.samples * levels * 8 * channels + of_color),
        "gathered_rows": points * levels * 8,
        "gathered_bytes": read + 4 * rays * model.probes,
        "scattered_bytes": read,
        "dense_bytes": 4 * (_ADAM_FLOATS + _ROUGH_FLOATS) * params,
        "state_bytes": 4 * 4 * params,
        "pixel_bytes": 4 * num_pixels,  # three colors and an error
    }


class Bench:
    """The step of a config on given pixels, and its parts."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        views: Views,
        cameras: Cameras,
        devices: Devices,
        seconds: float,
    ):
        """Takes what a frozen frame trains on, on the host.

        Args:
          config: Of a fast field, with its box and sizes.
          views: Of the training cameras.
          cameras: These.
          devices: All share the rays of a step; the parts are timed on one, with its share.
          seconds: How long one measurement takes, about.
        """
        self._config, self._devices, self._seconds = config, devices, seconds
        self.model = build.model(config)
        self._stepper: Stepper = build.stepper(config, self.model, devices)
        self._rays = self._stepper.rows_per_step // devices.count
        self._num_pixels = int(np.prod(views.images.shape[:3]))
        self._host = views, cameras
        self._params = self.model.init(jax.random.key(0))
        hard = self._stepper.hard
        hardness = None if hard is None else hard.fresh(self._num_pixels)
        self._drawn = jax.tree.map(jnp.asarray, (jax.random.key(1), hardness, views, cameras))

    def rows(self, name: str, rounds: int) -> Iterator[dict[str, Any]]:
        """A row for each part, timed in turn with the step, then one of the floor."""
        timers = self._timers()
        found = rows_lib.in_turn(rounds, **timers)
        step = found["step"].median
        for part, times in found.items():
            share = self._share_of_step(part)
            yield {
                "case": f"{name}: {_NAMES[part]}",
                "part": part,
                "rays": self._rays,
                **rows_lib.Times(
                    *(share * x for x in (times.median, times.least, times.most))
                ).row(),
                "share": share * times.median / step,
            }
        yield self._closing(name, {part: times.median for part, times in found.items()})

    def _closing(self, name: str, seconds: dict[str, float]) -> dict[str, Any]:
        cost = count.step(
            self.model, rows=self._rays, rows_per_pass=self._stepper.rows_per_pass, roles=ROLES
        )
        rate = rows_lib.Rates().matrix(self.model.precision)
        floor = seconds["gather"] + seconds["scatter"] + cost.flops / rate
        dense = seconds["adam"] + seconds["roughness"]
        dense += self._share_of_step("guide") * seconds["guide"]
        return {
            "case": f"{name}: floor",
            "part": "floor",
            **counts(self.model, self._rays, self._num_pixels),
            "rows_per_pass": self._stepper.rows_per_pass,
            "flops": cost.flops,
            "matrix_rate": rate,
            "step_seconds": seconds["step"],
            "steps_per_second": 1.0 / seconds["step"],
            "rows_per_second": self._stepper.rows_per_step / seconds["step"],
            "gather_seconds": seconds["gather"],
            "scatter_seconds": seconds["scatter"],
            "multiply_seconds": cost.flops / rate,
            "floor_seconds": floor,
            "floor_fraction": floor / seconds["step"],
            "dense_seconds": dense,
            "rest_seconds": seconds["step"] - floor - dense,
            "device_peak_bytes": self._devices.peak_memory_bytes(),
        }

    def _share_of_step(self, part: str) -> float:
        """How often a step does it."""
        return 1.0 / self.model.guide_every if part == "guide" else 1.0

    def _timers(self) -> dict[str, Callable[[], float]]:
        return {
            "step": self.step(),
            "draw": self._drawing(),
            "forward": self._forward(),
            **self._gathers_and_scatters(),
            "adam": self._adam(),
            "roughness": self._roughness(),
            "guide": self._guide(),
        }

    def step(self) -> Callable[[], float]:
        """Times a step of the program that the trainer runs; as many as a guide serves, or more."""
        placed = self._devices.replicate(self._host)
        step = trial.Trial(self._stepper, self._devices, ROLES, *placed)
        every = self.model.guide_every
        step.seconds(every)
        steps = every * max(1, round(self._seconds / (every * step.seconds(every))))
        return lambda: step.seconds(steps)

    def _draw(self, key: jax.Array, hardness: Any, views: Any, cameras: Any) -> Any:
        return self.model.rows.sample(
            *(self.model.inputs, key, jnp.int32(0), jnp.arange(self._rays), self._rays),
            *(views, cameras),
            hardness=hardness,
        )

    def _drawing(self) -> Callable[[], float]:
        """Of the rays alone. All that a program reads are arguments: constants would be folded."""
        draw = jax.jit(self._draw)
        return Timed(lambda _: draw(*self._drawn), None, self._seconds)

    def _forward(self) -> Callable[[], float]:
        """Of the rays and their colors, without what a gradient would keep of them."""

        @jax.jit
        def forward(params: Any, guide: jax.Array, *drawn: Any) -> jax.Array:
            batch = self._draw(*drawn)
            keys = jax.vmap(lambda row: jax.random.fold_in(drawn[0], row))(batch.ids)
            shown = self.model.predict(params, batch.inputs, keys=keys, guide=guide)
            return list(shown.values())[-1].rgb

        densities = jax.jit(self.model.guide)(self._params)
        return Timed(lambda _: forward(self._params, densities, *self._drawn), None, self._seconds)

    def _guide(self) -> Callable[[], float]:
        guide = jax.jit(self.model.guide)
        return Timed(lambda _: guide(self._params), None, self._seconds)

    def _levels(self) -> list[tuple[jax.Array, np.ndarray]]:
        """The features of each level's nodes, and which are read; the finest behind the others."""
        rays, samples, bricks = self._rays, self.model.samples, self.model.bricks
        structure = self._params[grid_field.NETWORK][params_lib.STRUCTURE]
        found = []
        for level in structure.values():
            features = level["kernel"]
            if features.ndim == 4:
                rows = node_rows(features.shape[:3], rays, samples)
            else:
                rows = brick_rows(bricks, rays, samples)
            found.append((features.reshape(-1, features.shape[-1]), rows))
        return sorted(found, key=lambda level: level[0].size)

    def _gathers_and_scatters(self) -> dict[str, Timed]:
        """Of the finest level, and of all levels, one after the other."""
        levels, places = map(list, zip(*self._levels(), strict=True))
        places = [jnp.asarray(rows) for rows in places]
        values = jax.random.normal(jax.random.key(2), (*places[0].shape, levels[0].shape[-1]))

        def gather(
            levels: list[jax.Array], places: list[jax.Array], weights: jax.Array, *, is_summed: bool
        ) -> list[jax.Array]:
            """Rows as they are, or the sum of each eight: a device is quicker at one of them."""
            found = [
                level.at[rows].get(mode="promise_in_bounds")
                for level, rows in zip(levels, places, strict=True)
            ]
            return [jnp.einsum("nk,nkc->nc", weights, x) for x in found] if is_summed else found

        @jax.jit
        def scatter(
            levels: list[jax.Array], places: list[jax.Array], values: jax.Array
        ) -> list[jax.Array]:
            return [
                jnp.zeros_like(level).at[rows].add(values, mode="promise_in_bounds")
                for level, rows in zip(levels, places, strict=True)
            ]

        def timed(program: Callable[..., Any], some: slice, *more: Any) -> Timed:
            call = lambda _: program(levels[some], places[some], *more)  # noqa: E731
            return Timed(call, None, self._seconds)

        def gathered(some: slice) -> Timed:
            forms = (jax.jit(functools.partial(gather, is_summed=x)) for x in (False, True))
            return min((timed(form, some, values[..., 0]) for form in forms), key=Timed.__call__)

        finest, every = slice(-1, None), slice(None)
        return {
            "gather_finest": gathered(finest),
            "scatter_finest": timed(scatter, finest, values),
            "gather": gathered(every),
            "scatter": timed(scatter, every, values),
        }

    def _adam(self) -> Timed:
        """The update of all that a frame owns, its moments among it, as within a step."""
        c, (own, _) = self._config.train, params_lib.split(self._params, ROLES)
        settings = {name: c[name] for name in ("b1", "b2", "eps", "weight_decay")}
        made = optimizer.make_optimizer(self._params.keys(), c.clip_norm, c.optimizer, settings)
        grads = jax.tree.map(lambda x: 1e-3 * jnp.ones_like(x), own)

        @functools.partial(jax.jit, donate_argnums=0)
        def update(held: Any, grads: Any) -> Any:
            params, moments = held
            updates, moments = made.update(grads, moments, params)
            return jax.tree.map(lambda p, u: p - 1e-3 * u, params, updates), moments

        held = jax.tree.map(jnp.copy, (own, made.init(own)))
        return Timed(lambda held: update(held, grads), held, self._seconds)

    def _roughness(self) -> Timed:
        own, frozen = params_lib.split(self._params, ROLES)
        rough = self.model.around(optax.identity())

        @functools.partial(jax.jit, donate_argnums=0)
        def add(grads: Any, own: Any) -> Any:
            return rough.update(grads, rough.init(own), own, frozen=frozen)[0]

        first = jax.tree.map(jnp.zeros_like, own)
        return Timed(lambda grads: add(grads, own), first, self._seconds)


_NAMES = {
    "step": "the whole step",
    "draw": "its rays drawn and made",
    "forward": "these, and their colors",
    "gather_finest": "gather, finest level",
    "scatter_finest": "scatter-add, finest level",
    "gather": "gather, all levels",
    "scatter": "scatter-add, all levels",
    "adam": "Adam on all nodes",
    "roughness": "roughness of all nodes",
    "guide": "a step's share of the guide",
}


def node_rows(shape: tuple[int, ...], rays: int, samples: int) -> np.ndarray:
    """Rows of the eight nodes around each sample, (rays * samples, 8) int32."""
    rng = np.random.default_rng(0)
    start = rng.random((rays, 1, 2))
    slant = _SLANT * (2.0 * rng.random((rays, 1, 2)) - 1.0)
    depth = (np.arange(samples)[None, :, None] + rng.random((rays, samples, 1))) / samples
    points = np.concatenate([start + depth * slant, depth], axis=-1).clip(0.0, 1.0)
    nodes = np.array(shape, np.int32)
    first = np.minimum((points * (nodes - 1)).astype(np.int32), nodes - 2).reshape(-1, 1, 3)
    strides = np.array([nodes[1] * nodes[2], nodes[2], 1], np.int32)
    return ((first + grids.CORNERS) @ strides).astype(np.int32)


def brick_rows(bricks: Bricks, rays: int, samples: int) -> np.ndarray:
    """The same in a pool: bricks beside each other are in slots beside each other, in turn."""
    rows = node_rows(bricks.shape, rays, samples)
    x, y, z = np.unravel_index(rows, bricks.shape)
    brick = np.ravel_multi_index((x // SIDE, y // SIDE, z // SIDE), bricks.counts)
    inner = np.ravel_multi_index((x % SIDE, y % SIDE, z % SIDE), (SIDE, SIDE, SIDE))
    return ((brick % bricks.capacity) * SIDE**3 + inner).astype(np.int32)
