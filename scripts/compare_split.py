r"""Split INV against INV and against training from scratch, at several budgets of steps a frame.

    python scripts/compare_split.py --capture=CAPTURE --frames=9 --freeze_frame=5 \
        --budgets=30,60,120,240 --seeds=0,1 --set=model.width=64 --plot=runs/split.png \
        --workdir=runs/compare_split | tee runs/split.txt
    python scripts/compare_split.py --cells=runs/split.txt --plot=runs/split.png

Per seed, a static field is trained on every `--static_every`th frame, then each method runs its
Warm-Up, INV with as many steps more as the static field took; from its last frame each budget goes
on by itself (`comparing/protocol.py`). Held-out views are measured as `inv-jax eval` does, with
`--masks` for all methods. `seconds` is the median over frames of a frame's training; where other
work shared the machine, `--shared_machine` shows what a method's fastest steps would make of it.

Prints a JSON line for each method, seed and budget, then tables of means over the seeds: at equal
steps, and in the time that the first method takes. The plot is over training time. More methods:

    --method=soft_half=configs/split.py:density,model.blend=softmax

What is finished stays in the workdir and is not run again. With JAX_COMPILATION_CACHE_DIR set,
runs that differ in their steps alone compile once.
"""

import contextlib
import json
import pathlib
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

from absl import app, flags, logging
from benching import rows as rows_lib
from comparing import cells, protocol, running

from inv_jax.cli import main as inv_jax
from inv_jax.commands.stop import Stop
from inv_jax.data import files
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError, Stopped

_NAMES = [method.name for method in protocol.METHODS]

_CAPTURE = flags.DEFINE_string("capture", "", "Folder of the capture (data.path).")
_FRAMES = flags.DEFINE_integer("frames", 9, "How many.")
_FREEZE = flags.DEFINE_integer("freeze_frame", 5, "First frame of Structure Transfer.")
_STATIC_STEPS = flags.DEFINE_integer("static_steps", 300, "A frame, of the static field.")
_STATIC_FRAMES = flags.DEFINE_integer("static_frames", 0, "It sees these; 0: as --frames.")
_STATIC_EVERY = flags.DEFINE_integer("static_every", 2, "... every nth of them.")
_WARMUP = flags.DEFINE_integer("warmup_steps", 300, "A frame, behind a static field.")
_BUDGETS = flags.DEFINE_list("budgets", ["30", "60", "120", "240"], "Steps a frame, a run each.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Random seeds.")
_METHODS = flags.DEFINE_list("methods", _NAMES, f"Some of {', '.join(_NAMES)}.")
_METHOD = flags.DEFINE_multi_string("method", [], "One more: NAME=CONFIG,key=value,...")
_SET = flags.DEFINE_multi_string("set", [], "A setting of all runs, as model.width=64.")
_MASKS = flags.DEFINE_string("masks", "mask", "Measured by these, as --masks of inv-jax eval.")
_CAMS = flags.DEFINE_string("cams", "test", "Measured there, as --cams of inv-jax eval.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare_split", "Folder for the runs.")
_CELLS = flags.DEFINE_list("cells", [], "Trains nothing: shows the cells in these files.")
_SHARED = flags.DEFINE_bool(
    "shared_machine", False, "Shows times by the fastest step of each method: others ran meanwhile."
)
_PLOT = flags.DEFINE_string("plot", "", "Draws this PNG.")
_TITLE = flags.DEFINE_string("title", "", "... with this title.")


def chosen_methods() -> list[protocol.Method]:
    """Those of `--methods` in that order, then those of `--method`."""
    known = {method.name: method for method in protocol.METHODS}
    if unknown := [name for name in _METHODS.value if name not in known]:
        raise InvError(f"--methods={unknown[0]}: choose among {', '.join(known)}")
    chosen = [known[name] for name in _METHODS.value]
    chosen += map(protocol.Method.parse, _METHOD.value)
    names = [method.name for method in chosen]
    if len(set(names)) < len(names):
        raise InvError(f"methods are {', '.join(names)}; give each a name of its own")
    return chosen


def protocol_of_flags() -> protocol.Protocol:
    """What the flags say of all methods."""
    if not _CAPTURE.value:
        raise InvError("--capture is missing; give the folder of a capture, or --cells=FILE")
    capture = pathlib.Path(_CAPTURE.value).expanduser().absolute()
    return protocol.Protocol(
        folder=pathlib.Path(_WORKDIR.value).expanduser().absolute(),
        settings=(*_SET.value, f"data.path={capture}"),
        num_frames=_FRAMES.value,
        freeze_frame=_FREEZE.value,
        static_steps=_STATIC_STEPS.value,
        static_frames=_STATIC_FRAMES.value,
        static_every=_STATIC_EVERY.value,
        warmup_steps=_WARMUP.value,
        budgets=tuple(sorted(map(int, _BUDGETS.value))),
    )


def measure(run: protocol.Run) -> dict[str, float | None]:
    """Means over frames and cameras of what is measured; kept beside the run."""
    path, asked = run.folder / "comparison.json", {"masks": _MASKS.value, "cams": _CAMS.value}
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["asked"] == asked:
            return kept["means"]
    rows_path = run.folder / "eval.json"
    names = [name for name in cells.MEASURED if name != "flicker_truth"]  # comes with flicker
    argv = ["inv-jax", "eval", f"--workdir={run.folder}", f"--metrics={','.join(names)}"]
    argv += [f"--frames={run.frames[0]}:{run.frames[-1]}", f"--out={rows_path}"]
    argv += [f"--{name}={value}" for name, value in asked.items()]
    with contextlib.redirect_stdout(sys.stderr):  # its table; ours is the standard output
        status = inv_jax(argv)
    if status:
        raise InvError(f"{run.folder} could not be measured")
    rows = json.loads(rows_path.read_text())
    means = {}
    for name in cells.MEASURED:
        values = [row[name] for row in rows if row.get(name) is not None]
        means[name] = statistics.fmean(values) if values else None
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps({"asked": asked, "means": means}, indent=1) + "\n")
    return means


def seconds_of(run: protocol.Run) -> list[float]:
    """Training time of each of its frames."""
    return [row["seconds"] for row in Journal(run.folder).rows() if row["frame"] in run.frames]


def compare(
    shared: protocol.Protocol,
    method: protocol.Method,
    seed: int,
    should_stop: Callable[[], bool],
) -> Iterator[dict[str, Any]]:
    """Runs what is left of a method; a cell for each budget."""
    before = 0.0
    for run in shared.runs(method, seed):
        logging.info("%s", run.folder)
        running.train(run, should_stop)
        if not run.is_compared:
            before += sum(seconds_of(run))
            continue
        steps = run.config.train.steps
        yield {
            "case": f"{method.name}, {steps} steps, seed {seed}",
            "method": method.name,
            "seed": seed,
            "steps": steps,
            "first_frame": run.frames[0],
            "frames": len(run.frames),
            "masks": _MASKS.value,
            **rows_lib.Times.of(seconds_of(run)).row(),
            "seconds_before": before,
            **measure(run),
        }


def run_all() -> list[dict[str, Any]]:
    """Runs what is left of all methods and seeds; prints each cell when it is there."""
    shared, methods = protocol_of_flags(), chosen_methods()
    seeds = [int(seed) for seed in _SEEDS.value]
    for method in methods:
        shared.runs(method, seeds[0])  # a mistake is said before anything is trained
    stop, devices, found = Stop(), Devices(), []
    stop.install()
    for seed in seeds:
        for method in methods:
            for cell in compare(shared, method, seed, stop):
                rows_lib.emit(cells.BENCH, devices, cell)
                found.append(cell)
    return found


def main(_: list[str]) -> None:
    kept = [pathlib.Path(path).expanduser() for path in _CELLS.value]
    found = cells.read(kept) if kept else run_all()
    if _SHARED.value:
        found = cells.undisturbed(found)
    print(cells.table(found))
    if _PLOT.value:
        cells.draw(found, pathlib.Path(_PLOT.value), _TITLE.value)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except (InvError, Stopped) as error:
        print(f"compare_split: {error}", file=sys.stderr)
        sys.exit(2)
