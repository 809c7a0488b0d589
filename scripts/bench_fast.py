r"""Seconds a frame that INV and the fast field need for the same held-out quality, side by side.

    taskset -c 1 python scripts/bench_fast.py --seeds=0                 # one core
    python scripts/bench_fast.py --capture=procedural --frames=5
    python scripts/bench_fast.py --floor            # where the time of a fast step goes
    python scripts/bench_fast.py --gpu              # a step at full size; measured on a GPU only
    python scripts/bench_fast.py --volumes=60,120,240  # a step by the nodes of its finest level

Each seed of INV has one Warm-Up; from its params the frozen frames are trained with each of
`--inv_steps`, in turn with whole runs of the fast field, with each of `--fast_steps`
(`benching/fast_runs.py`). The footage of `--capture` is trained with the settings of the README's
comparison (basketball at 144x80, width 64), `procedural` with those of the demo; `--inv` and
`--fast` change them. What is finished stays in `--workdir` and is not trained again, what was
interrupted goes on: remove it to measure again. A seed takes about 17 minutes of one core on
basketball (13 with `--inv=train.warmup_steps=500`, which is another INV), most of it INV's Warm-Up
and its 1,000 steps, and 5 on the procedural capture. Programs are compiled once, into the workdir,
unless JAX_COMPILATION_CACHE_DIR is set.

A JSON line for each run, `fast`: `psnr` of the held-out camera, mean over the frozen frames, and
means of seconds a frame:

- `frame_seconds`, all in: `steps_seconds`, of rays, guide and training steps, and the gap between
  two frozen frames (none is known of `--frames=1`): `input_wait_seconds` for images,
  `checkpoint_wait_seconds` for the disk, `other_seconds` (states to and from the devices). Storing,
  decoding and drawing on other threads slows the steps where there is one core: that is in it.
- `view_seconds`, which is not in it: what rendering and measuring the held-out view took.
- `warmup_seconds` of all frames before, and their steps.

Then `fast_ratio`, for each budget of INV, over the seeds: the fewest fast steps whose PSNR is INV's
or better, and how many times as long INV takes for a frame (`ratio`), for its steps alone
(`steps_ratio`), for Warm-Up. Where none `is_reached`, the best one stands there, without ratios.

`--floor` prints `fast_floor`: seconds of the parts of a step, each timed alone, in turn with the
step, at its `share`. They overlap: the forward pass draws its rays and gathers. The last row has
`floor_seconds`, what gathers and scatter-adds of all levels took, and the counted operations at
the rate of a large product; `dense_seconds`, what is done to all nodes whatever a step saw; and
what is left. `--gpu` prints `fast_gpu`, the counts of a step at full size, with the same rows
behind it where there is a GPU (or with `--measure`), on random pixels.

`--volumes` prints `fast_volume`: seconds of a step whose finest level has so many nodes along each
axis, dense and in bricks, in turn, on random pixels at 144x80; of the bricks as many as all of the
smallest level has.
"""

import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import app, flags, logging
from benching import fast_floor, fast_runs, rows
from comparing import protocol, running

from inv_jax.assembly import build, captures, fitting
from inv_jax.commands.stop import Stop
from inv_jax.cost import trial
from inv_jax.geometry import boxes
from inv_jax.models.bricks import SIDE
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, InvError, Stopped

_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Random seeds, all runs of each.")
_FRAMES = flags.DEFINE_integer("frames", 2, "Frozen frames of each run.")
_CAPTURE = flags.DEFINE_list(
    "capture", ["multiview/basketball", "procedural"], "Folders in --data, or 'procedural'."
)
_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the captures."
)
_FACTOR = flags.DEFINE_integer("factor", 4, "Images of footage are in frames_FACTOR.")
_FREEZE = flags.DEFINE_integer("freeze_frame", 0, "First frozen frame; 0: 4, procedural 5.")
_INV_STEPS = flags.DEFINE_list(
    "inv_steps", None, "INV's steps a frame; default 100, 300 and 1000, procedural 120."
)
_FAST_STEPS = flags.DEFINE_list("fast_steps", ["10", "20", "50"], "The fast field's.")
_INV = flags.DEFINE_multi_string("inv", [], "A setting of INV's runs, as train.warmup_steps=500.")
_FAST = flags.DEFINE_multi_string("fast", [], "A setting of the fast field's runs.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/bench_fast", "Folder for the runs.")

_FLOOR = flags.DEFINE_bool("floor", False, "Times the parts of a step on the first capture.")
_GPU = flags.DEFINE_bool("gpu", False, "Counts a step at full size; times it on a GPU.")
_MEASURE = flags.DEFINE_bool("measure", False, "... and on whatever there is.")
_VOLUMES = flags.DEFINE_list("volumes", [], "Nodes along each axis, in multiples of 4.")
_RAYS = flags.DEFINE_integer("rays", 65_536, "Of a step of --gpu.")
_PIXELS = flags.DEFINE_list("pixels", ["20", "1014", "1352"], "Cameras, height, width of --gpu.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of timing, of --floor and --gpu.")
_SECONDS = flags.DEFINE_float("seconds", 0.3, "How long one of their measurements takes, about.")

_DEPTHS = (1.0, 2.0)  # nearest and farthest, of random cameras


def cases() -> list[fast_runs.Case]:
    """The captures of the flags."""
    found = []
    for name in _CAPTURE.value:
        if name == fast_runs.PROCEDURAL:
            case = fast_runs.Case.procedural(_workdir() / "capture")
        else:
            folder = (pathlib.Path(_DATA.value) / name).expanduser().absolute()
            case = fast_runs.Case.footage(folder, _FACTOR.value)
        more = {fast_runs.INV: _INV.value, fast_runs.FAST: _FAST.value}
        found.append(case.changed(more, _FREEZE.value))
    return found


def compare(devices: Devices) -> None:
    """Runs what is left of all cases and seeds; prints each run's row when it is there."""
    stop, found, chosen = Stop(), [], cases()
    stop.install()

    def cells(case: fast_runs.Case, seed: int) -> list[fast_runs.Cell]:
        return fast_runs.cells(
            case,
            folder=_workdir() / case.name / f"seed{seed}",
            seed=seed,
            frames=_FRAMES.value,
            inv_steps=[int(steps) for steps in _INV_STEPS.value or ()],
            fast_steps=[int(steps) for steps in _FAST_STEPS.value],
        )

    seeds = [int(seed) for seed in _SEEDS.value]
    for case in chosen:
        cells(case, seeds[0])  # a mistake is said before anything is trained
    for case in chosen:
        for seed in seeds:
            for cell in cells(case, seed):
                for run in cell.runs:
                    rows.say(f"{run.folder}")
                    running.train(run, stop)
                found.append(fast_runs.measured(case, cell, seed))
                rows.emit(fast_runs.BENCH, devices, found[-1])
    for row in fast_runs.closing(found):
        rows.emit(fast_runs.CLOSING, devices, row)


def floor(devices: Devices) -> Iterator[dict[str, Any]]:
    """Parts of a step on the first frame of the first capture."""
    case, *_ = cases()
    config, folder = case.config(fast_runs.FAST, ("data.num_frames=1",)), _workdir()
    config = fitting.fitted(
        config, None, lambda: captures.first_rig(config, folder, devices, lambda: False), devices
    )
    capture = captures.of(config, folder)
    views = capture.load(capture.frames[0], capture.train_cams)
    cameras = capture.cameras.take(np.array(capture.train_cams))
    bench = fast_floor.Bench(config, views, cameras, devices, _SECONDS.value)
    yield from bench.rows(case.name, _ROUNDS.value)


def full_size(devices: Devices) -> Iterator[dict[str, Any]]:
    """Counts of a step at full size, then its parts, if it is measured."""
    num_cams, height, width = map(int, _PIXELS.value)
    name = f"{_RAYS.value} rays, {num_cams} cameras of {width}x{height}"
    views, cameras = trial.random_views(num_cams, height, width)
    config = _at_size(cameras, f"train.rows_per_step={_RAYS.value}")
    model, share = build.model(config), _RAYS.value // devices.count
    num_pixels = num_cams * height * width
    yield {"case": name, "part": "counts", **fast_floor.counts(model, share, num_pixels)}
    if devices.platform != "cpu" or _MEASURE.value:
        bench = fast_floor.Bench(config, views, cameras, devices, _SECONDS.value)
        yield from bench.rows(name, _ROUNDS.value)


def volumes(devices: Devices) -> Iterator[dict[str, Any]]:
    """A step by the size of its finest level, dense and in bricks."""
    views, cameras = trial.random_views(7, 80, 144)
    sides = [int(side) for side in _VOLUMES.value]
    capacity, timers = (min(sides) // SIDE) ** 3, {}
    for side in sides:
        finest = f"{side},{side},{side}"
        forms = {
            "dense": [f"model.levels=10,6,8,20,12,16,30,18,24,{finest}", "model.bricks=0,0,0,0"],
            "bricks": [
                "model.levels=10,6,8,20,12,16,30,18,24",
                f"model.bricks={finest},{capacity}",
            ],
        }
        for form, settings in forms.items():
            config = _at_size(cameras, "train.rows_per_step=1024", *settings)
            bench = fast_floor.Bench(config, views, cameras, devices, _SECONDS.value)
            timers[form, side] = bench.step()
    found = rows.in_turn(
        _ROUNDS.value, **{f"{form} {side}": t for (form, side), t in timers.items()}
    )
    for form, side in timers:
        times = found[f"{form} {side}"]
        first = found[f"{form} {sides[0]}"].median
        yield {
            "case": f"{side}x{side}x{side}, {form}",
            "bricks": capacity if form == "bricks" else 0,
            **times.row(),
            "to_first": times.median / first,
        }


def _at_size(cameras: Cameras, *settings: str) -> ml_collections.ConfigDict:
    """The config of a fast field for cameras that nobody has recorded with."""
    box = boxes.fit(cameras, np.tile([_DEPTHS], (cameras.num_cams, 1)))
    file, settings = "configs/fast.py", (*settings, *_FAST.value)
    # Of the procedural layout: there the config says how large a capture is that is not there.
    planned = {"num_cams": cameras.num_cams + 1, "height": cameras.height, "width": cameras.width}
    layout = ("data.layout=procedural", "data.num_frames=1")
    layout += tuple(f"data.procedural.{field}={n}" for field, n in planned.items())
    config = protocol.read_config(file, (*layout, *settings))
    with config.unlocked():
        config.model.update(space=box.kind, box=tuple(box.numbers))
    return fitting.unopened(config)


def _workdir() -> pathlib.Path:
    return pathlib.Path(_WORKDIR.value).expanduser().absolute()


def main(_: list[str]) -> None:
    devices = Devices()
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(_workdir() / "compiled"))
    if _FLOOR.value:
        for row in floor(devices):
            rows.emit("fast_floor", devices, row)
    if _GPU.value:
        for row in full_size(devices):
            rows.emit("fast_gpu", devices, row)
    if _VOLUMES.value:
        for row in volumes(devices):
            rows.emit("fast_volume", devices, row)
    if not (_FLOOR.value or _GPU.value or _VOLUMES.value):
        compare(devices)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except (InvError, Stopped) as error:
        print(f"bench_fast: {error}", file=sys.stderr)
        sys.exit(2)
