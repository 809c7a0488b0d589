r"""Pictures a second of NeRV decoders: from a time to a whole picture on the device.

    taskset -c 1 python scripts/bench_decode.py        # one core: 640x360, 2.9 M params
    python scripts/bench_decode.py --names=360p,S,M,L --batches=1,4,16 \
        --precision=float32,tf32,bfloat16              # as for a GPU

One JSON line per model, precision and pictures at a time: `frames_per_second`, `seconds` of a
picture (median over rounds, and its range), and `flops_per_second` if each convolution multiplied
all pairs. Programs are sent one ahead of the other, as a player does; nothing is read back.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import app, flags, logging
from benching import decoders, rows

from inv_jax.models.nerv import Nerv
from inv_jax.train.parallel import Devices

_720P = (*decoders.STRIDES_360P, 2)
DECODERS = {
    "360p": (26, decoders.STRIDES_360P),
    "S": (26, _720P),
    "M": (58, _720P),
    "L": (112, _720P),
}

_NAMES = flags.DEFINE_list("names", ["360p"], f"Some of {', '.join(DECODERS)}.")
_BATCHES = flags.DEFINE_list("batches", ["1"], "Pictures at a time.")
_PRECISION = flags.DEFINE_list("precision", ["float32"], "Of the products.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of timing.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "How long one timed round takes, about.")
_AHEAD = 4  # programs that are sent before one is waited for


def decode(model: Nerv, batch: int) -> Callable[[int], float]:
    """A function that shows so many batches and says how many seconds one took."""
    (head,) = model.heads().values()
    params = jax.device_put(model.init(jax.random.key(0)))
    show = jax.jit(lambda params, times: model.predict(params, times)[head].rgb)
    times = [jnp.arange(batch) / batch + 0.01 * i for i in range(_AHEAD)]
    jax.block_until_ready(show(params, times[0]))

    def seconds(count: int) -> float:
        sent = []
        start = time.perf_counter()
        for i in range(count):
            sent.append(show(params, times[i % _AHEAD]))
            if len(sent) >= _AHEAD:
                sent.pop(0).block_until_ready()
        jax.block_until_ready(sent)
        return (time.perf_counter() - start) / count

    return seconds


def main(_: list[str]) -> None:
    devices = Devices()
    for name in _NAMES.value:
        channels, strides = DECODERS[name]
        for precision in _PRECISION.value:
            for batch in map(int, _BATCHES.value):
                model = decoders.decoder(channels, strides, precision=precision)
                seconds = decode(model, batch)
                count = max(_AHEAD, round(_SECONDS.value / seconds(_AHEAD)))
                times = rows.Times.of([seconds(count) / batch for _ in range(_ROUNDS.value)])
                flops = decoders.product_flops(model)
                row = {
                    "case": f"{name}, {batch} at a time, {precision}",
                    "size": list(model.size),
                    "frames_per_second": 1.0 / times.median,
                    **times.row(),
                    "flops": flops,
                    "flops_per_second": flops / times.median,
                }
                rows.emit("decode", devices, row)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
