"""Trains the settings that the original INV was measured on, and prints both side by side.

    python scripts/compare_original.py --baselines=../shared/baselines --workdir=runs/compare

Each JSON file there holds settings (capture, frames, steps, width, ...) and, per frame, the
original's PSNR on the held-out camera and on the first training camera. Same network, same number
of steps and of rays; other random numbers. The held-out views of such short runs differ by more
than a decibel from seed to seed: `--seeds=0,1,2` shows it. A comparison that was interrupted goes
on; `--only=basketball` runs one of them.
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

from configs import base  # noqa: E402
from inv_jax.assembly import build  # noqa: E402
from inv_jax.assembly.playback import open_playback  # noqa: E402
from inv_jax.eval import measures, report  # noqa: E402
from inv_jax.types import InvError  # noqa: E402

_BASELINES = flags.DEFINE_string("baselines", "../shared/baselines", "Folder of the JSON files.")
_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the captures."
)
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare", "Folder for the runs.")
_ONLY = flags.DEFINE_list("only", [], "Names of baselines; empty: all.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Our random seeds, one run each.")

_COLUMNS = ("frame", "phase", "psnr_original", "psnr", "psnr_train_original", "psnr_train")


def config_of(settings: dict, data: pathlib.Path, seed: int) -> build.Config:
    """Our config for a baseline's settings."""
    config = base.get_config()
    with config.unlocked():
        config.data.update(
            layout="n3dv",
            path=str(data / settings["capture"]),
            factor=settings["factor"],
            num_frames=settings["frames"],
            near=settings["near"],
            ndc=not settings["no_ndc"],
            holdout=(settings["holdout"],),
        )
        config.model.update(
            width=settings["width"],
            coarse_samples=settings["samples"],
            fine_samples=settings["samples"],
        )
        config.train.update(
            steps=settings["iters"],
            warmup_steps=settings["iters"],
            freeze_frame=settings["freeze"],
            rows_per_step=settings["rays"],
            seed=seed,
            save_every=0,
        )
    return config


def compare(name: str, baseline: dict, workdir: pathlib.Path, seed: int) -> list[dict]:
    """Trains one baseline's settings and returns a row per frame."""
    config = config_of(baseline["settings"], pathlib.Path(_DATA.value), seed)
    trainer, close = build.trainer(config, workdir, lambda: False)
    try:
        trainer.train()
    finally:
        close()
    playback = open_playback(workdir)
    capture = playback.capture
    rows = []
    for theirs in baseline["rows"]:
        frame = theirs["frame"]
        images = np.asarray(capture.load(frame).images)
        ours = {}
        for cam in (capture.test_cams[0], capture.train_cams[0]):
            view = playback.player.view(frame, capture.cameras, cam)
            ours[cam] = measures.QUICK(view.rgb, images[cam])["psnr"]
        rows.append(
            {
                "baseline": name,
                "seed": seed,
                "frame": frame,
                "phase": theirs["phase"],
                "psnr_original": theirs["psnr"],
                "psnr": ours[capture.test_cams[0]],
                "psnr_train_original": theirs["psnr_train_view"],
                "psnr_train": ours[capture.train_cams[0]],
            }
        )
    return rows


def summary(rows: list[dict], suffix: str) -> str:
    """Means over frames and seeds, and how far the means of single seeds lie apart."""
    theirs = statistics.mean(row[f"psnr{suffix}_original"] for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    means = [
        statistics.mean(row[f"psnr{suffix}"] for row in rows if row["seed"] == seed)
        for seed in seeds
    ]
    ours = statistics.mean(means)
    spread = f", seeds from {min(means):.2f} to {max(means):.2f}" if len(seeds) > 1 else ""
    return f"ours {ours:.2f}{spread}; original {theirs:.2f}: {ours - theirs:+.2f}"


def main(_: list[str]) -> None:
    files = sorted(pathlib.Path(_BASELINES.value).glob("*.json"))
    chosen = [file for file in files if not _ONLY.value or file.stem in _ONLY.value]
    if not chosen:
        names = ", ".join(file.stem for file in files) or "none"
        raise InvError(f"no baseline to compare with in {_BASELINES.value}; there are: {names}")
    everything = []
    for file in chosen:
        baseline = json.loads(file.read_text())
        rows = []
        for seed in map(int, _SEEDS.value):
            workdir = pathlib.Path(_WORKDIR.value).absolute() / f"{file.stem}_seed{seed}"
            found = compare(file.stem, baseline, workdir, seed)
            rows += found
            print(f"\n{file.stem}, seed {seed}: PSNR in dB\n{report.format_table(found, _COLUMNS)}")
        everything += rows
        for view, suffix in (("held-out", ""), ("training", "_train")):
            print(f"{file.stem}, {view} view: {summary(rows, suffix)}")
    report.write_json(pathlib.Path(_WORKDIR.value) / "comparison.json", everything)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"compare_original: {error}", file=sys.stderr)
        sys.exit(2)
