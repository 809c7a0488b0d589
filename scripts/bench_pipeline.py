r"""The gap between two frames: from the last step of one to the first step of the next.

    python scripts/bench_pipeline.py                      # 21 cameras of 1352x1014
    python scripts/bench_pipeline.py --first_steps=10000  # ... a whole frame first (on a GPU)

Trains frames of the procedural capture with the real trainer, in a workdir of its own, and prints
what its rows say: one JSON line per frame, then one of them all. `gap_seconds` is the time that
nothing trains between two frames, `input_wait_seconds` and `checkpoint_wait_seconds` the part of
it that was spent waiting for the frame's pixels and for the disk. `gap_fraction` is the longest
gap over the time of 10,000 steps: at the speed measured here, or, on a CPU, where a small network
stands in, of `--frame_seconds`, which such a frame is taken to last on a GPU.

A frame has to last long enough for what is hidden behind it: decoding the next one, and rendering
the view of the one before. The first frame of each phase compiles; the compiler's time is no gap.
The capture is made first if it is not there (some minutes on two cores) and kept.
"""

import json
import pathlib
import statistics
import tempfile

from absl import app, flags, logging
from benching import rows, setups, theatre

from inv_jax.assembly import build
from inv_jax.train.parallel import Devices

_NETWORK = flags.DEFINE_enum(
    "network", "", ["", "tiny", "full"], "Default: full, on a CPU a tiny one of 4 + 4 samples."
)
_FRAMES = flags.DEFINE_integer("frames", 5, "Frames to train.")
_FIRST = flags.DEFINE_integer("first_steps", 0, "Steps of the first frame; 0: as the others.")
_STEPS = flags.DEFINE_integer("steps", 2000, "Steps of the other frames; tiny: 12,000.")
_RAYS = flags.DEFINE_integer("rays", 1024, "Rays a step; tiny: 256.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Of the network.")
_FRAME_SECONDS = flags.DEFINE_float("frame_seconds", 50.0, "Of 10,000 steps, where a CPU runs.")

_FRAME_STEPS = 10_000
_NAMES = ("gap_seconds", "input_wait_seconds", "checkpoint_wait_seconds")
_ROW = (
    *("frame", "phase", "steps", "seconds", "steps_per_second", *_NAMES),
    *("eval_seconds", "host_memory_bytes", "device_memory_bytes"),
)


def train(workdir: pathlib.Path) -> list[dict]:
    """Trains the frames; the rows of the journal."""
    config = setups.config(
        **theatre.settings(_FRAMES.value),
        model__precision=_PRECISION.value,
        train__rows_per_step=_RAYS.value,
        train__warmup_steps=_FIRST.value or _STEPS.value,
        train__steps=_STEPS.value,
        train__freeze_frame=2,
        train__save_every=0,
    )
    trainer, close = build.trainer(config, workdir, lambda: False)
    try:
        trainer.train()
    finally:
        close()
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def summary(frames: list[dict], devices: Devices) -> dict[str, object]:
    """What the frames behind the first say together."""
    behind = frames[1:]
    on_cpu = devices.platform == "cpu"
    # Of the first frame, which trains everything: the longer steps, the longer a frame.
    seconds = _FRAME_STEPS / frames[0]["steps_per_second"]
    measured = _FRAME_SECONDS.value if on_cpu else seconds
    gaps = [row["gap_seconds"] for row in behind]
    row = {
        "case": f"{len(frames)} frames, {theatre.describe()}",
        "precision": _PRECISION.value,
        "rays": _RAYS.value,
        **{f"{name}_median": statistics.median(r[name] for r in behind) for name in _NAMES},
        "gap_seconds_max": max(gaps),
        "frame_seconds": measured,
        "gap_fraction": max(gaps) / measured,
        "first_frame_seconds": frames[0]["seconds"],
        "first_frame_steps": frames[0]["steps"],
        "device_peak_bytes": devices.peak_memory_bytes(),
    }
    if on_cpu:
        row["frame_note"] = "10,000 steps are taken to last so long on a GPU, not measured"
    return row


def main(_: list[str]) -> None:
    devices = Devices()
    if (_NETWORK.value or ("tiny" if devices.platform == "cpu" else "full")) == "tiny":
        setups.default_to_tiny_network()
        flags.set_default(_STEPS, 12_000)
        flags.set_default(_RAYS, 256)
    with tempfile.TemporaryDirectory() as folder:
        frames = train(pathlib.Path(folder))
    for frame in frames:
        row = {name: frame.get(name) for name in _ROW}
        rows.emit("frame", devices, {"case": f"frame {frame['frame']}", **row})
    rows.emit("pipeline", devices, summary(frames, devices))


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
