"""Runs that nobody trained: what a page is told of them is written here."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from inv_jax.report.runs import Run
from inv_jax.report.series import Scored


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """`make_run(name, frames, **train)`: a run with rows, on a capture that is not there."""

    def make(
        name: str = "a", frames: range = range(1, 6), *, number: int = 0, **changes: Any
    ) -> Run:
        train = {
            "steps": 100,
            "warmup_steps": 200,
            "freeze_frame": 3,
            "scratch": False,
            "reset_optimizer": False,
            "init_from": "",
            "init_frame": 0,
            "seed": 0,
        } | changes
        config = {
            "data": {"layout": "n3dv", "path": "/data/x", "first_frame": frames[0]},
            "model": {"width": 8},
            "train": train,
            "codec": {"name": "", "fidelity": 40.0},
        }
        rows = {
            frame: {"frame": frame, "seconds": 2.0 * frame, "psnr": 20.0 + frame, "cam": 0}
            | {"steps": 200 if frame < 3 and not train["scratch"] else train["steps"]}
            for frame in frames
        }
        return Run(
            path=pathlib.Path("/runs") / name,
            name=name,
            number=number,
            config=config,
            capture="0123",
            provenance={"jax": "1.0", "devices": "1 x cpu"},
            rows=rows,
            frames=list(frames),
            frame_bytes=dict.fromkeys(frames, 2048),
            color_bytes={frames[0]: 1024},
        )

    return make


@pytest.fixture
def score() -> Callable[..., Scored]:
    """`score(run, better)`: its journal's PSNR, so many dB better."""

    def make(run: Run, better: float = 0.0) -> Scored:
        scores = {frame: {"psnr": row["psnr"] + better} for frame, row in run.rows.items()}
        return Scored(run, scores)

    return make
