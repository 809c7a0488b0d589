r"""Clips one after the other: WSN and PFNR beside a network for each clip, and one for all.

    python scripts/compare_sessions.py --epochs=60 --seeds=0
    python scripts/compare_sessions.py --clips=clips.txt --systems=stl,wsn:0.3,fso_sum:0.3

Trains each of `--systems` (`configs/pfnr.py:small/NAME`, with a capacity behind a colon) on the
same clips, averaged to 160x90, with the same number of epochs, each by an `inv-jax train` of its
own; what is finished stays in `--workdir`. Without `--clips` these are six of `--frames` frames:
two halves of bunny, two cameras of basketball, balloon1, and the procedural capture.

Prints a JSON line for each run, then a table (`comparing/sessions.py`): mean PSNR over clips after
the last one, backward transfer, the part of the weights that is used, bytes of all that a receiver
needs with weights of `--bits` bits, PSNR of that, bits a pixel, bits a weight and clip that masks
take, and milliseconds a step.
"""

import os
import pathlib
import sys

from absl import app, flags
from benching import rows as rows_lib
from comparing import sessions

from inv_jax.eval import report
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

_SYSTEMS = flags.DEFINE_list(
    "systems",
    [
        *("stl", "mtl", "wsn:0.1", "wsn:0.3", "wsn:0.5", "wsn:0.7"),
        *("fso_sum:0.3", "fso_replace:0.3", "fso_concat:0.3"),
    ],
    "NAME or NAME:CAPACITY, by commas.",
)
_CLIPS = flags.DEFINE_string("clips", "", "A list of clips, or a folder of them.")
_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the real captures."
)
_FRAMES = flags.DEFINE_integer("frames", 12, "Of each clip, at most.", 2)
_EPOCHS = flags.DEFINE_integer("epochs", 100, "Of each clip.", 1)
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Random seeds.")
_BITS = flags.DEFINE_integer("bits", 8, "Of a weight, in bytes and what is shown of them.", 1, 16)
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare_sessions", "Folder for the runs.")

_COLUMNS = (
    *("system", "capacity", "seed", "params", "psnr", "psnr_coded", "bytes", "bits_a_pixel"),
    *("used", "mask_bits", "backward", "step_ms"),
)


def main(_: list[str]) -> None:
    folder, found = pathlib.Path(_WORKDIR.value).expanduser().absolute(), []
    systems = [sessions.System.parse(text) for text in _SYSTEMS.value]
    clips = _CLIPS.value
    if not clips:
        data = pathlib.Path(_DATA.value).expanduser().absolute()
        clips = str(sessions.write_list(folder / "clips", data, _FRAMES.value))
    for seed in _SEEDS.value:
        settings = (
            *(f"data.path={clips}", f"data.num_frames={_FRAMES.value}", f"train.seed={seed}"),
            f"train.epochs={_EPOCHS.value}",
        )
        for system in systems:
            name = system.name if system.capacity is None else f"{system.name}_{system.capacity:g}"
            command = system.command(folder / f"{name}_{seed}", settings)
            rows_lib.say(str(command.folder))
            command.carry_out()
            row = sessions.measure(system, command.folder, _BITS.value)
            found.append({**row, "seed": seed})
            rows_lib.emit("compare_sessions", Devices(), found[-1])
    shown = [{**row, "capacity": row["capacity"] and f"{row['capacity']:g}"} for row in found]
    columns = [name for name in _COLUMNS if any(row.get(name) is not None for row in shown)]
    print(report.format_table([_short(row) for row in shown], columns, has_summary=False))


def _short(row: dict) -> dict:
    """Numbers as a table wants them."""
    digits = {"psnr_coded": 3, "bits_a_pixel": 4, "used": 3, "mask_bits": 3, "step_ms": 1}
    digits["backward"] = 3
    return {k: round(v, digits[k]) if k in digits and v is not None else v for k, v in row.items()}


if __name__ == "__main__":
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_sessions.py: {error}", file=sys.stderr)
        sys.exit(2)
