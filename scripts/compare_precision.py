"""PSNR against steps in several precisions, on the same real footage, from the same start.

    python scripts/compare_precision.py --workdir=runs/precision
    python scripts/compare_precision.py --frames=1 --capture=static/flame_steak --factor=8 --ndc \
        --near=0.5 --workdir=runs/precision_flame

Every precision starts from the same params and sees the same rays with the same jitter and noise:
the first frame in Warm-Up, the following ones with frozen colors. Prints a table of the PSNR of a
held-out and of a training view at the chosen steps, then one JSON line, and draws WORKDIR's
`precision.png`. Several `--seeds` say how much chance alone does. With `--minutes` it stops after
so long; the same command goes on. The defaults are small enough for a CPU; full size is
`--width=256 --rays=1024 --samples=64`.
"""

import contextlib
import itertools
import json
import math
import os
import pathlib
import statistics
import sys
import time

import jax
import matplotlib
import numpy as np
from absl import app, flags, logging

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from configs import base  # noqa: E402
from inv_jax import params as params_lib  # noqa: E402
from inv_jax.assembly import build, captures, plans  # noqa: E402
from inv_jax.checkpoint import FrameStore  # noqa: E402
from inv_jax.eval import measures, report  # noqa: E402
from inv_jax.render.view import ViewRenderer  # noqa: E402
from inv_jax.train import resume  # noqa: E402
from inv_jax.train.parallel import Devices  # noqa: E402
from inv_jax.train.state import TrainState  # noqa: E402
from inv_jax.types import InvError, Params, Stopped  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

_DATA = flags.DEFINE_string(
    "data", os.environ.get("INV_JAX_DATA", "../shared/data"), "Folder of the captures."
)
_CAPTURE = flags.DEFINE_string("capture", "multiview/basketball", "Which of them (META layout).")
_FACTOR = flags.DEFINE_integer("factor", 4, "Its images are frames_FACTOR.")
_NEAR = flags.DEFINE_float("near", 0.0, "Where sampling starts.")
_NDC = flags.DEFINE_bool("ndc", False, "Warp to NDC.")
_FRAMES = flags.DEFINE_integer("frames", 4, "How many; the first one in Warm-Up, the rest frozen.")
_WARMUP = flags.DEFINE_list("warmup_steps", ["100", "250", "500", "1000", "2000"], "Look there.")
_TRANSFER = flags.DEFINE_list("transfer_steps", ["100", "250", "500"], "... and in frozen frames.")
_WIDTH = flags.DEFINE_integer("width", 128, "Width of the network.")
_RAYS = flags.DEFINE_integer("rays", 512, "Rays a step.")
_SAMPLES = flags.DEFINE_integer("samples", 32, "Coarse samples, and as many fine ones.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "bfloat16"], "Of `model.precision`.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "A run each.")
_MINUTES = flags.DEFINE_float("minutes", 0.0, "Stop after so long; 0: when done.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/precision", "Folder for states and results.")

VIEWS = {"held_out": "held-out view", "training": "training view"}


def config_of(precision: str, seed: int) -> build.Config:
    """The config of one run."""
    config = base.get_config()
    with config.unlocked():
        config.data.update(
            path=str(pathlib.Path(_DATA.value) / _CAPTURE.value),
            factor=_FACTOR.value,
            num_frames=_FRAMES.value,
            near=_NEAR.value,
            ndc=_NDC.value,
        )
        config.model.update(
            width=_WIDTH.value,
            coarse_samples=_SAMPLES.value,
            fine_samples=_SAMPLES.value,
            precision=precision,
        )
        config.train.update(
            steps=int(_TRANSFER.value[-1]),
            warmup_steps=int(_WARMUP.value[-1]),
            freeze_frame=config.data.first_frame + 1,
            rows_per_step=_RAYS.value,
            seed=seed,
        )
    return config


def schedule(frames: range) -> list[tuple[int, int, int]]:
    """Frame, step within it to go on from, and step to train to, in order."""
    parts = []
    for frame in frames:
        marks = [int(n) for n in (_WARMUP if frame == frames[0] else _TRANSFER).value]
        parts += [(frame, *pair) for pair in itertools.pairwise([0, *marks])]
    return parts


class Run:
    """One precision and seed: trains from mark to mark, looks, and stores where it stands."""

    def __init__(self, precision: str, seed: int, workdir: pathlib.Path):
        config = config_of(precision, seed)
        model = build.model(config)
        self._precision, self._seed = precision, seed
        self._config = json.loads(config.to_json())
        self._devices = Devices()
        self._stepper = build.stepper(config, model, self._devices)
        self._plan = plans.of(config)
        self._capture = captures.of(config, workdir)
        self._cameras = self._capture.cameras.take(np.array(self._capture.train_cams))
        self._renderer = ViewRenderer(model, self._devices, rows_per_chunk=1024)
        self._initial, _ = build.initial_params(config, model, has_frames=False)
        self._store = FrameStore(workdir, roles=model.roles)
        self._step = self._devices.map(self._stepper.run)

    def close(self) -> None:
        self._store.close()

    def rows(self, until: float) -> list[dict]:
        """Trains what is left.

        Args:
          until: Time (`time.monotonic`) after which nothing more is begun.

        Returns:
          A row per mark: PSNR of both views, and the seconds it took to train up to there.

        Raises:
          Stopped: When the time is over.
        """
        found = [resume.Partial(*self._store.partial(f)) for f in self._store.partial_frames()]
        partial = found[-1] if found else None
        rows = [] if partial is None else list(partial.metadata["rows"])
        if partial is not None and partial.metadata["config"] != self._config:
            raise InvError("the workdir has results of other settings; choose another --workdir")
        state = None if partial is None else self._begin(partial.metadata["frame"], None, partial)
        for frame, step, mark in schedule(self._capture.frames)[len(rows) :]:
            if time.monotonic() > until:
                raise Stopped(
                    f"stopped before step {mark} of frame {frame}; the same command goes on"
                )
            state = state if step else self._begin(frame, state, None)
            state, seconds = self._train(frame, state, mark - step)
            rows.append(
                {
                    "precision": self._precision,
                    "seed": self._seed,
                    "frame": frame,
                    "step": mark,
                    **self._look(frame, state.params),
                    "steps": mark - step,
                    "seconds": round(seconds, 2),
                }
            )
            print(rows[-1], file=sys.stderr)
            means = [float(state.means.loss), float(state.means.mse)]
            self._store.save_partial(
                frame,
                mark,
                state.params,
                params_lib.flatten(state.opt_state),
                {"seconds": seconds, "means": means, "rows": rows, "config": self._config},
            )
        return rows

    def _begin(
        self, frame: int, previous: TrainState | None, partial: resume.Partial | None
    ) -> TrainState:
        """The state that a frame starts from, or that was stored within it."""
        params, opt_state = self._initial, None
        if previous is not None:
            params, opt_state = previous.params, previous.opt_state
        state, _, _ = resume.begin(
            params,
            opt_state,
            partial,
            phase=self._plan.phase(frame),
            optimizer=self._stepper.optimizer,
            key=jax.random.fold_in(jax.random.key(self._seed), frame),
        )
        return state

    def _train(self, frame: int, state: TrainState, num_steps: int) -> tuple[TrainState, float]:
        """The state some steps later, and how long they took without compiling."""
        pixels = self._capture.load(frame, self._capture.train_cams)
        placed = self._devices.replicate((state, pixels, self._cameras))
        none, count = self._devices.replicate((np.int32(0), np.int32(num_steps)))
        jax.block_until_ready(self._step(*placed, none))
        start = time.perf_counter()
        trained = jax.block_until_ready(self._step(*placed, count))
        seconds = time.perf_counter() - start
        return jax.device_get(self._devices.first(trained)), seconds

    def _look(self, frame: int, params: Params) -> dict[str, float | None]:
        """PSNR of the held-out view and of the first training view."""
        placed = self._renderer.params(params)
        psnr = {}
        for name, cams in (("held_out", "test_cams"), ("training", "train_cams")):
            cam = getattr(self._capture, cams)[0]
            view = self._renderer.render(placed, self._capture.cameras, cam)
            truth = np.asarray(self._capture.load(frame, [cam]).images)[0]
            psnr[name] = measures.QUICK(view.rgb, truth)["psnr"]
        return psnr


def table(rows: list[dict]) -> str:
    """Means over the seeds, a line for each mark and a column for each view and precision."""
    names = [f"{view} {precision}" for view in VIEWS for precision in _PRECISIONS.value]
    lines = ["frame   step  " + "  ".join(f"{name:>18}" for name in names)]
    for frame, step in dict.fromkeys((row["frame"], row["step"]) for row in rows):
        cells = [
            statistics.fmean(
                row[view]
                for row in rows
                if (row["frame"], row["step"], row["precision"]) == (frame, step, precision)
            )
            for view in VIEWS
            for precision in _PRECISIONS.value
        ]
        lines.append(f"{frame:5d}  {step:5d}  " + "  ".join(f"{cell:18.2f}" for cell in cells))
    return "\n".join(lines)


def milliseconds(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Training time of a step, by phase and precision."""
    spent: dict[str, dict[str, tuple[float, int]]] = {}
    for row in rows:
        phase = spent.setdefault("warmup" if row["frame"] == rows[0]["frame"] else "transfer", {})
        seconds, steps = phase.get(row["precision"], (0.0, 0))
        phase[row["precision"]] = seconds + row["seconds"], steps + row["steps"]
    return {
        phase: {name: round(1000 * seconds / steps, 1) for name, (seconds, steps) in times.items()}
        for phase, times in spent.items()
    }


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """PSNR over all steps so far, a panel for each view, a line for each run."""
    frames = sorted({row["frame"] for row in rows})
    ends = np.cumsum([max(row["step"] for row in rows if row["frame"] == f) for f in frames])
    starts = dict(zip(frames, [0, *ends[:-1]], strict=True))
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for panel, (view, title) in zip(axes, VIEWS.items(), strict=True):
        for n, precision in enumerate(_PRECISIONS.value):
            for seed in sorted({row["seed"] for row in rows}):
                mine = [r for r in rows if (r["precision"], r["seed"]) == (precision, seed)]
                panel.plot(
                    [starts[row["frame"]] + row["step"] for row in mine],
                    [row[view] for row in mine],
                    ("o-", "s--", "^:")[n % 3],
                    color=f"C{n}",
                    markersize=4,
                    linewidth=1.2,
                    label=precision if seed == rows[0]["seed"] else None,
                )
        for frame, end in zip(frames[1:], ends, strict=False):
            panel.axvline(end, color="0.8", linewidth=0.8, zorder=0)
            panel.annotate(
                f"frame {frame}", (end, 1), xycoords=("data", "axes fraction"),
                xytext=(2, -10), textcoords="offset points", fontsize=7, color="0.4",
            )  # fmt: skip
        panel.set(title=title, xlabel="steps in all", ylabel="PSNR (dB)")
        panel.legend()
    figure.suptitle(f"{_CAPTURE.value}, width {_WIDTH.value}, {_RAYS.value} rays a step")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(_: list[str]) -> None:
    workdir = pathlib.Path(_WORKDIR.value).absolute()
    until = time.monotonic() + 60 * _MINUTES.value if _MINUTES.value else math.inf
    rows = []
    for seed in map(int, _SEEDS.value):
        for precision in _PRECISIONS.value:
            run = Run(precision, seed, workdir / f"{precision}_seed{seed}")
            with contextlib.closing(run):
                rows += run.rows(until)
    print(table(rows))
    draw(rows, workdir / "precision.png")
    result = {
        "capture": _CAPTURE.value,
        "width": _WIDTH.value,
        "rays": _RAYS.value,
        "samples": _SAMPLES.value,
        "device": Devices().describe(),
        "jax": jax.__version__,
        "milliseconds_a_step": milliseconds(rows),
        "rows": rows,
    }
    report.write_json(workdir / "precision.json", rows)
    print(json.dumps(result))


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except (InvError, Stopped) as error:
        print(f"compare_precision: {error}", file=sys.stderr)
        sys.exit(2)
