r"""The quality of the fast field beside INV: held-out views, moving pixels, flicker, over frames.

    python scripts/compare_fast.py --captures=basketball,procedural --seeds=0,1 \
        --budgets=realtime,second --inv_steps=100 --plot=runs/compare_fast/frames.png
    python scripts/compare_fast.py --captures=basketball --frames=9 --seeds=0,1 \
        --ablate=hard_share,samples
    python scripts/compare_fast.py --captures=basketball --inv_steps= --codecs=bricks \
        --fidelities=35,37,39,41 --loops=37

Captures are `basketball` (144x80, 24 frames), `dome` (304x168, cameras around the scene, 4 frames),
`flame_steak` and `flame_steak_504` (252x189 and 504x378, one frame), real ones in `--data`, and
`procedural` and `procedural_384` (96x72 and 384x288, 12 frames, exact truth), rendered into
`--workdir` first. Each capture, method, budget and seed is a run of its own, an `inv-jax train` in
its own process (`comparing/fast_cases.py`): the fast field with each of `--budgets`, INV with each
of `--inv_steps` a frame. INV takes minutes a frame: give it few. `--fast` and `--inv` change
settings of all their runs. What is finished stays in the workdir and is not run again.

Prints a JSON line for each run, then a table: means over the frames behind Warm-Up (of a capture of
one frame, of that) and over the held-out cameras. `psnr_first` and `psnr_last` are of the first and
the last third of these frames, `changed` is PSNR of the pixels that changed since the frame before,
likewise (`comparing/fast_measures.py`). These are not as hard in every frame: a run that begins
later, by `--first_frame`, shows what frames are without many before them. `training` is PSNR of
`--training_views` cameras of those that are trained on; `flicker` is of static pixels, beside the
camera's own. Seconds a frame are of its steps, and all in, without the held-out view;
`warmup_seconds` of all frames before. LPIPS is there if its weights are (`inv-jax eval --help`).

`--codecs` encodes the frames behind Warm-Up of the fast field's runs, afterwards, at each of
`--fidelities`, and trains runs with the codec in the loop at each of `--loops`
(`comparing/fast_rates.py`). `frame_bytes` are those of predicted frames, `key_bytes` of key frames,
`lost` is held-out PSNR against the run without a codec, `most_lost` that of the worst frame; what a
frame takes to be decoded are milliseconds of one core.

`--ablate` changes one setting of the fast field at a time (`comparing/ablations.py`, 'all' or some
of its groups), with the first of `--budgets`, and prints what that makes of the default. No new run
is begun after `--seconds`; what is there is shown.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from absl import app, flags, logging
from benching import rows as rows_lib
from comparing import ablations, fast_cases, fast_measures, fast_rates, fast_table, protocol
from comparing.fast_cases import FAST, INV, Cell, Scene

from inv_jax.assembly import record
from inv_jax.models import grid_sizes
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

BENCH = "compare_fast"

_CAPTURES = flags.DEFINE_list(
    "captures",
    ["basketball", "dome", "flame_steak", "procedural"],
    f"Some of {', '.join(fast_cases.SCENES)}.",
)
_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the real captures."
)
_FRAMES = flags.DEFINE_integer("frames", 0, "Of each capture; 0: as many as it has.", 0)
_FIRST = flags.DEFINE_integer("first_frame", 1, "Where Warm-Up begins.", 1)
_BUDGETS = flags.DEFINE_list("budgets", ["second"], "Of the fast field; empty: none.")
_INV_STEPS = flags.DEFINE_list("inv_steps", ["100"], "INV's steps a frame; empty: none.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Random seeds.")
_FAST = flags.DEFINE_multi_string("fast", [], "A setting of the fast field's runs.")
_INV = flags.DEFINE_multi_string("inv", [], "A setting of INV's runs, as train.warmup_steps=500.")
_TRAINING = flags.DEFINE_integer("training_views", 3, "Measured of the cameras trained on.", 0)
_ABLATE = flags.DEFINE_list("ablate", [], f"'all', or some of {', '.join(ablations.GROUPS)}.")
_CODECS = flags.DEFINE_list("codecs", [], "That encode the fast field's frames: bricks, delta.")
_FIDELITIES = flags.DEFINE_list("fidelities", ["35", "37", "39", "41"], "Afterwards, in dB.")
_LOOPS = flags.DEFINE_list("loops", [], "In the loop of training, in dB.")
_SECONDS = flags.DEFINE_float("seconds", 0.0, "Begins no run after so many; 0: begins all.", 0.0)
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare_fast", "Folder for the runs.")
_PLOT = flags.DEFINE_string("plot", "", "Draws PSNR over the frames into this PNG.")
_MARKDOWN = flags.DEFINE_bool("markdown", False, "The table in Markdown.")
_SHARED = flags.DEFINE_bool("shared_machine", False, "Says that others ran meanwhile, of seconds.")


def _workdir() -> pathlib.Path:
    return pathlib.Path(_WORKDIR.value).expanduser().absolute()


def _whole(name: str, values: list[str]) -> list[int]:
    """The whole numbers of a flag.

    Raises:
      InvError: If one is none.
    """
    try:
        return [int(value) for value in values if value]
    except ValueError as error:
        raise InvError(f"--{name}={','.join(values)}; want whole numbers, as 0,1") from error


def scenes() -> list[Scene]:
    """The captures of the flags.

    Raises:
      InvError: If one cannot be had.
    """
    more = {FAST: _FAST.value, INV: _INV.value}
    frames = {"num_frames": _FRAMES.value, "first_frame": _FIRST.value}
    places = {"data": pathlib.Path(_DATA.value).expanduser().absolute(), "rendered": _workdir()}
    return [fast_cases.scene(name, **places, **frames, settings=more) for name in _CAPTURES.value]


def _folder(scene: Scene, seed: int) -> pathlib.Path:
    # More frames are another mean, not the same run.
    name = f"{scene.name}_{scene.first_frame}_{scene.num_frames}"
    return _workdir() / name / f"seed{seed}"


def compared() -> Iterator[Cell]:
    """All runs of the flags, the fast field's of a capture and seed in front of INV's.

    Raises:
      InvError: If a setting cannot be right.
    """
    for scene in scenes():
        for seed in _whole("seeds", _SEEDS.value):
            folder = _folder(scene, seed)
            for budget in filter(None, _BUDGETS.value):
                grid_sizes.check(budget)
                yield fast_cases.fast(scene, folder, budget, seed)
            for steps in _whole("inv_steps", _INV_STEPS.value):
                yield fast_cases.inv(scene, folder, steps, seed)


def ablated() -> Iterator[Cell]:
    """The default, then every variant, each over all captures and seeds.

    What follows from a default's run is known once that is finished: ask for the next cell then.

    Raises:
      InvError: If a setting cannot be right.
    """
    budget, *_ = [*_BUDGETS.value, ""]
    grid_sizes.check(budget)
    variants, seeds = ablations.chosen(_ABLATE.value), _whole("seeds", _SEEDS.value)
    chosen = [(scene, seed) for scene in scenes() for seed in seeds]
    defaults = [
        fast_cases.fast(scene, _folder(scene, seed), budget, seed) for scene, seed in chosen
    ]
    for default in defaults:
        yield dataclasses.replace(default, method=ablations.DEFAULT)
    for variant in variants:
        for default in defaults:
            run = protocol.Run(default.folder, record.read_config(default.folder))
            folder, settings = default.folder.parent / variant.name, variant.settings(run)
            if not settings:
                continue
            cell = fast_cases.fast(default.scene, folder, budget, default.seed, settings)
            earlier = default.commands if variant.goes_on else ()
            commands = (*earlier, *cell.commands)
            yield dataclasses.replace(cell, method=variant.name, commands=commands)


def rated(cell: Cell, exact: dict[int, float]) -> Iterator[dict[str, Any]]:
    """Rows of what the codecs of the flags make of a run of the fast field.

    Args:
      cell: The run.
      exact: Its held-out PSNR, by frame.
    """
    rater = fast_rates.Rater(cell, exact)
    for setting in fast_rates.settings_of(_CODECS.value, _FIDELITIES.value):
        yield rater.afterwards(setting)
    for setting in fast_rates.settings_of(_CODECS.value, _LOOPS.value):
        folder = cell.folder.parent / f"loop_{setting.name}"
        own = fast_cases.fast(cell.scene, folder, cell.budget, cell.seed, setting.settings)
        _train(own)
        yield rater.in_the_loop(setting, own.folder)


def _train(cell: Cell) -> None:
    for command in cell.commands:
        rows_lib.say(f"{command.folder}")
        command.train()


def main(_: list[str]) -> None:
    fast_rates.settings_of(_CODECS.value, [*_FIDELITIES.value, *_LOOPS.value])
    cells = ablated() if _ABLATE.value else compared()
    if not _ABLATE.value:
        cells = iter(list(cells))  # a mistake is said before anything is trained
    budget, devices, found = rows_lib.Budget(_SECONDS.value), Devices(), []
    rates: list[dict[str, Any]] = []
    for cell in cells:
        if budget.is_over:
            rows_lib.say(f"{_SECONDS.value:g} s are over; not begun: {cell}")
            break
        _train(cell)
        rows = fast_measures.rows_of(cell, _TRAINING.value)
        summary = fast_measures.summary(cell, rows)
        rows_lib.emit(BENCH, devices, summary)
        exact = fast_measures.held_out_psnr(rows)
        found.append((summary, exact))
        for row in rated(cell, exact) if cell.method == FAST else ():
            rows_lib.emit(BENCH, devices, row)
            rates.append(row)
    if not found:
        raise InvError("no run: give some of --captures, --seeds, --budgets and --inv_steps")
    summaries = [summary for summary, _ in found]
    tables = [fast_table.table(summaries, _SHARED.value)]
    if _ABLATE.value:
        tables = [fast_table.changes(summaries), *tables]
    if rates:
        tables.append(fast_table.rates(rates))
    for text in tables:
        print(f"\n{fast_table.as_markdown(text) if _MARKDOWN.value else text}")
    if _PLOT.value:
        fast_table.draw(found, pathlib.Path(_PLOT.value).expanduser())


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_fast: {error}", file=sys.stderr)
        sys.exit(2)
