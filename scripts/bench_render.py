"""Seconds of a rendered image, beside what its matrix products take alone and the machine can.

    python scripts/bench_render.py                          # 1352x1014; a smaller one on a CPU
    python scripts/bench_render.py --size=1352x1014 --precision=float32,bfloat16

One JSON line per precision. The image is rendered as evaluation does it: on all devices, in chunks
of `rows_per_chunk`, each fetched to the host. A smaller image than 1352x1014 says so in `note` and
has `full_image_seconds`, what the full one would take at the same rays a second. The other fields
are those of `bench_step.py`, for the image.
"""

import time

import jax
from absl import app, flags, logging
from benching import rows, setups, theatre

from inv_jax.assembly import build, sizing
from inv_jax.cost import count, trial
from inv_jax.cost.products import Floor
from inv_jax.render.view import ViewRenderer
from inv_jax.train.parallel import Devices

_SIZE = flags.DEFINE_string("size", "", "WIDTHxHEIGHT; default 1352x1014, an eighth on a CPU.")
_PRECISION = flags.DEFINE_list("precision", None, "Default float32, on a GPU all three.")
_CHUNK = flags.DEFINE_integer("rows_per_chunk", 0, "0: what evaluation would choose.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of timing.")
_BUDGET = flags.DEFINE_float("budget", 0.0, "No new case begins after so many seconds; 0: all do.")

_CPU_PART = 8  # on a CPU an image has this part of the height, and of the width


def bench(
    precision: str, height: int, width: int, devices: Devices, rates: rows.Rates
) -> dict[str, object]:
    """Times one image."""
    config = setups.config(
        model__precision=precision,
        eval__rows_per_chunk=_CHUNK.value,
    )
    nerf = build.model(config)
    chunk = sizing.rows_per_chunk(config, nerf, devices)
    renderer = ViewRenderer(nerf, devices, chunk)
    params = renderer.params(nerf.init(jax.random.key(0)))
    _, cameras = trial.random_views(1, height, width)

    def image_seconds() -> float:
        start = time.perf_counter()
        renderer.render(params, cameras, 0)
        return time.perf_counter() - start

    compile_seconds = image_seconds()
    rays = height * width
    share = -(-rays // devices.count)
    cost = count.image(nerf, rows=share, rows_per_chunk=chunk, itemsize=count.itemsize(precision))
    floor_timer = Floor(precision)
    floor_timer.prepare(cost.products)
    times = rows.in_turn(
        _ROUNDS.value, image=image_seconds, products=lambda: floor_timer.seconds(cost.products)
    )
    seconds = times["image"].median
    on_cpu = devices.platform == "cpu"
    products = times["products"].median * (devices.count if on_cpu else 1)
    floor = rates.floor(cost, precision, devices)
    full = theatre.HEIGHT * theatre.WIDTH
    row = {
        "case": f"image of {width}x{height}, {precision}",
        "precision": precision,
        "image": [height, width],
        "width": nerf.mlp.width,
        "samples": [nerf.coarse_samples, nerf.fine_samples],
        "rows_per_chunk": min(chunk, share),
        **times["image"].row(),
        "rows_per_second": rays / seconds,
        "flops": cost.flops,
        "bytes_fused": cost.bytes.fused,
        "bytes_unfused": cost.bytes.unfused,
        "flops_per_second": cost.flops * devices.count / seconds,
        **floor,
        "floor_fraction": floor["floor_seconds"] / seconds,
        "products_seconds": products,
        "fraction": products / seconds,
        "device_peak_bytes": devices.peak_memory_bytes(),
        "compile_seconds": compile_seconds - seconds,
    }
    if rays != full:
        row["image_note"] = f"{rays / full:.3g} of the pixels of {theatre.WIDTH}x{theatre.HEIGHT}"
        row["full_image_seconds"] = seconds * full / rays
    return row


def main(_: list[str]) -> None:
    devices, rates, budget = Devices(), rows.Rates(), rows.Budget(_BUDGET.value)
    on_cpu = devices.platform == "cpu"
    part = _CPU_PART if on_cpu else 1
    default = f"{theatre.WIDTH // part}x{theatre.HEIGHT // part}"
    width, height = map(int, (_SIZE.value or default).split("x"))
    every = ["float32"] if on_cpu else ["float32", "tf32", "bfloat16"]
    for precision in _PRECISION.value or every:
        if budget.is_over:
            rows.say(f"no time left for {precision}")
            continue
        rows.emit("render", devices, bench(precision, height, width, devices, rates))


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
