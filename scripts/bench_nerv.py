r"""Seconds of a NeRV decoder's training step, beside another program's and what the machine can.

    python scripts/bench_nerv.py                                  # 2.9 M params, at 640x360
    taskset -c 1 python scripts/bench_nerv.py \
        --yardstick="taskset -c 1 PYTHON nerv_torch_step.py --threads 1"
    python scripts/bench_nerv.py --strides=5,2,2,2,2 --channels=112     # NeRV-L at 720p

A step is forward, loss (0.7 L1 + 0.3 (1 - SSIM)), backward and Adam on one picture; several run in
one program. One JSON line:

- `seconds` of a step, median over rounds, and its range;
- `yardstick_seconds`: the same of a command, which is run once a round, in turn with ours, so that
  a noisy machine slows both. It prints JSON with `seconds_per_step` as its last line. `ratio` is
  the median of the rounds' ratios: how many times as fast ours is.
- `flops` of the step if each convolution multiplies all pairs, `matrix_rate` of the best large
  product in the same run, and `floor_seconds`, the one over the other. What multiplies less
  (`inv_jax/models/winograd.py`) can fall below.
- `cpu_seconds` of a step, of all threads: a machine shared with others has more `seconds`.
"""

import functools
import json
import shlex
import statistics
import subprocess
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import app, flags, logging
from benching import decoders, rows
from jax import lax

from inv_jax.models.nerv import Nerv
from inv_jax.train import structural
from inv_jax.train.parallel import Devices
from inv_jax.types import Params

_YARDSTICK = flags.DEFINE_string("yardstick", "", "A command that times its own step.")
_CHANNELS = flags.DEFINE_integer("channels", 26, "Of the grid.")
_STRIDES = flags.DEFINE_list("strides", ["5", "2", "2", "2"], "One for each stage.")
_LOWER = flags.DEFINE_integer("lower_width", 96, "Least channels of later stages.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Of the products.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of timing, each in turn.")
_STEPS = flags.DEFINE_integer("steps", 5, "In one program.")

_WAYS = 3  # products of a layer in a step: forward, and two gradients


class Steps:
    """A program of several training steps."""

    def __init__(self, model: Nerv, count: int):
        """Compiles it and runs it once."""
        optimizer = optax.adam(5e-4, b1=0.5, b2=0.999)
        times, (head,) = jnp.asarray([0.3]), model.heads().values()

        def loss_of(params: Params, target: jax.Array) -> jax.Array:
            shown = model.predict(params, times)[head].rgb
            dissimilarity = 1.0 - structural.ssim_map_mean(shown, target)
            return 0.7 * jnp.abs(shown - target).mean() + 0.3 * dissimilarity

        @functools.partial(jax.jit, donate_argnums=0)
        def run(state: Any, target: jax.Array) -> Any:
            def step(_: jax.Array, state: Any) -> Any:
                params, moments = state
                grads = jax.grad(loss_of)(params, target)
                updates, moments = optimizer.update(grads, moments, params)
                return optax.apply_updates(params, updates), moments

            return lax.fori_loop(0, count, step, state)

        params = model.init(jax.random.key(0))
        self.num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
        self._target = jax.random.uniform(jax.random.key(1), (1, *model.size, 3))
        self._state = params, optimizer.init(params)
        start = time.perf_counter()
        self._run = run.lower(self._state, self._target).compile()
        self.compile_seconds = time.perf_counter() - start
        self._count = count
        self.seconds()

    def seconds(self) -> tuple[float, float]:
        """Of a step: by the clock, and of all threads."""
        start, start_cpu = time.perf_counter(), time.process_time()
        self._state = jax.block_until_ready(self._run(self._state, self._target))
        wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        return wall / self._count, cpu / self._count


def yardstick(command: str) -> float:
    """Seconds of a step of another program."""
    out = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])["seconds_per_step"]


def main(_: list[str]) -> None:
    devices = Devices()
    model = decoders.decoder(
        _CHANNELS.value,
        tuple(map(int, _STRIDES.value)),
        _LOWER.value,
        _PRECISION.value,
    )
    steps = Steps(model, _STEPS.value)
    ours, cpu, theirs = [], [], []
    for _ in range(_ROUNDS.value):
        wall, of_threads = steps.seconds()
        ours.append(wall)
        cpu.append(of_threads)
        if _YARDSTICK.value:
            theirs.append(yardstick(_YARDSTICK.value))
    flops = _WAYS * decoders.product_flops(model)
    rate = rows.Rates().matrix(model.precision)
    row: dict[str, Any] = {
        "case": f"a step at {model.size[1]}x{model.size[0]}, {model.precision}",
        "params": steps.num_params,
        "steps": _STEPS.value,
        **rows.Times.of(ours).row(),
        "cpu_seconds": statistics.median(cpu),
        "flops": flops,
        "matrix_rate": rate,
        "floor_seconds": flops / rate,
        "floor_fraction": flops / rate / statistics.median(ours),
        "compile_seconds": steps.compile_seconds,
    }
    if theirs:
        row |= rows.Times.of(theirs).row("yardstick_seconds")
        row["ratio"] = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    rows.emit("nerv", devices, row)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
