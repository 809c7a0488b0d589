"""Seconds of a training step, beside what its matrix products alone would take.

    python scripts/bench_step.py                  # full-size network, 1,024 rays, 64 + 64 samples
    python scripts/bench_step.py --width=64 --rays=512 --samples=32

Prints one JSON line for the step that trains everything and one for the step of Structure
Transfer. `matmul_seconds` is the floor: every matrix product of the step on its own, in the shapes
that the batch has (65,536 and 131,072 rows at full size), timed in turn with the step in the same
run (medians over rounds), so that a noisy machine slows both. `fraction` is the floor over the
step: the part of the machine's own matrix rate at these shapes that the step reaches. The step
works in passes whose activations stay in the caches, where the same products run faster than at
the shapes of the batch, so it can get above 1; `pass_fraction` holds it to that stricter floor.
`gflops` are those of these products, `gflops_compiler` those of XLA's cost analysis of the step
(which sees the passes' loop body once, so it is taken from a step of one pass).
"""

import functools
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from inv_jax import build
from inv_jax import params as params_lib
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.sampling.rays import sample_rays
from inv_jax.train import losses, optimizer
from inv_jax.train.parallel import Devices
from inv_jax.train.step import Means, Stepper, TrainState
from inv_jax.types import Cameras, Frame

_WIDTH = flags.DEFINE_integer("width", 256, "Width of the network.")
_RAYS = flags.DEFINE_integer("rays", 1024, "Rays a step.")
_SAMPLES = flags.DEFINE_integer("samples", 64, "Coarse samples, and as many fine ones.")
_PASS = flags.DEFINE_integer("rays_per_pass", 0, "0: what the trainer would choose.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of timing.")
_STEPS = flags.DEFINE_integer("steps", 2, "Steps in a timed dispatch.")

Matmul = tuple[int, int, int, str]  # m, k, n, and which operand is transposed: '', 'a' or 'b'


def matmuls(mlp: NerfMlp, points: int, rays: int, roles: tuple[str, ...]) -> Iterator[Matmul]:
    """The matrix products of one network's forward and backward pass, as the network does them.

    Behind the trunk the color's path is one product, W -> W / 2 (see `NerfMlp`); the density, the
    color and the direction's part are thin.
    """
    shapes = mlp.layer_shapes()
    half = shapes["rgb"][0]
    directions = shapes["views_0"][0] - mlp.width
    trunk = [(name, *shapes[name]) for name in shapes if name.startswith("layer_")]
    heads = [("density", mlp.width, 1), ("feature", mlp.width, half), ("rgb", half, 3)]
    for name, fan_in, fan_out in trunk + heads:
        yield points, fan_in, fan_out, ""  # forward
        if name != "layer_0":
            yield points, fan_out, fan_in, "b"  # gradient of the input
        if mlp.layer_role(name) in roles:
            yield fan_in, points, fan_out, "a"  # gradient of the kernel
    yield rays, directions, half, ""


def step_matmuls(nerf: Nerf, rays: int, passes: int, roles: tuple[str, ...]) -> Counter[Matmul]:
    """How often a step does each product."""
    counts: Counter[Matmul] = Counter()
    for samples in (nerf.coarse_samples, nerf.coarse_samples + nerf.fine_samples):
        for product in matmuls(nerf.mlp, rays // passes * samples, rays // passes, roles):
            counts[product] += passes
    return counts


def flops(counts: Counter[Matmul]) -> int:
    """Floating-point operations, two for a multiplication with its addition."""
    return sum(2 * m * k * n * times for (m, k, n, _), times in counts.items())


def timed_matmul(product: Matmul, repeats: int) -> Callable[[], float]:
    """A function that times one product, in seconds."""
    m, k, n, transposed = product
    rng = np.random.default_rng(0)
    a = jnp.asarray(rng.normal(size=(k, m) if transposed == "a" else (m, k)), jnp.float32)
    b = jnp.asarray(rng.normal(size=(n, k) if transposed == "b" else (k, n)), jnp.float32)
    contract = (
        ((0,) if transposed == "a" else (1,), (1,) if transposed == "b" else (0,)),
        ((), ()),
    )
    multiply = jax.jit(functools.partial(jax.lax.dot_general, dimension_numbers=contract))
    multiply(a, b).block_until_ready()

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            result = multiply(a, b)
        result.block_until_ready()
        return (time.perf_counter() - start) / repeats

    return measure


def floor_timer(counts: Counter[Matmul], repeats: int) -> Callable[[], float]:
    """A function that times all of a step's products, in seconds."""
    timers = {product: timed_matmul(product, repeats) for product in counts}
    return lambda: sum(timers[product]() * times for product, times in counts.items())


def synthetic_frame(num_cams: int = 4, height: int = 120, width: int = 160):
    """A frame of random pixels and its cameras; what they show does not matter to the time."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_cams, height, width, 3), dtype=np.uint8)
    intrinsics = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float32)
    cameras = Cameras(
        cam_to_world=jnp.tile(jnp.eye(3, 4)[None], (num_cams, 1, 1)),
        intrinsics=jnp.tile(jnp.asarray(intrinsics)[None], (num_cams, 1, 1)),
        near=jnp.float32(0.0),
        far=jnp.float32(1.0),
        height=height,
        width=width,
        ndc=True,
    )
    return Frame(jnp.asarray(images), jnp.int32(1)), cameras


def make_step(nerf: Nerf, roles: tuple[str, ...], rays: int, rays_per_pass: int):
    """A stepper and the state it starts from."""
    params = nerf.init(jax.random.key(0))
    trainable, frozen = params_lib.split(params, roles)
    tx = optimizer.make_optimizer(params.keys(), 2.0)
    schedule = functools.partial(
        optimizer.learning_rate, init=5e-4, decay_rate=0.1, decay_steps=250_000
    )
    stepper = Stepper(nerf, sample_rays, losses.mse, tx, schedule, rays, rays_per_pass)
    state = TrainState(
        trainable, frozen, tx.init(trainable), jax.random.key(1), jnp.int32(0), Means.start()
    )
    return stepper, state


def bench(nerf: Nerf, name: str, roles: tuple[str, ...], rays: int, rays_per_pass: int) -> dict:
    """Times one kind of step against its products."""
    frame, cameras = synthetic_frame()
    stepper, state = make_step(nerf, roles, rays, rays_per_pass)
    run = jax.jit(stepper.run)
    start = time.perf_counter()
    jax.block_until_ready(run(state, frame, cameras, jnp.int32(0)))
    compile_seconds = time.perf_counter() - start

    def step_seconds() -> float:
        start = time.perf_counter()
        jax.block_until_ready(run(state, frame, cameras, jnp.int32(_STEPS.value)))
        return (time.perf_counter() - start) / _STEPS.value

    counts = step_matmuls(nerf, rays, 1, roles)
    floor_of_batch = floor_timer(counts, repeats=1)
    passes = rays // rays_per_pass
    floor_of_passes = floor_timer(step_matmuls(nerf, rays, passes, roles), max(1, passes // 4))
    steps, floors, pass_floors = [], [], []
    for _ in range(_ROUNDS.value):
        steps.append(step_seconds())
        floors.append(floor_of_batch())
        steps.append(step_seconds())
        pass_floors.append(floor_of_passes())
    step, floor = statistics.median(steps), statistics.median(floors)

    whole, state = make_step(nerf, roles, rays, rays)
    lowered = jax.jit(whole.step).lower(state, frame, cameras)
    analysis = lowered.compile().cost_analysis() or {}
    return {
        "step": name,
        "width": nerf.mlp.width,
        "rays": rays,
        "samples": [nerf.coarse_samples, nerf.fine_samples],
        "rays_per_pass": rays_per_pass,
        "device": Devices().describe(),
        "jax": jax.__version__,
        "seconds": round(step, 4),
        "rays_per_second": round(rays / step),
        "matmul_seconds": round(floor, 4),
        "fraction": round(floor / step, 3),
        "pass_fraction": round(statistics.median(pass_floors) / step, 3),
        "gflops_per_second": round(flops(counts) / step / 1e9, 1),
        "matmul_gflops_per_second": round(flops(counts) / floor / 1e9, 1),
        "gflops": round(flops(counts) / 1e9, 1),
        "gflops_compiler": round(float(analysis.get("flops", math.nan)) / 1e9, 1),
        "compile_seconds": round(compile_seconds, 1),
    }


def main(_: list[str]) -> None:
    nerf = Nerf(NerfMlp(width=_WIDTH.value), _SAMPLES.value, _SAMPLES.value)
    rays = _RAYS.value
    rays_per_pass = build.fitting_pass(nerf, Devices(jax.local_devices()[:1]), rays, _PASS.value)
    for name, roles in (("warmup", params_lib.ROLES), ("transfer", (params_lib.STRUCTURE,))):
        print(json.dumps(bench(nerf, name, roles, rays, rays_per_pass)), flush=True)


if __name__ == "__main__":
    app.run(main)
