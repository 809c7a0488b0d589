"""Trains the settings that the original NeRV was measured on, and prints both side by side.

    python scripts/compare_original_nerv.py --baseline=../shared/baselines/nerv/bunny.json \
        --data=../shared/data --workdir=runs/compare_nerv

The JSON file holds the original's PSNR by epoch for some seeds, the mean over a clip's frames.
`configs/nerv.py:small` has its settings; same clip, same steps, other random numbers. A seed
that is trained already is not trained again. Writes `table.txt` and `results.json`.
"""

import json
import os
import pathlib
import statistics
import sys

import numpy as np
from absl import app, flags, logging

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from configs import nerv  # noqa: E402
from inv_jax.assembly import build  # noqa: E402
from inv_jax.checkpoint import FrameStore  # noqa: E402
from inv_jax.eval import report  # noqa: E402
from inv_jax.train.journal import Journal  # noqa: E402
from inv_jax.types import InvError  # noqa: E402

_BASELINE = flags.DEFINE_string(
    "baseline", "../shared/baselines/nerv/bunny.json", "JSON of the original."
)
_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the captures."
)
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare_nerv", "Folder for the runs.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Our random seeds, one run each.")
_FRAMES = flags.DEFINE_integer("frames", 24, "Of the clip.")

_COLUMNS = ("epoch", "original", "original_least", "original_most", "ours", "least", "most", "gain")


def train(seed: int, epochs: list[int]) -> dict[int, float]:
    """Trains one seed; mean PSNR of all frames by epoch, of each epoch asked for."""
    workdir = pathlib.Path(_WORKDIR.value).absolute() / f"seed{seed}"
    config = nerv.get_config("small")
    with config.unlocked():
        clip = pathlib.Path(_DATA.value).absolute() / "bunny" / "frames"
        config.data.update(path=str(clip), num_frames=_FRAMES.value)
        within = tuple(epoch * _FRAMES.value for epoch in epochs if epoch < epochs[-1])
        config.train.update(seed=seed, epochs=epochs[-1], image_steps=within, save_every=0)
    trainer, close = build.trainer(config, workdir, lambda: False)
    try:
        trainer.train()
    finally:
        close()
    store, found = FrameStore(workdir), {}
    for step in within:
        views = store.intermediate(1, step)[0]["views"]
        found[step // _FRAMES.value] = statistics.fmean(view["psnr"] for view in views)
    found[epochs[-1]] = statistics.fmean(row["psnr"] for row in Journal(workdir).rows())
    return found


def main(_: list[str]) -> None:
    path = pathlib.Path(_BASELINE.value)
    if not path.is_file():
        raise InvError(f"--baseline={path} is not there; give the JSON file of the original")
    seeds = json.loads(path.read_text())["seeds"]
    theirs = {row["epoch"]: [] for row in seeds[0]["rows"]}
    for seed in seeds:
        for row in seed["rows"]:
            theirs[row["epoch"]].append(row["psnr"])
    ours = [train(int(seed), list(theirs)) for seed in _SEEDS.value]
    rows = []
    for epoch, original in theirs.items():
        found = [one[epoch] for one in ours]
        rows.append(
            {
                "epoch": epoch,
                **{"original": np.mean(original), "ours": np.mean(found)},
                **{"original_least": min(original), "original_most": max(original)},
                **{"least": min(found), "most": max(found)},
                "gain": np.mean(found) - np.mean(original),
            }
        )
    rows = [{k: round(float(v), 3) for k, v in row.items()} for row in rows]
    table = report.format_table(rows, _COLUMNS, has_summary=False)
    print(table)
    out = pathlib.Path(_WORKDIR.value)
    (out / "table.txt").write_text(table + "\n")
    report.write_json(out / "results.json", rows)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_original_nerv: {error}", file=sys.stderr)
        sys.exit(2)
